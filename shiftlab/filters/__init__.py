"""Statistics of the 3x3 (and other) convolution kernels of trained networks.

    import shiftlab as sl

    sl.filters.layer_quality(weight)              # sparsity, entropy, orthogonality, and why
    sl.filters.drift(p, q)                        # drift between two groups, with its null
    sl.filters.sketch(weight)                     # mergeable statistics of a layer

After CNN Filter DB (Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331).
"""

from __future__ import annotations

from shiftlab.filters.basis import Basis, dct_basis, principal_components, scale
from shiftlab.filters.drift import Drift, drift
from shiftlab.filters.quality import LayerQuality, layer_quality, randomness_threshold, variance_entropy
from shiftlab.filters.sketch import Sketch, sketch

__all__ = [
    "Basis",
    "Drift",
    "LayerQuality",
    "Sketch",
    "dct_basis",
    "drift",
    "layer_quality",
    "principal_components",
    "randomness_threshold",
    "scale",
    "sketch",
    "variance_entropy",
]
