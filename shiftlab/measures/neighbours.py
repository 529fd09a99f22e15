"""Measures by nearest neighbours: divergence, residuals, and what of one cloud the other covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.distances import squared_distances
from shiftlab.measures.inputs import Floats, UndefinedMeasureError, clouds, positive_integer
from shiftlab.measures.registry import declare

TREE_DIMENSIONS = 12  # above, trees visit almost every row and a matrix product is faster
BLOCK_VALUES = 8_000_000


def _seconds(n: int, m: int, d: int) -> float:
    return 1e-10 * (n * m + n * n) * (d / 8 + 10)


def neighbour_distances(x: Floats, y: Floats, k: int) -> NDArray[np.float64]:
    """Distances (n, k) from rows of x (n, d) to their k nearest rows of y (m, d), ascending; k <= m."""
    if x.shape[1] <= TREE_DIMENSIONS:
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(y).query(x, k=k)[0], dtype=np.float64).reshape(len(x), k)
    found = np.empty((len(x), k))
    a, b = x.astype(np.float64), y.astype(np.float64)
    step = max(1, BLOCK_VALUES // len(b))
    for start in range(0, len(a), step):
        table = squared_distances(a[start : start + step], b)
        # Distances of the chosen few are computed again as differences: products lose digits near zero.
        near = np.argpartition(table, k - 1, axis=1)[:, :k]
        gap = a[start : start + step, None, :] - b[near]
        found[start : start + step] = np.sqrt(np.einsum("ijk,ijk->ij", gap, gap))
    found.sort(axis=1)
    return found


@declare(
    kind="cloud",
    what="inputs",
    how="neighbour",
    unit="nats",
    range="(-inf, inf)",
    zero_means="no evidence of a difference (the estimate may be negative)",
    symmetric=False,
    source="Wang, Kulkarni and Verdu 2009, eq. 5",
    use_when="a Kullback-Leibler divergence of continuous data in few dimensions is needed",
    do_not_use_when="there are more than about 20 dimensions or duplicate rows: it is then badly biased",
    seconds=_seconds,
)
def knn_kl(x: ArrayLike, y: ArrayLike, k: int = 5) -> float:
    """Nearest-neighbour estimate of KL(P, Q) from samples x (n, d) of P and y (m, d) of Q, in nats.

    d / n * sum ln(nu_i / rho_i) + ln(m / (n - 1)), with nu_i and rho_i the distances to the k-th neighbour in y
    and in x without itself. Zero means no evidence of a difference; estimates may be negative. Do not use it
    above 20 dimensions. ValueError for bad clouds or k >= n or k > m; UndefinedMeasureError where duplicates put
    a neighbour at distance zero. Source: Wang, Kulkarni and Verdu (2009), eq. 5.
    """
    a, b = clouds(x, y)
    k = positive_integer(k, "k")
    if k >= len(a) or k > len(b):
        raise ValueError(
            f"k must be below the rows of x and at most those of y: {k} of {len(a)} and {len(b)}"
        )
    rho = neighbour_distances(a, a, k + 1)[:, k]
    nu = neighbour_distances(a, b, k)[:, k - 1]
    if rho.min() <= 0 or nu.min() <= 0:
        raise UndefinedMeasureError(f"the {k}-th neighbour of some rows is a duplicate: distance zero")
    return float(a.shape[1] * np.mean(np.log(nu / rho)) + math.log(len(b) / (len(a) - 1)))


@dataclass(frozen=True)
class NearestResidual:
    """Per row of x: the index (n,) of its nearest reference, the distance (n,), the raw residual (n, d).

    ``value`` is the mean distance.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    residual: NDArray[np.float64]

    @property
    def value(self) -> float:
        """Mean distance to the nearest reference."""
        return float(self.distance.mean())


@declare(
    kind="cloud",
    what="inputs",
    how="neighbour",
    unit="units of x (euclidean) or 1 - cosine",
    range="[0, inf)",
    zero_means="every row of x is a reference",
    symmetric=False,
    source="ResAD (Yao et al. 2024): match by a metric, subtract raw vectors",
    use_when="each item's nearest reference, or how far outliers are, is the question",
    do_not_use_when="x and the reference share items and self-matches should not count",
    seconds=_seconds,
)
def nearest_residual(x: ArrayLike, y: ArrayLike, metric: str = "euclidean") -> NearestResidual:
    """Match each row of x (n, d) to its nearest row of the reference y (m, d), by "euclidean" or "cosine".

    The residual is always x - y[index], of raw vectors. Ties go to the lowest index, and a row equal to a
    reference matches it. Zero means that every row is a reference. ValueError for bad clouds or metric;
    UndefinedMeasureError for a zero row with "cosine". Source: ResAD (Yao et al. 2024).
    """
    a, b = (side.astype(np.float64) for side in clouds(x, y))
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f'metric must be "euclidean" or "cosine", not {metric!r}')
    u, v = a, b
    if metric == "cosine":
        norms = [np.linalg.norm(side, axis=1, keepdims=True) for side in (a, b)]
        if min(norm.min() for norm in norms) == 0:
            raise UndefinedMeasureError("the cosine of a row of zeros does not exist")
        u, v = a / norms[0], b / norms[1]
    index = np.empty(len(a), dtype=np.int64)
    step = max(1, BLOCK_VALUES // len(b))
    for start in range(0, len(a), step):
        index[start : start + step] = _first_nearest(u[start : start + step], v)
    gap = np.square(u - v[index]).sum(1)
    distance = np.sqrt(gap) if metric == "euclidean" else gap / 2
    return NearestResidual(index, distance, a - b[index])


def _first_nearest(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lowest index among the nearest rows; products decide up to rounding, differences between the last few."""
    table = squared_distances(u, v)
    slack = 1e-12 * (np.square(u - u.mean(0)).sum(1).max() + np.square(v - u.mean(0)).sum(1).max())
    index = table.argmin(axis=1)
    close = table <= table[np.arange(len(u)), index][:, None] + slack
    for row in np.flatnonzero(close.sum(axis=1) > 1):
        candidates = np.flatnonzero(close[row])
        exact = np.square(u[row] - v[candidates]).sum(1)
        index[row] = candidates[int(exact.argmin())]
    return index.astype(np.int64)


@dataclass(frozen=True)
class Coverage:
    """How two clouds cover one another: all four in [0, 1] but ``density``, which is [0, inf).

    ``value`` is the coverage.
    """

    precision: float
    recall: float
    density: float
    coverage: float

    @property
    def value(self) -> float:
        """Share of the reference x whose ball holds some y."""
        return self.coverage


@declare(
    kind="cloud",
    what="inputs",
    how="neighbour",
    unit="share",
    range="[0, 1] (density [0, inf))",
    zero_means="no row of x has a row of y near it",
    symmetric=False,
    source="Kynkaanniemi et al. 2019 (precision, recall); Naeem et al. 2020, eq. 4 and 5 (density, coverage)",
    use_when="it should be told apart what of x is missing in y and what of y is outside x",
    do_not_use_when="sides differ in size or n is small: the radii depend on n",
    seconds=lambda n, m, d: 2 * _seconds(n, m, d),
)
def precision_recall_coverage(x: ArrayLike, y: ArrayLike, k: int = 5) -> Coverage:
    """Precision, recall, density and coverage of y (m, d) against the reference x (n, d), by k-th neighbour balls.

    Precision: share of y inside a ball around some x; recall: share of x inside a ball around some y; density:
    mean number of x balls around a y, over k; coverage: share of x whose ball holds some y. One in all four
    means equal clouds. Do not use it across different n. ValueError for bad clouds or k not below both sizes.
    Sources: Kynkaanniemi et al. (2019); Naeem et al. (2020).
    """
    a, b = (side.astype(np.float64) for side in clouds(x, y))
    k = positive_integer(k, "k")
    if k >= min(len(a), len(b)):
        raise ValueError(f"k must be below both numbers of rows: {k} of {len(a)} and {len(b)}")
    radius_a = np.square(neighbour_distances(a, a, k + 1)[:, k])
    radius_b = np.square(neighbour_distances(b, b, k + 1)[:, k])
    inside_a = np.zeros(len(b), dtype=np.int64)
    covered, recalled = [], []
    step = max(1, BLOCK_VALUES // len(b))
    for start in range(0, len(a), step):
        table = squared_distances(a[start : start + step], b)
        slack = 1e-12 * (np.square(a - a.mean(0)).sum(1).max() + np.square(b - a.mean(0)).sum(1).max())
        within = table <= radius_a[start : start + step, None] + slack
        inside_a += within.sum(axis=0)
        covered.append(within.any(axis=1))
        recalled.append((table <= radius_b + slack).any(axis=1))
    return Coverage(
        precision=float((inside_a > 0).mean()),
        recall=float(np.concatenate(recalled).mean()),
        density=float(inside_a.mean() / k),
        coverage=float(np.concatenate(covered).mean()),
    )
