"""Drift between histograms of filter coefficients: the formula of CNN Filter DB and its companions, batched.

Source: arXiv:2203.15331, section 3 and its code's constants. All functions take counts [..., d, bins] and
work on any number of leading axes at once.
"""

from __future__ import annotations

import numpy as np

_FLOOR = 1.1920929e-07  # float32 epsilon, put on the DENSITY of an empty bin, as published


def probabilities(counts: np.ndarray, width: float) -> np.ndarray:
    """Counts [..., d, bins] -> probabilities with the published floor; `width` is that of a bin."""
    density = counts / (counts.sum(axis=-1, keepdims=True) * width)
    np.copyto(density, _FLOOR, where=density == 0)
    return density / density.sum(axis=-1, keepdims=True)


def symmetric_kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p, q) + KL(q, p) in nats over the last axis [..., bins] -> [...]; 0 for equal histograms."""
    return ((p - q) * (np.log(p) - np.log(q))).sum(axis=-1)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in nats over the last axis, 0 to log 2; p and q must be positive."""
    middle = np.log((p + q) / 2)
    return ((p * (np.log(p) - middle)).sum(axis=-1) + (q * (np.log(q) - middle)).sum(axis=-1)) / 2


def wasserstein(left: np.ndarray, right: np.ndarray, width: float) -> np.ndarray:
    """Wasserstein-1 distance of two histograms of counts [..., bins], in units of the coefficients."""
    shares = left / left.sum(axis=-1, keepdims=True) - right / right.sum(axis=-1, keepdims=True)
    return np.abs(shares.cumsum(axis=-1)).sum(axis=-1) * width


def drift_values(left: np.ndarray, right: np.ndarray, weights: np.ndarray, width: float) -> np.ndarray:
    """Drift D [...] between counts [..., d, bins]: symmetric KL per component, summed with `weights` [d]."""
    return symmetric_kl(probabilities(left, width), probabilities(right, width)) @ weights


def drift_table(counts: np.ndarray, weights: np.ndarray, width: float) -> np.ndarray:
    """Drift of all pairs of groups, counts [groups, d, bins] -> [groups, groups], by matrix products."""
    p = probabilities(counts, width)
    weighted = (p * weights[:, None]).reshape(len(p), -1)
    logs = np.log(p).reshape(len(p), -1)
    cross = weighted @ logs.T
    own = np.diag(cross)
    table = own[:, None] + own[None, :] - cross - cross.T
    np.fill_diagonal(table, 0)
    return np.clip(table, 0, None)
