"""All pairs of Gaussian W2: covariances linearised at their mean, where Bures distance is almost Euclidean.

With C the mean covariance, E_s = C^-.5 (C^.5 A_s C^.5)^.5 is a factor of A_s. The Frobenius distance of any two
factors is at least the Bures distance, so the value is an upper bound, and exact where covariances commute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftlab.shift.pairs.embedding import Squared, squared_gaps
from shiftlab.shift.pairs.membership import Membership

FLOOR = 1e-7


@dataclass(frozen=True)
class GaussianDesign:
    """Items (N, d) in full or PCA coordinates; ``rest`` (N,) is the squared length that PCA left out."""

    rows: NDArray[np.float32]
    rest: NDArray[np.float32] | None
    ddof: int
    tick: Callable[[], None] = lambda: None

    @classmethod
    def fit(
        cls, rows: NDArray[np.float32], components: int | None, ddof: int, tick: Callable[[], None]
    ) -> GaussianDesign:
        """Keep all dimensions, or the ``components`` leading ones of the pool."""
        if components is None or components >= rows.shape[1]:
            return cls(rows, None, ddof, tick)
        basis = np.linalg.eigh((rows.T @ rows).astype(np.float64))[1]
        kept = rows @ basis[:, -components:].astype(np.float32)
        return cls(kept, rows @ basis[:, :-components].astype(np.float32), ddof, tick)

    def squared(self, membership: Membership) -> Squared:
        """Squared Gaussian W2 of all pairs with bounds; the lower one drops what is off the diagonal."""
        means = self.means(membership)
        factors, spread = self.embed(membership, means)
        shift = squared_gaps(means.astype(np.float32))
        linear = squared_gaps(factors)
        scale = squared_gaps(spread.astype(np.float32))
        lower = shift + scale
        if self.rest is None:
            value = shift + np.maximum(linear, scale)
            return Squared(value, np.minimum(lower, value), value)
        left_out = self._left_out(membership)
        upper = shift + linear + np.square(left_out[:, None] + left_out)
        np.fill_diagonal(upper, 0)
        lower += np.square(left_out[:, None] - left_out)
        value = np.clip(shift + linear + np.square(left_out[:, None] - left_out), lower, upper)
        return Squared(value, lower, upper)

    def means(self, membership: Membership) -> NDArray[np.float64]:
        """Mean of every subset, (S, d)."""
        return np.asarray(membership.weights @ self.rows.astype(np.float64))

    def embed(
        self, membership: Membership, means: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Factors of all covariances at their mean, flattened (S, d d), and standard deviations (S, d)."""
        count, d = membership.n_subsets, self.rows.shape[1]
        covariances = np.empty((count, d, d), np.float32)
        spread = np.empty((count, d))
        for s in range(count):
            covariances[s] = self._covariance(membership, s, means[s])
            spread[s] = np.sqrt(np.diag(covariances[s]))
        values, basis = np.linalg.eigh(covariances.mean(axis=0, dtype=np.float64))
        root = np.sqrt(np.maximum(values, FLOOR * values[-1]))
        forth = ((basis * root) @ basis.T).astype(np.float32)
        back = ((basis / root) @ basis.T).astype(np.float32)
        for s in range(count):
            covariances[s] = back @ _root(forth @ covariances[s] @ forth)
            self.tick()
        return covariances.reshape(count, -1), spread

    def _covariance(self, membership: Membership, s: int, mean: NDArray[np.float64]) -> NDArray[np.float32]:
        weight = membership.weights_of(s)
        free = 1 - self.ddof * np.square(weight).sum()
        rows = self.rows[membership.members(s)] - mean.astype(np.float32)
        rows *= np.sqrt(weight / max(free, 1e-12)).astype(np.float32)[:, None]
        return rows.T @ rows

    def _left_out(self, membership: Membership) -> NDArray[np.float64]:
        """Root of the variance outside the kept components, the means' share included, (S,)."""
        assert self.rest is not None
        power = np.square(self.rest, dtype=np.float64).sum(axis=1)
        return np.sqrt(np.asarray(membership.weights @ power))


def _root(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    values, basis = np.linalg.eigh(matrix)
    return (basis * np.sqrt(np.maximum(values, 0))) @ basis.T
