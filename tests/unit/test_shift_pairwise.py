"""All pairs: every design against the measure itself, bounds, overlaps, nulls, checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from shiftlab import measures, shift
from shiftlab.shift.pairs.sliced import quantile_rows

N, D, S = 600, 8, 9


def workload(seed: int = 0, weights: bool = False) -> tuple[np.ndarray, csr_array]:
    """Overlapping subsets of one pool, tilted in different directions; the last two are the same subset."""
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.normal(size=(N, D)) + rng.normal(size=(5, D))[rng.integers(5, size=N)], 0)
    dense = np.zeros((S, N))
    for s in range(S - 1):
        n = rng.integers(60, 140)
        score = x @ rng.normal(size=D) * 0.6 + rng.gumbel(size=N)
        dense[s, np.argsort(-score)[:n]] = 1
    if weights:
        dense *= rng.integers(1, 4, size=dense.shape)
    dense[S - 1] = dense[S - 2]
    return x, csr_array(dense)


def one(x: np.ndarray, w: csr_array, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start, stop = w.indptr[s : s + 2]
    return x[w.indices[start:stop]], w.indices[start:stop], w.data[start:stop]


def loop(x: np.ndarray, w: csr_array, function) -> np.ndarray:  # type: ignore[no-untyped-def]
    table = np.zeros((S, S))
    for i in range(S):
        for j in range(i + 1, S):
            (a, _, u), (b, _, v) = one(x, w, i), one(x, w, j)
            table[i, j] = table[j, i] = function(a, b, u, v)
    return table


def upper(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.triu_indices(S, 1)]


@pytest.mark.parametrize("n", [1, 2, 17, 128, 200, 333, 1279, 1280, 3001])
@pytest.mark.parametrize("bins", [1, 7, 16, 100, 128])
def test_quantile_functions_are_averaged_over_bins(n: int, bins: int) -> None:
    """Against the integral of the step function between the bins' edges."""
    values = np.random.default_rng(n + bins).normal(size=(3, n)).astype(np.float32)
    out = np.empty((3, bins), np.float32)
    left_out = quantile_rows(values.copy(), None, out)
    levels = np.arange(n + 1) / n
    for row, found in zip(np.sort(values.astype(float), axis=1), out, strict=True):
        integral = np.concatenate([[0], np.cumsum(row)]) / n
        expected = np.diff(np.interp(np.arange(bins + 1) / bins, levels, integral)) * bins
        np.testing.assert_allclose(found, expected, atol=2e-6)
    spread = np.square(values, dtype=float).mean() - np.square(out, dtype=float).mean()
    assert left_out == pytest.approx(max(spread, 0), abs=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_sliced_bounds_hold_and_the_midpoint_is_near(weighted: bool) -> None:
    x, w = workload(weights=weighted)
    found = shift.pairwise(x, w, "sliced_wasserstein", n_projections=64, bins=64, seed=3, debias=0)
    truth = loop(
        x,
        w,
        lambda a, b, u, v: measures.sliced_wasserstein(
            a, b, n_projections=64, seed=3, weights_x=u, weights_y=v
        ),
    )
    assert (upper(found.lower) <= upper(truth) * (1 + 1e-4)).all()
    assert (upper(found.upper) >= upper(truth) * (1 - 1e-4)).all()
    different = upper(truth) > 0
    ratio = upper(found.value)[different] / upper(truth)[different]
    assert np.abs(ratio - 1).max() < 0.02
    assert spearmanr(upper(found.value), upper(truth)).statistic > 0.999
    assert (upper(found.error)[different] > 0).all()


@pytest.mark.parametrize("name", ["mmd", "mmd_sq", "energy_distance", "energy_distance_sq"])
def test_kernel_tiles_are_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shiftlab.shift.pairs.kernel.TILE", 128)
    x, w = workload(weights=name == "mmd")
    extra = {"gamma": 0.1} if name.startswith("mmd") else {}
    found = shift.pairwise(x, w, name, design="tiles", **extra)
    truth = loop(x, w, lambda a, b, u, v: getattr(measures, name)(a, b, **extra, weights_x=u, weights_y=v))
    same = np.eye(S, dtype=bool)
    same[S - 1, S - 2] = same[S - 2, S - 1] = True
    assert found.value[~same] == pytest.approx(truth[~same], rel=1e-4, abs=1e-6)
    assert (found.value[same] == 0).all()


def test_debiased_kernels_agree_with_the_comparison_of_one_pair() -> None:
    x, w = workload()
    for name in ("mmd", "energy_distance"):
        extra = {"gamma": 0.1} if name == "mmd" else {}
        found = shift.pairwise(x, w, name, design="tiles", **extra)
        (a, ids_a, _), (b, ids_b, _) = one(x, w, 0), one(x, w, 1)
        single = shift.compare(a, b, name, ids_x=ids_a, ids_y=ids_b, permutations=0, **extra)
        assert found.debiased[0, 1] == pytest.approx(single.debiased, rel=1e-4)


def test_fourier_features_are_near_and_state_their_error() -> None:
    x, w = workload()
    exact = shift.pairwise(x, w, "mmd", design="tiles", gamma=0.05)
    found = shift.pairwise(x, w, "mmd", gamma=0.05, features=4096)
    assert found.design == "fourier"
    different = upper(exact.value) > 0
    ratio = upper(found.value)[different] / upper(exact.value)[different]
    assert np.median(np.abs(ratio - 1)) < 0.02
    error = upper(found.error)[different]
    off = (upper(found.value) - upper(exact.value))[different] / error
    assert np.abs(off).mean() < 2.5
    assert found.debiased[0, 1] == pytest.approx(exact.debiased[0, 1], rel=0.1)


@pytest.mark.parametrize("components", [None, 7])
def test_gaussian_bounds_and_value(components: int | None) -> None:
    x, w = workload()
    found = shift.pairwise(x, w, "gaussian_wasserstein", components=components, debias=0)
    truth = loop(x, w, lambda a, b, u, v: measures.gaussian_wasserstein(a, b))
    different = upper(truth) > 0
    low, mid, high, true = (upper(t)[different] for t in (found.lower, found.value, found.upper, truth))
    assert (low <= true * (1 + 1e-4)).all()
    assert (high >= true * (1 - 1e-4)).all()
    assert np.abs(mid / true - 1).max() < (0.05 if components is None else 0.2)


def test_codebook_transport_is_bounded_and_calibrated() -> None:
    x, w = workload()
    found = shift.pairwise(x, w, "wasserstein", codes=32, calibration=20, debias=0)
    truth = loop(x, w, lambda a, b, u, v: measures.wasserstein(a, b))
    different = upper(truth) > 0
    low, mid, high, true = (upper(t)[different] for t in (found.lower, found.value, found.upper, truth))
    assert (low <= true * (1 + 1e-5)).all()
    assert (high >= true * (1 - 1e-5)).all()
    assert np.abs(mid / true - 1).mean() < 0.05
    assert (upper(found.error)[different] == 0).sum() >= 15


@pytest.mark.parametrize(
    ("name", "extra"),
    [("max_sliced_wasserstein", {"n_projections": 32}), ("sliced_wasserstein", {"p": 1}), ("kid", {})],
)
def test_any_other_measure_by_a_loop(name: str, extra: dict) -> None:
    x, w = workload()
    found = shift.pairwise(x, w, name, debias=0, **extra)
    truth = loop(x, w, lambda a, b, u, v: getattr(measures, name)(a, b, **extra))
    truth[S - 1, S - 2] = truth[S - 2, S - 1] = 0  # one and the same subset
    assert found.design == "loop"
    assert found.value == pytest.approx(truth, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["jensen_shannon", "kl", "total_variation", "psi"])
def test_masses_of_subsets(name: str) -> None:
    _, w = workload()
    counts = np.random.default_rng(1).poisson(1.0, size=(N, 6)) + np.eye(6, dtype=int)[np.arange(N) % 6]
    found = shift.pairwise(csr_array(counts), w, name)
    for i, j in ((0, 1), (3, 2)):
        p, q = (counts[one(counts, w, s)[1]].sum(0) for s in (i, j))
        assert found.value[i, j] == pytest.approx(getattr(measures, name)(p, q))
    frame = found.to_frame()
    assert len(frame) == (S * (S - 1) if name == "kl" else S * (S - 1) // 2)


def test_equal_subsets_are_at_distance_zero_and_order_does_not_matter() -> None:
    x, w = workload()
    order = np.random.default_rng(0).permutation(S)
    for name in ("sliced_wasserstein", "mmd", "energy_distance", "gaussian_wasserstein"):
        found = shift.pairwise(x, w, name, debias=0)
        assert found.value[S - 1, S - 2] == 0
        assert (np.diag(found.value) == 0).all()
        assert found.value == pytest.approx(found.value.T)
        turned = shift.pairwise(x, w[order], name, debias=0)
        assert turned.value == pytest.approx(found.value[np.ix_(order, order)], rel=1e-4, abs=1e-6)


def test_split_halves_remove_the_bias() -> None:
    """Random subsets of one pool, disjoint and overlapping: plug-in values are far from 0, debiased ones around 0."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1200, 16))
    dense = np.zeros((12, 1200))
    for s in range(12):
        dense[s, rng.choice(1200, 200, replace=False)] = 1
    found = shift.pairwise(x, dense, "sliced_wasserstein", debias=4)
    pairs = np.triu_indices(12, 1)
    assert np.abs(found.debiased[pairs].mean()) < 0.1 * np.square(found.value[pairs]).mean()
    moved = x.copy()
    moved[dense[0] > 0] += 1.0
    separate = np.vstack([dense[0], (dense[0] == 0) & (rng.random(1200) < 0.2)]).astype(float)
    apart = shift.pairwise(moved, separate, "sliced_wasserstein", debias=4)
    assert apart.debiased[0, 1] == pytest.approx(1.0, rel=0.15)


def test_p_values_of_all_pairs() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 5))
    dense = np.zeros((5, 400))
    for s in range(5):
        dense[s, s * 80 : (s + 1) * 80] = 1
    x[:80] += 1.5
    for name in ("sliced_wasserstein", "mmd", "energy_distance"):
        found = shift.pairwise(x, dense, name, permutations=49, debias=0)
        assert (found.p[0, 1:] == 0.02).all()
        assert (found.p_pooled[0, 1:] <= 2 / 491).all()
        assert np.median(found.p[1:, 1:][np.triu_indices(4, 1)]) > 0.05
        assert (found.q[0, 1:] <= 0.05 + 1e-9).all()
        assert (found.null_q95[0, 1:] < found.value[0, 1:]).all()
        assert (found.null_mean[0, 1:] < found.null_q95[0, 1:]).all()
    shared = dense.copy()
    shared[1, :60] = 1
    shared[0, 60:80] = 0
    assert np.isnan(shift.pairwise(x, shared, "mmd", permutations=9).p[0, 1])


def test_progress_cancel_and_resume(tmp_path: Path) -> None:
    x, w = workload()
    seen: list[tuple[int, int]] = []
    whole = shift.pairwise(
        x, w, "max_sliced_wasserstein", debias=0, n_projections=16, progress=lambda d, t: seen.append((d, t))
    )
    assert seen[-1][0] == seen[-1][1]
    file = tmp_path / "pairs.npz"
    calls = iter(range(100))
    with pytest.raises(shift.CancelledError, match="cancelled after"):
        shift.pairwise(
            x, w, "sliced_wasserstein", permutations=20, debias=0, checkpoint=file,
            cancel=lambda: next(calls) > 5,
        )  # fmt: skip
    assert file.exists()
    resumed = shift.pairwise(x, w, "sliced_wasserstein", permutations=20, debias=0, checkpoint=file)
    fresh = shift.pairwise(x, w, "sliced_wasserstein", permutations=20, debias=0)
    assert np.nan_to_num(resumed.p) == pytest.approx(np.nan_to_num(fresh.p))
    assert resumed.value == pytest.approx(fresh.value)
    with pytest.raises(ValueError, match="belongs to other inputs"):
        shift.pairwise(x + 1, w * 2, "sliced_wasserstein", permutations=21, debias=0, checkpoint=file)
    assert whole.value.shape == (S, S)


def test_undefined_pairs_are_missing_with_a_reason() -> None:
    x, w = workload()
    x[one(x, w, 0)[1]] = 0.0
    dense = np.vstack([w.toarray()[:2], np.zeros(N)])
    dense[2, one(x, w, 0)[1][:30]] = 1
    found = shift.pairwise(x, dense, "knn_kl", debias=0)
    assert np.isnan(found.value[0, 2])
    assert "duplicate" in found.reasons[0, 2]
    note = found.to_frame().filter(left=0, right=2)["note"].item()
    assert "duplicate" in note


def test_bad_arguments() -> None:
    x, w = workload()
    with pytest.raises(ValueError, match="one column per row of vectors"):
        shift.pairwise(x[:-1], w)
    with pytest.raises(ValueError, match="row 2 is an empty subset"):
        shift.pairwise(x, np.vstack([np.ones(N), np.ones(N), np.zeros(N)]))
    with pytest.raises(ValueError, match="weights of at least 0"):
        shift.pairwise(x, -w)
    with pytest.raises(ValueError, match="no design 'magic'"):
        shift.pairwise(x, w, design="magic")
    with pytest.raises(ValueError, match="no parameter 'bandwidth'"):
        shift.pairwise(x, w, "mmd", bandwidth=1)
    with pytest.raises(ValueError, match="does not compare sets"):
        shift.pairwise(x, w, "transport_gate")
    with pytest.raises(ValueError, match="must be finite"):
        shift.pairwise(np.where(x > 3, np.nan, x), w)


@pytest.mark.parametrize("name", ["sliced_wasserstein", "mmd"])
def test_an_appended_subset_equals_a_rebuild_with_the_same_basis(name: str) -> None:
    x, w = workload()
    extra = {"gamma": 0.1} if name == "mmd" else {}
    whole = shift.pairwise(x, w, name, debias=0, **extra)
    basis = shift.freeze(x, w, name, **extra)
    members = one(x, w, 3)[0]
    found = basis.compare(members)
    others = np.arange(S) != 3
    assert found.value[others] == pytest.approx(whole.value[3][others], rel=1e-3)
    if name == "sliced_wasserstein":
        assert found.lower[others] == pytest.approx(whole.lower[3][others], rel=1e-3)
        assert found.upper[others] == pytest.approx(whole.upper[3][others], rel=1e-3)
    grown = basis.append(members + 1.0)
    again = grown.compare(members)
    assert again.value[:S] == pytest.approx(found.value)
    assert again.value[S] > 0
    assert grown.rows.shape[0] == S + 1
    with pytest.raises(ValueError, match="columns"):
        basis.compare(members[:, :2])
    with pytest.raises(ValueError, match="measure must be"):
        shift.freeze(x, w, "kid")
