"""All pairs of W2 by linearised transport on a shared codebook, with a proven upper bound and calibration.

Each subset is transported once from the mean histogram h of K codes; code k's image is the plan's average of
the subset's own cell means. Euclidean distances of images approximate W2, and adding what each embedding
leaves out of its subset's second moment gives an upper bound (glue both plans over the codes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.distances import squared_distances
from shiftlab.measures.transport import ground_cost, simplex, solve
from shiftlab.shift.pairs.embedding import Squared, squared_gaps
from shiftlab.shift.pairs.membership import Membership

LLOYD_STEPS = 5


@dataclass(frozen=True)
class TransportDesign:
    """Items (N, d), codes (K, d), the code of every item (N,)."""

    rows: NDArray[np.float32]
    codes: NDArray[np.float32]
    cell: NDArray[np.int64]
    calibration: int
    seed: int
    tick: Callable[[], None] = lambda: None

    @classmethod
    def fit(
        cls,
        rows: NDArray[np.float32],
        n_codes: int,
        calibration: int,
        seed: int,
        tick: Callable[[], None],
    ) -> TransportDesign:
        """k-means on the pool, five Lloyd steps from seeded items."""
        rng = np.random.default_rng([seed, 503])
        codes = rows[np.sort(rng.choice(len(rows), min(n_codes, len(rows)), replace=False))].copy()
        for _ in range(LLOYD_STEPS):
            cell = _nearest(rows, codes)
            counts = np.bincount(cell, minlength=len(codes))
            sums = _sum_by(rows, cell, np.ones(len(rows), np.float32), len(codes))
            live = counts > 0
            codes[live] = sums[live] / counts[live, None].astype(np.float32)
        return cls(rows, codes, _nearest(rows, codes), calibration, seed, tick)

    def squared(self, membership: Membership) -> Squared:
        """Squared W2 of all pairs: calibrated on seeded exact pairs, or linearised when ``calibration`` is 0."""
        embedded, left_out, gelbrich = self.embed(membership)
        linear = squared_gaps(embedded)
        outside = left_out[:, None] + left_out
        upper = linear + outside
        np.fill_diagonal(upper, 0)
        lower = np.minimum(gelbrich, upper)
        pairs = self._calibration_pairs(membership)
        if len(pairs[0]) < 12:
            return Squared(np.clip(linear, lower, upper), lower, upper)
        features = self._features(membership, linear, outside)
        exact = np.array([self._exact(membership, i, j) for i, j in zip(*pairs, strict=True)])
        known = features[pairs]
        weights, *_ = np.linalg.lstsq(known, exact, rcond=None)
        value = np.clip((features @ weights), lower, upper)
        value = (value + value.T) / 2
        np.fill_diagonal(value, 0)
        error = np.full_like(value, _leave_one_out(known, exact))
        np.fill_diagonal(error, 0)
        value[pairs] = value[pairs[::-1]] = exact
        error[pairs] = error[pairs[::-1]] = 0.0
        return Squared(value, lower, upper, error)

    def embed(
        self, membership: Membership
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Images of the codes (S, K d), the second moment they leave out (S,), and the bound by moments (S, S)."""
        count, (k, d) = membership.n_subsets, self.codes.shape
        histograms = np.zeros((count, k))
        for s in range(count):
            histograms[s] = np.bincount(self.cell[membership.members(s)], membership.weights_of(s), k)
        mean = histograms.mean(axis=0)
        live = mean > 0
        base = mean[live] / mean[live].sum()
        cost = squared_distances(self.codes[live].astype(np.float64), self.codes.astype(np.float64))
        embedded = np.empty((count, int(live.sum()), d), np.float32)
        left_out = np.empty(count)
        moments = np.empty((count, 2 * d), np.float32)
        for s in range(count):
            members, weight = membership.members(s), membership.weights_of(s)
            rows = self.rows[members]
            full = histograms[s] > 0
            plan = simplex(cost[:, full].astype(np.float64), base, histograms[s][full])
            sums = _sum_by(rows, self.cell[members], weight.astype(np.float32), k)[full]
            centres = sums / histograms[s][full, None]
            embedded[s] = (plan @ centres) / np.sqrt(base)[:, None]
            squares = np.square(rows, dtype=np.float64)
            left_out[s] = max(weight @ squares.sum(1) - np.square(embedded[s], dtype=np.float64).sum(), 0.0)
            moments[s, :d] = weight @ rows
            moments[s, d:] = np.sqrt(np.maximum(weight @ squares - np.square(weight @ rows), 0))
            self.tick()
        return embedded.reshape(count, -1), left_out, squared_gaps(moments)

    def _calibration_pairs(self, membership: Membership) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        left, right = np.triu_indices(membership.n_subsets, 1)
        rng = np.random.default_rng([self.seed, 509])
        chosen = np.sort(rng.choice(len(left), min(self.calibration, len(left)), replace=False))
        return left[chosen], right[chosen]

    @staticmethod
    def _features(
        membership: Membership, linear: NDArray[np.float64], outside: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        small = 1 / membership.sizes
        sizes = small[:, None] + small
        return np.stack([linear, outside, sizes, membership.overlap(), np.ones_like(linear)], axis=-1)

    def _exact(self, membership: Membership, i: int, j: int) -> float:
        a, b = (self.rows[membership.members(s)].astype(np.float64) for s in (i, j))
        weights = None if membership.uniform else (membership.weights_of(i), membership.weights_of(j))
        self.tick()
        return solve(ground_cost(a, b, 2.0), weights).total


def _nearest(rows: NDArray[np.float32], codes: NDArray[np.float32]) -> NDArray[np.int64]:
    half = np.einsum("ij,ij->i", codes, codes) / 2
    return np.concatenate(
        [np.argmax(rows[a : a + 8192] @ codes.T - half, axis=1) for a in range(0, len(rows), 8192)]
    )


def _sum_by(
    rows: NDArray[np.float32], cell: NDArray[np.int64], weight: NDArray[np.float32], k: int
) -> NDArray[np.float32]:
    """Weighted sums of rows (n, d) by cell, (k, d), as one sparse product."""
    from scipy.sparse import csr_array

    table = csr_array((weight, (cell, np.arange(len(cell)))), shape=(k, len(cell)))
    return np.asarray(table @ rows)


def _leave_one_out(features: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """Root mean square of the regression's leave-one-out residuals."""
    hat = features @ np.linalg.pinv(features)
    residual = (exact - hat @ exact) / np.maximum(1 - np.diag(hat), 1e-6)
    return float(np.sqrt(np.mean(np.square(residual))))
