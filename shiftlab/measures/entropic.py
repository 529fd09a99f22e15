"""Entropic transport between two clouds, debiased, with certified bounds of exact transport."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import Floats, NotConvergedError, clouds, weights
from shiftlab.measures.registry import declare
from shiftlab.measures.transport import ground_cost, refuse_large

Vector = NDArray[np.float64]
SAFE_EXPONENT = 600.0  # exp(-C / epsilon) stays a normal float64
SCALING_WORK = 2e10  # entries visited before giving up
LOG_DOMAIN_WORK = 3e9
MOST_ITERATIONS = 50_000
TOLERANCE = 1e-8  # aimed at, as the summed error of a marginal
ACCEPTED = 1e-5


@dataclass(frozen=True)
class SinkhornSolution:
    """Potentials f (n,), g (m,) of min <P, C> + epsilon KL(P, a x b), its value, and bounds of exact transport.

    ``upper`` is the cost of the plan rounded to its marginals, ``lower`` the dual value after a c-transform.
    """

    f: Vector
    g: Vector
    value: float
    lower: float
    upper: float
    gap: float
    iterations: int


def _seconds(n: int, m: int, d: int) -> float:
    return 6e-7 * (n * m + n * n + m * m) ** 1.0 + 2e-11 * n * m * d


def _resolve(x: Floats, y: Floats, epsilon: float | None = None, **others: Any) -> dict[str, Any]:
    return others | {"epsilon": default_epsilon(x, y) if epsilon is None else epsilon}


def default_epsilon(x: Floats, y: Floats) -> float:
    """0.05 of the mean squared distance between the clouds; 1 if they are one and the same point."""
    gap = x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)
    spread = x.astype(np.float64).var(0).sum() + y.astype(np.float64).var(0).sum()
    return 0.05 * float(gap @ gap + spread) or 1.0


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="squared units of x",
    range="[0, inf)",
    zero_means="equal clouds",
    debias_power=1,
    squared=True,
    source="Feydy et al. 2019, eq. 3, with cost |x - y|^2 and penalty epsilon KL",
    use_when="transport between clouds of a few thousand rows should be smooth and less noisy than exact",
    do_not_use_when="values with different epsilon would be compared, or exact transport is affordable",
    seconds=_seconds,
    resolve=_resolve,
)
def sinkhorn_divergence(
    x: ArrayLike,
    y: ArrayLike,
    epsilon: float | None = None,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """OT_eps(x, y) - (OT_eps(x, x) + OT_eps(y, y)) / 2 of clouds (n, d), (m, d), in squared units, [0, inf).

    OT_eps minimises <P, |x - y|^2> + epsilon KL(P, a x b); ``epsilon`` defaults to 0.05 of the mean cost. In the
    convention cost |x - y|^2 / 2 with blur, this is twice the value at blur = sqrt(epsilon / 2). Zero means equal
    clouds. It tends to W2^2 for small and to |mean - mean'|^2 for large epsilon; never compare values of
    different epsilon. ValueError for bad clouds or epsilon; RuntimeError without convergence, with the gap.
    Source: Feydy et al. (2019), eq. 3.
    """
    a, b = clouds(x, y)
    refuse_large(len(a), len(b), 2)
    u, v = weights(weights_x, len(a), "weights_x"), weights(weights_y, len(b), "weights_y")
    eps = default_epsilon(a, b) if epsilon is None else epsilon
    if not (math.isfinite(eps) and eps > 0):
        raise ValueError(f"epsilon must be a positive number, not {epsilon!r}")
    cross = sinkhorn(ground_cost(a, b, 2), u, v, eps).value
    return max(cross - (_self_value(a, u, eps) + _self_value(b, v, eps)) / 2, 0.0)


def sinkhorn(cost: NDArray[np.float64], u: Vector, v: Vector, epsilon: float) -> SinkhornSolution:
    """Solve one entropic problem for a cost table (n, m) with positive epsilon; marginals u (n,), v (m,).

    By matrix scaling while exp(-cost / epsilon) is representable, else in the log domain. Rows without weight
    take no part. RuntimeError without convergence.
    """
    rows, columns = u > 0, v > 0
    c = cost[np.ix_(rows, columns)]
    a, b = u[rows], v[columns]
    scaled = (c.max() - c.min()) / epsilon < SAFE_EXPONENT
    f, g, gap, steps = (_scaling if scaled else _log_domain)(c, a, b, epsilon)
    if not gap <= ACCEPTED:
        raise NotConvergedError(
            f"Sinkhorn did not converge in {steps} iterations: marginals are off by {gap:.1e}; raise epsilon "
            f"(now {epsilon:.3g}) or use wasserstein"
        )
    plan = np.exp((f[:, None] + g - c) / epsilon) * a[:, None] * b
    lower = float(a @ f + b @ (c - f[:, None]).min(axis=0))
    full_f, full_g = np.zeros(len(u)), np.zeros(len(v))
    full_f[rows], full_g[columns] = f, g
    return SinkhornSolution(
        full_f, full_g, float(a @ f + b @ g), lower, _rounded_cost(plan, c, a, b), gap, steps
    )


def _limit(work: float, size: int) -> int:
    return int(min(MOST_ITERATIONS, max(work / size, 500)))


def _scaling(
    c: NDArray[np.float64], a: Vector, b: Vector, epsilon: float
) -> tuple[Vector, Vector, float, int]:
    base = c.min()
    kernel = np.exp((base - c) / epsilon)
    p, q = np.ones(len(a)), np.ones(len(b))
    gap, step = math.inf, 0
    for step in range(1, _limit(SCALING_WORK, c.size) + 1):
        p = 1 / (kernel @ (b * q))
        column = kernel.T @ (a * p)
        if step % 10 == 0:
            gap = float(np.abs(b * (q * column - 1)).sum())
            if gap < TOLERANCE:
                break
        q = 1 / column
    return epsilon * np.log(p) + base, epsilon * np.log(q), gap, step


def _log_domain(
    c: NDArray[np.float64], a: Vector, b: Vector, epsilon: float
) -> tuple[Vector, Vector, float, int]:
    """Slow and safe; epsilon is lowered in steps so that the first potentials are already near."""
    g = np.zeros(len(b))
    f = np.zeros(len(a))
    gap, steps = math.inf, 0
    stages = [
        epsilon * 2.0**k for k in range(max(0, math.ceil(math.log2(max(c.max() / epsilon, 1)))), -1, -1)
    ]
    for eps in stages:
        limit = _limit(LOG_DOMAIN_WORK, c.size) if eps == epsilon else 20
        for step in range(1, limit + 1):
            f = -_soft_max((g - c) / eps + np.log(b), 1) * eps
            new = -_soft_max((f[:, None] - c) / eps + np.log(a)[:, None], 0) * eps
            steps += 1
            if eps == epsilon and step % 10 == 0:
                gap = float(np.abs(b * np.expm1((g - new) / eps)).sum())
                if gap < TOLERANCE:
                    return f, g, gap, steps
            g = new
    return f, g, gap, steps


def _soft_max(table: NDArray[np.float64], axis: int) -> Vector:
    top = table.max(axis=axis, keepdims=True)
    return np.asarray(np.squeeze(top, axis) + np.log(np.exp(table - top).sum(axis=axis)))


def _self_value(x: Floats, weight: Vector, epsilon: float) -> float:
    """OT_eps of a cloud with itself: the averaged fixed point, which converges in a few steps (Feydy et al. 2019)."""
    keep = weight > 0
    c, a = ground_cost(x[keep], x[keep], 2), weight[keep]
    kernel = np.exp(-c / epsilon)
    p = np.ones(len(a))
    limit = _limit(SCALING_WORK, c.size)
    for _ in range(limit):
        new = np.sqrt(p / (kernel @ (a * p)))
        if np.abs(np.log(new / p)).max() < TOLERANCE:
            return float(2 * epsilon * (a @ np.log(new)))
        p = new
    raise NotConvergedError(f"Sinkhorn of a cloud with itself did not converge in {limit} iterations")


def _rounded_cost(plan: NDArray[np.float64], c: NDArray[np.float64], a: Vector, b: Vector) -> float:
    """Cost of the plan made feasible: scale rows and columns down, add the rest as a product (Altschuler 2017)."""
    plan = plan * np.minimum(a / plan.sum(1), 1)[:, None]
    plan *= np.minimum(b / plan.sum(0), 1)
    rest_a, rest_b = a - plan.sum(1), b - plan.sum(0)
    total = rest_a.sum()
    extra = float(rest_a @ c @ rest_b) / total if total > 0 else 0.0
    return float((plan * c).sum() + extra)
