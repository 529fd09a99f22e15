"""Transport between labelled data sets: items move, and labels are compared by what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.gaussian import gaussian_wasserstein_moments
from shiftlab.measures.inputs import Floats, UndefinedMeasureError, clouds
from shiftlab.measures.registry import declare
from shiftlab.measures.transport import ground_cost, refuse_large, seconds_exact, solve


@declare(
    kind="labelled",
    what="concept",
    how="ot",
    unit="units of x",
    range="[0, inf)",
    zero_means="equal clouds with equal labelled parts",
    source="Alvarez-Melis and Fusi 2020, eq. 6, with Gaussian labels (population covariance)",
    use_when="two labelled data sets are compared whose label names need not agree",
    do_not_use_when="labels have fewer rows than a covariance needs, or the label names do agree and matter",
    debias_power=2,
    seconds=seconds_exact,
)
def label_aware_wasserstein(
    x: ArrayLike,
    y: ArrayLike,
    labels_x: ArrayLike | None = None,
    labels_y: ArrayLike | None = None,
) -> float:
    """sqrt(min <P, |x - y|^2 + W2^2(label of x, label of y)>) of labelled clouds (n, d), (m, d); [0, inf).

    A label is the Gaussian with the mean and population covariance of its rows, so that label names may differ
    between sides. Zero means equal clouds with equal labelled parts; never less than `wasserstein`. Do not use it
    with only a few rows per label. ValueError as for `wasserstein`, or for labels that do not fit the rows.
    Source: Alvarez-Melis and Fusi (2020), eq. 6.
    """
    a, b = clouds(x, y)
    refuse_large(len(a), len(b), 2)
    if labels_x is None or labels_y is None:
        raise ValueError("labels_x and labels_y must be given: one label per row")
    of_a, moments_a = _label_moments(a, labels_x, "labels_x")
    of_b, moments_b = _label_moments(b, labels_y, "labels_y")
    between = np.array([[_gap(p, q) for q in moments_b] for p in moments_a])
    cost = ground_cost(a, b, 2) + between[np.ix_(of_a, of_b)]
    return float(np.sqrt(max(solve(cost, None).total, 0.0)))


def _label_moments(
    rows: Floats, labels: ArrayLike, name: str
) -> tuple[NDArray[np.intp], list[tuple[Any, Any]]]:
    array = np.asarray(labels)
    if array.shape != (len(rows),):
        raise ValueError(f"{name} must have one label per row: shape {array.shape} for {len(rows)} rows")
    known, code = np.unique(array, return_inverse=True)
    if len(known) > 1000:
        raise UndefinedMeasureError(f"{name} has {len(known)} labels; labels must be categories")
    parts = (rows[code == k].astype(np.float64) for k in range(len(known)))
    return code, [(part.mean(0), np.atleast_2d(np.cov(part.T, ddof=0))) for part in parts]


def _gap(p: tuple[Any, Any], q: tuple[Any, Any]) -> float:
    return gaussian_wasserstein_moments(p[0], p[1], q[0], q[1]).value ** 2
