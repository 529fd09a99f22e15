"""Statistics of the 3x3 (and other) convolution kernels of trained networks.

    import shiftlab as sl

    sl.filters.layer_quality(weight)              # sparsity, entropy, orthogonality, and why
    sl.filters.drift(p, q)                        # drift between two groups, with its null
    sl.filters.sketch(weight)                     # mergeable statistics of a layer

After CNN Filter DB (Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shiftlab.filters.basis import Basis, dct_basis, principal_components, scale
from shiftlab.filters.depth import depth_decile, normalised_depth
from shiftlab.filters.drift import Drift, drift
from shiftlab.filters.duplicates import Duplicate, duplicates, weight_hash
from shiftlab.filters.phenotype import Phenotype, phenotype
from shiftlab.filters.quality import LayerQuality, layer_quality, randomness_threshold, variance_entropy
from shiftlab.filters.sensitivity import is_degenerate, sensitivity
from shiftlab.filters.sketch import Sketch, sketch

if TYPE_CHECKING:
    from shiftlab.filters.ingest import IngestedModel, ingest_models
    from shiftlab.filters.sheet import contact_sheet
    from shiftlab.filters.sliced import sliced_wasserstein
    from shiftlab.filters.stored import (
        basis_by,
        coefficients_by,
        components_of_pair,
        drift_by,
        export_sketches,
        list_layers,
        list_models,
        phenotypes_by,
        quality_by,
        show_model,
        stored_duplicates,
        sweep,
    )

# What needs the catalog or the measures is loaded on first use: the arrays' side stays light.
_LATER = {
    "IngestedModel": "ingest", "ingest_models": "ingest", "sliced_wasserstein": "sliced",
    "contact_sheet": "sheet",
    "basis_by": "stored", "coefficients_by": "stored", "components_of_pair": "stored",
    "drift_by": "stored", "export_sketches": "stored", "list_layers": "stored",
    "list_models": "stored", "phenotypes_by": "stored", "quality_by": "stored", "show_model": "stored",
    "stored_duplicates": "stored", "sweep": "stored",
}  # fmt: skip

__all__ = [
    "Basis",
    "Drift",
    "Duplicate",
    "IngestedModel",
    "LayerQuality",
    "Phenotype",
    "Sketch",
    "basis_by",
    "coefficients_by",
    "components_of_pair",
    "contact_sheet",
    "dct_basis",
    "depth_decile",
    "drift",
    "drift_by",
    "duplicates",
    "export_sketches",
    "ingest_models",
    "is_degenerate",
    "layer_quality",
    "list_layers",
    "list_models",
    "normalised_depth",
    "phenotype",
    "phenotypes_by",
    "principal_components",
    "quality_by",
    "randomness_threshold",
    "scale",
    "sensitivity",
    "show_model",
    "sketch",
    "sliced_wasserstein",
    "stored_duplicates",
    "sweep",
    "variance_entropy",
    "weight_hash",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"shiftlab.filters.{_LATER[name]}"), name)
    raise AttributeError(f"module 'shiftlab.filters' has no attribute {name!r}")
