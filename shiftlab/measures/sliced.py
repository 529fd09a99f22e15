"""Sliced Wasserstein distances: transport along shared random directions, where it is only sorting."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import Floats, clouds, positive_integer, weights
from shiftlab.measures.registry import declare
from shiftlab.measures.sorting import sort_rows
from shiftlab.measures.transport import merge_weights

# Up to here projections stay in float64; above, float32 agrees to about 8 digits and is twice as fast.
DOUBLE_PRECISION_VALUES = 4_000_000
CHUNK_VALUES = 8_000_000


@lru_cache(maxsize=16)
def directions(d: int, n_projections: int, seed: int) -> NDArray[np.float64]:
    """Unit directions (d, P), seeded, orthonormal in blocks of min(d, P); read-only, kept for the next call."""
    rng = np.random.default_rng(seed)
    blocks = []
    for start in range(0, n_projections, d):
        q, r = np.linalg.qr(rng.normal(size=(d, min(d, n_projections - start))))
        # Signs of the triangle's diagonal make the orthonormal basis uniformly distributed (Mezzadri 2007).
        blocks.append(q * np.sign(np.diag(r)))
    theta = np.concatenate(blocks, axis=1)
    theta.flags.writeable = False
    return theta


def sorted_projections(x: Floats, theta: NDArray[Any]) -> Floats:
    """Projections of x (n, d) on theta (d, P), as contiguous sorted rows (P, n)."""
    values = np.ascontiguousarray(theta.T) @ x.T
    sort_rows(values)
    return values


def line_costs(a: Floats, b: Floats, p: float) -> NDArray[np.float64]:
    """W_p^p of sorted rows a (P, n) and b (P, m), uniform weights, as (P,)."""
    n, m = a.shape[1], b.shape[1]
    if n == m:
        gap = a - b
        moved = None
    else:
        i, j, moved = uniform_merge(n, m)
        gap = a[:, i] - b[:, j]
    if p == 2:
        np.square(gap, out=gap)
    else:
        np.abs(gap, out=gap)
        if p != 1:
            gap **= p
    if moved is None:
        return gap.mean(axis=1, dtype=np.float64)
    return gap @ moved.astype(gap.dtype) if gap.dtype == np.float32 else gap @ moved


def uniform_merge(n: int, m: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """`merge_weights` for uniform weights, in whole numbers: no piece is lost or made by rounding."""
    edges = np.sort(np.concatenate([np.arange(1, n + 1) * m, np.arange(1, m + 1) * n]))
    length = np.diff(edges, prepend=0)
    edges, length = edges[length > 0], length[length > 0]  # an edge of both is one
    return (edges - 1) // m, (edges - 1) // n, length / (n * m)


def project(
    x: ArrayLike, y: ArrayLike, p: float, n_projections: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Checked clouds around the pool's mean and their directions, in the precision the size calls for."""
    if not (math.isfinite(p) and p >= 1):
        raise ValueError(f"p must be a finite number of at least 1, not {p!r}")
    n_projections = positive_integer(n_projections, "n_projections")
    a, b = clouds(x, y)
    n, m, d = len(a), len(b), a.shape[1]
    theta = np.ones((1, 1)) if d == 1 else directions(d, n_projections, seed)
    dtype = np.float64 if (n + m) * theta.shape[1] <= DOUBLE_PRECISION_VALUES else np.float32
    centre = (a.sum(0, dtype=np.float64) + b.sum(0, dtype=np.float64)) / (n + m)
    moved = np.empty(a.shape, dtype), np.empty(b.shape, dtype)
    for side, out in zip((a, b), moved, strict=True):
        np.subtract(side, centre, out=out, casting="same_kind")  # rounded after the difference, in one pass
    return moved[0], moved[1], theta.astype(dtype)


def direction_costs(
    a: Floats,
    b: Floats,
    theta: Floats,
    p: float,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """W_p^p along every direction, (P,), in blocks of directions that bound the memory."""
    total = theta.shape[1]
    step = max(1, CHUNK_VALUES // (len(a) + len(b)))
    costs = np.empty(total)
    weighted = weights_x is not None or weights_y is not None
    if weighted:
        u, v = weights(weights_x, len(a), "weights_x"), weights(weights_y, len(b), "weights_y")
    for start in range(0, total, step):
        part = theta[:, start : start + step]
        if weighted:
            costs[start : start + step] = [_weighted_cost(a @ t, b @ t, u, v, p) for t in part.T]
        else:
            sorted_a, sorted_b = sorted_projections(a, part), sorted_projections(b, part)
            costs[start : start + step] = line_costs(sorted_a, sorted_b, p)
    return costs


def _weighted_cost(a: Floats, b: Floats, u: NDArray[np.float64], v: NDArray[np.float64], p: float) -> float:
    i, j = np.argsort(a, kind="stable"), np.argsort(b, kind="stable")
    left, right, moved = merge_weights(u[i], v[j])
    return float(moved @ np.abs(a[i][left].astype(np.float64) - b[j][right]) ** p)


def _seconds(n: int, m: int, d: int) -> float:
    return (n + m) * 256 * (1e-8 + 3e-11 * d)


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="units of x",
    range="[0, inf)",
    zero_means="equal clouds (along the given directions)",
    debias_power=2,
    source="Bonneel et al. 2015, eq. 8",
    use_when="many rows or many pairs: the default",
    do_not_use_when="the shift hides in a few of very many dimensions: a move by t counts |t| / sqrt d",
    seconds=_seconds,
)
def sliced_wasserstein(
    x: ArrayLike,
    y: ArrayLike,
    p: float = 2,
    n_projections: int = 256,
    seed: int = 0,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """(mean over directions of the 1-D W_p^p)^(1/p) of clouds x (n, d), y (m, d), in units of x, [0, inf).

    Directions are uniform on the sphere, orthonormal in blocks, without rescaling by sqrt d: a translation by
    t counts |t| / sqrt d, and SW2 <= W2 / sqrt d on average. Zero means equal clouds along the
    ``n_projections`` directions. Do not use it for a shift hidden in a few of very many dimensions
    (max_sliced_wasserstein). ValueError for empty, non-finite or mismatched clouds, bad weights or p < 1.
    Source: Bonneel et al. (2015), eq. 8.
    """
    a, b, theta = project(x, y, p, n_projections, seed)
    return float(direction_costs(a, b, theta, p, weights_x, weights_y).mean()) ** (1 / p)


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="units of x",
    range="[0, inf)",
    zero_means="equal clouds (along every direction tried)",
    debias_power=2,
    source="Deshpande et al. 2019, eq. 8, by best of many directions and refinement",
    use_when="the direction that separates two clouds most is itself the answer",
    do_not_use_when="n is below about ten times the dimension: some direction always separates noise",
    seconds=lambda n, m, d: 2 * _seconds(n, m, d) + 20 * (n + m) * d * d * 3e-11,
)
def max_sliced_wasserstein(
    x: ArrayLike, y: ArrayLike, p: float = 2, n_projections: int = 256, seed: int = 0, refinements: int = 20
) -> float:
    """Largest 1-D W_p over directions found, of clouds x (n, d), y (m, d), in units of x.

    Starts from the best of ``n_projections`` random directions and the difference of means; each refinement
    takes the leading eigenvector of the displacements under the present matching and keeps it if it is
    better: a lower bound of the maximum. Zero means equal clouds along every direction tried. Do not use it
    with few rows in many dimensions without a null. ValueError as for `sliced_wasserstein`.
    Source: Deshpande et al. (2019), eq. 8.
    """
    a, b, theta = project(x, y, p, n_projections, seed)
    if a.shape[1] == 1:
        return float(direction_costs(a, b, theta, p)[0]) ** (1 / p)
    gap = a.mean(0) - b.mean(0)
    if np.linalg.norm(gap) > 0:
        theta = np.concatenate([theta, (gap / np.linalg.norm(gap))[:, None]], axis=1)
    costs = direction_costs(a, b, theta, p)
    best, value = theta[:, int(costs.argmax())], float(costs.max())
    uniform = np.full(len(a), 1 / len(a)), np.full(len(b), 1 / len(b))
    for _ in range(refinements):
        i, j = np.argsort(a @ best, kind="stable"), np.argsort(b @ best, kind="stable")
        left, right, moved = merge_weights(*uniform)
        move = (a[i][left] - b[j][right]) * np.sqrt(moved)[:, None]
        trial = np.linalg.eigh(move.T @ move)[1][:, -1:].astype(a.dtype)
        cost = float(direction_costs(a, b, trial, p)[0])
        if cost <= value * (1 + 1e-9):
            break
        best, value = trial[:, 0], cost
    return value ** (1 / p)
