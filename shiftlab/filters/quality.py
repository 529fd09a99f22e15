"""Quality of a convolution layer: sparsity, variance entropy, randomness threshold, orthogonality, and why.

Sources: Gavrikov & Keuper, CVPR 2022 (arXiv:2203.15331) for sparsity, variance entropy and the threshold;
Gavrikov & Keuper, CVPR-W 2022 (arXiv:2204.02481) for orthogonality. The reasons are ShiftLab's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.filters.basis import as_filters

SPARSITY_EPS = 0.01
_CONSTANT = 1e-12  # variance below this share of the energy is rounding
_RANK_TOLERANCE = 1e-5  # singular values below this share of the largest are float32 noise
_REPEATED_SHARE = 0.5
_LOW_ENTROPY, _MOSTLY_SPARSE = 0.5, 0.5
_QUANTISED_LEVELS, _QUANTISED_WEIGHTS = 256, 1024
_INITIALISATION_WEIGHTS = 1024  # fewer fit any initialiser
_BLOCK = 256

Label = Literal[
    "zero", "centre-only", "duplicate", "rank-deficient", "near-initialisation", "random", "sparse",
    "low-diversity", "quantised", "none",
]  # fmt: skip


@dataclass(frozen=True)
class LayerQuality:
    """Quality of one layer; a number that cannot be computed is None and `reason` says why.

    `n` filters; `sparsity` in [0, 1], 0 = no sparse filter; `variance_entropy` in decimal digits, 0 (all
    variance on one axis) to log10 d (0.954 for 3x3); `threshold` is the entropy that random filters reach,
    and `variance_entropy_ratio` above 1 means as diverse as noise; both only for 3x3 and n >= 3. The `_clean`
    entropy leaves out sparse filters. `orthogonality` is 1 for orthogonal output filters and 0 for
    parallel ones. `rank` is that of the filters as vectors. `label` is the gravest finding, `reason` all of
    them in words.

    Do not compare sparsity or entropy between layers with and without folded batch normalisation. A ratio
    above 1 is a weak test: nearly every random layer passes it, and about 4 % of trained ones.
    """

    n: int
    sparsity: float
    variance_entropy: float
    threshold: float | None
    variance_entropy_ratio: float | None
    orthogonality: float | None
    reason: str
    variance_entropy_clean: float | None
    rank: int
    label: Label


def layer_quality(weight: np.ndarray, *, eps: float = SPARSITY_EPS) -> LayerQuality:
    """Quality of a convolution weight (O, I, kh, kw), as stored (not scaled).

    A filter is sparse when its largest absolute weight is below `eps` times that of the layer; every filter
    of an all-zero layer is. Raises BadInputError for NaN, infinite or empty weights and other shapes.
    """
    array = np.asarray(weight)
    if array.ndim != 4:
        raise BadInputError(f"weight: expected shape (O, I, kh, kw), got {array.shape}")
    if not eps > 0:
        raise BadInputError(f"eps: expected a number above 0, got {eps}")
    filters = as_filters(array).astype(np.float64)
    n = len(filters)
    peaks = np.abs(filters).max(axis=1)
    sparse = peaks < eps * peaks.max() if peaks.max() > 0 else np.ones(n, bool)
    entropy = variance_entropy(filters)
    clean: float | None = entropy
    if sparse.any():
        clean = None if sparse.all() else variance_entropy(filters[~sparse])
    threshold = randomness_threshold(n) if array.shape[2:] == (3, 3) and n >= 3 else None
    orthogonality, why_not = _orthogonality(array)
    ratio = None if threshold is None else entropy / threshold
    rank = _rank(filters)
    findings = _findings(array, filters, float(sparse.mean()), entropy, ratio, rank)
    words = [text for _, text in findings]
    if threshold is None:
        words.append("no randomness threshold: " + ("fewer than 3 filters" if n < 3 else "not a 3x3 kernel"))
    if why_not:
        words.append(why_not)
    return LayerQuality(
        n=n,
        sparsity=float(sparse.mean()),
        variance_entropy=entropy,
        threshold=threshold,
        variance_entropy_ratio=ratio,
        orthogonality=orthogonality,
        reason="; ".join(words) or "nothing stands out",
        variance_entropy_clean=clean,
        rank=rank,
        label=findings[0][0] if findings else "none",
    )


def variance_entropy(filters: np.ndarray) -> float:
    """Entropy (base 10) of the variance over the principal axes of filters [n, d]; 0 for constant ones.

    Equation 2 of arXiv:2203.15331; 0 to log10 d.
    """
    n = len(filters)
    if n < 2:
        return 0.0
    centred = filters - filters.mean(axis=0)
    variance = np.clip(np.linalg.eigvalsh(centred.T @ centred / (n - 1)), 0, None)
    whole = variance.sum()
    if whole <= _CONSTANT * np.square(filters).sum() / n:
        return 0.0
    share = variance[variance > 0] / whole
    return max(0.0, float(-(share * np.log10(share)).sum()))


def randomness_threshold(n: int) -> float:
    """Least variance entropy of n random 3x3 filters: a fitted sigmoid in log2 n (arXiv:2203.15331)."""
    return 1.2618047 / (1 + math.exp(-0.88767525 * (math.log2(n) - 2.30436435))) - 0.31050834


def _orthogonality(weight: np.ndarray) -> tuple[float | None, str | None]:
    """1 - mean off-diagonal |cosine| of the output filters (plus the zero filters' lack of length)."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    count = len(rows)
    if count < 2:
        return None, "orthogonality undefined: one output channel"
    norms = np.linalg.norm(rows, axis=1)
    if not norms.any():
        return None, "orthogonality undefined: all filters are zero"
    rows /= np.where(norms > 0, norms, 1)[:, None]
    apart = 0.0
    for start in range(0, count, _BLOCK):
        cosines = np.abs(rows[start : start + _BLOCK] @ rows[start:].T)  # the rest is its mirror
        size = len(cosines)
        own = np.abs(cosines[np.arange(size), np.arange(size)] - 1).sum() - np.trace(cosines)
        apart += float(cosines[:, :size].sum() + own + 2 * cosines[:, size:].sum())
    return 1 - apart / (count * (count - 1)), None


def _rank(filters: np.ndarray) -> int:
    """Numerical rank of filters [n, d] at float32 accuracy, from the Gram matrix scaled by its peak."""
    peak = np.abs(filters).max()
    if peak == 0:
        return 0
    unit = filters / peak
    energy = np.linalg.eigvalsh(unit.T @ unit)
    return int((energy > _RANK_TOLERANCE**2 * energy.max()).sum())


def _findings(
    weight: np.ndarray, filters: np.ndarray, sparsity: float, entropy: float, ratio: float | None, rank: int
) -> list[tuple[Label, str]]:
    """What stands out, gravest first."""
    n, d = filters.shape
    found: list[tuple[Label, str]] = []
    energy = np.square(filters).sum(axis=0)
    if rank == 0:
        return [("zero", "zero: every weight is 0")]
    centre = _centre(weight.shape[2], weight.shape[3])
    if d > 1 and centre is not None and energy.sum() - energy[centre] <= _CONSTANT * energy.sum():
        found.append(("centre-only", "centre-only: all weights but the middle one are 0"))
    distinct = _distinct(filters)
    levels = _levels(weight)
    possible = n if levels is None else min(n, levels**d)  # few levels leave few filters to choose from
    if d > 1 and n > 1 and (distinct == 1 or distinct <= _REPEATED_SHARE * possible):
        found.append(("duplicate", f"duplicate: {n} filters, {distinct} of them distinct"))
    if rank < min(n, d):
        found.append(("rank-deficient", f"rank {rank}: filters span {rank} of {d} dimensions"))
    if ratio is not None and ratio > 1:
        scheme = _initialisation(weight)
        if scheme:
            found.append(("near-initialisation", f"near-initialisation: weights are distributed as {scheme}"))
        found.append(("random", f"random: as diverse as noise (ratio {ratio:.3f})"))
    if sparsity >= _MOSTLY_SPARSE:
        found.append(("sparse", f"sparse: {sparsity:.0%} of the filters are nearly zero"))
    if entropy < _LOW_ENTROPY and n >= d and d == 9:
        found.append(("low-diversity", f"low diversity: variance entropy {entropy:.3f}"))
    if levels is not None and levels > 1:
        found.append(("quantised", f"quantised: {levels} distinct levels"))
    return found


def _centre(height: int, width: int) -> int | None:
    return height // 2 * width + width // 2 if height % 2 and width % 2 else None


def _distinct(filters: np.ndarray) -> int:
    """Number of distinct filters, told apart by one random projection."""
    probe = np.random.default_rng(0).standard_normal(filters.shape[1])
    return len(np.unique(filters @ probe))


def _levels(weight: np.ndarray) -> int | None:
    """Distinct values when there are few for so many weights: of the layer or of each output channel."""
    sample = weight.reshape(-1)[: 1 << 16]
    if sample.size >= _QUANTISED_WEIGHTS:
        levels = len(np.unique(sample))
        if levels <= _QUANTISED_LEVELS:
            return levels
    channels = weight[:16].reshape(min(len(weight), 16), -1)[:, : 1 << 14]
    if channels.shape[1] >= _QUANTISED_WEIGHTS:
        levels = max(len(np.unique(channel)) for channel in channels)
        if levels <= _QUANTISED_LEVELS:
            return levels
    return None


def _initialisation(weight: np.ndarray) -> str | None:
    """The usual initialiser whose spread and shape the weights still have, if any."""
    values = weight.reshape(-1).astype(np.float64)
    if values.size < _INITIALISATION_WEIGHTS:
        return None
    inputs, outputs = weight[0].size, weight.shape[0] * weight.shape[2] * weight.shape[3]
    squares = np.square(values - values.mean())
    spread = np.sqrt(squares.mean())
    kurtosis = float(np.square(squares).mean() / spread**4 - 3)
    error = 5 / np.sqrt(values.size)  # five standard errors; relative for the spread (normal), absolute below
    schemes = {
        "the uniform default of torch": (1 / np.sqrt(3 * inputs), -1.2),
        "Glorot uniform": (np.sqrt(2 / (inputs + outputs)), -1.2),
        "Glorot normal": (np.sqrt(2 / (inputs + outputs)), 0.0),
        "He uniform": (np.sqrt(2 / inputs), -1.2),
        "He normal": (np.sqrt(2 / inputs), 0.0),
        "He normal by fan-out": (np.sqrt(2 / outputs), 0.0),
    }
    for name, (expected, shape) in schemes.items():
        tails = abs(kurtosis - shape) < error * (np.sqrt(24) if shape == 0 else 2)
        if tails and abs(spread / expected - 1) < error / np.sqrt(2):
            return name
    return None
