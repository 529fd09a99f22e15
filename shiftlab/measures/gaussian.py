"""Wasserstein distance of Gaussians with the same moments (Frechet distance), for any rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import Floats, UndefinedMeasureError, cloud, clouds, weights
from shiftlab.measures.registry import declare


@dataclass(frozen=True)
class GaussianShift:
    """The distance and the parts of its square: ``mean`` + ``scale`` + ``correlation`` = value^2, none negative.

    ``mean`` is |m - m'|^2, ``scale`` the squared differences of the columns' standard deviations, and
    ``correlation`` what is left: how differently the columns hang together.
    """

    value: float
    mean: float
    scale: float
    correlation: float


def _seconds(n: int, m: int, d: int) -> float:
    a, b = min(n, d), min(m, d)
    return 6e-11 * ((n + m) * d * min(d, max(n, m)) + 10 * a * b * min(a, b)) + 1e-4


def gaussian_wasserstein_parts(
    x: ArrayLike,
    y: ArrayLike,
    ddof: int = 1,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> GaussianShift:
    """`gaussian_wasserstein` with the parts of its square: mean, scale and correlation."""
    a, b = clouds(x, y)
    (mean_a, root_a), (mean_b, root_b) = (
        _root(rows, ddof, w, name)
        for rows, w, name in ((a, weights_x, "weights_x"), (b, weights_y, "weights_y"))
    )
    return _combined(mean_a, root_a, mean_b, root_b)


@declare(
    kind="cloud",
    what="inputs",
    how="ot",
    unit="units of x",
    range="[0, inf)",
    zero_means="equal means and covariances",
    source="Dowson and Landau 1982; Frechet inception distance (its square): Heusel et al. 2017",
    use_when="mean, scale and correlation should be told apart, or a number comparable with FID is wanted",
    do_not_use_when="n is not well above the dimension: two samples of one distribution are then far apart",
    debias_power=2,
    seconds=_seconds,
    parts=gaussian_wasserstein_parts,
)
def gaussian_wasserstein(
    x: ArrayLike,
    y: ArrayLike,
    ddof: int = 1,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> float:
    """sqrt(|m - m'|^2 + tr(S + S' - 2 (S^.5 S' S^.5)^.5)) of clouds x (n, d), y (m, d), in units of x, [0, inf).

    The square is the Frechet distance behind FID. The trace of the root is a nuclear norm of a product of
    factors, so singular covariances (n < d) are no exception. ``ddof=1`` is the Frechet convention, 0 makes the value
    a lower bound of the exact W2 (Gelbrich 1990). Zero means equal means and covariances. Do not use it with n not
    well above d without debiasing. ValueError for bad clouds; UndefinedMeasureError for too few rows.
    Source: Dowson and Landau (1982).
    """
    return gaussian_wasserstein_parts(x, y, ddof, weights_x, weights_y).value


def gaussian_wasserstein_moments(
    mean_x: ArrayLike, covariance_x: ArrayLike, mean_y: ArrayLike, covariance_y: ArrayLike
) -> GaussianShift:
    """The same from moments: means (d,) and symmetric positive semi-definite covariances (d, d).

    ValueError for shapes that do not match and covariances that are none.
    """
    found = []
    for side, mean, covariance in (("x", mean_x, covariance_x), ("y", mean_y, covariance_y)):
        centre = cloud(mean, f"mean_{side}")[:, 0].astype(np.float64)
        matrix = cloud(covariance, f"covariance_{side}").astype(np.float64)
        if matrix.shape != (len(centre), len(centre)):
            raise ValueError(
                f"covariance_{side} must have shape ({len(centre)}, {len(centre)}), not {matrix.shape}"
            )
        values, basis = np.linalg.eigh((matrix + matrix.T) / 2)
        if values[0] < -1e-8 * max(values[-1], 1e-300) or not np.allclose(matrix, matrix.T):
            raise ValueError(f"covariance_{side} must be symmetric and positive semi-definite")
        found.append((centre, (basis * np.sqrt(np.maximum(values, 0))).T))
    (mean_a, root_a), (mean_b, root_b) = found
    if len(mean_a) != len(mean_b):
        raise ValueError(f"mean_x and mean_y must have the same length: {len(mean_a)} and {len(mean_b)}")
    return _combined(mean_a, root_a, mean_b, root_b)


def _root(
    rows: Floats, ddof: int, row_weights: ArrayLike | None, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d,) and a factor R (r, d), r <= d, with R'R the covariance."""
    w = weights(row_weights, len(rows), name)
    free = 1 - ddof * np.square(w).sum()
    if free <= 1e-12:
        raise UndefinedMeasureError(f"a covariance with ddof={ddof} needs more than {len(rows)} row(s)")
    x = rows.astype(np.float64)
    mean = w @ x
    factor = (x - mean) * np.sqrt(w / free)[:, None]
    if len(factor) > factor.shape[1]:
        factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return mean, factor


def _combined(
    mean_a: NDArray[np.float64],
    root_a: NDArray[np.float64],
    mean_b: NDArray[np.float64],
    root_b: NDArray[np.float64],
) -> GaussianShift:
    """tr((A^.5 B A^.5)^.5) is the nuclear norm of R_a R_b' for any factors A = R_a' R_a, B = R_b' R_b."""
    from scipy.linalg import svdvals

    mean = float(np.square(mean_a - mean_b).sum())
    spread_a, spread_b = (np.sqrt(np.square(r).sum(0)) for r in (root_a, root_b))
    scale = float(np.square(spread_a - spread_b).sum())
    size = float(np.square(root_a).sum() + np.square(root_b).sum())
    product = root_a @ root_b.T
    bures = size - 2 * float(svdvals(product, check_finite=False).sum())
    if bures < 1e-13 * size:
        bures = 0.0
    total = max(bures, scale if bures else 0.0)
    return GaussianShift(math.sqrt(mean + total), mean, min(scale, total), max(total - scale, 0.0))
