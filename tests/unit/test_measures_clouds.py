"""Measures of clouds against independent solvers and identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance, ks_2samp, wasserstein_distance, wasserstein_distance_nd

from shiftlab import measures as m
from shiftlab.measures.sliced import directions

CLOUDS = [
    "mmd", "energy_distance", "wasserstein", "sliced_wasserstein", "max_sliced_wasserstein", "mmd_sq",
    "energy_distance_sq", "kid",
]  # fmt: skip


def pair(n: int = 40, k: int = 50, d: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(k, d)) * 1.3 + 0.5


def transport_by_linear_program(cost: np.ndarray, u: np.ndarray, v: np.ndarray) -> float:
    n, k = cost.shape
    rows = np.kron(np.eye(n), np.ones(k))
    columns = np.kron(np.ones(n), np.eye(k))
    found = linprog(cost.ravel(), A_eq=np.vstack([rows, columns])[:-1], b_eq=np.r_[u, v][:-1])
    return float(found.fun)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize(("n", "k"), [(12, 12), (9, 14)])
def test_wasserstein_against_a_linear_program(n: int, k: int, p: int) -> None:
    x, y = pair(n, k)
    uniform = np.full(n, 1 / n), np.full(k, 1 / k)
    cost = cdist(x, y) ** p
    assert m.wasserstein(x, y, p=p) ** p == pytest.approx(transport_by_linear_program(cost, *uniform))
    rng = np.random.default_rng(3)
    u, v = rng.random(n), rng.random(k)
    expected = transport_by_linear_program(cost, u / u.sum(), v / v.sum())
    assert m.wasserstein(x, y, p=p, weights_x=u, weights_y=v) ** p == pytest.approx(expected)


def test_wasserstein_against_scipy() -> None:
    x, y = pair(15, 20)
    assert m.wasserstein(x, y, p=1) == pytest.approx(wasserstein_distance_nd(x, y))
    assert m.wasserstein(x[:, 0], y[:, 0], p=1) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]))
    assert m.wasserstein([0, 1, 3], [5, 6, 8]) == pytest.approx(5)


def test_plan_has_the_marginals_and_the_cost() -> None:
    x, y = pair(30, 45)
    plan = m.transport_plan(x, y, p=1)
    assert np.bincount(plan.source, plan.mass) == pytest.approx(np.full(30, 1 / 30))
    assert np.bincount(plan.target, plan.mass) == pytest.approx(np.full(45, 1 / 45))
    assert plan.cost == pytest.approx(np.linalg.norm(x[plan.source] - y[plan.target], axis=1))
    assert plan.total == pytest.approx(m.wasserstein(x, y, p=1))
    line = m.transport_plan(x[:, 0], y[:, 0])
    assert line.total == pytest.approx(m.wasserstein(x[:, :1], y[:, :1]) ** 2)


def test_solver_failure_is_an_error_and_not_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from shiftlab.measures import transport

    monkeypatch.setattr(transport, "ITERATIONS", 1)
    with pytest.raises(RuntimeError, match="did not converge"):
        m.wasserstein(*pair(60, 80))


def test_too_large_a_problem_is_refused_with_its_cost() -> None:
    x = np.zeros((20_000, 2))
    with pytest.raises(ValueError, match="use sliced_wasserstein"):
        m.wasserstein(x, x)


def test_kernel_and_energy_by_their_definitions() -> None:
    x, y = pair()
    n, k, gamma = len(x), len(y), 0.17

    def means(f):  # type: ignore[no-untyped-def]
        return f(x, x), f(y, y), f(x, y)

    xx, yy, xy = means(lambda a, b: np.exp(-gamma * cdist(a, b, "sqeuclidean")))
    assert m.mmd_sq(x, y, gamma, estimator="v") == pytest.approx(xx.mean() + yy.mean() - 2 * xy.mean())
    assert m.mmd(x, y, gamma) ** 2 == pytest.approx(m.mmd_sq(x, y, gamma, estimator="v"))
    unbiased = (xx.sum() - n) / (n * n - n) + (yy.sum() - k) / (k * k - k) - 2 * xy.mean()
    assert m.mmd_sq(x, y, gamma) == pytest.approx(unbiased)
    xx, yy, xy = means(cdist)
    assert m.energy_distance_sq(x, y, "v") == pytest.approx(2 * xy.mean() - xx.mean() - yy.mean())
    assert m.energy_distance_sq(x, y) == pytest.approx(
        2 * xy.mean() - xx.sum() / (n * n - n) - yy.sum() / (k * k - k)
    )
    xx, yy, xy = means(lambda a, b: (a @ b.T / x.shape[1] + 1) ** 3)
    own = np.trace(xx), np.trace(yy)
    assert m.kid(x, y) == pytest.approx(
        (xx.sum() - own[0]) / (n * n - n) + (yy.sum() - own[1]) / (k * k - k) - 2 * xy.mean()
    )


def test_weights_are_repeated_rows() -> None:
    x, y = pair(20, 30, 3)
    counts = np.random.default_rng(5).integers(1, 4, size=20)
    repeated = np.repeat(x, counts, axis=0)
    for f in (
        lambda a, **w: m.mmd(a, y, 0.2, **w),
        lambda a, **w: m.energy_distance(a, y, **w),
        lambda a, **w: m.wasserstein(a, y, **w),
        lambda a, **w: m.sliced_wasserstein(a, y, **w),
        lambda a, **w: m.energy_distance(a[:, 0], y[:, 0], **w),
    ):
        assert f(x, weights_x=counts) == pytest.approx(f(repeated))


def test_one_dimension_against_scipy() -> None:
    x, y = pair(33, 57, 1)
    assert m.energy_distance(x, y) == pytest.approx(energy_distance(x[:, 0], y[:, 0]))
    assert m.kolmogorov_smirnov(x, y) == pytest.approx(ks_2samp(x[:, 0], y[:, 0]).statistic)
    for p in (1, 2):
        assert m.sliced_wasserstein(x, y, p=p) == pytest.approx(m.wasserstein(x, y, p=p))


def test_sliced_against_pot_with_the_same_directions() -> None:
    ot = pytest.importorskip("ot")
    for n, k in ((60, 60), (50, 70)):
        x, y = pair(n, k, 7)
        theta = directions(7, 64, 3)
        for p in (1, 2):
            expected = ot.sliced_wasserstein_distance(x, y, projections=theta, p=p)
            assert m.sliced_wasserstein(x, y, p=p, n_projections=64, seed=3) == pytest.approx(expected)


def test_single_precision_of_large_inputs_is_harmless() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20_000, 3)) + 100, rng.normal(size=(20_000, 3)) + 100.3
    theta = directions(3, 256, 0)
    gaps = np.sort(x @ theta, axis=0) - np.sort(y @ theta, axis=0)
    assert m.sliced_wasserstein(x, y) == pytest.approx(math.sqrt(np.square(gaps).mean()), rel=1e-5)


def test_translation() -> None:
    x, _ = pair(30, 30, 5)
    t = np.array([1.0, -2, 0.5, 0, 3])
    norm = float(np.linalg.norm(t))
    assert m.wasserstein(x, x + t) == pytest.approx(norm)
    assert m.sliced_wasserstein(x, x + t, n_projections=10) == pytest.approx(norm / math.sqrt(5))
    assert m.max_sliced_wasserstein(x, x + t) == pytest.approx(norm, rel=1e-6)
    assert m.wasserstein(x[:, 0], x[:, 0] - 4, p=1) == pytest.approx(4)


def test_max_sliced_finds_the_direction_that_random_ones_miss() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 40)), rng.normal(size=(300, 40))
    y[:, 7] *= 4
    best_single = m.wasserstein(x[:, 7], y[:, 7])
    assert m.max_sliced_wasserstein(x, y) > 0.95 * best_single


@pytest.mark.parametrize("power", [1, 2])
def test_shared_items_rescale(power: int) -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=(120, 3))
    z[80:] += 0.7
    a, b = z[:80], z[40:]
    o = 0.5
    for f in (
        lambda u, v: m.mmd(u, v, 0.3),
        m.energy_distance,
        lambda u, v: m.wasserstein(u, v, p=1),
    ):
        assert f(a, b) ** power == pytest.approx(((1 - o) * f(z[:40], z[80:])) ** power)


@pytest.mark.parametrize("name", CLOUDS)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12), k=st.integers(2, 12), d=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_metric_properties(name: str, seed: int, n: int, k: int, d: int) -> None:
    x, y = pair(n, k, d, seed)
    f, scale = getattr(m, name), {"gamma": 0.4} if name.startswith("mmd") else {}
    value = f(x, y, **scale)
    rng = np.random.default_rng(seed)
    assert f(y, x, **scale) == pytest.approx(value, rel=1e-9, abs=1e-9)
    shuffled = f(x[rng.permutation(n)], y[rng.permutation(k)], **scale)
    assert shuffled == pytest.approx(value, rel=1e-9, abs=1e-9)
    if name != "kid":
        shift = rng.normal(size=d) * 10
        assert f(x + shift, y + shift, **scale) == pytest.approx(value, rel=1e-6, abs=1e-7)
    if not m.get(name).squared:
        assert value >= 0
        assert f(x, x, **scale) == pytest.approx(0, abs=3e-7)
        twice = f(np.repeat(x, 2, 0), np.repeat(y, 2, 0), **scale)
        assert twice == pytest.approx(value, rel=1e-6, abs=1e-7)
    if "wasserstein" in name:
        assert f(3 * x, 3 * y) == pytest.approx(3 * value)


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1.0, np.nan]], [[1.0, 2.0]], r"x must be finite: nan at index \(0, 1\)"),
        ([[1.0, 2.0]], [[np.inf, 2.0]], "y must be finite"),
        ([[1.0, 2.0]], [[1.0]], "same number of columns"),
        (np.empty((0, 2)), [[1.0, 2.0]], "x is empty"),
        (np.zeros((2, 2, 2)), [[1.0, 2.0]], r"x must have shape \(n, d\)"),
        ([["a"]], [[1.0]], "x must hold numbers"),
    ],
)
def test_bad_clouds_name_the_argument(name: str, x: object, y: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(m, name)(x, y)


def test_bad_parameters() -> None:
    x, y = pair(5, 6)
    with pytest.raises(ValueError, match="p must"):
        m.wasserstein(x, y, p=0.5)
    with pytest.raises(ValueError, match="n_projections"):
        m.sliced_wasserstein(x, y, n_projections=0)
    with pytest.raises(ValueError, match="gamma"):
        m.mmd(x, y, gamma=-1)
    with pytest.raises(ValueError, match="estimator"):
        m.mmd_sq(x, y, estimator="w")
    with pytest.raises(ValueError, match="weights_x has negative mass"):
        m.wasserstein(x, y, weights_x=[1, 1, -1, 1, 1])
    with pytest.raises(ValueError, match="one weight per row"):
        m.sliced_wasserstein(x, y, weights_y=[1, 1])


def test_degenerate_clouds() -> None:
    one, same = np.ones((1, 3)), np.ones((5, 3))
    assert m.wasserstein(one, same) == 0
    assert m.sliced_wasserstein(one, same) == 0
    assert m.energy_distance(one, same) == 0
    with pytest.raises(m.UndefinedMeasureError, match="bandwidth"):
        m.mmd(one, same)
    assert m.mmd(one, same, gamma=1.0) == pytest.approx(0, abs=1e-8)
    with pytest.raises(m.UndefinedMeasureError, match="at least two rows"):
        m.mmd_sq(one, same + 1, gamma=1.0)
    with pytest.raises(m.UndefinedMeasureError, match="at least two rows"):
        m.energy_distance_sq(one, same)


def test_transport_gate() -> None:
    assert m.transport_gate(0) == 1
    assert m.transport_gate(2, tau=0.5) == pytest.approx(math.exp(-1))
    with pytest.raises(ValueError, match="discrepancy"):
        m.transport_gate(-1)
