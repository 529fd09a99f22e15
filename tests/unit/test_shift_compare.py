"""One pair: nulls, debiasing, intervals and the rules for shared and paired items."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from shiftlab import measures, shift
from shiftlab.measures import pair_means
from shiftlab.shift.inference import random_splits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 6))
Y = RNG.normal(size=(90, 6)) + 0.5
COUNTS = RNG.poisson(1.0, size=(120, 7)), RNG.poisson([2, 1, 1, 1, 1, 1, 1], size=(100, 7))
CLOUDS = [
    "mmd",
    "mmd_sq",
    "energy_distance",
    "energy_distance_sq",
    "kid",
    "sliced_wasserstein",
    "wasserstein",
]
MASSES = ["jensen_shannon", "total_variation", "hellinger", "psi", "symmetric_kl", "chi_squared", "kl"]


@pytest.mark.parametrize("name", [*CLOUDS, "max_sliced_wasserstein"])
def test_score_of_clouds(name: str) -> None:
    score = shift.compare(X, Y, name, permutations=49)
    assert score.value == pytest.approx(getattr(measures, name)(X, Y))
    assert score.p == pytest.approx(1 / 50)
    assert score.null_mean is not None
    assert score.null_mean < score.null_q95 < score.value
    strip = score.params["null_quantiles"]
    assert len(strip) == 21
    assert strip == sorted(strip)
    assert strip[19] == pytest.approx(score.null_q95)
    assert score.ci_low is not None
    assert score.ci_low < score.ci_high
    assert (score.n_left, score.n_right, score.params["permutations"]) == (80, 90, 49)


@pytest.mark.parametrize("name", MASSES)
def test_score_of_counts_dense_and_sparse(name: str) -> None:
    left, right = COUNTS
    score = shift.compare(left, right, name, permutations=99)
    assert score.value == pytest.approx(getattr(measures, name)(left.sum(0), right.sum(0)))
    assert score.p == pytest.approx(0.01)
    sparse = shift.compare(csr_array(left), csr_array(right), name, permutations=99)
    assert sparse.p == score.p
    assert sparse.null_q95 == pytest.approx(score.null_q95)
    plain = shift.compare(left.sum(0), right.sum(0), name)
    assert plain.value == pytest.approx(score.value)
    assert plain.p is None
    assert "how many items" in plain.note


@pytest.mark.parametrize("name", [*CLOUDS, "kolmogorov_smirnov"])
def test_fast_nulls_equal_re_evaluation(name: str) -> None:
    """The vectorised permutations give what calling the measure on every permuted split gives."""
    from shiftlab.shift.compare import _evaluated, _resolved
    from shiftlab.shift.inference import random_splits
    from shiftlab.shift.sides import make_pair

    x, y = (X[:30, :1], Y[:41, :1]) if name == "kolmogorov_smirnov" else (X[:30], Y[:41])
    pair = _resolved(make_pair(measures.get(name), x, y, None, None, False, {}))
    splits = random_splits(30, 41, 10, seed=1)
    fast = _evaluated(pair, splits)[1]
    pool = np.concatenate([pair.left.rows, pair.right.rows])
    slow = [pair.spec.function(pool[s], pool[~s], **pair.params) for s in splits]
    assert fast == pytest.approx(np.array(slow), rel=1e-4, abs=1e-5)


def test_nulls_with_weights_equal_re_evaluation() -> None:
    from shiftlab.shift.compare import _evaluated, _resolved
    from shiftlab.shift.inference import random_splits
    from shiftlab.shift.sides import make_pair

    w = RNG.random(30), RNG.random(41)
    for name in ("mmd", "mmd_sq", "energy_distance_sq"):
        params = {"weights_x": w[0], "weights_y": w[1]}
        pair = _resolved(make_pair(measures.get(name), X[:30], Y[:41], None, None, False, params))
        splits = random_splits(30, 41, 6, seed=1)
        pool = np.concatenate([pair.left.rows, pair.right.rows])
        weight = np.concatenate([pair.left.per_row["weights"] * 30, pair.right.per_row["weights"] * 41])
        slow = [
            pair.spec.function(pool[s], pool[~s], weights_x=weight[s], weights_y=weight[~s], **pair.params)
            for s in splits
        ]
        assert _evaluated(pair, splits)[1] == pytest.approx(np.array(slow), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["mmd", "sliced_wasserstein", "wasserstein", "energy_distance_sq"])
def test_row_order_does_not_matter(name: str) -> None:
    a = shift.compare(X, Y, name, permutations=19)
    b = shift.compare(RNG.permutation(X), RNG.permutation(Y), name, permutations=19)
    assert (a.p, a.n_left) == (b.p, b.n_left)
    assert b.debiased == pytest.approx(a.debiased, rel=1e-6)
    assert b.null_q95 == pytest.approx(a.null_q95, rel=1e-6)


def test_equal_sides_have_p_one_and_zero_value() -> None:
    for name in ("mmd", "energy_distance", "sliced_wasserstein", "wasserstein"):
        score = shift.compare(np.ones((12, 2)), np.ones((15, 2)), name, permutations=19, **(
            {"gamma": 1.0} if name == "mmd" else {}
        ))  # fmt: skip
        assert score.value == pytest.approx(0, abs=1e-7)
        assert score.p == 1


def test_large_pools_are_tested_in_float32_to_eight_digits() -> None:
    rng = np.random.default_rng(5)
    x, y = 1e4 + rng.normal(size=(1500, 12)), 1e4 + rng.normal(size=(1400, 12)) + 0.05
    kept = shift.compare(x, y, "mmd_sq", permutations=49, gamma=0.04, confidence=0)
    assert kept.value == pytest.approx(measures.mmd_sq(x, y, gamma=0.04), abs=1e-8)
    pool = np.concatenate([x, y])
    one = random_splits(1500, 1400, 1, 0)[1]
    exact = pair_means.observed(pool - pool.mean(0), np.ones(2900), one, pair_means.rbf(0.04))
    both = pair_means.splits(
        pool - pool.mean(0), np.ones(2900), np.stack([one, one, ~one]), pair_means.rbf(0.04)
    )
    np.testing.assert_allclose(both.u_statistic(), exact.u_statistic()[0], atol=2e-7)
    assert both.u_statistic()[0] == pytest.approx(exact.u_statistic()[0], abs=1e-8)
    same = shift.compare(x, rng.permutation(x), "mmd", permutations=19, gamma=0.04)
    assert (same.value, same.p) == (0, 1)


def test_kernels_of_far_rows_stay_in_float64() -> None:
    """Where exponents are large, float32 would lose the digits that tell near rows apart."""
    rng = np.random.default_rng(6)
    x = np.repeat(rng.normal(size=(500, 1)) * 1e4, 3, axis=0) + rng.normal(size=(1500, 1))
    y = x + rng.normal(size=x.shape)
    score = shift.compare(x, y, "mmd_sq", permutations=19, gamma=0.5, confidence=0)
    assert score.value == pytest.approx(measures.mmd_sq(x, y, gamma=0.5), rel=1e-12)


def test_undefined_value_is_none_with_a_reason() -> None:
    score = shift.compare(np.ones((12, 2)), np.ones((15, 2)), "mmd")
    assert score.value is None
    assert "bandwidth" in score.note
    with pytest.raises(ValueError, match="note"):
        shift.Score("mmd", None, *[None] * 7, 1, 1, 0, None)


def test_shared_items_are_left_out_of_the_null() -> None:
    ids = np.array([f"img{i}" for i in range(200)])
    z = np.random.default_rng(4).normal(size=(200, 5))
    score = shift.compare(z[:120], z[80:], ids_x=ids[:120], ids_y=ids[80:], permutations=99)
    alone = shift.compare(z[:80], z[120:], permutations=99, gamma=score.params["gamma"])
    assert score.value == pytest.approx(alone.value * 80 / 120)
    assert score.null_q95 == pytest.approx(alone.null_q95 * 80 / 120, rel=0.05)
    assert "items on both sides: 40" in score.note
    few = shift.compare(z[:120], z[20:140], ids_x=ids[:120], ids_y=ids[20:140])
    assert few.p is None
    assert "only 20" in few.note


def test_identical_subsets_and_mirrors() -> None:
    ids = np.arange(80)
    for name in ("mmd", "sliced_wasserstein", "wasserstein"):
        score = shift.compare(X, X, name, ids_x=ids, ids_y=ids)
        assert score.value == pytest.approx(0, abs=1e-7)
        assert score.p is None
        assert score.debiased == pytest.approx(0, abs=1e-6)


def test_paired_data_refuse_an_unpaired_null() -> None:
    ids = np.arange(80)
    moved = X + 0.3
    unpaired = shift.compare(X, moved, ids_x=ids, ids_y=ids)
    assert unpaired.p is None
    assert "paired=True" in unpaired.note
    paired = shift.compare(X, moved, ids_x=ids, ids_y=ids, paired=True, permutations=99)
    assert paired.p == pytest.approx(0.01)
    with pytest.raises(ValueError, match="same number of rows"):
        shift.compare(X, Y, paired=True)
    with pytest.raises(ValueError, match="same ids in the same order"):
        shift.compare(X, moved, ids_x=ids, ids_y=ids[::-1], paired=True)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="did you mean mmd"):
        shift.compare(X, Y, "mmdd")
    with pytest.raises(ValueError, match="no parameter 'bandwidth'"):
        shift.compare(X, Y, "mmd", bandwidth=1)
    with pytest.raises(ValueError, match="permutations"):
        shift.compare(X, Y, permutations=-1)
    with pytest.raises(ValueError, match="confidence"):
        shift.compare(X, Y, confidence=95)
    with pytest.raises(ValueError, match="duplicates"):
        shift.compare(X, Y, ids_x=np.zeros(80), ids_y=np.arange(90))
    with pytest.raises(ValueError, match="together"):
        shift.compare(X, Y, ids_x=np.arange(80))
    with pytest.raises(ValueError, match="two sets of items"):
        shift.compare(X, Y, "transport_gate")
    with pytest.raises(ValueError, match="same categories"):
        shift.compare(COUNTS[0], COUNTS[1][:, :3], "kl")
    with pytest.raises(ValueError, match="counts of at least 0"):
        shift.compare(-COUNTS[0], COUNTS[1], "kl")


def test_rows_compares_samples_of_equal_size() -> None:
    score = shift.compare(X, Y, "wasserstein", rows=40, permutations=0, confidence=0)
    assert (score.n_left, score.n_right, score.p, score.debiased) == (40, 40, None, None)
    with pytest.raises(ValueError, match="smaller side"):
        shift.compare(X, Y, rows=81)


def test_p_values_and_q_values() -> None:
    assert shift.permutation_p(1.0, np.array([0.0, 0.5, 2.0])) == 0.5
    assert shift.permutation_p(9.0, np.zeros(99)) == 0.01
    q = shift.benjamini_hochberg(np.array([0.01, 0.04, np.nan, 0.03, 0.5]))
    assert q[[0, 1, 3, 4]] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert np.isnan(q[2])


def test_labels_travel_with_their_rows() -> None:
    labels_x, labels_y = np.arange(80) % 2, np.arange(90) % 3
    score = shift.compare(
        X, Y, "label_aware_wasserstein", labels_x=labels_x, labels_y=labels_y, permutations=19, confidence=0
    )
    assert score.value == pytest.approx(measures.label_aware_wasserstein(X, Y, labels_x, labels_y))
    assert score.p == pytest.approx(0.05)


def test_parts_of_a_value_are_kept() -> None:
    gauss = shift.compare(X, Y, "gaussian_wasserstein", permutations=0, confidence=0)
    assert sum(gauss.parts.values()) == pytest.approx(gauss.value**2)
    probe = shift.compare(X, Y, "classifier_two_sample", permutations=0, confidence=0)
    assert set(probe.parts) == {"auc", "err", "proxy_a"}
    assert probe.value == probe.parts["auc"]


def test_infinite_values_stay_out_of_the_parameters_too() -> None:
    """Shared items on both sides and a category on one only: JSON knows no infinity."""
    left = np.eye(3)[np.arange(80) % 2]
    right = np.eye(3)[np.arange(80) % 3]
    ids = np.arange(40, 120)
    score = shift.compare(left, right, "kl", ids_x=np.arange(80), ids_y=ids, permutations=19)
    other = shift.compare(right, left, "kl", ids_x=np.arange(80), ids_y=ids, permutations=19)
    for one in (score, other):
        assert all(v is None or not isinstance(v, float) or np.isfinite(v) for v in one.params.values())
    assert other.value is None
    assert "infinite" in str(other.note)


def test_no_note_sends_to_a_debiased_value_that_there_is_not() -> None:
    """An AUC is .5 by chance; that is its zero, not its noise."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 80, 3))
    score = shift.compare(x, y + 1, "classifier_two_sample", permutations=99)
    assert score.p == 0.01
    assert score.debiased is None
    assert "read the debiased value" not in (score.note or "")
