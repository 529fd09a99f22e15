"""A map of subsets: classical multidimensional scaling of a distance matrix, with what the picture distorts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Layout:
    """Coordinates (S, k), and how far to trust them.

    ``explained`` is the share of the positive eigenvalues that the k axes hold; ``stress`` is Kruskal's stress-1,
    sqrt(sum (drawn - d)^2 / sum d^2): 0 for a perfect picture, above .2 for a poor one. ``point_stress`` (S,) is
    the same per subset. ``negative`` is the share of eigenvalue mass that no Euclidean picture can show.
    """

    positions: NDArray[np.float64]
    stress: float
    point_stress: NDArray[np.float64]
    explained: float
    negative: float


def classical_scaling(distance: ArrayLike, dimensions: int = 2) -> Layout:
    """Place S subsets so that straight distances resemble ``distance`` (S, S), by classical scaling.

    Axes are the leading eigenvectors of the doubly centred squared distances, each with the sign that makes its
    largest coordinate positive, so that pictures do not flip between runs. ValueError for a matrix that is not
    square, symmetric, finite and zero on its diagonal. Source: Torgerson (1952); Kruskal (1964).
    """
    d = np.asarray(distance, dtype=np.float64)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or len(d) == 0:
        raise ValueError(f"distance must have shape (S, S), not {d.shape}")
    if not np.isfinite(d).all() or (d < 0).any():
        raise ValueError("distance must be finite and not negative; leave subsets without a value out")
    if not np.allclose(d, d.T, rtol=1e-6, atol=1e-9) or np.abs(np.diag(d)).max() > 1e-9:
        raise ValueError("distance must be symmetric with a zero diagonal")
    if dimensions < 1:
        raise ValueError(f"dimensions must be at least 1, not {dimensions}")
    square = np.square(d)
    mean = square.mean(axis=0)
    gram = -(square - mean - mean[:, None] + mean.mean()) / 2
    values, axes = np.linalg.eigh((gram + gram.T) / 2)
    values, axes = values[::-1], axes[:, ::-1]
    kept = np.zeros((len(d), dimensions))
    count = min(dimensions, len(d))
    kept[:, :count] = axes[:, :count] * np.sqrt(np.maximum(values[:count], 0))
    flip = np.take_along_axis(kept, np.abs(kept).argmax(axis=0)[None], axis=0)[0] < 0
    kept[:, flip] *= -1
    return _judged(kept, d, values, count)


def _judged(
    positions: NDArray[np.float64], d: NDArray[np.float64], values: NDArray[np.float64], count: int
) -> Layout:
    from scipy.spatial.distance import pdist, squareform

    drawn = squareform(pdist(positions))
    off, size = np.square(drawn - d), np.square(d)
    rows = size.sum(axis=1)
    positive, negative = values[values > 0].sum(), -values[values < 0].sum()
    return Layout(
        positions=positions,
        stress=float(np.sqrt(off.sum() / size.sum())) if size.sum() > 0 else 0.0,
        point_stress=np.sqrt(np.divide(off.sum(axis=1), rows, out=np.zeros(len(d)), where=rows > 0)),
        explained=float(np.maximum(values[:count], 0).sum() / positive) if positive > 0 else 1.0,
        negative=float(negative / (positive + negative)) if positive + negative > 0 else 0.0,
    )
