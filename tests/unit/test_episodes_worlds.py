"""The built-in benchmark: worlds, behaviour cloning, and the paper's trends by training policies."""

from __future__ import annotations

import numpy as np
import pytest

from shiftlab.episodes.cloning import clone
from shiftlab.episodes.validation import validate
from shiftlab.episodes.worlds import GOAL, REACHED, START, Operator, linear_gaussian, point_mass, success_rate
from shiftlab.errors import BadInputError


def test_system_and_policy_noise_of_one_scale_visit_the_same_states():
    system, policy = (point_mass(20, Operator(**{kind: 0.01}), seed=4) for kind in ("system", "policy"))
    np.testing.assert_allclose(system.states, policy.states, atol=1e-12)
    assert np.abs(system.actions - policy.actions).max() > 0.1
    np.testing.assert_allclose(np.linalg.norm(system.actions, axis=1), 1)


def test_demonstrations_start_end_and_move_as_they_say():
    data = point_mass(10, Operator(system=0.01, sides=2), seed=0)
    first = data.frame == 0
    np.testing.assert_allclose(data.states[first], np.repeat(START[None], 10, axis=0))
    last = np.r_[np.flatnonzero(first)[1:] - 1, len(first) - 1]
    assert (np.linalg.norm(data.states[last] - GOAL, axis=1) < 0.04 + 4 * 0.01 + REACHED).all()
    assert data.success.all()
    stops = point_mass(10, Operator(stops=0.2), seed=0)
    still = (stops.actions == 0).all(axis=1)
    assert 0.2 < still.mean() < 0.8


def test_too_much_noise_is_an_error_with_the_count():
    with pytest.raises(BadInputError, match="use less noise"):
        point_mass(5, Operator(system=20.0))


def test_cloning_recovers_a_linear_policy_and_is_seeded():
    data = linear_gaussian(20, 100, gain=0.7, noise=0.1)
    policy = clone(data.states, data.actions, hidden=32, steps=800)
    grid = np.linspace(-1.5, 1.5, 7)[:, None]
    np.testing.assert_allclose(policy(grid), 0.7 * grid, atol=0.08)
    again = clone(data.states, data.actions, hidden=32, steps=800)
    np.testing.assert_array_equal(policy(grid), again(grid))
    heavy = clone(
        np.vstack([data.states, data.states]),
        np.vstack([data.actions, -data.actions]),
        hidden=32,
        steps=800,
        weights=np.r_[np.ones(2000), np.zeros(2000)],
    )
    np.testing.assert_allclose(heavy(grid), 0.7 * grid, atol=0.08)


@pytest.mark.slow
def test_the_trends_of_the_paper():
    table = validate(
        conditions=["clean", "system .01", "system .02", "policy .01", "policy .02", "stops"],
        n_episodes=50,
        test_noise=(0.01, 0.02),
        n_policies=3,
        hidden=64,
        training_steps=1500,
    )
    row = {r["condition"]: r for r in table.rows(named=True)}
    # matched scale: equal similarity, action variance only under policy noise, diversity only under system noise
    for sigma in (".01", ".02"):
        system, policy = row[f"system {sigma}"], row[f"policy {sigma}"]
        assert system["state_similarity"] == pytest.approx(policy["state_similarity"], rel=1e-9)
        assert policy["action_variance"] > 4 * system["action_variance"]
        assert system["transition_diversity"] == pytest.approx(2 * float(f"0{sigma}") ** 2, rel=0.15)
        assert policy["transition_diversity"] < 1e-5
    # at a matched scale the policy trained on system noise does better under test noise
    system, policy = (
        np.mean([row[f"{k} {s}"]["success_0.02"] for s in (".01", ".02")]) for k in ("system", "policy")
    )
    assert system > policy
    # clean data have the least action variance, and are not best under test noise
    assert row["clean"]["action_variance"] == min(r["action_variance"] for r in row.values())
    assert row["clean"]["success_0.02"] < row["system .02"]["success_0.02"] - 0.2
    # random stops are among the worst
    assert row["stops"]["success_0.02"] <= row["system .02"]["success_0.02"] - 0.2


@pytest.mark.slow
def test_too_little_and_too_much_system_noise_are_both_worse():
    success = {}
    for sigma in (0.0, 0.02, 0.09):
        data = point_mass(10, Operator(system=sigma), seed=0)
        success[sigma] = np.mean(
            [
                success_rate(
                    clone(data.states, data.actions, hidden=64, steps=1500, seed=s), system=0.015, seed=s
                )
                for s in range(3)
            ]
        )
    assert success[0.02] > success[0.0] + 0.1
    assert success[0.02] > success[0.09] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_without_an_obstacle_the_kind_of_training_noise_does_not_matter(sigma):
    success = {}
    for kind in ("system", "policy"):
        data = point_mass(30, Operator(**{kind: sigma}), seed=0, obstacle=False)
        policy = clone(data.states, data.actions, hidden=64, steps=1500)
        success[kind] = success_rate(policy, system=0.01, obstacle=False, n_rollouts=200)
    assert success["system"] == pytest.approx(success["policy"], abs=0.1)
    assert min(success.values()) > 0.7
