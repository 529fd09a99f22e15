"""How many layers count as degenerate, under every combination of thresholds.

The joint rule is that of CNN Filter DB's supplement (arXiv:2203.15331): a layer is degenerate when its
variance entropy reaches the randomness threshold, or when it is low while many filters are sparse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.filters.sketch import EPSILONS

if TYPE_CHECKING:
    import polars as pl

ENTROPIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RATIOS = (0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05)
SPARSE_SHARE = 0.14
RANDOM_MARGIN = 0.02


def is_degenerate(
    entropy: np.ndarray,
    threshold: np.ndarray,
    sparsity: np.ndarray,
    *,
    low_entropy: float = 0.5,
    sparse_share: float = SPARSE_SHARE,
    random_margin: float = RANDOM_MARGIN,
) -> np.ndarray:
    """Whether each layer is degenerate: (H >= TH - margin) or (H < low and S >= share). Arrays [layers].

    A layer without a threshold (NaN) can only be degenerate by the second clause.
    """
    random = np.nan_to_num(entropy - threshold, nan=-np.inf) >= -random_margin
    return random | ((entropy < low_entropy) & (sparsity >= sparse_share))


def sensitivity(
    entropy: np.ndarray,
    ratio: np.ndarray,
    sparse: np.ndarray,
    n: np.ndarray,
    *,
    sparse_share: float = SPARSE_SHARE,
) -> pl.DataFrame:
    """Degenerate layers under a grid of thresholds: one row per eps, low entropy and random ratio.

    Input per layer: variance entropy [layers], its ratio to the threshold (NaN where there is none), counts
    of sparse filters [layers, 5] at EPSILONS, and filters n [layers]. A layer is degenerate when its ratio is
    at least `random_ratio`, or its entropy below `low_entropy` with at least `sparse_share` of its filters
    sparse. Columns: eps, low_entropy, random_ratio, layers, random, sparse, degenerate, share (0 to 1),
    share_filters. BadInputError for counts of another shape.
    """
    import polars as pl

    if sparse.shape != (len(entropy), len(EPSILONS)):
        raise BadInputError(f"sparse: expected shape ({len(entropy)}, {len(EPSILONS)}), got {sparse.shape}")
    share = sparse / np.asarray(n)[:, None]
    random = np.nan_to_num(ratio, nan=-np.inf)[:, None] >= np.array(RATIOS)  # [layers, ratios]
    low = entropy[:, None] < np.array(ENTROPIES)  # [layers, entropies]
    poor = (share >= sparse_share)[:, :, None] & low[:, None, :]  # [layers, eps, entropies]
    either = poor[:, :, :, None] | random[:, None, None, :]
    grid = np.meshgrid(EPSILONS, ENTROPIES, RATIOS, indexing="ij")
    layers = len(entropy)
    return pl.DataFrame(
        {
            "eps": grid[0].ravel(),
            "low_entropy": grid[1].ravel(),
            "random_ratio": grid[2].ravel(),
            "layers": np.full(grid[0].size, layers),
            "random": np.broadcast_to(random.sum(axis=0), grid[0].shape).ravel(),
            "sparse": np.broadcast_to(poor.sum(axis=0)[:, :, None], grid[0].shape).ravel(),
            "degenerate": either.sum(axis=0).ravel(),
            "share": either.mean(axis=0).ravel() if layers else np.zeros(grid[0].size),
            "share_filters": (either * np.asarray(n)[:, None, None, None]).sum(axis=0).ravel()
            / max(np.sum(n), 1),
        }
    )
