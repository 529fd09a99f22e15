"""Transport that need not move everything (unbalanced, partial), or that compares different spaces."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import Floats, NotConvergedError, UndefinedMeasureError, cloud, clouds
from shiftlab.measures.registry import declare
from shiftlab.measures.transport import ground_cost, refuse_large, seconds_exact, simplex

GAP = 1e-3


@dataclass(frozen=True)
class UnbalancedTransport:
    """``value`` is the minimum of transport cost plus penalties; ``moved`` the mass that was transported."""

    value: float
    transport: float
    moved: float


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="squared units of x",
    range="[0, inf)",
    zero_means="equal clouds",
    source="Chizat et al. 2018, with KL penalties, by majorisation-minimisation (Chapel et al. 2021)",
    use_when="one side has items without a counterpart, which should be dropped at a price instead of moved far",
    do_not_use_when="the price (penalty) was not chosen on the scale of squared distances",
    seconds=lambda n, m, d: 3e-6 * n * m,
)
def unbalanced_wasserstein(x: ArrayLike, y: ArrayLike, penalty: float = 1.0) -> UnbalancedTransport:
    """min <P, |x - y|^2> + penalty (KL(P1, a) + KL(P'1, b)) of clouds x (n, d), y (m, d) with uniform masses.

    ``value`` lies between 0 (equal clouds) and 2 * penalty (everything dropped); ``moved`` is the mass of the
    plan. Do not use it with a penalty that is not on the scale of squared distances. ValueError for bad clouds
    or penalty; NotConvergedError if the solver does not converge. Source: Chizat et al. (2018).
    """
    from ot.unbalanced import mm_unbalanced

    a, b = clouds(x, y)
    refuse_large(len(a), len(b), 2)
    if not (math.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty must be a positive number, not {penalty!r}")
    cost = ground_cost(a, b, 2)
    u, v = np.full(len(a), 1 / len(a)), np.full(len(b), 1 / len(b))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # its own stopping rule fires far from the optimum; the gap below decides
        plan = mm_unbalanced(u, v, cost, penalty, div="kl", numItermax=20_000, stopThr=1e-12)
    transport = float((plan * cost).sum())
    value = max(transport + penalty * (_kl(plan.sum(1), u) + _kl(plan.sum(0), v)), 0.0)
    gap = value - _dual(plan.sum(1), u, v, cost, penalty)
    if gap > GAP * max(value, 1e-6 * penalty):
        raise NotConvergedError(
            f"unbalanced transport did not converge (gap {gap:.1e} of {value:.3g}): the penalty {penalty:.3g} is far "
            "above the squared distances; use wasserstein"
        )
    return UnbalancedTransport(value, transport, float(plan.sum()))


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Generalised Kullback-Leibler divergence of unnormalised masses."""
    positive = p > 0
    return float((p[positive] * np.log(p[positive] / q[positive])).sum() - p.sum() + q.sum())


def _dual(
    moved: NDArray[np.float64],
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    cost: NDArray[np.float64],
    penalty: float,
) -> float:
    """A lower bound from the plan's first marginal: its potential, made feasible by two c-transforms."""
    first = -penalty * np.log(np.maximum(moved, 1e-300) / u)
    g = (cost - first[:, None]).min(axis=0)
    f = (cost - g).min(axis=1)
    return float(-penalty * (u @ np.expm1(-f / penalty) + v @ np.expm1(-g / penalty)))


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="units of x",
    range="[0, inf)",
    zero_means="the cheapest part of the mass does not move",
    source="Figalli 2010; Chapel et al. 2020: exact, by one dummy point a side",
    use_when="a known share of items has no counterpart",
    do_not_use_when="the share is unknown: the value falls to 0 as it is lowered",
    seconds=seconds_exact,
)
def partial_wasserstein(x: ArrayLike, y: ArrayLike, share: float = 0.9, p: float = 2) -> float:
    """Exact cost of moving only the cheapest ``share`` of the mass: (min <P, |x - y|^p> / share)^(1/p).

    Clouds x (n, d), y (m, d), uniform; share in (0, 1], 1 gives `wasserstein`. Zero means that this part of the
    mass does not move. Do not use it with an unknown share. ValueError as for `wasserstein`.
    Source: Chapel et al. (2020), section 3.
    """
    a, b = clouds(x, y)
    refuse_large(len(a), len(b), 2)
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], not {share!r}")
    if not (math.isfinite(p) and p >= 1):
        raise ValueError(f"p must be a finite number of at least 1, not {p!r}")
    cost = ground_cost(a, b, p)
    n, m = cost.shape
    if share == 1:
        plan = simplex(cost, np.full(n, 1 / n), np.full(m, 1 / m))
        return float((plan * cost).sum()) ** (1 / p)
    wide = np.zeros((n + 1, m + 1))
    wide[:n, :m] = cost
    wide[n, m] = 2 * cost.max() + 1  # what stays must not be matched with itself
    u, v = np.append(np.full(n, 1 / n), 1 - share), np.append(np.full(m, 1 / m), 1 - share)
    plan = simplex(wide, u / u.sum(), v / v.sum())[:n, :m] * u.sum()
    return float((plan * cost).sum() / share) ** (1 / p)


@declare(
    kind="spaces",
    what="representation",
    how="ot",
    unit="squared relative distance",
    range="[0, inf)",
    zero_means="the same distances within both clouds (isometric)",
    source="Memoli 2011, eq. 5.1 with p = 2; conditional gradient (Vayer et al. 2019)",
    use_when="two spaces of different dimension are compared by the shape of their clouds",
    do_not_use_when="rows are paired or share a space: it cannot see rotations, and finds only a local minimum",
    seconds=lambda n, m, d: 1e-8 * n * m * (n + m),
)
def gromov_wasserstein(x: ArrayLike, y: ArrayLike, starts: int = 4, seed: int = 0) -> float:
    """Square root of min sum (|x_i - x_k| / s - |y_j - y_l| / t)^2 P_ij P_kl, s and t mean distances; [0, inf).

    Clouds x (n, d), y (m, e) of any dimensions. Zero means isometric up to scale. The problem is not convex:
    the best of several seeded starts is returned, an upper bound. Do not use it where rows share a space.
    ValueError for bad clouds; UndefinedMeasureError if all rows of a side are equal. Source: Memoli (2011).
    """
    from ot.gromov import gromov_wasserstein as solve_gromov

    tables = []
    for name, values in (("x", x), ("y", y)):
        rows = cloud(values, name)
        table = ground_cost(rows, rows, 1)
        if table.mean() <= 0:
            raise UndefinedMeasureError(f"all rows of {name} are equal: its distances have no scale")
        tables.append(table / table.mean())
    n, m = len(tables[0]), len(tables[1])
    if n * m * (n + m) > 4e10:
        raise ValueError(
            f"Gromov-Wasserstein of {n:,} and {m:,} rows takes too long; use a sample of the rows"
        )
    u, v = np.full(n, 1 / n), np.full(m, 1 / m)
    rng = np.random.default_rng(seed)
    best = math.inf
    for start in range(starts):
        first = _profile_plan(tables) if start == 0 else _random_plan(rng, n, m)
        _, log = solve_gromov(*tables, u, v, "square_loss", G0=first, log=True, max_iter=1000)
        best = min(best, float(log["gw_dist"]))
    return math.sqrt(max(best, 0.0)) if best > 1e-15 else 0.0


def _profile_plan(tables: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """A plan between rows with similar sorted distances to all others: a start that isometries cannot miss."""
    grid = (np.arange(64) + 0.5) / 64
    profiles: list[Floats] = [np.quantile(t, grid, axis=1).T for t in tables]
    n, m = len(tables[0]), len(tables[1])
    return simplex(ground_cost(profiles[0], profiles[1], 2), np.full(n, 1 / n), np.full(m, 1 / m))


def _random_plan(rng: np.random.Generator, n: int, m: int) -> NDArray[np.float64]:
    return simplex(rng.random((n, m)), np.full(n, 1 / n), np.full(m, 1 / m))
