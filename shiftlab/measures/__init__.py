"""Pure measures: arrays in, numbers out. No files, no catalog, nothing of the rest of ShiftLab.

Conventions: float64 results, natural logarithm, distances unsquared unless the name ends in ``_sq``, masses
divided by their sum, seeded, independent of row order. Bad input raises ValueError naming the argument;
valid input without a value raises `UndefinedMeasureError`; NaN is never returned.
"""

from __future__ import annotations

from shiftlab.measures.behaviour import (
    BoundaryShift,
    Flips,
    boundary_shift,
    flip_rate,
    prediction_consistency,
)
from shiftlab.measures.blocks import BlockShift, block_sensitivity, task_similarity, weight_shift
from shiftlab.measures.classifier import TwoSample, classifier_two_sample
from shiftlab.measures.continual import Forgetting, Novelty, forget_ratio, forgetting, subspace_novelty
from shiftlab.measures.distances import median_gamma
from shiftlab.measures.diversity import vendi_score
from shiftlab.measures.effects import EffectCorrelation, effect_correlation
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
from shiftlab.measures.paired import PairedShift, ShiftRecovery, paired_shift, shift_recovery
from shiftlab.measures.permutation import PermutationTest, permutation_test
from shiftlab.measures.policies import dynamics_error, policy_kl
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
    "BlockShift",
    "BoundaryShift",
    "Coverage",
    "EffectCorrelation",
    "Flips",
    "Forgetting",
    "GaussianShift",
    "LabelShift",
    "Measure",
    "NearestResidual",
    "Novelty",
    "PairedShift",
    "PermutationTest",
    "ShiftParts",
    "ShiftRecovery",
    "SinkhornSolution",
    "TransportPlan",
    "TwoSample",
    "UnbalancedTransport",
    "UndefinedMeasureError",
    "amplitude_spectrum",
    "available",
    "block_sensitivity",
    "boundary_shift",
    "chi_squared",
    "classifier_two_sample",
    "decompose_shift",
    "dynamics_error",
    "effect_correlation",
    "energy_distance",
    "energy_distance_sq",
    "flip_rate",
    "forget_ratio",
    "forgetting",
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
    "paired_shift",
    "partial_wasserstein",
    "permutation_test",
    "policy_kl",
    "precision_recall_coverage",
    "precision_under_prior",
    "prediction_consistency",
    "psi",
    "shift_recovery",
    "sinkhorn",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "subspace_novelty",
    "symmetric_kl",
    "task_similarity",
    "total_variation",
    "transport_gate",
    "transport_plan",
    "unbalanced_wasserstein",
    "vendi_score",
    "wasserstein",
    "wasserstein_1d",
    "weight_shift",
]
