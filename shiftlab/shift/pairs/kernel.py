"""All pairs of MMD and energy distance, exactly: M K M' by tiles of the pool's kernel, each read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.pair_means import squared_gap_factors
from shiftlab.shift.pairs.embedding import Squared, unbiased_gaps
from shiftlab.shift.pairs.membership import Membership

TILE = 1024


@dataclass(frozen=True)
class KernelDesign:
    """Items (N, d) and the RBF parameter; ``gamma`` None means distances instead of a kernel."""

    rows: NDArray[np.float32]
    gamma: float | None
    tick: Callable[[], None] = lambda: None

    def squared(self, membership: Membership) -> Squared:
        """V-statistics of all pairs."""
        return self.with_unbiased(membership, "v")[0]

    def with_unbiased(self, membership: Membership, estimator: str) -> tuple[Squared, NDArray[np.float64]]:
        """The V or U statistics, and estimates without bias, which compare no item with itself."""
        sign, alike = (-1.0, 0.0) if self.gamma is None else (1.0, 1.0)
        means = self.means(membership)
        value, unbiased = unbiased_gaps(sign * means, membership.shared_weight, alike, estimator)
        return Squared(np.maximum(value, 0) if estimator == "v" else value), unbiased

    def means(self, membership: Membership) -> NDArray[np.float64]:
        """Mean kernel (or distance) between the items of every two subsets, (S, S); the kernel is never stored."""
        n, s = len(self.rows), membership.n_subsets
        starts = range(0, n, TILE)
        columns = membership.single.tocsc()
        parts = [columns[:, b : b + TILE].tocsr() for b in starts]
        left, right = squared_gap_factors(self.rows, 1.0 if self.gamma is None else -float(self.gamma))
        total = np.zeros((s, s))
        for i, a in enumerate(starts):
            part = np.zeros((s, min(TILE, n - a)), np.float32)
            for j in range(i, len(parts)):
                tile = self._tile(left[starts[j] : starts[j] + TILE], right[a : a + TILE], i == j)
                part += (parts[j] @ tile) * np.float32(0.5 if i == j else 1)
            found = parts[i] @ part.T
            total += found
            total += found.T
            self.tick()
        return total

    def _tile(
        self, left: NDArray[np.float32], right: NDArray[np.float32], diagonal: bool
    ) -> NDArray[np.float32]:
        tile = left @ right.T
        if diagonal:
            np.fill_diagonal(tile, 0)
        if self.gamma is None:
            return np.sqrt(np.maximum(tile, 0, out=tile), out=tile)
        return np.exp(np.minimum(tile, 0, out=tile), out=tile)
