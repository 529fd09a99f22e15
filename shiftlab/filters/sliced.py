"""Sliced Wasserstein distance between two groups of scaled filters: no bins, all nine dimensions at once."""

from __future__ import annotations

import numpy as np

from shiftlab import measures
from shiftlab.filters.basis import as_filters, scale


def sliced_wasserstein(
    p: np.ndarray, q: np.ndarray, *, n_projections: int = 256, max_filters: int = 50_000, seed: int = 0
) -> float:
    """Sliced Wasserstein-2 distance of scaled filters; 0 = equal, in units of scaled weights.

    p and q: (n, 9), (n, 3, 3) or (O, I, 3, 3). Groups above `max_filters` are sampled without replacement
    with `seed`. Unlike drift it needs no bins and sees joint changes; it says nothing about which component
    moved. Raises BadInputError for empty groups and NaN.
    """
    sides = [_sample(as_filters(group, name), max_filters, seed) for group, name in ((p, "p"), (q, "q"))]
    left, right = (scale(side) for side in sides)
    return float(measures.sliced_wasserstein(left, right, n_projections=n_projections, seed=seed))


def _sample(filters: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(filters) <= most:
        return filters
    return filters[np.random.default_rng(seed).choice(len(filters), most, replace=False)]
