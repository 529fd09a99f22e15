"""Pure measures: arrays in, numbers out. No files, no catalog, nothing of the rest of ShiftLab.

Conventions: float64 results, natural logarithm, distances unsquared unless the name ends in ``_sq``, masses
divided by their sum, seeded, independent of row order. Bad input raises ValueError naming the argument;
valid input without a value raises `UndefinedMeasureError`; NaN is never returned.
"""

from __future__ import annotations

from shiftlab.measures.classifier import TwoSample, classifier_two_sample
from shiftlab.measures.distances import median_gamma
from shiftlab.measures.diversity import vendi_score
from shiftlab.measures.energy import energy_distance, energy_distance_sq
from shiftlab.measures.entropic import SinkhornSolution, sinkhorn, sinkhorn_divergence
from shiftlab.measures.gaussian import (
    GaussianShift,
    gaussian_wasserstein,
    gaussian_wasserstein_moments,
    gaussian_wasserstein_parts,
)
from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.measures.kernel import kid, mmd, mmd_sq
from shiftlab.measures.labelled import label_aware_wasserstein
from shiftlab.measures.labels import (
    LabelShift,
    ShiftParts,
    decompose_shift,
    label_shift_weights,
    overlap,
    precision_under_prior,
)
from shiftlab.measures.masses import (
    chi_squared,
    hellinger,
    jensen_shannon,
    kl,
    psi,
    symmetric_kl,
    total_variation,
)
from shiftlab.measures.neighbours import (
    Coverage,
    NearestResidual,
    knn_kl,
    nearest_residual,
    precision_recall_coverage,
)
from shiftlab.measures.one_dimensional import amplitude_spectrum, kolmogorov_smirnov, wasserstein_1d
from shiftlab.measures.permutation import PermutationTest, permutation_test
from shiftlab.measures.registry import Measure, available, get
from shiftlab.measures.sliced import max_sliced_wasserstein, sliced_wasserstein
from shiftlab.measures.transport import TransportPlan, transport_gate, transport_plan, wasserstein
from shiftlab.measures.unbalanced import (
    UnbalancedTransport,
    gromov_wasserstein,
    partial_wasserstein,
    unbalanced_wasserstein,
)

__all__ = [
    "Coverage",
    "GaussianShift",
    "LabelShift",
    "Measure",
    "NearestResidual",
    "PermutationTest",
    "ShiftParts",
    "SinkhornSolution",
    "TransportPlan",
    "TwoSample",
    "UnbalancedTransport",
    "UndefinedMeasureError",
    "amplitude_spectrum",
    "available",
    "chi_squared",
    "classifier_two_sample",
    "decompose_shift",
    "energy_distance",
    "energy_distance_sq",
    "gaussian_wasserstein",
    "gaussian_wasserstein_moments",
    "gaussian_wasserstein_parts",
    "get",
    "gromov_wasserstein",
    "hellinger",
    "jensen_shannon",
    "kid",
    "kl",
    "knn_kl",
    "kolmogorov_smirnov",
    "label_aware_wasserstein",
    "label_shift_weights",
    "max_sliced_wasserstein",
    "median_gamma",
    "mmd",
    "mmd_sq",
    "nearest_residual",
    "overlap",
    "partial_wasserstein",
    "permutation_test",
    "precision_recall_coverage",
    "precision_under_prior",
    "psi",
    "sinkhorn",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "symmetric_kl",
    "total_variation",
    "transport_gate",
    "transport_plan",
    "unbalanced_wasserstein",
    "vendi_score",
    "wasserstein",
    "wasserstein_1d",
]
