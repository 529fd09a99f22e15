"""Phenotypes of a group of filters, as scores: sun, spikes, symbols, point.

Qualitative in CNN Filter DB (arXiv:2203.15331, section 5), where they are looks of the scatter of the first
two coefficients; these scores, on the histograms of a sketch, are ShiftLab's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.filters.divergence import probabilities, symmetric_kl
from shiftlab.filters.sketch import EPSILONS, Sketch, histogram_range

_POINT_SHARE = 0.5
_PROMINENCE = 0.1  # of the highest bin; smaller bumps are noise
_EPS = EPSILONS.index(0.01)


@dataclass(frozen=True)
class Phenotype:
    """Scores of one group of n filters.

    `sun_distance` (nats, 0 = exactly Gaussian on every axis): healthy layers are low. `spike`: highest bin
    over the median non-empty bin of a component, the worst component (1 = flat). `symbols`: most prominent
    peaks found on any component (1 = one mode). `point`: largest of sparsity and of the share of the fullest
    bin in the component where filters are most spread, 0 to 1. `label` names the first that holds: point
    (>= 0.5), symbols (two or more peaks), spikes (spike above 100), sun. Not meant for groups below about
    1,000 filters.
    """

    n: int
    sun_distance: float
    spike: float
    symbols: int
    point: float
    label: str


def phenotype(sketch: Sketch) -> Phenotype:
    """Phenotype scores of a layer or a sum of layers. Raises BadInputError for an empty sketch."""
    from scipy.signal import find_peaks

    if sketch.n < 1:
        raise BadInputError("a phenotype needs at least one filter")
    half = histogram_range(sketch.shape)
    counts = sketch.counts.astype(np.float64)
    bins = counts.shape[1]
    width = 2 * half / bins
    share = counts / sketch.n
    weights = sketch.dct_variance_share()
    sun = float(symmetric_kl(probabilities(counts, width), _gaussians(sketch, half, bins)) @ weights)
    spike = max(float(row.max() / np.median(row[row > 0])) for row in share)
    # Padding lets a peak at the rim of the range count as one.
    peaks = [find_peaks(np.pad(row, 1), prominence=_PROMINENCE * row.max())[0].size for row in share]
    sparsity = float(sketch.sparse[_EPS]) / sketch.n
    point = max(sparsity, float(share.max(axis=1).min()))
    label = "sun"
    if point >= _POINT_SHARE:
        label = "point"
    elif max(peaks) >= 2:
        label = "symbols"
    elif spike > 100:
        label = "spikes"
    return Phenotype(sketch.n, sun, spike, int(max(peaks)), point, label)


def _gaussians(sketch: Sketch, half: float, bins: int) -> np.ndarray:
    """Bin probabilities [d, bins] of Gaussians with the mean and variance of each component."""
    from scipy.special import ndtr

    from shiftlab.filters.basis import dct_basis

    axes = dct_basis(*sketch.shape)
    mean = axes @ sketch.sum_scaled / sketch.n
    second = np.einsum("ij,jk,ik->i", axes, sketch.gram_scaled, axes) / sketch.n
    width = 2 * half / bins
    spread = np.sqrt(np.maximum(second - mean**2, (width / 4) ** 2))  # narrower than a bin looks the same
    edges = np.linspace(-half, half, bins + 1)
    mass = np.diff(ndtr((edges - mean[:, None]) / spread[:, None]), axis=1)
    return probabilities(mass, width)
