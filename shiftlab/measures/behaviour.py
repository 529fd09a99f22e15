"""What a model says about the same items twice: flips, agreement over views, and the boundary between two concepts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, cloud
from shiftlab.measures.registry import declare


@dataclass(frozen=True)
class Flips:
    """Over n items: ``rate`` share that changed, ``lost`` share that left label 1, ``gained`` share that came to it."""

    n: int
    rate: float
    lost: float
    gained: float

    @property
    def value(self) -> float:
        """Share of items whose label changed."""
        return self.rate


@declare(
    kind="outcomes",
    what="behaviour",
    how="association",
    unit="share of items",
    range="[0, 1]",
    zero_means="no label changed",
    source="churn: Milani Fard et al. 2016; lost and gained: Dies et al. 2025",
    use_when="predictions of two models, stages or views for the same items are at hand",
    do_not_use_when="accuracy is the question: a flip may be a mend",
)
def flip_rate(y0: ArrayLike, y1: ArrayLike, mask: ArrayLike | None = None) -> Flips:
    """Share of items whose label differs between y0 (n,) and y1 (n,), of any type; ``mask`` (n,) says which count.

    ``lost`` and ``gained`` are about label 1. Zero means that no label changed. ValueError for unequal lengths;
    UndefinedMeasureError where the mask leaves none. Source: churn (Milani Fard et al. 2016).
    """
    a, b = _labels(y0, "y0"), _labels(y1, "y1")
    if a.shape != b.shape:
        raise ValueError(f"y0 and y1 must be equally long: {len(a)} and {len(b)}")
    if mask is not None:
        chosen = np.asarray(mask, dtype=bool)
        if chosen.shape != a.shape:
            raise ValueError(f"mask must have one entry per label: {chosen.shape} for {len(a)}")
        a, b = a[chosen], b[chosen]
    if not len(a):
        raise UndefinedMeasureError("no item is left to compare")
    was, is_ = a == 1, b == 1
    rates = [float(np.mean(one)) for one in (a != b, was & ~is_, ~was & is_)]
    return Flips(len(a), *rates)


@declare(
    kind="outcomes",
    what="behaviour",
    how="association",
    unit="share of pairs of views",
    range="[0, 1]",
    zero_means="no two views of any item agree",
    source="consistency under shifts: Zhang 2019; over pairs of views without replacement",
    use_when="the same items are predicted under several shifts, crops or prompts",
    do_not_use_when="a model that always says the same would look good: read accuracy beside it",
)
def prediction_consistency(predictions: ArrayLike) -> float:
    """Mean over items of the share of pairs among m views that agree; predictions (n, m) of any type, m >= 2.

    1 means that views always agree; with two views it is 1 - `flip_rate`. ValueError for other shapes.
    Source: Zhang (2019), over all pairs.
    """
    table = np.asarray(predictions)
    if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] < 2:
        raise ValueError(f"predictions must have shape (n, m) with at least two views, not {table.shape}")
    _refuse_nan(table, "predictions")
    codes = np.unique(table, return_inverse=True)[1].reshape(table.shape)
    ordered = np.sort(codes, axis=1)
    m = table.shape[1]
    # Pairs that agree: for each view, how many before it in the sorted row are equal.
    run = np.zeros(len(codes), dtype=np.int64)
    agree = np.zeros(len(codes), dtype=np.int64)
    for view in range(1, m):
        run = np.where(ordered[:, view] == ordered[:, view - 1], run + 1, 0)
        agree += run
    return float(agree.mean() / (m * (m - 1) / 2))


@dataclass(frozen=True)
class BoundaryShift:
    """How the mean-difference probe moved: ``cosine`` and ``angle_deg`` of its directions, change of its signed
    distance from the origin, and the flips of its predictions over the rows."""

    cosine: float
    angle_deg: float
    offset_change: float
    rate: float
    lost: float
    gained: float

    @property
    def value(self) -> float:
        """Angle between the boundaries, in degrees."""
        return self.angle_deg


@declare(
    kind="labelled",
    what="behaviour",
    how="probe",
    unit="degrees; units of x; shares",
    range="[0, 180]; shares [0, 1]",
    zero_means="the same boundary",
    source="Dies et al. 2025 (representational stability), with the mean-difference probe in closed form",
    use_when="one concept has two labellings of the same items: strict and loose, before and after",
    do_not_use_when="a class is empty, or a linear rule does not separate the concept",
)
def boundary_shift(x: ArrayLike, y0: ArrayLike, y1: ArrayLike) -> BoundaryShift:
    """Movement of the linear boundary of x (n, d) when labels y0 (n,) become y1 (n,), both 0 or 1.

    The probe points from the mean of class 0 to that of class 1 and cuts half-way; its offset is the signed
    distance from the origin, which scaling the probe does not change. Zero means the same boundary. ValueError
    for bad input or a labelling without both classes; UndefinedMeasureError where class means coincide.
    Source: after Dies et al. (2025).
    """
    rows = cloud(x, "x").astype(np.float64)
    probes = [_probe(rows, y, name) for y, name in ((y0, "y0"), (y1, "y1"))]
    (u, s), (v, t) = probes
    cosine = float(np.clip(u @ v, -1, 1))
    flips = flip_rate((rows @ u > s).astype(int), (rows @ v > t).astype(int))
    return BoundaryShift(
        cosine, float(np.degrees(np.arccos(cosine))), t - s, flips.rate, flips.lost, flips.gained
    )


def _probe(rows: NDArray[np.float64], labels: ArrayLike, name: str) -> tuple[NDArray[np.float64], float]:
    y = _labels(labels, name)
    if len(y) != len(rows):
        raise ValueError(f"{name} must have one label per row of x: {len(y)} for {len(rows)}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name} must hold 0 and 1 only")
    if len(np.unique(y)) < 2:
        raise ValueError(f"{name} must hold both classes")
    high, low = rows[y == 1].mean(0), rows[y == 0].mean(0)
    w = high - low
    length = float(np.linalg.norm(w))
    if length <= 1e-12 * float(np.abs(rows).max() or 1.0):
        raise UndefinedMeasureError(f"the classes of {name} have the same mean: there is no boundary")
    return w / length, float(w @ (high + low) / 2 / length)


def _labels(values: ArrayLike, name: str) -> NDArray[np.generic]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be labels of shape (n,), not {array.shape}")
    _refuse_nan(array, name)
    return array


def _refuse_nan(array: NDArray[np.generic], name: str) -> None:
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} must not hold NaN: leave such items out")
