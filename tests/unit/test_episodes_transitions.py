"""Transitions of two groups of episodes: closed forms, and a null that is the measure itself on re-dealt episodes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

import shiftlab as sl
from shiftlab.episodes.shift import compare_stored
from shiftlab.episodes.transitions import (
    Transitions,
    _by_episode,
    _dynamics,
    _policies,
    _standardised,
    transition_shift,
    transitions_of,
)
from shiftlab.errors import BadInputError


def _rolled(
    rng: np.random.Generator, gain: float, bias: float, episodes: int, turn: float = 0.9
) -> Transitions:
    """Episodes of a linear system under a linear policy with noise of .5."""
    parts = []
    for _ in range(episodes):
        s = [rng.normal(size=2)]
        a = []
        for _ in range(30):
            a.append(gain * s[-1] + bias + 0.5 * rng.normal(size=2))
            s.append(turn * s[-1] + 0.1 * a[-1])
        parts.append((np.array(s[:-1]), np.array(a)))
    states, actions = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return transitions_of(states, actions, np.repeat(np.arange(episodes), 30))


def test_transitions_stay_within_an_episode() -> None:
    states = np.arange(12.0).reshape(6, 2)
    states[1, 0] = np.nan
    found = transitions_of(states, np.ones((6, 1)), np.array([0, 0, 0, 1, 1, 1]))
    assert found.states.tolist() == [[6.0, 7.0], [8.0, 9.0]]
    assert found.following.tolist() == [[8.0, 9.0], [10.0, 11.0]]


@pytest.mark.parametrize("measure", ["dynamics_error", "policy_kl"])
def test_sums_of_products_are_the_measure(measure: str) -> None:
    rng = np.random.default_rng(0)
    left, right = _standardised(_rolled(rng, -0.2, 0, 5), _rolled(rng, 0.3, 0.2, 4))
    at = np.concatenate([left.episode, 5 + right.episode])
    again = _by_episode(left, right, at, measure)
    direct = _dynamics if measure == "dynamics_error" else _policies
    assert again(np.arange(9) < 5) == pytest.approx(direct(left, right), rel=1e-9, abs=1e-12)
    whole = Transitions(
        *(np.concatenate([getattr(s, n) for s in (left, right)]) for n in ("states", "actions", "following")),
        at,
    )
    side = np.isin(at, [0, 2, 7])
    parts = [Transitions(whole.states[m], whole.actions[m], whole.following[m], at[m]) for m in (side, ~side)]
    assert again(np.isin(np.arange(9), [0, 2, 7])) == pytest.approx(direct(*parts), rel=1e-9, abs=1e-12)


def test_dynamics_are_told_apart_and_policies_are_not_their_business() -> None:
    rng = np.random.default_rng(1)
    same = transition_shift(
        _rolled(rng, -0.2, 0, 8), _rolled(rng, 0.3, 1, 8), "dynamics_error", permutations=99
    )
    assert same["value"] == pytest.approx(0, abs=1e-12)
    other = transition_shift(
        _rolled(rng, -0.2, 0, 8, turn=0.6), _rolled(rng, -0.2, 0, 8), "dynamics_error", permutations=99
    )
    assert other["p"] == 0.01
    assert other["value"] > other["null_q95"]


def test_policies_a_step_apart_have_the_kl_of_gaussians() -> None:
    """Means one unit apart in both of two actions with spread .5: 2 * (1 / .5)^2 / 2 = 4 nats."""
    rng = np.random.default_rng(2)
    found = transition_shift(_rolled(rng, 0.1, 0, 60), _rolled(rng, 0.1, 1, 60), "policy_kl", permutations=99)
    assert found["value"] == pytest.approx(4, rel=0.1)
    assert found["p"] == 0.01
    equal = transition_shift(_rolled(rng, 0.1, 0, 30), _rolled(rng, 0.1, 0, 30), "policy_kl", permutations=99)
    assert equal["p"] > 0.05


@pytest.mark.parametrize("measure", ["dynamics_error", "policy_kl"])
def test_exchangeable_episodes_have_uniform_p(measure: str) -> None:
    rng = np.random.default_rng(4)
    values = []
    for seed in range(100):
        states = rng.normal(size=(160, 2)) + np.repeat(rng.normal(size=(8, 2)), 20, axis=0)
        actions = 0.3 * states + rng.normal(size=(160, 2)) + np.repeat(rng.normal(size=(8, 2)), 20, axis=0)
        episode = np.repeat(np.arange(8), 20)
        whole = transitions_of(states, actions, episode)
        sides = [
            Transitions(
                *(
                    getattr(whole, n)[whole.episode % 2 == k]
                    for n in ("states", "actions", "following", "episode")
                )
            )
            for k in (0, 1)
        ]
        values.append(transition_shift(*sides, measure, permutations=39, seed=seed)["p"])
    assert stats.kstest(np.array(values) - rng.uniform(0, 1 / 40, 100), "uniform").pvalue > 0.01


def test_stored_as_scores(catalog: sl.Catalog, tmp_path) -> None:
    rng = np.random.default_rng(3)
    for name, bias in (("one", 0.0), ("two", 2.0)):
        steps = [
            {"episode_index": e, "frame_index": f, "observation.state": rng.normal(size=2).tolist(),
             "action": (bias + rng.normal(size=2)).tolist()}
            for e in range(6) for f in range(20)
        ]  # fmt: skip
        pl.DataFrame(steps).write_parquet(tmp_path / f"{name}.parquet")
        catalog.ingest_episodes(tmp_path / f"{name}.parquet", name)
    found = compare_stored(
        catalog.store, "one", "dataset", "one", "two", measure="policy_kl", permutations=99
    )
    assert found["side"] == "transitions"
    assert found["p"] == 0.01
    rows = catalog.sql("select what, value, n_left from scores where measure = 'policy_kl'").rows()
    assert rows == [("trajectories", found["value"], found["n_left"])]
    near = compare_stored(
        catalog.store,
        "one",
        "dataset",
        "one",
        "two",
        measure="nearest_residual",
        side="actions",
        permutations=19,
    )
    assert near["value"] > 0
    with pytest.raises(BadInputError, match="for transitions there are dynamics_error and policy_kl"):
        compare_stored(catalog.store, "one", "dataset", "one", "two", measure="paired_shift")
    assert catalog.sql("select count(*) from transition where dataset = 'one'").rows() == [(6 * 19,)]
    wrong = catalog.sql(
        "select count(*) from transition t join step s on s.dataset = t.dataset and s.episode_index = t.episode_index "
        "and s.frame_index = t.frame_index + 1 where s.state <> t.next_state"
    )
    assert wrong.rows() == [(0,)]
