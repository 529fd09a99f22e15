"""Scores of demonstrations against closed forms, brute force, trends and invariances."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

import shiftlab as sl
from shiftlab import resources
from shiftlab.episodes import CONTRACT, METRICS
from shiftlab.episodes.actions import detect_action_kind
from shiftlab.episodes.consistency import published_consistency
from shiftlab.episodes.information import ksg_batch, ksg_steps
from shiftlab.episodes.neighbours import ball_sums, build_blocks, nearest_of_other_groups
from shiftlab.episodes.prepare import prepare
from shiftlab.episodes.worlds import Operator, linear_gaussian, point_mass
from shiftlab.errors import BadInputError


def door() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = pl.read_parquet(resources.data("adroit_door_human") / "episodes.parquet")
    return tuple(table[c].to_numpy() for c in ("observation.state", "action", "episode_index"))


def value_of(frame: pl.DataFrame, metric: str) -> np.ndarray:
    return frame.filter(pl.col("metric") == metric).sort("episode_index")["value"].to_numpy()


def of_dataset(frame: pl.DataFrame) -> dict[str, float]:
    return dict(sl.episodes.dataset_scores(frame, replicates=50).select("metric", "value").iter_rows())


# neighbours ------------------------------------------------------------------------------------------------


@given(
    n=st.integers(5, 1500),
    d=st.integers(1, 7),
    groups=st.integers(1, 9),
    k=st.integers(1, 12),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_neighbours_equal_brute_force(n, d, groups, k, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * 3.0 ** -np.arange(d)
    x[rng.integers(0, n, n // 5)] = x[0]  # exact repeats
    group = rng.integers(0, groups, n)
    found = nearest_of_other_groups(build_blocks(x), group, k)
    away = np.sqrt(np.square(x[:, None] - x[None]).sum(-1))
    away[group[:, None] == group[None]] = np.inf
    expected = np.sort(np.pad(away, ((0, 0), (0, k)), constant_values=np.inf), axis=1)[:, :k]
    np.testing.assert_allclose(found.distance, expected, rtol=1e-4, atol=2e-6)
    real = found.index >= 0
    assert (real == np.isfinite(expected)).all()
    assert (group[found.index] != group[:, None])[real].all()
    np.testing.assert_allclose(
        np.take_along_axis(away, np.maximum(found.index, 0), axis=1)[real],
        expected[real],
        rtol=1e-4,
        atol=2e-6,
    )


@pytest.mark.parametrize(("d", "radius"), [(2, 0.05), (2, 1.5), (12, 1.0), (30, 6.0)])
def test_ball_sums_equal_brute_force(d, radius):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(1700, d)) * 1.5 ** -np.arange(d)
    x[100:120] = x[5]
    values = rng.normal(size=(len(x), 3))
    counts, sums = ball_sums(build_blocks(x, cut_axes=2), values, radius)
    inside = np.square(x[:, None] - x[None]).sum(-1) <= radius**2
    np.testing.assert_array_equal(counts, inside.sum(1))
    np.testing.assert_allclose(sums, inside @ values, atol=1e-9)


# the published estimators ----------------------------------------------------------------------------------


def test_published_consistency_is_the_papers_formula():
    s, a, _ = door()
    s, a = s[:900].astype(float), a[:900].astype(float)
    found = published_consistency(s, a, eps=2.0)
    z = (s - s.mean(0)) / np.where(s.std(0) > 0, s.std(0), 1)
    inside = np.square(z[:, None] - z[None]).sum(-1) <= 4.0
    mean = inside @ a / inside.sum(1, keepdims=True)
    variance = (np.square(a - mean) / a.var(0)).mean(0).sum()
    assert found.action_variance == pytest.approx(variance, rel=1e-6)
    assert found.state_similarity == pytest.approx(inside.sum(1).mean() / len(s), rel=1e-9)


@pytest.mark.parametrize("sigma", [0.01, 0.02])
def test_point_mass_closed_forms_separate_policy_from_system_noise(sigma):
    frames = {}
    for kind in ("policy", "system"):
        data = point_mass(60, Operator(**{kind: sigma}), seed=3)
        frames[kind] = of_dataset(
            sl.episodes.score(
                data.states,
                data.actions,
                data.episode,
                eps=0.02,
                standardised=False,
                replicates=20,
                metrics=[
                    "action_variance",
                    "action_variance_loo",
                    "transition_diversity",
                    "state_similarity",
                ],
            )
        )
    policy, system = frames["policy"], frames["system"]
    expected = 2 * (sigma / 0.04) ** 2
    assert policy["action_variance"] == pytest.approx(expected, rel=0.15)
    assert policy["action_variance_loo"] == pytest.approx(expected, rel=0.25)
    assert policy["transition_diversity"] < 1e-6
    assert system["transition_diversity"] == pytest.approx(2 * sigma**2, rel=0.1)
    assert system["action_variance"] < 0.25 * policy["action_variance"]
    assert system["state_similarity"] == pytest.approx(policy["state_similarity"], rel=1e-6)


def test_linear_gaussian_closed_forms():
    data = linear_gaussian(60, 100, gain=1.5, noise=0.5, seed=1)
    frame = sl.episodes.score(data.states, data.actions, data.episode, standardised=False, replicates=20)
    found = of_dataset(frame)
    assert found["action_variance_loo"] == pytest.approx(0.25, rel=0.05)
    assert found["action_variance_linear"] == pytest.approx(0.25, rel=0.05)
    assert found["mutual_information"] == pytest.approx(0.5 * np.log(1 + 9), abs=0.04)
    assert found["multimodality"] < 0.01


def test_information_of_independent_and_more_dimensions():
    rng = np.random.default_rng(0)
    s = rng.normal(size=(4000, 3))
    assert ksg_steps(s, rng.normal(size=(4000, 2))).mean() == pytest.approx(0, abs=0.02)
    a = s[:, :2] + 0.5 * rng.normal(size=(4000, 2))
    batches, whole = ksg_steps(s, a).mean(), ksg_steps(s, a, batch=4000, passes=1).mean()
    assert 1.3 < batches < whole < np.log(1 + 4)  # biased low in small batches, never high


def test_one_batch_of_the_estimator_by_its_formula():
    rng = np.random.default_rng(4)
    s, a = rng.normal(size=(200, 6)), rng.normal(size=(200, 3))
    s[7] = s[8] = s[9]
    ds, da = (np.sqrt(np.square(v[:, None] - v[None]).sum(-1)) for v in (s, a))
    joint = np.sort(np.maximum(ds, da), axis=1)
    expected = np.mean(
        [digamma((ds < joint[:, [k]]).sum(1)) + digamma((da < joint[:, [k]]).sum(1)) for k in (5, 6, 7)],
        axis=0,
    )
    np.testing.assert_allclose(ksg_batch(s, a)[0], expected, atol=1e-9)


def test_ties_are_not_a_number_in_the_raw_estimator():
    s = np.repeat(np.arange(30.0), 10)[:, None]
    assert np.isnan(ksg_batch(s, s)[0]).all()


# what a score must not react to ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(11)
    data = point_mass(14, Operator(system=0.01, policy=0.005), seed=5)
    extra = 0.05 * rng.normal(size=(len(data.states), 1))
    return np.hstack([data.states, extra]), data.actions, data.episode, data.frame


def scored(states, actions, episode, **options) -> pl.DataFrame:
    return sl.episodes.score(states, actions, episode, replicates=20, **options)


def test_contract_of_the_frame(small):
    frame = scored(*small[:3], dataset="toy")
    assert frame.columns[:8] == [
        "dataset",
        "episode_index",
        "metric",
        "value",
        "ci_low",
        "ci_high",
        "rank_low",
        "rank_high",
    ]
    assert set(CONTRACT) <= set(frame["metric"]) == set(METRICS)
    assert len(frame) == 14 * len(METRICS)
    assert set(frame["dataset"]) == {"toy"}
    assert not frame.filter(pl.col("value").is_null() & pl.col("note").is_null()).height
    known = frame.drop_nulls(["value", "ci_low"])
    assert (known["ci_low"] <= known["value"] + 1e-9).all()
    assert (known["ci_high"] >= known["value"] - 1e-9).all()
    assert known["rank_low"].min() >= 1
    assert known["rank_high"].max() <= 14
    assert not {"grade", "quality", "overall"} & set(frame.columns)


def test_order_and_numbering_of_episodes_do_not_matter(small):
    states, actions, episode, frame = small
    base = scored(states, actions, episode)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(states))
    shuffled = scored(states[rows], actions[rows], episode[rows], frame=frame[rows])
    assert shuffled.equals(base)
    renamed = (episode * 5 + 3) % 14
    names = pl.DataFrame({"episode_index": renamed, "old": episode}).unique()
    other = scored(states, actions, renamed, frame=frame).join(names, on="episode_index")
    both = base.join(
        other, left_on=["episode_index", "metric"], right_on=["old", "metric"], suffix="_renamed"
    )
    np.testing.assert_allclose(
        both["value"].to_numpy(), both["value_renamed"].to_numpy(), rtol=1e-6, atol=1e-9
    )


def test_units_offsets_and_constant_dimensions_do_not_matter(small):
    states, actions, episode, _ = small
    base = scored(states, actions, episode)
    other = scored(
        np.hstack([np.full((len(states), 1), 7.0), states * [3.0, 0.01, 100.0] + [5.0, -2.0, 40.0]]),
        np.hstack([actions * [0.2, 40.0] + [1.0, -3.0], np.full((len(states), 1), 2.0)]),
        episode,
    )
    for metric in METRICS:
        if metric == "action_variance_loo_absolute":
            continue
        loose = {"mutual_information", "deminf_pca"}  # the jitter is drawn for other coordinates
        np.testing.assert_allclose(
            value_of(other, metric).astype(float),
            value_of(base, metric).astype(float),
            rtol=0.05 if metric in loose else 1e-4,
            atol=0.05 if metric in loose else 1e-6,
            err_msg=metric,
        )


def test_exact_repeat_pauses_do_not_raise_a_score(small):
    states, actions, episode, _ = small
    base = scored(states, actions, episode)
    times = np.ones(len(states), dtype=int)
    inside = np.flatnonzero((episode < 7) & (np.arange(len(states)) % 9 == 4))
    times[inside] = 12
    paused = scored(*(np.repeat(v, times, axis=0) for v in (states, actions, episode)))
    for metric in ("mutual_information", "deminf_pca"):
        assert (value_of(paused, metric) <= value_of(base, metric) + 1e-6).all()
    for metric in ("action_variance_loo", "action_variance_linear", "multimodality", "transition_diversity"):
        np.testing.assert_allclose(value_of(paused, metric), value_of(base, metric), rtol=1e-6, atol=1e-9)
    idle = value_of(paused, "idle_fraction")
    assert (idle[:7] > 0.3).all()
    assert (value_of(paused, "smoothness")[:7] < value_of(base, "smoothness")[:7]).all()


def test_naive_information_would_have_been_fooled_by_repeats():
    data = linear_gaussian(20, 8, gain=0.3, noise=1.0)
    repeated = [np.repeat(v, 12, axis=0) for v in (data.states, data.actions, data.episode)]
    rng = np.random.default_rng(0)
    naive = np.nanmean(ksg_steps(*(v + 1e-5 * rng.normal(size=v.shape) for v in repeated[:2])))
    honest = of_dataset(scored(*repeated))["mutual_information"]
    truth = 0.5 * np.log(1 + 0.09)
    assert naive > truth + 0.5
    assert honest == pytest.approx(truth, abs=0.15)


def test_same_seed_same_numbers(small):
    assert scored(*small[:3], seed=4).equals(scored(*small[:3], seed=4))


# what a score must react to --------------------------------------------------------------------------------


def test_a_noisy_episode_is_found_by_its_own_residual():
    data = point_mass(30, Operator(system=0.01), seed=2)
    actions = data.actions.copy()
    rng = np.random.default_rng(0)
    actions[data.episode == 12] += 0.8 * rng.normal(size=(int((data.episode == 12).sum()), 2))
    frame = sl.episodes.score(data.states, actions, data.episode, metrics=["action_variance_loo"])
    worst = frame.sort("value", descending=True).row(0, named=True)
    assert (worst["episode_index"], worst["verdict"]) == (12, "review")
    assert worst["rank_low"] == 30
    assert frame.filter(pl.col("verdict") == "review").height <= 6


def test_two_strategies_are_not_noise():
    rng = np.random.default_rng(0)
    n, episodes = 80, 24
    s = rng.uniform(-1, 1, size=(n * episodes, 2))
    episode = np.repeat(np.arange(episodes), n)
    side = np.where(episode % 2, 1.0, -1.0)
    split = np.c_[side + 0.1 * rng.normal(size=len(s)), s[:, 0]]
    noise = np.c_[rng.normal(size=len(s)), s[:, 0]]
    modes, spread = (of_dataset(scored(s, a, episode))["multimodality"] for a in (split, noise))
    assert modes > 0.9
    assert spread < 0.02


def test_far_away_episodes_are_unknown_not_good():
    data = point_mass(20, Operator(system=0.01), seed=1)
    states = data.states.copy()
    states[data.episode == 4] += 50
    frame = scored(states, data.actions, data.episode)
    row = frame.filter((pl.col("episode_index") == 4) & (pl.col("metric") == "action_variance_loo")).row(
        0, named=True
    )
    assert row["value"] is None
    assert "sparse" in row["note"]
    assert row["verdict"] is None
    assert value_of(frame, "sparse_fraction")[4] == 1


def test_copies_are_listed_and_do_not_vouch_for_each_other():
    data = point_mass(12, Operator(system=0.01, policy=0.02), seed=8)
    first = data.episode == 0
    rng = np.random.default_rng(0)
    states = np.vstack([data.states, data.states[first] + 1e-6 * rng.normal(size=(int(first.sum()), 2))])
    actions = np.vstack([data.actions, data.actions[first]])
    episode = np.r_[data.episode, np.full(int(first.sum()), 99)]
    found = sl.episodes.assess(states, actions, episode)
    assert found.duplicates.select("left_episode", "right_episode").rows() == [(0, 99)]
    assert found.duplicates["share"][0] == 1
    alone = value_of(scored(data.states, data.actions, data.episode), "action_variance_loo")[0]
    assert value_of(found.episodes, "action_variance_loo")[0] == pytest.approx(alone, rel=0.2)


def test_dense_data_alone_does_not_look_copied():
    data = linear_gaussian(6, 400, noise=1e-4)
    assert not sl.episodes.assess(data.states, data.actions, data.episode).duplicates.height


# actions ---------------------------------------------------------------------------------------------------


def walk(seed=0, n=400, episodes=8):
    rng = np.random.default_rng(seed)
    change = 0.02 * np.cumsum(rng.normal(size=(n * episodes, 4)), axis=0)
    change -= change.mean(0)
    change = 0.05 * np.sin(change)
    states = np.concatenate([np.cumsum(change[e * n : (e + 1) * n], axis=0) for e in range(episodes)])
    episode = np.repeat(np.arange(episodes), n)
    moves = np.vstack([np.diff(states, axis=0), np.zeros((1, 4))])
    last = np.r_[np.diff(episode) != 0, True]
    moves[last] = 0
    return states, moves, episode


@pytest.mark.parametrize(
    ("kind", "make", "fps"),
    [
        ("absolute", lambda s, m: s + m, None),
        ("delta", lambda s, m: m, None),
        ("velocity", lambda s, m: 25 * m, 25.0),
        ("unknown", lambda s, m: np.random.default_rng(1).normal(size=s.shape), None),
    ],
)
def test_action_kinds(kind, make, fps):
    states, moves, episode = walk()
    found = detect_action_kind(states, make(states, moves), np.ones(len(states), bool), episode, fps=fps)
    assert found.kind == kind


def test_absolute_targets_are_scored_relative_to_the_state_and_both_are_shown():
    states, moves, episode = walk()
    rng = np.random.default_rng(0)
    frame = scored(states, states + 3 * moves + 0.001 * rng.normal(size=states.shape), episode)
    found = of_dataset(frame)
    assert found["action_variance_loo_absolute"] is not None
    assert found["action_variance_loo"] > found["action_variance_loo_absolute"]


def test_a_linear_policy_on_unrelated_states_is_not_absolute():
    data = linear_gaussian(10, 100, gain=1.0, noise=0.05)
    kind = detect_action_kind(data.states, data.actions, np.ones(1000, bool), data.episode)
    assert kind.kind == "unknown"


def test_discrete_actions_are_one_hot_and_refused_by_the_estimator():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(600, 2))
    actions = (states[:, 0] > 0).astype(int)
    frame = scored(states, actions, np.repeat(np.arange(10), 60))
    row = frame.filter(pl.col("metric") == "mutual_information").row(0, named=True)
    assert row["value"] is None
    assert "tie" in row["note"]
    assert 0 <= of_dataset(frame)["action_variance_loo"] < 0.2


# bad input -------------------------------------------------------------------------------------------------


def test_steps_that_are_not_finite_are_left_out_and_episodes_full_of_them_unscored(small):
    states, actions, episode, _ = small
    states = states.copy()
    states[np.flatnonzero(episode == 2)[:1]] = np.nan
    states[np.flatnonzero(episode == 3)[:8]] = np.inf
    found = sl.episodes.assess(states, actions, episode)
    loo = found.episodes.filter(pl.col("metric") == "action_variance_loo").sort("episode_index")
    assert loo["value"][2] is not None
    assert loo["value"][3] is None
    assert "NaN or infinity" in loo["note"][3]
    assert any("9 steps hold NaN" in note for note in found.notes)


def test_short_few_and_constant(small):
    states, actions, episode, _ = small
    one = np.vstack([states, states[:1]])
    frame = scored(one, np.vstack([actions, actions[:1]]), np.r_[episode, 50])
    row = frame.filter((pl.col("episode_index") == 50) & (pl.col("metric") == "action_variance")).row(
        0, named=True
    )
    assert row["value"] is None
    assert "needs two" in row["note"]
    two = episode < 2
    frame = scored(states[two], actions[two], episode[two])
    lonely = frame.filter(pl.col("metric") == "action_variance_loo")
    assert lonely["value"].null_count() == 2
    assert "needs other episodes" in lonely["note"][0]
    assert value_of(frame, "action_variance").shape == (2,)
    constant = scored(states, np.ones_like(actions), episode)
    assert (value_of(constant, "action_variance") == 0).all()
    none = constant.filter(pl.col("metric") == "mutual_information")
    assert none["value"].null_count() == 14
    assert "constant actions" in none["note"][0]
    frozen = scored(np.ones_like(states), actions, episode)
    assert "constant" in frozen.filter(pl.col("metric") == "action_variance_loo")["note"][0]


def test_a_single_episode_and_a_single_step_do_not_crash():
    frame = scored(np.arange(9.0)[:, None], np.arange(9.0)[:, None] ** 2, np.zeros(9, int))
    assert frame.height == len(METRICS)
    frame = scored(np.zeros((1, 2)), np.zeros((1, 2)), [5])
    assert frame.filter(pl.col("metric") == "horizon")["value"][0] == 1
    assert frame["value"].null_count() == len(METRICS) - 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((np.zeros((3, 2)), np.zeros((4, 2)), [0, 0, 1]), "actions"),
        ((np.zeros((3, 2)), np.zeros((3, 0)), [0, 0, 1]), "no dimension"),
        (([[1, 2], [3]], np.zeros((2, 1)), [0, 0]), "states"),
        ((np.full((3, 2), np.nan), np.zeros((3, 2)), [0, 0, 1]), "no step is left"),
        ((np.zeros((0, 2)), np.zeros((0, 2)), []), "episode"),
    ],
)
def test_arrays_that_disagree_are_refused_by_name(arguments, word):
    with pytest.raises(BadInputError, match=word):
        sl.episodes.score(*arguments)


@pytest.mark.parametrize(
    "options", [{"k": 1}, {"eps": 0}, {"confidence": 1.5}, {"replicates": 2}, {"metrics": ["grade"]}]
)
def test_settings_out_of_range_are_refused(small, options):
    with pytest.raises(BadInputError):
        sl.episodes.score(*small[:3], **options)


def test_no_transition_crosses_a_gap_and_repeated_frames_are_flagged(small):
    states, actions, episode, frame = small
    late = frame.copy()
    late[frame > 10] += 100
    steps = prepare(states, actions, episode, frame=late)
    assert len(np.unique(steps.segment)) == 28
    assert any("gaps" in note for note in steps.notes)
    twice = frame.copy()
    twice[5] = 4
    assert any("repeated frame" in note for note in prepare(states, actions, episode, frame=twice).notes)


def test_quaternion_signs_are_made_continuous():
    angle = np.linspace(0, 2, 60)
    q = np.c_[np.cos(angle), np.sin(angle), 0 * angle, 0 * angle]
    flipped = q * np.where(np.arange(60) % 7 < 3, -1, 1)[:, None]
    episode = np.repeat([0, 1, 2], 20)
    steps = prepare(flipped, q[:, :1], episode, quaternions=[0])
    signs = np.einsum("ij,ij->i", steps.states[1:], steps.states[:-1])
    assert (signs[np.diff(steps.episode) == 0] > 0).all()


# groups, confounds, curves ---------------------------------------------------------------------------------


def test_length_is_reported_as_a_confound_and_partials_are_null_against_itself():
    frame = scored(
        *door(), dataset="door", metrics=["action_variance", "smoothness", "horizon", "idle_fraction"]
    )
    table = sl.episodes.confounds(frame)
    smooth = table.filter((pl.col("metric") == "smoothness") & (pl.col("against") == "length")).row(
        0, named=True
    )
    assert smooth["spearman"] < -0.5
    assert smooth["p"] <= 0.01
    assert smooth["partial"] is None
    assert smooth["n"] == 25
    idle = table.filter(pl.col("against") == "idle_fraction")
    assert idle["spearman"].null_count() == idle.height
    assert idle["note"].null_count() == 0


def test_keep_curve_has_its_baselines_and_the_oracle_wins():
    states, actions, episode = door()
    frame = scored(states, actions, episode, dataset="door")
    table = pl.read_parquet(resources.data("adroit_door_human") / "episodes.parquet")
    label = table.group_by("episode_index").agg(label=pl.col("episode_return").first())
    curve = sl.episodes.keep_curve(frame, label.with_columns(dataset=pl.lit("door")))
    assert {"shortest", "random", "oracle"} <= set(curve["rule"])
    half = curve.filter(pl.col("keep") == 0.5)
    best = half.filter(pl.col("rule") == "oracle")["mean"][0]
    assert (half["mean"] <= best + 1e-9).all()
    chance = half.filter(pl.col("rule") == "random").row(0, named=True)
    assert chance["low"] < chance["mean"] < chance["high"]


def test_operators_are_compared_over_episodes_with_multiplicity():
    clean = point_mass(16, Operator(system=0.01), seed=1)
    shaky = point_mass(16, Operator(system=0.01, policy=0.03), seed=2)
    states, actions = (np.vstack([getattr(clean, c), getattr(shaky, c)]) for c in ("states", "actions"))
    frame = scored(
        states, actions, np.r_[clean.episode, shaky.episode + 16], metrics=["action_variance_loo", "horizon"]
    )
    groups = pl.DataFrame({"dataset": "", "episode_index": range(32), "grp": ["a"] * 16 + ["b"] * 16})
    table = sl.episodes.compare_groups(frame, groups, permutations=499)
    row = table.filter((pl.col("metric") == "action_variance_loo") & (pl.col("grp") == "b")).row(
        0, named=True
    )
    assert row["difference"] > 0
    assert row["p"] == pytest.approx(1 / 500)
    assert row["q"] <= 0.01
    assert (row["n"], row["n_rest"]) == (16, 16)
    value = frame.filter((pl.col("metric") == "action_variance_loo") & (pl.col("episode_index") >= 16))[
        "value"
    ]
    half = 1.96 * value.std(ddof=0) / 4  # for means of 16, nearly normal
    assert row["ci_low"] == pytest.approx(value.mean() - half, abs=0.25 * half)
    assert row["ci_high"] == pytest.approx(value.mean() + half, abs=0.25 * half)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = []
    for seed in range(6):
        data = linear_gaussian(20, 60, gain=1.0, noise=0.5, seed=seed)
        frame = sl.episodes.score(
            data.states,
            data.actions,
            data.episode,
            standardised=False,
            metrics=["action_variance_loo"],
            seed=seed,
        )
        hits += ((frame["ci_low"] <= 0.25) & (frame["ci_high"] >= 0.25)).to_list()
    assert 0.82 <= np.mean(hits) <= 0.99
