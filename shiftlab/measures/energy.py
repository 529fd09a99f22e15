"""Energy distance: expected distances between two clouds beyond those inside them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures import pair_means
from shiftlab.measures.inputs import clouds
from shiftlab.measures.kernel import pooled, refuse_single_rows
from shiftlab.measures.registry import declare


def _seconds(n: int, m: int, d: int) -> float:
    return (n + m) * 1e-6 if d == 1 else (n + m) ** 2 * (2e-11 * d + 4e-9)


@declare(
    kind="cloud",
    what="inputs",
    how="divergence",
    unit="sqrt of units of x",
    range="[0, inf)",
    zero_means="equal clouds",
    debias_power=2,
    source="Szekely and Rizzo 2013, eq. 2.1, rooted (as scipy in one dimension)",
    use_when="a shift of the mean is expected and no bandwidth should be chosen",
    do_not_use_when="columns have different units: standardise first",
    seconds=_seconds,
)
def energy_distance(
    x: ArrayLike, y: ArrayLike, weights_x: ArrayLike | None = None, weights_y: ArrayLike | None = None
) -> float:
    """sqrt(2 E|x - y| - E|x - x'| - E|y - y'|) of clouds (n, d), (m, d), [0, inf), in root units of x.

    Zero means equal clouds; two samples of one distribution give more than zero (V-statistic). Do not use it
    with columns of different units. ValueError for empty, non-finite or mismatched clouds.
    Source: Szekely and Rizzo (2013), eq. 2.1.
    """
    return math.sqrt(max(energy_distance_sq(x, y, "v", weights_x, weights_y), 0.0))


@declare(
    kind="cloud",
    what="inputs",
    how="divergence",
    unit="units of x",
    range="[0, inf); the U form may be slightly negative",
    zero_means="equal clouds (v); no evidence of a difference (u)",
    debias_power=1,
    source="Szekely and Rizzo 2013, eq. 2.1",
    use_when="an unbiased estimate is wanted: the U form needs no debiasing",
    do_not_use_when="a distance is wanted: use energy_distance",
    squared=True,
    seconds=_seconds,
)
def energy_distance_sq(
    x: ArrayLike,
    y: ArrayLike,
    estimator: str = "u",
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| of clouds (n, d), (m, d), in units of x.

    ``estimator="u"`` leaves out the distance of an item to itself (unbiased, may be negative, never clipped);
    ``"v"`` is the plug-in. Errors as for `energy_distance`; UndefinedMeasureError for the U form with one
    row on a side. Source: Szekely and Rizzo (2013), eq. 2.1.
    """
    if estimator not in ("u", "v"):
        raise ValueError(f'estimator must be "u" or "v", not {estimator!r}')
    a, b = clouds(x, y)
    pool, weight, left = pooled(a, b, weights_x, weights_y)
    if a.shape[1] == 1 and estimator == "v":
        return _on_a_line(pool[:, 0].astype(np.float64), np.where(left, weight / len(a), -weight / len(b)))
    means = pair_means.observed(pool, weight, left, pair_means.distance())
    if estimator == "v":
        return max(float(-means.v_statistic()[0]), 0.0)
    refuse_single_rows(means)
    return float(-means.u_statistic()[0])


def _on_a_line(values: NDArray[np.float64], signed: NDArray[np.float64]) -> float:
    """In one dimension 2 * integral (F - G)^2, by one sort (Szekely and Rizzo, eq. 3.1)."""
    order = np.argsort(values, kind="stable")
    gap = np.cumsum(signed[order])[:-1]
    return float(2 * np.square(gap) @ np.diff(values[order]))
