"""Drift: the published formula, its bias and nulls; sketches, bases, phenotypes, duplicates."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shiftlab as sl
from shiftlab.errors import BadInputError
from shiftlab.filters import divergence
from shiftlab.filters.null import Units, bootstrap, unit_null
from shiftlab.filters.sketch import BINS, EPSILONS, sketch, sketch_columns


def filters(seed: int, n: int, shape: float = 1.0) -> np.ndarray:
    """n filters whose variance falls over the positions."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 9)) * np.linspace(1, 0.2, 9) ** shape


def published(p: np.ndarray, q: np.ndarray) -> float:
    """The published D, written out from the paper's formulas with scikit-learn and numpy only."""
    from sklearn.decomposition import PCA

    def scaled(x: np.ndarray) -> np.ndarray:
        return x / np.abs(x).max(axis=1, keepdims=True)

    both = np.vstack([scaled(p), scaled(q)])
    basis = PCA(svd_solver="full").fit(both)
    z = basis.transform(both)
    span, total = (z.min(), z.max()), 0.0
    width = (span[1] - span[0]) / 70

    def probability(values: np.ndarray) -> np.ndarray:
        counts = np.histogram(values, 70, span)[0]
        density = counts / counts.sum() / width
        density[density == 0] = np.finfo(np.float32).eps
        return density / density.sum()

    for component, share in enumerate(basis.explained_variance_ratio_):
        a, b = probability(z[: len(p), component]), probability(z[len(p) :, component])
        total += share * (np.sum(a * np.log(a / b)) + np.sum(b * np.log(b / a)))
    return total


# -- the published drift -----------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "m"), [(50, 80), (400, 300), (70_000, 3_000)])
def test_published_drift_is_the_formula_of_the_paper(n: int, m: int) -> None:
    p, q = filters(0, n), filters(1, m, shape=1.5)
    result = sl.filters.drift(p, q)
    assert result.value == pytest.approx(published(p, q), rel=1e-6)
    assert result.value == pytest.approx(np.dot(result.weights, result.components), rel=1e-12)
    assert sum(result.weights) == pytest.approx(1)
    assert (result.n_p, result.n_q, result.mode, result.bins) == (n, m, "published", 70)


@pytest.mark.parametrize("mode", ["published", "fixed", "uniform"])
def test_drift_is_symmetric_zero_for_equal_groups_and_blind_to_scale(mode) -> None:
    p, q = filters(0, 900), filters(1, 700, shape=2)
    forth, back = sl.filters.drift(p, q, mode=mode), sl.filters.drift(q, p, mode=mode)
    assert forth.value == pytest.approx(back.value, rel=1e-9)
    assert sl.filters.drift(p, p, mode=mode).value == 0
    factors = np.exp2(np.random.default_rng(0).integers(-8, 9, (900, 1)))
    assert sl.filters.drift(p * factors, q, mode=mode).value == pytest.approx(forth.value, rel=1e-9)
    assert sl.filters.drift(-p, q, mode=mode).value != pytest.approx(forth.value, rel=1e-3)


def test_shapes_of_groups_are_interchangeable() -> None:
    p, q = filters(0, 320), filters(1, 192)
    as_rows = sl.filters.drift(p, q)
    as_layers = sl.filters.drift(p.reshape(20, 16, 3, 3), q.reshape(-1, 3, 3))
    assert as_rows == as_layers


def test_bad_groups_are_refused_by_name() -> None:
    good = filters(0, 50)
    for p, q, message in (
        (good, np.zeros((0, 9)), "q: expected numbers"),
        ([], good, "p: the group is empty"),
        (good * np.nan, good, "p: 450 weights are NaN"),
        (good, np.ones((50, 25)), "9 and 25"),
        ([good, np.ones((3, 5, 5))], good, "p: the layers have kernels of different sizes"),
        (np.ones((9, 9)), np.ones((9, 9)), "no variance"),
    ):
        with pytest.raises(BadInputError, match=message):
            sl.filters.drift(p, q)
    with pytest.raises(BadInputError, match="mode"):
        sl.filters.drift(good, good, mode="other")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="bins"):
        sl.filters.drift(good, good, mode="fixed", bins=35)


# -- bias and nulls --------------------------------------------------------------------------------------
def test_the_bias_of_small_samples_is_corrected_and_not_called_a_finding() -> None:
    values, corrected, findings = [], [], 0
    for seed in range(12):
        result = sl.filters.drift(filters(2 * seed, 3000), filters(2 * seed + 1, 3000), resamples=100)
        values.append(result.value)
        corrected.append(result.corrected)
        findings += result.distinguishable
    assert np.mean(values) > 0.03  # what the raw value of equal sources shows
    assert abs(np.mean(corrected)) < 0.1 * np.mean(values)
    assert findings <= 2


def test_the_bias_follows_the_number_of_occupied_bins() -> None:
    p, q = filters(0, 20_000), filters(1, 20_000)
    result = sl.filters.drift(p, q)
    bias = next(n.mean for n in result.nulls if n.kind == "filter")
    assert 30 < bias / (1 / 20_000 + 1 / 20_000) < 70


def test_a_real_difference_is_distinguishable_from_every_null() -> None:
    p = [filters(k, 200).reshape(-1, 3, 3) for k in range(10)]
    q = [filters(k + 50, 200, shape=3).reshape(-1, 3, 3) for k in range(8)]
    result = sl.filters.drift(p, q)
    assert result.distinguishable
    assert [n.kind for n in result.nulls] == ["layer", "filter"]
    assert result.null_high == result.nulls[0].high
    assert result.value > result.null_high > result.null_low > 0
    assert result.ci_low is not None
    assert result.ci_high is not None
    assert 0 < result.ci_low < result.corrected < result.ci_high
    assert sl.filters.drift(p, q) == result  # seeded
    assert sl.filters.drift(p, q, seed=1).null_high != result.null_high


def test_layers_that_differ_among_themselves_are_no_finding() -> None:
    # Every layer has its own spectrum; groups are random sets of them. Filters alone would call it a finding.
    rng = np.random.default_rng(0)
    layers = [filters(k, 300, shape=rng.uniform(0, 4)) for k in range(12)]
    result = sl.filters.drift(layers[:6], layers[6:])
    by_kind = {n.kind: n for n in result.nulls}
    assert result.value > by_kind["filter"].high
    assert by_kind["layer"].high > 3 * by_kind["filter"].high
    assert not result.distinguishable


def test_single_layers_are_told_to_have_only_the_lower_bound() -> None:
    result = sl.filters.drift(filters(0, 500), filters(1, 500))
    assert [n.kind for n in result.nulls] == ["filter"]
    assert result.ci_low is None
    assert "lower bound" in result.note
    assert "tiny group" in result.note
    assert "single layer" in result.note


def units(models: list[int], seed: int = 0) -> Units:
    rng = np.random.default_rng(seed)
    return Units(rng.multinomial(50, np.full(BINS, 1 / BINS), (len(models), 9)), np.array(models))


def test_models_are_shuffled_when_both_groups_have_several() -> None:
    weights = np.full(9, 1 / 9)
    cases = [
        ([0, 0, 1, 2, 3], [4, 5, 6, 7], "model"),  # 4 and 4 models: 70 splits
        ([0, 0, 0, 1], [2, 3, 3, 3], "layer"),  # 2 and 2 models: 6 splits only
        ([0] * 6, [1, 2, 3, 4, 5, 6], "layer"),  # one model on a side
        ([0, 1, 2, 3], [3, 4, 5, 6], "layer"),  # a model in both groups cannot be shuffled whole
        ([0], [1], None),
    ]
    for left, right, kind in cases:
        found = unit_null(units(left), units(right, 1), weights, 6 / BINS, 50, 0)
        assert (found.kind if found else None) == kind
    assert bootstrap(units([0]), units([1]), weights, 6 / BINS, 1.0, 50, 0) is None


def test_groups_without_filters_are_refused() -> None:
    with pytest.raises(BadInputError, match="empty"):
        Units(np.zeros((0, 9, 70)), np.zeros(0))


def test_counts_by_model_are_sums_over_its_layers() -> None:
    group = units([3, 1, 3, 1, 2])
    np.testing.assert_array_equal(group.by_model()[0], group.counts[1] + group.counts[3])
    np.testing.assert_array_equal(group.by_model()[2], group.counts[0] + group.counts[2])


# -- divergences -----------------------------------------------------------------------------------------
def test_the_table_of_all_pairs_holds_the_single_values() -> None:
    counts = np.random.default_rng(0).integers(0, 50, (5, 9, BINS))
    weights = np.random.default_rng(1).dirichlet(np.ones(9))
    table = divergence.drift_table(counts, weights, 6 / BINS)
    for a in range(5):
        for b in range(5):
            value = divergence.drift_values(counts[a], counts[b], weights, 6 / BINS)
            assert table[a, b] == pytest.approx(value, abs=1e-12)


def test_companions_agree_with_scipy() -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import wasserstein_distance

    a, b = np.random.default_rng(0).integers(1, 50, (2, BINS))
    places = np.arange(BINS) * 0.1
    assert divergence.wasserstein(a, b, 0.1) == pytest.approx(wasserstein_distance(places, places, a, b))
    p, q = divergence.probabilities(a, 0.1), divergence.probabilities(b, 0.1)
    assert divergence.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2)


def test_sliced_wasserstein_sees_groups_apart() -> None:
    p, q = filters(0, 3000), filters(1, 3000, shape=3)
    apart = sl.filters.sliced_wasserstein(p, q)
    assert sl.filters.sliced_wasserstein(p, p) == pytest.approx(0, abs=1e-12)
    assert apart > 5 * sl.filters.sliced_wasserstein(p, filters(2, 3000))
    assert sl.filters.sliced_wasserstein(p, q, max_filters=1000, seed=1) == pytest.approx(apart, rel=0.3)


# -- sketches --------------------------------------------------------------------------------------------
def reference_counts(rows: np.ndarray) -> np.ndarray:
    """numpy's histograms; coefficients within 1e-12 below an edge lie on it, whatever the rounding."""
    z = sl.filters.scale(rows) @ sl.filters.dct_basis().T + 1e-12
    return np.stack([np.histogram(np.minimum(z[:, k], 3), BINS, (-3, 3))[0] for k in range(9)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("n", [1, 7, 4096, 30_000])
def test_a_sketch_holds_the_sums_and_histograms_of_its_filters(n: int, dtype) -> None:
    rows = filters(0, n).astype(dtype)
    found = sketch(rows)
    scaled = sl.filters.scale(rows)
    np.testing.assert_array_equal(found.counts, reference_counts(rows))
    np.testing.assert_allclose(found.gram_scaled, scaled.T @ scaled, rtol=1e-12, atol=1e-12 * n)
    np.testing.assert_allclose(found.sum_scaled, scaled.sum(axis=0), rtol=1e-12, atol=1e-12 * n)
    raw = rows.astype(np.float64)
    np.testing.assert_allclose(found.gram_raw, raw.T @ raw, rtol=1e-12, atol=1e-12 * n)
    np.testing.assert_allclose(found.sum_raw, raw.sum(axis=0), rtol=1e-12, atol=1e-12 * n)
    assert (found.n, found.zero) == (n, 0)
    assert found.peak == np.abs(raw).max()


def test_streaming_equals_in_memory() -> None:
    rows = filters(0, 60_000)
    whole = sketch(rows)
    parts = reduce(lambda a, b: a + b, (sketch(part) for part in np.array_split(rows, 17)))
    np.testing.assert_array_equal(parts.counts, whole.counts)
    assert parts.n == whole.n
    first, second = parts.basis(), whole.basis()
    np.testing.assert_allclose(first.components, second.components, atol=1e-12)
    np.testing.assert_allclose(first.variance_share, second.variance_share, atol=1e-12)
    from sklearn.decomposition import PCA

    expected = PCA(svd_solver="full").fit(sl.filters.scale(rows))
    np.testing.assert_allclose(second.variance_share, expected.explained_variance_ratio_, atol=1e-12)
    np.testing.assert_allclose(np.abs(second.components), np.abs(expected.components_), atol=1e-8)


def test_drift_from_sketches_is_the_drift_of_the_filters() -> None:
    p, q = filters(0, 900), filters(1, 700, shape=2)
    parts = sketch(p), sketch(q)
    weights = (parts[0] + parts[1]).dct_variance_share()
    from_sketches = divergence.drift_values(parts[0].counts, parts[1].counts, weights, 6 / BINS)
    assert from_sketches == pytest.approx(sl.filters.drift(p, q, mode="fixed").value, rel=1e-12)
    z = sl.filters.scale(np.vstack([p, q])) @ sl.filters.dct_basis().T
    np.testing.assert_allclose(weights, z.var(axis=0) / z.var(axis=0).sum(), rtol=1e-12)


def test_zeros_sparse_filters_and_edges_are_counted_exactly() -> None:
    rows = np.zeros((6, 9))
    rows[1], rows[2] = 1, -1  # at the right and the left rim of component 0
    rows[3, 4] = 1e-5
    rows[4] = np.array([1, 0, -1, 2, 0, -2, 1, 0, -1])  # antisymmetric: exact zeros on even components
    rows[5] = 0.02
    found = sketch(rows)
    np.testing.assert_array_equal(found.counts, reference_counts(rows))
    assert found.counts[0, [0, BINS - 1]].tolist() == [1, 2]
    assert found.zero == 1
    assert found.sparse.tolist() == [int((np.abs(rows).max(axis=1) < eps * 2).sum()) for eps in EPSILONS]
    everything = sketch(np.zeros((4, 9)))
    assert everything.sparse.tolist() == [4] * len(EPSILONS)
    assert (everything.counts[:, BINS // 2] == 4).all()


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (5, 5), (7, 7), (3, 5), (11, 11)])
def test_other_kernels_have_their_own_basis(shape: tuple[int, int]) -> None:
    basis = sl.filters.dct_basis(*shape)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    np.testing.assert_allclose(basis[0], 1 / np.sqrt(len(basis)))
    weight = np.random.default_rng(0).standard_normal((6, 5, *shape))
    found = sketch(weight)
    assert found.counts.shape == (shape[0] * shape[1], BINS)
    assert (found.counts.sum(axis=1) == 30).all()


def test_sketches_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(BadInputError, match="121"):
        sketch(np.ones((1, 1, 12, 12)))
    with pytest.raises(BadInputError, match="cannot be added"):
        sketch(np.ones((2, 9))) + sketch(np.ones((2, 25)))
    with pytest.raises(BadInputError, match="NaN"):
        sketch(np.full((2, 9), np.nan))


@given(st.integers(0, 2**31), st.integers(1, 400), st.integers(1, 399))
@settings(max_examples=40, deadline=None)
def test_any_cut_merges_to_the_whole(seed: int, n: int, cut: int) -> None:
    rows = np.random.default_rng(seed).choice([0, 0.5, -1, 0.1, 3], (n, 9))
    cut = min(cut, n)
    whole = sketch_columns(rows.T, (3, 3))
    np.testing.assert_array_equal(whole.counts, reference_counts(rows))
    if 0 < cut < n:
        merged = sketch(rows[:cut]) + sketch(rows[cut:])
        np.testing.assert_array_equal(merged.counts, whole.counts)
        np.testing.assert_allclose(merged.gram_scaled, whole.gram_scaled, atol=1e-12 * n)


def test_the_cosine_basis_is_near_the_published_principal_components() -> None:
    # Natural filters are smooth: neighbouring weights correlate. Their components are the DCT ones.
    rng = np.random.default_rng(0)
    place = np.stack(np.mgrid[:3, :3], axis=-1).reshape(9, 2)
    apart = np.abs(place[:, None] - place[None]).sum(axis=-1)
    rows = rng.multivariate_normal(np.zeros(9), 0.6**apart, 50_000)
    overlap = np.abs(sketch(rows).basis().components @ sl.filters.dct_basis().T).max(axis=1)
    assert np.median(overlap) > 0.9


# -- phenotypes and duplicates -------------------------------------------------------------------------------
def test_phenotypes_tell_ball_repeats_modes_and_points_apart() -> None:
    rng = np.random.default_rng(0)
    ball = sl.filters.phenotype(sketch(rng.standard_normal((20_000, 9))))
    assert ball.label == "sun"
    assert ball.sun_distance < 0.3
    modes = np.where(rng.random((20_000, 1)) < 0.5, 1.5, -1.5) + 0.4 * rng.standard_normal((20_000, 9))
    two = sl.filters.phenotype(sketch(modes))
    assert (two.label, two.symbols) == ("symbols", 2)
    assert two.sun_distance > 10 * ball.sun_distance
    point = rng.standard_normal((5000, 9))
    point[:4000] *= 1e-4
    assert sl.filters.phenotype(sketch(point)).label == "point"


def test_copies_and_shared_layers_are_found() -> None:
    rng = np.random.default_rng(0)
    layers = [
        rng.standard_normal((32, 32, 3, 3)) * np.linspace(1, k + 0.2, 9).reshape(3, 3) for k in range(6)
    ]
    models = {
        "base": layers[:3],
        "copy": [layer.astype(np.float32).astype(np.float64) for layer in layers[:3]],
        "tuned": [*layers[:2], layers[2] + 0.05 * rng.standard_normal(layers[2].shape)],
        "other": layers[3:],
    }
    hashes = {name: [sl.filters.weight_hash(w) for w in parts] for name, parts in models.items()}
    sums = {name: reduce(lambda a, b: a + b, map(sketch, parts)) for name, parts in models.items()}
    found = {(d.left, d.right): d for d in sl.filters.duplicates(hashes, sums)}
    assert set(found) == {("base", "copy"), ("base", "tuned"), ("copy", "tuned")}
    assert (found["base", "copy"].relation, found["base", "copy"].drift) == ("copy", 0)
    assert (found["base", "tuned"].relation, found["base", "tuned"].shared) == ("shares layers", 2)
    assert sl.filters.duplicates({}, {}) == []
