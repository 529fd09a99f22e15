"""Gaussian, entropic, unbalanced, labelled, neighbour, classifier and table measures: closed forms and references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from shiftlab import measures as m

RNG = np.random.default_rng(0)


def pair(n: int = 40, k: int = 50, d: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(k, d)) * 1.3 + 0.5


# --- Gaussian -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ddof", [0, 1])
def test_gaussian_against_the_matrix_root(ddof: int) -> None:
    x, y = pair()
    a, b = np.cov(x.T, ddof=ddof), np.cov(y.T, ddof=ddof)
    root = sqrtm(a)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * np.real(sqrtm(root @ b @ root)))
    assert m.gaussian_wasserstein(x, y, ddof=ddof) ** 2 == pytest.approx(expected)
    moments = m.gaussian_wasserstein_moments(x.mean(0), a, y.mean(0), b)
    assert moments.value == pytest.approx(math.sqrt(expected))
    assert moments.mean + moments.scale + moments.correlation == pytest.approx(expected)


def test_gaussian_of_any_rank() -> None:
    x, y = pair(12, 9, 40)
    found = m.gaussian_wasserstein(x, y)
    a, b = x - x.mean(0), y - y.mean(0)
    nuclear = np.linalg.svd(a @ b.T / math.sqrt(11 * 8), compute_uv=False).sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + (a**2).sum() / 11 + (b**2).sum() / 8 - 2 * nuclear
    assert found**2 == pytest.approx(expected)
    assert m.gaussian_wasserstein(x, x) == pytest.approx(0, abs=1e-6)


def test_gaussian_parts_tell_mean_scale_and_correlation_apart() -> None:
    z = RNG.normal(size=(400, 3))
    z = np.concatenate([z, -z])
    z /= z.std(0, ddof=1)
    moved = m.gaussian_wasserstein_parts(z, z + np.array([3, 0, 4]))
    assert (moved.mean, moved.value) == (pytest.approx(25), pytest.approx(5))
    assert moved.scale == pytest.approx(0, abs=1e-9)
    scaled = m.gaussian_wasserstein_parts(z, 2 * z)
    assert scaled.scale == pytest.approx(3)
    assert scaled.correlation == pytest.approx(0, abs=1e-9)
    turned = z @ np.linalg.cholesky([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]]).T
    assert m.gaussian_wasserstein_parts(z, turned / turned.std(0, ddof=1)).correlation > 0.1


def test_gaussian_bounds_exact_transport_from_below_and_ignores_duplication() -> None:
    x, y = pair()
    assert m.gaussian_wasserstein(x, y, ddof=0) <= m.wasserstein(x, y)
    twice = m.gaussian_wasserstein(np.repeat(x, 2, 0), np.repeat(y, 2, 0), ddof=0)
    assert twice == pytest.approx(m.gaussian_wasserstein(x, y, ddof=0))
    weighted = m.gaussian_wasserstein(x, y, ddof=0, weights_x=np.arange(1, 41))
    repeated = m.gaussian_wasserstein(np.repeat(x, np.arange(1, 41), 0), y, ddof=0)
    assert weighted == pytest.approx(repeated)
    with pytest.raises(m.UndefinedMeasureError, match="ddof=1"):
        m.gaussian_wasserstein(x[:1], y)
    with pytest.raises(ValueError, match="semi-definite"):
        m.gaussian_wasserstein_moments([0, 0], [[1, 0], [0, -1]], [0, 0], np.eye(2))


# --- entropic -----------------------------------------------------------------------------------------------


def sinkhorn_reference(cost: np.ndarray, epsilon: float) -> float:
    """A converged log-domain loop, written independently."""
    n, k = cost.shape
    f, g = np.zeros(n), np.zeros(k)
    for _ in range(5_000):
        f = -epsilon * np.log(np.exp((g - cost) / epsilon).mean(1))
        new = -epsilon * np.log(np.exp((f[:, None] - cost) / epsilon).mean(0))
        if np.abs(new - g).max() < 1e-12:
            break
        g = new
    return float(f.mean() + new.mean())


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_sinkhorn_divergence_against_a_converged_loop(epsilon: float) -> None:
    x, y = pair(20, 25, 3)
    values = [sinkhorn_reference(cdist(a, b, "sqeuclidean"), epsilon) for a, b in ((x, y), (x, x), (y, y))]
    expected = values[0] - (values[1] + values[2]) / 2
    assert m.sinkhorn_divergence(x, y, epsilon=epsilon) == pytest.approx(expected, rel=1e-6)


def test_sinkhorn_limits_bounds_and_log_domain() -> None:
    x, y = pair(30, 30, 3)
    exact = m.wasserstein(x, y) ** 2
    cost = cdist(x, y, "sqeuclidean")
    u = np.full(30, 1 / 30)
    gap = np.square(x.mean(0) - y.mean(0)).sum()
    assert m.sinkhorn_divergence(x, y, epsilon=1e5) == pytest.approx(gap, rel=1e-3)
    for epsilon in (5.0, 1.0, 0.5):
        found = m.sinkhorn(cost, u, u, epsilon)
        assert found.lower <= exact + 1e-9
        assert found.upper >= exact - 1e-9
        assert found.gap < 1e-8
    assert found.upper - found.lower < 0.2 * exact
    line, step = np.arange(4.0)[:, None], np.full(4, 1 / 4)
    stiff = cdist(line, line + 0.1, "sqeuclidean")
    logged = m.sinkhorn(stiff, step, step, stiff.max() / 1000)  # beyond the range of exp
    assert logged.value == pytest.approx(0.01 + np.log(4) * stiff.max() / 1000, rel=1e-3)
    assert (logged.lower, logged.upper) == (pytest.approx(0.01), pytest.approx(0.01, rel=1e-3))
    assert m.sinkhorn_divergence(x, x) == pytest.approx(0, abs=1e-9)
    default = m.sinkhorn_divergence(x, y)
    assert default == pytest.approx(m.sinkhorn_divergence(x, y, epsilon=0.05 * cost.mean()))
    assert m.sinkhorn_divergence(np.ones((3, 2)), np.ones((4, 2))) == 0
    with pytest.raises(ValueError, match="epsilon"):
        m.sinkhorn_divergence(x, y, epsilon=0)


def test_sinkhorn_without_convergence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shiftlab.measures.entropic.MOST_ITERATIONS", 10)
    with pytest.raises(RuntimeError, match="marginals are off by"):
        m.sinkhorn_divergence(*pair(), epsilon=0.05)


# --- unbalanced, partial, Gromov ----------------------------------------------------------------------------


def test_unbalanced_limits() -> None:
    x, y = pair(10, 10, 2)
    exact = m.wasserstein(x, y) ** 2
    values = [m.unbalanced_wasserstein(x, y, penalty=penalty).value for penalty in (0.1, 1, 30)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(exact, rel=0.1)
    assert values[-1] < exact
    with pytest.raises(RuntimeError, match="use wasserstein"):
        m.unbalanced_wasserstein(x, y, penalty=1e5)
    dropped = m.unbalanced_wasserstein(x, y + 1000, penalty=1.0)
    assert dropped.value == pytest.approx(2.0, abs=1e-6)
    assert dropped.moved == pytest.approx(0, abs=1e-6)
    assert m.unbalanced_wasserstein(x, x, penalty=1.0).value == pytest.approx(0, abs=1e-6)


def test_partial_against_a_linear_program() -> None:
    x, y = pair(8, 9, 2)
    cost, share = cdist(x, y) ** 2, 0.6
    rows, columns = np.kron(np.eye(8), np.ones(9)), np.kron(np.ones(8), np.eye(9))
    bound = np.r_[np.full(8, 1 / 8), np.full(9, 1 / 9)]
    best = linprog(cost.ravel(), np.vstack([rows, columns]), bound, np.ones((1, 72)), [share])
    assert m.partial_wasserstein(x, y, share=share) ** 2 == pytest.approx(best.fun / share)
    assert m.partial_wasserstein(x, y, share=1) == pytest.approx(m.wasserstein(x, y))
    with pytest.raises(ValueError, match="share"):
        m.partial_wasserstein(x, y, share=0)


def test_gromov_sees_through_isometries_and_dimensions() -> None:
    x, _ = pair(25, 25, 3)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0][:3]
    assert m.gromov_wasserstein(x, 3 * (x[::-1] @ turn)) == pytest.approx(0, abs=1e-5)
    line = np.arange(25.0)[:, None]
    assert m.gromov_wasserstein(x, line) > 0.05
    with pytest.raises(m.UndefinedMeasureError, match="no scale"):
        m.gromov_wasserstein(np.ones((3, 2)), x)


# --- labels -------------------------------------------------------------------------------------------------


def test_label_aware_transport_by_its_definition() -> None:
    x, y = pair(30, 30, 2)
    label_x, label_y = np.repeat(["a", "b"], 15), np.repeat([7, 8, 9], 10)
    parts = [
        [x[label_x == u] for u in ("a", "b")],
        [y[label_y == v] for v in (7, 8, 9)],
    ]
    between = np.array([[m.gaussian_wasserstein(p, q, ddof=0) ** 2 for q in parts[1]] for p in parts[0]])
    cost = cdist(x, y) ** 2 + between[np.repeat([0, 1], 15)][:, np.repeat([0, 1, 2], 10)]
    rows, columns = np.kron(np.eye(30), np.ones(30)), np.kron(np.ones(30), np.eye(30))
    best = linprog(cost.ravel(), A_eq=np.vstack([rows, columns])[:-1], b_eq=np.full(59, 1 / 30)).fun
    found = m.label_aware_wasserstein(x, y, label_x, label_y)
    assert found**2 == pytest.approx(best)
    assert found >= m.wasserstein(x, y)
    assert m.label_aware_wasserstein(x, x, label_x, label_x) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="one label per row"):
        m.label_aware_wasserstein(x, y, label_x[:-1], label_y)


def test_decompose_shift_worked_example_and_identity() -> None:
    found = m.decompose_shift([[40, 10], [10, 40]], [[10, 40], [40, 10]])
    assert (found.covariate, found.label) == (0, 0)
    assert found.concept == pytest.approx(0.831777, abs=1e-6)
    assert found.concept_tv == pytest.approx(0.6)
    rng = np.random.default_rng(1)
    p, q = rng.integers(1, 30, (5, 4)), rng.integers(1, 30, (5, 4))
    found = m.decompose_shift(p, q)
    assert found.covariate + found.concept == pytest.approx(found.total)
    assert found.label + found.conditional == pytest.approx(found.total)
    apart = m.decompose_shift([[3, 2], [0, 0]], [[0, 0], [1, 1]])
    assert (apart.concept_tv, apart.support_overlap, apart.covariate_tv) == (None, 0, 1)
    assert apart.concept_reason
    assert apart.covariate == math.inf
    with pytest.raises(ValueError, match="negative"):
        m.decompose_shift([[-1, 2]], [[1, 1]])


def test_swapped_classes_move_concepts_only() -> None:
    """Two of K balanced classes swapped move 2 / K of the items and no marginal."""
    before = np.diag(np.full(10, 20))
    after = before[:, [1, 0, *range(2, 10)]]
    found = m.decompose_shift(before, after)
    assert (found.covariate_tv, found.label_tv) == (0, 0)
    assert found.concept_tv == pytest.approx(0.2)


def test_label_shift_weights_recover_the_prior() -> None:
    rng = np.random.default_rng(2)
    given = np.stack([rng.dirichlet(np.ones(4) + 8 * np.eye(4)[i]) for i in range(4)], axis=1)
    source, target = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    found = m.label_shift_weights(given * source, given @ target)
    assert found.weights == pytest.approx(target / source, abs=1e-6)
    assert found.prior == pytest.approx(target, abs=1e-6)
    pulled = m.label_shift_weights(given * source, given @ target, ridge=1e3)
    assert pulled.weights == pytest.approx(np.ones(4), abs=0.01)
    with pytest.raises(m.UndefinedMeasureError, match="label 1"):
        m.label_shift_weights([[1, 0], [1, 0]], [1, 1])


def test_precision_under_prior() -> None:
    assert m.precision_under_prior(0.9, 0.1, 0.01) == pytest.approx(1 / 12)
    assert m.precision_under_prior(0.9, 0.1, 0) == 0
    assert m.precision_under_prior(0.9, 0.1, 1) == 1
    assert m.precision_under_prior(0.3, 0.3, 0.2) == pytest.approx(0.2)
    with pytest.raises(m.UndefinedMeasureError):
        m.precision_under_prior(0, 0, 0.5)
    with pytest.raises(ValueError, match="fpr"):
        m.precision_under_prior(0.5, 1.5, 0.5)


def test_overlap() -> None:
    a, b = {1, 2, 3}, {2, 3, 4, 5}
    values = [m.overlap(a, b, kind) for kind in ("min", "jaccard", "left")]
    assert values == pytest.approx([2 / 3, 2 / 5, 2 / 3])
    assert m.overlap(np.array([1, 2]), [2.0]) == 1
    with pytest.raises(m.UndefinedMeasureError):
        m.overlap(set(), a)
    with pytest.raises(ValueError, match="kind"):
        m.overlap(a, b, "max")


# --- neighbours ---------------------------------------------------------------------------------------------


def test_nearest_residual() -> None:
    x, r = np.array([[1.0, 1], [9, 0]]), np.array([[0.0, 0], [10, 0]])
    found = m.nearest_residual(x, r)
    assert found.index.tolist() == [0, 1]
    assert found.distance == pytest.approx([math.sqrt(2), 1])
    assert found.residual == pytest.approx(np.array([[1, 1], [-1, 0]]))
    assert m.nearest_residual([[0.0], [2.0]], [[1.0], [1.0], [-1.0]]).index.tolist() == [0, 0]
    cosine = m.nearest_residual([[2.0, 0.1]], [[0.0, 1.0], [1.0, 0.0]], metric="cosine")
    assert cosine.index.tolist() == [1]
    assert cosine.residual == pytest.approx(np.array([[1.0, 0.1]]))
    a, b = pair(200, 300, 20)
    assert m.nearest_residual(a, b).distance == pytest.approx(cdist(a, b).min(1))
    assert m.nearest_residual(a + 50, b + 50).index.tolist() == cdist(a, b).argmin(1).tolist()


@pytest.mark.parametrize("d", [2, 16])
def test_knn_kl_by_its_definition(d: int) -> None:
    x, y = pair(200, 260, d)
    own, other = np.sort(cdist(x, x), 1)[:, 3], np.sort(cdist(x, y), 1)[:, 2]
    expected = d * np.log(other / own).mean() + math.log(260 / 199)
    assert m.knn_kl(x, y, k=3) == pytest.approx(expected)
    with pytest.raises(m.UndefinedMeasureError, match="duplicate"):
        m.knn_kl(np.repeat(x, 5, 0), y, k=3)
    with pytest.raises(ValueError, match="k must"):
        m.knn_kl(x[:3], y, k=3)


def test_knn_kl_near_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4000, 2)), rng.normal(size=(4000, 2)) + np.array([1, 0])
    assert m.knn_kl(x, y) == pytest.approx(0.5, abs=0.08)


def test_precision_recall_coverage_by_definition() -> None:
    x, y = pair(60, 80, 3)
    k = 4
    table = cdist(x, y)
    radius_x, radius_y = np.sort(cdist(x, x), 1)[:, k], np.sort(cdist(y, y), 1)[:, k]
    inside = table <= radius_x[:, None]
    found = m.precision_recall_coverage(x, y, k=k)
    assert found.precision == pytest.approx(inside.any(0).mean())
    assert found.recall == pytest.approx((table <= radius_y).any(1).mean())
    assert found.density == pytest.approx(inside.sum(0).mean() / k)
    assert found.coverage == pytest.approx(inside.any(1).mean())
    same = m.precision_recall_coverage(x, x, k=k)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    far = m.precision_recall_coverage(x, y + 1000, k=k)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


# --- classifier, diversity, permutation ---------------------------------------------------------------------


def test_area_under_curve_counts_ties_half() -> None:
    from shiftlab.measures.classifier import area_under_curve

    assert area_under_curve(np.array([0.0, 2]), np.array([1.0, 3])) == 0.75
    assert area_under_curve(np.zeros(3), np.zeros(5)) == 0.5


def test_classifier_two_sample() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 10)), rng.normal(size=(250, 10))
    assert m.classifier_two_sample(x, y).auc == pytest.approx(0.5, abs=0.08)
    moved = m.classifier_two_sample(x, y + np.eye(10)[0] * 2)
    assert moved.auc == pytest.approx(0.921, abs=0.03)  # Phi(2 / sqrt 2)
    assert moved.proxy_a == pytest.approx(2 * (1 - 2 * moved.err))
    apart = m.classifier_two_sample(x, y + 100)
    assert (apart.auc, apart.err, apart.proxy_a) == (1, 0, 2)
    few = m.classifier_two_sample(
        *(side[:20] for side in (rng.normal(size=(20, 500)), rng.normal(size=(20, 500)) + 1))
    )
    assert few.auc > 0.9  # more columns than rows
    flat = m.classifier_two_sample(np.ones((10, 2)), np.ones((10, 2)))
    assert (flat.auc, flat.err) == (0.5, 0.5)
    shuffled = m.classifier_two_sample(rng.permutation(x), rng.permutation(y + np.eye(10)[0] * 2))
    assert shuffled.auc == pytest.approx(moved.auc)
    with pytest.raises(ValueError, match="as many rows as folds"):
        m.classifier_two_sample(x[:3], y)


def test_wide_and_tall_solutions_of_the_discriminant_agree() -> None:
    from shiftlab.measures.classifier import _discriminant

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(15, 29)), rng.normal(size=(15, 29)) + 0.3
    wide = _discriminant(np.hstack([x, np.zeros((15, 2))]), np.hstack([y, np.zeros((15, 2))]))[0]
    rows = np.concatenate([x - x.mean(0), y - y.mean(0)])
    rows = np.hstack([rows, np.zeros((30, 2))])
    n, d = rows.shape
    s = rows.T @ rows / n
    mu = np.trace(s) / d
    spread = (s**2).sum() / d - mu**2
    noise = ((np.square(rows).sum(1) ** 2).sum() / n - (s**2).sum()) / (n * d)
    shrink = min(noise, spread) / spread
    matrix = (1 - shrink) * s + shrink * mu * np.eye(d)
    expected = np.linalg.solve(matrix, np.append(y.mean(0) - x.mean(0), [0, 0]))
    assert wide == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_vendi_score() -> None:
    assert m.vendi_score(np.eye(7)) == pytest.approx(7)
    assert m.vendi_score(np.ones((9, 3))) == pytest.approx(1)
    assert m.vendi_score(np.repeat(np.eye(4), 5, 0)) == pytest.approx(4)
    assert m.vendi_score(np.arange(5.0)[:, None] * 1000, kernel="rbf", gamma=1) == pytest.approx(5)
    wide = RNG.normal(size=(5, 40))
    values = (
        np.linalg.eigvalsh(
            np.corrcoef(wide) * 0 + wide @ wide.T / np.outer(*[np.linalg.norm(wide, axis=1)] * 2)
        )
        / 5
    )
    assert m.vendi_score(wide) == pytest.approx(math.exp(-(values * np.log(values)).sum()))
    with pytest.raises(m.UndefinedMeasureError, match="zeros"):
        m.vendi_score([[0.0, 0.0], [1.0, 0.0]])


def test_permutation_test() -> None:
    x, y = pair(30, 30, 2)
    found = m.permutation_test("energy_distance", x, y, permutations=49)
    assert found.p == pytest.approx(0.02)
    assert found.null_mean < found.null_q95 < found.value
    own = m.permutation_test(lambda a, b: abs(a.mean() - b.mean()), x, x, permutations=19)
    assert own.p == 1
    with pytest.raises(ValueError, match="permutations"):
        m.permutation_test("mmd", x, y, permutations=0)
