"""Pure measures: arrays in, numbers out. No files, no catalog, nothing of the rest of ShiftLab.

Conventions: float64 results, natural logarithm, distances unsquared unless the name ends in ``_sq``, masses
divided by their sum, seeded, independent of row order. Bad input raises ValueError naming the argument;
valid input without a value raises `UndefinedMeasureError`; NaN is never returned.
"""

from __future__ import annotations

from shiftlab.measures.distances import median_gamma
from shiftlab.measures.energy import energy_distance, energy_distance_sq
from shiftlab.measures.gaussian import (
    GaussianShift,
    gaussian_wasserstein,
    gaussian_wasserstein_moments,
    gaussian_wasserstein_parts,
)
from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.measures.kernel import kid, mmd, mmd_sq
from shiftlab.measures.masses import (
    chi_squared,
    hellinger,
    jensen_shannon,
    kl,
    psi,
    symmetric_kl,
    total_variation,
)
from shiftlab.measures.one_dimensional import amplitude_spectrum, kolmogorov_smirnov, wasserstein_1d
from shiftlab.measures.registry import Measure, available, get
from shiftlab.measures.sliced import max_sliced_wasserstein, sliced_wasserstein
from shiftlab.measures.transport import TransportPlan, transport_gate, transport_plan, wasserstein

__all__ = [
    "GaussianShift",
    "Measure",
    "TransportPlan",
    "UndefinedMeasureError",
    "amplitude_spectrum",
    "available",
    "chi_squared",
    "energy_distance",
    "energy_distance_sq",
    "gaussian_wasserstein",
    "gaussian_wasserstein_moments",
    "gaussian_wasserstein_parts",
    "get",
    "hellinger",
    "jensen_shannon",
    "kid",
    "kl",
    "kolmogorov_smirnov",
    "max_sliced_wasserstein",
    "median_gamma",
    "mmd",
    "mmd_sq",
    "psi",
    "sliced_wasserstein",
    "symmetric_kl",
    "total_variation",
    "transport_gate",
    "transport_plan",
    "wasserstein",
    "wasserstein_1d",
]
