"""All pairs of MMD by random Fourier features: subsets become mean feature vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftlab.shift.pairs.embedding import BLOCKS, Squared, blocked_gaps, unbiased_gaps
from shiftlab.shift.pairs.membership import Membership

ROWS = 2048


@dataclass(frozen=True)
class FourierDesign:
    """Items (N, d) and random frequencies (d, D/2) of the RBF kernel (Rahimi and Recht 2007)."""

    rows: NDArray[np.float32]
    frequencies: NDArray[np.float32]

    @classmethod
    def fit(cls, rows: NDArray[np.float32], gamma: float, features: int, seed: int) -> FourierDesign:
        """Draw D/2 frequencies for exp(-gamma |x - y|^2)."""
        if features % (2 * BLOCKS) or features < 2 * BLOCKS:
            raise ValueError(f"features must be a positive multiple of {2 * BLOCKS}, not {features}")
        rng = np.random.default_rng([seed, 401])
        frequencies = rng.normal(size=(rows.shape[1], features // 2)) * np.sqrt(2 * gamma)
        return cls(rows, frequencies.astype(np.float32))

    def on(self, rows: NDArray[np.float32]) -> FourierDesign:
        """The same frequencies for other centred rows (n, d)."""
        return FourierDesign(rows, self.frequencies)

    def squared(self, membership: Membership) -> Squared:
        """V-statistics of all pairs, with standard errors over blocks of features."""
        return self.with_unbiased(membership, "v")[0]

    def with_unbiased(self, membership: Membership, estimator: str) -> tuple[Squared, NDArray[np.float64]]:
        """The V or U statistics, and estimates without bias: a feature row has norm one, as the kernel has."""
        means = self.embed(membership)
        value, error = blocked_gaps(means)
        own = np.einsum("ij,ij->i", means, means, dtype=np.float64)
        gram = (own[:, None] + own - value) / 2
        form, unbiased = unbiased_gaps(gram, membership.shared_weight, 1.0, estimator)
        return Squared(value if estimator == "v" else form, error=error), unbiased

    def embed(self, membership: Membership) -> NDArray[np.float32]:
        """Mean features of every subset (S, D), cos and sin of a frequency in the same block."""
        half = self.frequencies.shape[1]
        width = half // BLOCKS
        total = np.zeros((membership.n_subsets, 2 * half), np.float32)
        columns = membership.single.tocsc()
        for start in range(0, len(self.rows), ROWS):
            phase = self.rows[start : start + ROWS] @ self.frequencies
            features = np.empty((len(phase), BLOCKS, 2, width), np.float32)
            blocked = phase.reshape(len(phase), BLOCKS, width)
            np.cos(blocked, out=features[:, :, 0])
            np.sin(blocked, out=features[:, :, 1])
            total += columns[:, start : start + ROWS].tocsr() @ features.reshape(len(phase), -1)
        total *= np.float32(np.sqrt(1 / half))
        return total
