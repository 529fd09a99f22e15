"""Depth of layers in deciles, as CNN Filter DB groups them: [0, .1], (.1, .2], ..., (.9, 1]."""

from __future__ import annotations

import numpy as np


def normalised_depth(depth: np.ndarray) -> np.ndarray:
    """Depths 0, 1, 2, ... of one model's layers [layers] over the largest; all 0 when there is one level."""
    depth = np.asarray(depth, np.float64)
    return depth / max(depth.max(initial=0), 1)


def depth_decile(normalised: np.ndarray) -> np.ndarray:
    """Decile 1 to 10 of normalised depths in [0, 1]; the edges .1, .2, ... belong to the decile below."""
    return np.clip(np.ceil(np.round(np.asarray(normalised, np.float64) * 10, 9)), 1, 10).astype(np.int64)
