"""Exact optimal transport between two clouds: the distance, and the plan that says what moved where."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.distances import squared_distances
from shiftlab.measures.inputs import Floats, NotConvergedError, clouds, weights
from shiftlab.measures.registry import declare

ITERATIONS = 10_000_000  # POT's own limit of 1e5 stops at n = 5,000 with a wrong value and only a warning
MAX_COST_ENTRIES = 64_000_000  # 512 MB of float64 costs
ASSIGNMENT_ROWS = 2_000  # up to here the assignment solver beats the network simplex


@dataclass(frozen=True)
class TransportPlan:
    """An optimal plan as rows: ``mass[r]`` moves from row ``source[r]`` of x to row ``target[r]`` of y.

    ``cost[r]`` is the ground cost |x - y|^p of that move; ``total`` = sum of mass * cost = W_p^p.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    mass: NDArray[np.float64]
    cost: NDArray[np.float64]
    total: float
    p: float
    solver: str


def seconds_exact(n: int, m: int, d: int = 1) -> float:
    """Estimated seconds of one exact solution on one core (measured: about n^2.8)."""
    return 1e-6 * (n + m) if d == 1 else 0.25 * (math.sqrt(n * m) / 1000) ** 2.8


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="units of x",
    range="[0, inf)",
    zero_means="equal clouds",
    debias_power=2,
    source="Kantorovich 1942; Peyre and Cuturi 2019, eq. 2.11 and 2.13",
    use_when="one pair, up to a few thousand rows, and the question is which mass moved where",
    do_not_use_when="dimension is high and n small: the plug-in value is mostly sampling noise",
    seconds=seconds_exact,
)
def wasserstein(
    x: ArrayLike,
    y: ArrayLike,
    p: float = 2,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """Exact p-Wasserstein distance (min sum P_ij |x_i - y_j|^p)^(1/p) of clouds (n, d), (m, d), [0, inf).

    Zero means equal clouds. In one dimension by sorting, otherwise by an assignment or simplex solver.
    Do not rank subsets of different sizes by it: two samples (n = 200) of one 64-d Gaussian have W2 = 9.3.
    ValueError for empty, non-finite or mismatched clouds, bad weights, p < 1, or a problem that is too large
    (use sliced_wasserstein); RuntimeError if the solver does not converge. Source: Peyre and Cuturi (2019).
    """
    a, b, order = _checked(x, y, p)
    u, v = weights(weights_x, len(a), "weights_x"), weights(weights_y, len(b), "weights_y")
    if a.shape[1] == 1:
        source, target, moved = line_plan(a[:, 0], b[:, 0], u, v)
        return float(moved @ np.abs(a[source, 0] - b[target, 0]) ** order) ** (1 / order)
    uniform = weights_x is None and weights_y is None
    return solve(ground_cost(a, b, order), None if uniform else (u, v)).total ** (1 / order)


def transport_plan(
    x: ArrayLike,
    y: ArrayLike,
    p: float = 2,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> TransportPlan:
    """The optimal plan of `wasserstein` as rows (source, target, mass, cost), sorted by source, then target.

    Same arguments and errors as `wasserstein`. At most n + m - 1 rows carry mass.
    """
    a, b, order = _checked(x, y, p)
    u, v = weights(weights_x, len(a), "weights_x"), weights(weights_y, len(b), "weights_y")
    if a.shape[1] == 1:
        source, target, moved = line_plan(a[:, 0], b[:, 0], u, v)
        cost = np.abs(a[source, 0] - b[target, 0]).astype(np.float64) ** order
        rows = np.lexsort((target, source))
        solver = "sort"
        source, target, moved, cost = source[rows], target[rows], moved[rows], cost[rows]
        return TransportPlan(source, target, moved, cost, float(moved @ cost), order, solver)
    uniform = weights_x is None and weights_y is None
    plan = solve(ground_cost(a, b, order), None if uniform else (u, v))
    return TransportPlan(plan.source, plan.target, plan.mass, plan.cost, plan.total, order, plan.solver)


def _checked(x: ArrayLike, y: ArrayLike, p: float) -> tuple[Floats, Floats, float]:
    if not (math.isfinite(p) and p >= 1):
        raise ValueError(f"p must be a finite number of at least 1, not {p!r}")
    a, b = clouds(x, y)
    refuse_large(len(a), len(b), a.shape[1])
    return a.astype(np.float64), b.astype(np.float64), float(p)


def refuse_large(n: int, m: int, d: int, alternative: str = "sliced_wasserstein") -> None:
    """ValueError with an estimate of the cost when a dense cost table would not be reasonable."""
    if d > 1 and n * m > MAX_COST_ENTRIES:
        raise ValueError(
            f"exact transport of {n:,} x {m:,} rows would need a {8e-9 * n * m:.1f} GB cost table and about "
            f"{seconds_exact(n, m, 2) / 60:.0f} minutes; use {alternative}, or a sample of the rows"
        )


def ground_cost(x: Floats, y: Floats, p: float) -> NDArray[np.float64]:
    """|x_i - y_j|^p as (n, m) float64."""
    table = squared_distances(x.astype(np.float64), y.astype(np.float64)).astype(np.float64, copy=False)
    # Rounding leaves about 1e-16 of the squared norms where rows coincide; its root would be 1e-8.
    size = np.square(x - x.mean(0)).sum(1)[:, None] + np.square(y - x.mean(0)).sum(1)
    table[table <= 64 * np.finfo(np.float64).eps * size] = 0.0
    return table if p == 2 else table ** (p / 2)


def line_plan(
    x: NDArray[Any], y: NDArray[Any], u: NDArray[np.float64], v: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The monotone plan between numbers x (n,), y (m,) with weights u, v: optimal for every p >= 1."""
    i, j = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    a, b, moved = merge_weights(u[i], v[j])
    return i[a], j[b], moved


def merge_weights(
    u: NDArray[np.float64], v: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Cut [0, 1] at the cumulated weights of both sides: the row of each side on each piece, its length."""
    if len(u) == len(v) and np.array_equal(u, v):
        rows = np.arange(len(u))
        return rows, rows, u
    f, g = np.cumsum(u), np.cumsum(v)
    f[-1] = g[-1] = 1.0
    edges = np.sort(np.concatenate([f, g]))
    length = np.diff(edges, prepend=0.0)
    keep = length > 1e-15
    middle = edges[keep] - length[keep] / 2
    a = np.minimum(np.searchsorted(f, middle), len(u) - 1)
    b = np.minimum(np.searchsorted(g, middle), len(v) - 1)
    return a, b, length[keep]


def solve(
    cost: NDArray[np.float64], marginals: tuple[NDArray[np.float64], NDArray[np.float64]] | None
) -> TransportPlan:
    """Optimal plan for a cost table (n, m); ``marginals`` None means uniform."""
    n, m = cost.shape
    if marginals is None and n == m and n <= ASSIGNMENT_ROWS:
        rows = _assignment(cost)
        if rows is not None:
            source = np.arange(n)
            paid = cost[source, rows]
            mass = np.full(n, 1 / n)
            return TransportPlan(source, rows, mass, paid, float(paid.mean()), math.nan, "assignment")
    u, v = marginals if marginals is not None else (np.full(n, 1 / n), np.full(m, 1 / m))
    plan = simplex(cost, u, v)
    source, target = np.nonzero(plan)
    mass, paid = plan[source, target], cost[source, target]
    return TransportPlan(source, target, mass, paid, float(mass @ paid), math.nan, "network simplex")


def _assignment(cost: NDArray[np.float64]) -> NDArray[np.int64] | None:
    try:
        from lap import lapjvr  # the extra "assignment"; PyPI also has another "lap", without this solver
    except ImportError:
        return None
    return np.asarray(lapjvr(cost, return_cost=False)[1], dtype=np.int64)


def simplex(cost: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Optimal plan (n, m) by POT's network simplex; RuntimeError unless it is converged and feasible."""
    from ot import emd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan, log = emd(u, v * (u.sum() / v.sum()), np.ascontiguousarray(cost), ITERATIONS, log=True)
    off = max(np.abs(plan.sum(1) - u).max(), np.abs(plan.sum(0) - v).max())
    if log["warning"] is not None or not off < 1e-8:
        raise NotConvergedError(
            f"exact transport did not converge (marginals off by {off:.1e}): {log['warning']}"
        )
    return np.asarray(plan, dtype=np.float64)


@declare(
    kind="scalar",
    what="inputs",
    how="ot",
    unit="weight",
    range="(0, 1]",
    zero_means="an infinitely far observation",
    source="DiG-Flow 2025, with the decreasing function exp(-tau D)",
    use_when="a discrepancy should become a weight for curation",
    do_not_use_when="tau was not fixed on reference data",
)
def transport_gate(discrepancy: float, tau: float = 1.0) -> float:
    """exp(-tau D) of a discrepancy D >= 0 with tau > 0: 1 for no discrepancy, towards 0 for a large one.

    DiG-Flow feeds the squared W2. ValueError for a negative or non-finite D or tau.
    Do not use it with a tau that was not fixed on reference data.
    """
    if not (math.isfinite(discrepancy) and discrepancy >= 0):
        raise ValueError(f"discrepancy must be a finite number of at least 0, not {discrepancy!r}")
    if not (math.isfinite(tau) and tau > 0):
        raise ValueError(f"tau must be a positive number, not {tau!r}")
    return math.exp(-tau * discrepancy)
