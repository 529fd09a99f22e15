"""Measures of paired items, checkpoints, behaviour, forgetting, effects and policies: examples, limits, invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from shiftlab import measures as m

RNG = np.random.default_rng(0)
FINITE = st.floats(-100, 100, allow_nan=False, width=32)


def matrices(rows: tuple[int, int] = (2, 12), columns: tuple[int, int] = (1, 5)):
    return hnp.arrays(np.float64, st.tuples(st.integers(*rows), st.integers(*columns)), elements=FINITE)


# -- paired representations --------------------------------------------------------------------------
def test_every_row_moves_by_the_same_vector() -> None:
    z = RNG.normal(size=(20, 2)) + 10
    found = m.paired_shift(z, z + np.array([3, 4]))
    assert (found.magnitude, found.mean_norm) == pytest.approx((5, 5))
    assert (found.consistency, found.coherence) == pytest.approx((1, 1))
    assert found.vector == pytest.approx([3, 4])
    assert found.relative == pytest.approx(np.mean(5 / np.linalg.norm(z, axis=1)))


def test_mean_cosine_is_that_of_all_pairs() -> None:
    z0, z1 = RNG.normal(size=(2, 9, 4))
    unit = (z1 - z0) / np.linalg.norm(z1 - z0, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(9, 1)]
    assert m.paired_shift(z0, z1).consistency == pytest.approx(cosines.mean())
    opposite = m.paired_shift(np.zeros((2, 1)), [[1.0], [-1.0]])
    assert (opposite.consistency, opposite.coherence) == (-1, 0)
    assert opposite.relative is None
    assert "zero" in opposite.reasons["relative"]


def test_no_shift_has_no_direction() -> None:
    z = RNG.normal(size=(5, 3))
    found = m.paired_shift(z, z)
    assert (found.magnitude, found.mean_norm, found.value) == (0, 0, 0)
    assert found.relative is found.consistency is found.coherence is None
    assert found.reasons["coherence"] == "no item moved"
    one = m.paired_shift(z[:1], z[:1] + 1)
    assert one.consistency is None
    assert one.coherence == pytest.approx(1)


@given(matrices(), st.floats(0.01, 100))
def test_paired_shift_turns_and_scales_along(z: np.ndarray, factor: float) -> None:
    moved = z + np.arange(z.size).reshape(z.shape) % 3
    plain, scaled = m.paired_shift(z, moved), m.paired_shift(factor * z, factor * moved)
    assert scaled.mean_norm == pytest.approx(factor * plain.mean_norm)
    assert scaled.magnitude <= scaled.mean_norm * (1 + 1e-9)
    if plain.consistency is not None:
        assert scaled.consistency == pytest.approx(plain.consistency, abs=1e-6)
        assert -1 / (plain.moved - 1) <= plain.consistency <= 1


def test_groups_and_the_gap_between_them() -> None:
    z0 = np.zeros((4, 2))
    z1 = np.array([[1.0, 0], [1, 0], [0, 3], [0, 3]])
    found = m.paired_shift(z0, z1, ["image", "image", "text", "text"])
    assert found["text"].mean_norm - found["image"].mean_norm == 2
    with pytest.raises(ValueError, match="one entry per row"):
        m.paired_shift(z0, z1, ["image"])
    with pytest.raises(ValueError, match="equally many"):
        m.paired_shift(z0, z1[:3])


def test_recovery_of_concepts() -> None:
    c0 = np.eye(3) * 5
    c1 = (c0 + 1)[[2, 0, 1]]
    shift = np.ones((3, 3))
    found = m.shift_recovery(c0, c1, shift)
    assert found.match.tolist() == [1, 2, 0]
    assert found.recovery == pytest.approx([1, 1, 1])
    assert m.shift_recovery(c0, c1, 0 * shift).recovery == pytest.approx([0, 0, 0])
    assert m.shift_recovery(c0, c1, -shift).value == pytest.approx(-1)
    same = m.shift_recovery(c0, c0, shift)
    assert same.recovery == [None, None, None]
    with pytest.raises(m.UndefinedMeasureError):
        _ = same.value
    with pytest.raises(m.UndefinedMeasureError, match="zeros"):
        m.shift_recovery(0 * c0, c1, shift)


# -- checkpoints -------------------------------------------------------------------------------------
def test_doubled_weights() -> None:
    t0 = {"a": RNG.normal(size=(3, 4)), "b": np.array([1.0, -2.0, 0.0])}
    first, second = m.weight_shift(t0, {name: 2 * block for name, block in t0.items()})
    assert (first.relative, first.cosine, first.sign_flip) == pytest.approx((1, 1, 0))
    assert (second.block, second.n, second.l1_mean) == ("b", 3, 1)
    assert (second.zeros_before, second.zeros_after) == pytest.approx((1 / 3, 1 / 3))


def test_flipped_and_dead_blocks() -> None:
    (flipped,) = m.weight_shift({"a": [1.0, -1, 0, 2]}, {"a": [-1.0, -1, 5, -2]})
    assert flipped.sign_flip == 0.5
    (dead,) = m.weight_shift({"a": [0.0, 0]}, {"a": [1.0, 0]})
    assert dead.relative is dead.cosine is None
    assert dead.reason == "the block is all zeros before"
    (same,) = m.weight_shift({"a": [0.0]}, {"a": [0.0]})
    assert same.l2 == 0


@pytest.mark.parametrize(
    ("t0", "t1", "told"),
    [
        ({"a": [1]}, {"b": [1]}, "block 'a' is missing in t1"),
        ({"a": [1]}, {"a": [1], "c": [1]}, "block 'c' is missing in t0"),
        ({"a": [1, 2]}, {"a": [1]}, r"shape \(2,\) in t0 and \(1,\) in t1"),
        ({"a": [np.nan]}, {"a": [1.0]}, "block 'a' of t0 must be finite"),
        ({"a": ["x"]}, {"a": [1.0]}, "numbers only"),
        ({}, {}, "no block"),
    ],
)
def test_checkpoints_that_do_not_fit(t0: dict, t1: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        m.weight_shift(t0, t1)


def test_sensitivity_is_the_ratio_of_changes() -> None:
    base = {"a": np.zeros(4), "b": np.zeros(2)}
    task = {"a": np.full(4, 6.0), "b": np.ones(2)}
    epoch = {"a": np.full(4, 2.0), "b": np.zeros(2)}
    assert m.block_sensitivity([(base, task)], [(base, epoch)]) == {"a": 3.0, "b": None}
    with pytest.raises(ValueError, match="within needs a pair"):
        m.block_sensitivity([(base, task)], [])


def test_task_similarity_keeps_the_sign() -> None:
    found = m.task_similarity([[1, 0], [-2, 0], [0, 3], [1e200, 1e200]])
    expected = np.array([[1, -1, 0, 0.5**0.5], [-1, 1, 0, -(0.5**0.5)], [0, 0, 1, 0.5**0.5]])
    assert found[:3] == pytest.approx(expected)
    assert (np.diag(found) == 1).all()
    with pytest.raises(m.UndefinedMeasureError, match="task 1"):
        m.task_similarity([[1, 0], [0, 0]])


# -- behaviour ---------------------------------------------------------------------------------------
def test_flips_over_masked_rows() -> None:
    found = m.flip_rate([1, 1, 0, 0], [0, 1, 1, 0])
    assert (found.rate, found.lost, found.gained) == (0.5, 0.25, 0.25)
    assert m.flip_rate([1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]).rate == 0.5
    assert m.flip_rate(["a", "b"], ["a", "c"]).rate == 0.5
    with pytest.raises(m.UndefinedMeasureError):
        m.flip_rate([1], [0], [False])
    with pytest.raises(ValueError, match="NaN"):
        m.flip_rate([1.0, np.nan], [1.0, 1.0])


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 15), st.integers(2, 6)), elements=st.integers(0, 3)))
def test_consistency_is_the_share_of_agreeing_pairs(table: np.ndarray) -> None:
    views = table.shape[1]
    pairs = [(i, j) for i in range(views) for j in range(i)]
    brute = np.mean([[row[i] == row[j] for i, j in pairs] for row in table])
    assert m.prediction_consistency(table) == pytest.approx(brute)
    if views == 2:
        assert m.prediction_consistency(table) == pytest.approx(
            1 - m.flip_rate(table[:, 0], table[:, 1]).rate
        )


def test_boundary_of_the_worked_example() -> None:
    found = m.boundary_shift([[0, 0], [0, 2], [4, 0], [4, 2]], [0, 0, 1, 1], [0, 1, 0, 1])
    assert (found.cosine, found.angle_deg) == pytest.approx((0, 90))
    assert (found.rate, found.lost, found.gained) == (0.5, 0.25, 0.25)
    assert found.offset_change == pytest.approx(1 - 2)


def test_boundary_does_not_depend_on_the_scale_of_the_probe() -> None:
    x = RNG.normal(size=(60, 3)) + 5
    y = (x[:, 0] > 5).astype(int)
    z = (x[:, 0] + x[:, 1] > 10).astype(int)
    one, ten = m.boundary_shift(x, y, z), m.boundary_shift(10 * x, y, z)
    assert (one.cosine, one.rate) == pytest.approx((ten.cosine, ten.rate))
    assert ten.offset_change == pytest.approx(10 * one.offset_change)
    assert m.boundary_shift(x, y, y).value == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="both classes"):
        m.boundary_shift(x, y, 0 * y)
    with pytest.raises(m.UndefinedMeasureError, match="same mean"):
        m.boundary_shift([[0.0], [1], [0], [1]], [0, 0, 1, 1], [0, 1, 0, 1])


# -- forgetting and novelty --------------------------------------------------------------------------
def test_forgetting_of_the_worked_example() -> None:
    table = np.array([[0.9, 0, 0], [0.5, 0.8, 0], [0.6, 0.7, 0.9]])
    found = m.forgetting(table)
    assert (found.final, found.bwt, found.forgetting) == pytest.approx((0.733333, -0.2, 0.2), abs=1e-6)
    table[0, 2] = 99  # above the diagonal nothing is read
    assert m.forgetting(table) == found
    alone = m.forgetting([[0.5]])
    assert (alone.final, alone.bwt) == (0.5, None)
    with pytest.raises(ValueError, match="diagonal"):
        m.forgetting([[2.0]])


def test_forget_ratio() -> None:
    assert m.forget_ratio(0.9, 0.5, 0.5) == 1
    assert m.forget_ratio(0.9, 0.9, 0.5) == 0
    assert m.forget_ratio(0.6, 0.9, 0.5) == pytest.approx(-3)
    with pytest.raises(m.UndefinedMeasureError):
        m.forget_ratio(0.5, 0.4, 0.5)
    with pytest.raises(ValueError, match="after"):
        m.forget_ratio(0.5, 1.4, 0.5)


def test_novelty_of_the_worked_example() -> None:
    ref = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    found = m.subspace_novelty(ref, [[7.0, 2.0]], rank=1, calibration=[[1.0, 1.0], [2.0, 0.5]])
    assert found.err == pytest.approx([2])
    assert found.z == pytest.approx((2 - 0.3125) / np.std([0.5, 0.125], ddof=1))


def test_novelty_is_calibrated_and_sees_what_is_new() -> None:
    rng = np.random.default_rng(3)
    basis = rng.normal(size=(3, 12))

    def batch(n: int, extra: float = 0.0) -> np.ndarray:
        return (
            rng.normal(size=(n, 3)) @ basis
            + 0.1 * rng.normal(size=(n, 12))
            + extra * rng.normal(size=(1, 12))
        )

    ref = batch(400)
    means = [m.subspace_novelty(ref, batch(50), rank=3).mean_z for _ in range(20)]
    assert abs(np.mean(means)) < 0.15
    assert m.subspace_novelty(ref, batch(50, 0.5), rank=3).mean_z > 5
    flat = np.column_stack([np.arange(8.0), np.zeros(8)])
    assert m.subspace_novelty(flat, flat, rank=1).score == 0
    with pytest.raises(m.UndefinedMeasureError, match="no spread"):
        m.subspace_novelty(flat, flat + np.array([0, 1]), rank=1)
    with pytest.raises(ValueError, match="rank must be below"):
        m.subspace_novelty(ref, ref, rank=12)


# -- effects, policies, dynamics ---------------------------------------------------------------------
def test_doubled_effects_correlate_and_show_their_size() -> None:
    e = np.array([0.1, -0.3, 0.2, 0.5])
    found = m.effect_correlation(e, 2 * e)
    assert (found.pearson, found.spearman) == pytest.approx((1, 1))
    assert found.mean_abs[1] == pytest.approx(2 * found.mean_abs[0])
    with pytest.raises(m.UndefinedMeasureError, match="e1 are equal"):
        m.effect_correlation(e, np.ones(4))


@settings(max_examples=60)
@given(
    hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(3, 20)), elements=st.floats(-50, 50, width=16))
)
def test_correlations_are_scipys(pair: np.ndarray) -> None:
    if min(np.ptp(pair[0]), np.ptp(pair[1])) == 0:
        return
    found = m.effect_correlation(*pair)
    assert found.pearson == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-7)
    assert found.spearman == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-7)


def test_policies_one_standard_deviation_apart() -> None:
    assert m.policy_kl([[0.0], [0.0]], 2.0, [[2.0], [0.0]], 2.0) == pytest.approx([0.5, 0])
    rng = np.random.default_rng(0)
    mean0, mean1, sd0, sd1 = 0.3, -0.2, 0.7, 1.1
    x = rng.normal(mean0, sd0, size=400_000)
    monte = np.mean(stats.norm.logpdf(x, mean0, sd0) - stats.norm.logpdf(x, mean1, sd1))
    assert m.policy_kl([[mean0]], [sd0], [[mean1]], [sd1])[0] == pytest.approx(monte, abs=0.005)
    with pytest.raises(ValueError, match="sd1"):
        m.policy_kl([[0.0]], 1.0, [[0.0]], 0.0)


def test_linear_dynamics_are_predicted() -> None:
    rng = np.random.default_rng(0)
    s, a = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    s2 = s @ rng.normal(size=(3, 3)) + a @ rng.normal(size=(2, 3)) + 1
    assert m.dynamics_error((s, a, s2), (s, a, s2)) == pytest.approx(np.zeros(50), abs=1e-20)
    assert m.dynamics_error((s, a, s2), (s, a, s2 + 2)) == pytest.approx(np.full(50, 4))
    with pytest.raises(ValueError, match="equally many"):
        m.dynamics_error((s, a[:4], s2), (s, a, s2))
