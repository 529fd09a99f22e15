"""Kernel measures: maximum mean discrepancy (RBF kernel) and the kernel inception distance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures import pair_means
from shiftlab.measures.distances import median_gamma
from shiftlab.measures.inputs import Floats, UndefinedMeasureError, clouds, refuse_overflow, weights
from shiftlab.measures.registry import declare


def pooled(
    x: Floats, y: Floats, weights_x: ArrayLike | None = None, weights_y: ArrayLike | None = None
) -> tuple[Floats, NDArray[np.float64], NDArray[np.bool_]]:
    """The two clouds as one pool (N, d) around its mean, its row weights (N,) and the mask (N,) of x.

    Weights keep a mean of one on each side, so that uniform rows stay exchangeable between sides.
    """
    n, m = len(x), len(y)
    pool = np.concatenate([x, y]).astype(np.float64)
    pool -= pool.mean(0)
    weight = np.concatenate([weights(weights_x, n, "weights_x") * n, weights(weights_y, m, "weights_y") * m])
    return pool, weight, np.arange(n + m) < n


def pair_gamma(x: Floats, y: Floats, gamma: float | None) -> float:
    """``gamma``, or the median rule over the pool when None."""
    if gamma is None:
        return median_gamma(np.concatenate([x, y]))
    if not (math.isfinite(gamma) and gamma > 0):
        raise ValueError(f"gamma must be a positive number, not {gamma!r}")
    return float(gamma)


def _bandwidth(x: Floats, y: Floats, gamma: float | None = None, **others: Any) -> dict[str, Any]:
    return others | {"gamma": pair_gamma(x, y, gamma)}


def _seconds(n: int, m: int, d: int) -> float:
    return (n + m) ** 2 * (2e-11 * d + 4e-9)


@declare(
    kind="cloud",
    what="inputs",
    how="divergence",
    unit="1 (RBF kernel)",
    range="[0, sqrt 2]",
    zero_means="equal clouds",
    debias_power=2,
    source="Gretton et al. 2012, eq. 5, root of the V-statistic",
    use_when="changes of scale or tails matter as much as changes of mean",
    do_not_use_when="values with different bandwidths would be compared: fix gamma per space",
    seconds=_seconds,
    resolve=_bandwidth,
)
def mmd(
    x: ArrayLike,
    y: ArrayLike,
    gamma: float | None = None,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """Maximum mean discrepancy of clouds x (n, d) and y (m, d): root of the V-statistic, [0, sqrt 2].

    Kernel exp(-gamma |x - y|^2); ``gamma`` defaults to 1 / median |x - y|^2 over 2,000 seeded rows of the
    pool. Zero means equal clouds. The V-statistic of two samples of one distribution is about sqrt(1/n + 1/m)
    times the kernel's spread, never zero: read it beside its null. Do not compare values of different gamma.
    ValueError for empty, non-finite or mismatched clouds; UndefinedMeasureError if all rows are equal and no
    gamma is given. Source: Gretton et al. (2012), eq. 5.
    """
    value = mmd_sq(x, y, gamma=gamma, estimator="v", weights_x=weights_x, weights_y=weights_y)
    return math.sqrt(max(value, 0.0))


@declare(
    kind="cloud",
    what="inputs",
    how="divergence",
    unit="1 (RBF kernel, squared)",
    range="[0, 2]; the U form may be slightly negative",
    zero_means="equal clouds (v); no evidence of a difference (u)",
    debias_power=1,
    source="Gretton et al. 2012, eq. 3 (u) and 5 (v)",
    use_when="an unbiased estimate is wanted: the U form needs no debiasing",
    do_not_use_when="a distance is wanted: use mmd",
    squared=True,
    seconds=_seconds,
    resolve=_bandwidth,
)
def mmd_sq(
    x: ArrayLike,
    y: ArrayLike,
    gamma: float | None = None,
    estimator: str = "u",
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """Squared MMD of clouds x (n, d), y (m, d): ``estimator="u"`` unbiased (never clipped), ``"v"`` biased.

    Zero means equal clouds (v) or no evidence of a difference (u). UndefinedMeasureError for the U form with
    a single row on a side. Errors and kernel as for `mmd`. Source: Gretton et al. (2012), eq. 3 and 5.
    """
    if estimator not in ("u", "v"):
        raise ValueError(f'estimator must be "u" or "v", not {estimator!r}')
    a, b = clouds(x, y)
    pool, weight, left = pooled(a, b, weights_x, weights_y)
    means = pair_means.observed(pool, weight, left, pair_means.rbf(pair_gamma(a, b, gamma)))
    if estimator == "v":
        return max(float(means.v_statistic()[0]), 0.0)
    refuse_single_rows(means)
    return float(means.u_statistic()[0])


def refuse_single_rows(means: pair_means.PairMeans) -> None:
    """UndefinedMeasureError where a U-statistic would divide by zero."""
    if max(means.w2_x.max(), means.w2_y.max()) > 1 - 1e-12:
        raise UndefinedMeasureError("the unbiased estimator needs at least two rows with weight on each side")


@declare(
    kind="cloud",
    what="inputs",
    how="divergence",
    unit="1 (cubic kernel, squared)",
    range="(-inf, inf)",
    zero_means="no evidence of a difference",
    debias_power=1,
    source="Binkowski et al. 2018: cubic polynomial kernel, U-statistic",
    use_when="a number comparable with published KID values is wanted",
    do_not_use_when="features are not on the scale of the Inception pool layer: use mmd",
    squared=True,
    seconds=_seconds,
)
def kid(x: ArrayLike, y: ArrayLike) -> float:
    """Kernel inception distance: U-statistic of MMD^2 with kernel (x.y / d + 1)^3; clouds (n, d), (m, d).

    Zero means no evidence of a difference; unbiased, so it may be negative, and it has no upper limit. Unlike
    the published habit of averaging random subsets, all rows enter once. ValueError as for `mmd`;
    UndefinedMeasureError with one row on a side. Do not use it on features of another scale.
    Source: Binkowski et al. (2018), section 4.
    """
    a, b = clouds(x, y)
    refuse_overflow(a, b, 6)
    pool, weight, left = kid_pool(a, b)
    means = pair_means.observed(pool, weight, left, kid_kernel(a.shape[1]))
    refuse_single_rows(means)
    return float(means.u_statistic()[0])


def kid_pool(x: Floats, y: Floats) -> tuple[Floats, NDArray[np.float64], NDArray[np.bool_]]:
    """As `pooled`, but not moved to the mean: a polynomial kernel is not translation invariant."""
    pool = np.concatenate([x, y]).astype(np.float64)
    return pool, np.ones(len(pool)), np.arange(len(pool)) < len(x)


def kid_kernel(d: int) -> pair_means.Kernel:
    """The cubic kernel of the kernel inception distance."""
    return pair_means.cubic(1 / d, 1.0)
