"""All pairs of sliced W2 by quantile embedding, with certified bounds.

Along a direction W2 is the L2 distance of quantile functions. Averaging each over Q bins contracts L2, so the
distance of averages is a lower bound; two nondecreasing functions covary non-negatively within a bin, so adding
the variances within bins is an upper bound. Every pair is then one entry of one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.sliced import directions, uniform_merge
from shiftlab.measures.sorting import sort_rows
from shiftlab.shift.pairs.embedding import BLOCKS, Squared, blocked_gaps, squared_gaps
from shiftlab.shift.pairs.membership import Membership

# Bins of fewer steps than this are averaged faster by a matrix product than run by run.
_SHORT_RUNS = 10
_GROUP = 16  # bins whose averages are one product


@dataclass(frozen=True)
class SlicedDesign:
    """Projections of all items on shared directions: ``values`` (P, N), quantile bins Q."""

    values: NDArray[np.float32]
    theta: NDArray[np.float32]
    bins: int

    @classmethod
    def fit(cls, rows: NDArray[np.float32], n_projections: int, bins: int, seed: int) -> SlicedDesign:
        """Project centred rows (N, d) once."""
        theta = directions(rows.shape[1], n_projections, seed).astype(np.float32)
        return cls(rows @ theta, theta, bins)

    def on(self, rows: NDArray[np.float32]) -> SlicedDesign:
        """The same directions and bins for other centred rows (n, d)."""
        return SlicedDesign(rows @ self.theta, self.theta, self.bins)

    def squared(self, membership: Membership) -> Squared:
        """Squared sliced W2 of all pairs for the given directions, with bounds; error over directions."""
        embedded, within = self.embed(membership)
        count = self.theta.shape[1]
        if count % BLOCKS == 0:
            total, scatter = blocked_gaps(embedded)
        else:
            total, scatter = squared_gaps(embedded), None
        cells = count * self.bins
        lower = total / cells
        upper = lower + (within[:, None] + within)
        np.fill_diagonal(upper, 0)
        middle = (lower + upper) / 2
        return Squared(middle, lower, upper, None if scatter is None else scatter / cells)

    def embed(self, membership: Membership) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Binned quantile functions (S, P Q) and the mean square they leave out (S,)."""
        count = self.theta.shape[1]
        embedded = np.empty((membership.n_subsets, count, self.bins), np.float32)
        within = np.empty(membership.n_subsets)
        largest = int(membership.sizes.max())
        gathered, held = np.empty((largest, count), np.float32), np.empty(largest * count, np.float32)
        for s in range(membership.n_subsets):
            n = int(membership.sizes[s])
            # In memory kept from subset to subset; any mode but the default writes into it without a copy.
            np.take(self.values, membership.members(s), axis=0, out=gathered[:n], mode="clip")
            values = held[: n * count].reshape(count, n)
            np.copyto(values, gathered[:n].T)
            weights = None if membership.uniform else membership.weights_of(s)
            within[s] = quantile_rows(values, weights, embedded[s])
        return embedded.reshape(membership.n_subsets, -1), within


def quantile_rows(
    values: NDArray[np.float32], weights: NDArray[np.float64] | None, out: NDArray[np.float32]
) -> float:
    """Quantile functions of rows (P, n) averaged over the bins of ``out`` (P, Q); the mean square left out."""
    bins = out.shape[1]
    if weights is None:
        sort_rows(values)
        _uniform_bins(values, out)
        mean_square = float(np.einsum("ij,ij->i", values, values).sum(dtype=np.float64)) / values.size
    else:
        order = np.argsort(values, axis=1, kind="stable")
        cumulated = np.cumsum(weights[order], axis=1)
        sorted_values = np.take_along_axis(values, order, axis=1)
        for row in range(len(values)):
            out[row] = _weighted_bins(sorted_values[row], cumulated[row], bins)
        mean_square = float(np.mean(np.square(values, dtype=np.float64) @ weights))
    kept = float(np.einsum("ij,ij->i", out, out).sum(dtype=np.float64)) / out.size
    return max(mean_square - kept, 0.0)


def _uniform_bins(values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Average n equal steps over Q equal bins: whole steps by runs, and the steps that an edge cuts by shares."""
    n, bins = values.shape[1], out.shape[1]
    if n < _SHORT_RUNS * bins:
        first, shares = _bin_shares(n, bins)
        for group, start in enumerate(first.tolist()):
            cells = out[:, group * _GROUP : (group + 1) * _GROUP]
            steps = values[:, start : start + shares.shape[1]]
            np.matmul(steps, shares[group, :, : cells.shape[1]], out=cells)
        return
    edge = np.arange(bins + 1) * (n / bins)
    first = edge[:-1].astype(np.int64)
    before = values[:, first] * (edge[:-1] - first).astype(np.float32)
    np.add.reduceat(values, first, axis=1, out=out)
    out -= before
    out[:, :-1] += before[:, 1:]
    out *= np.float32(bins / n)


@lru_cache(maxsize=256)
def _bin_shares(n: int, bins: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Share of each of n equal steps in the average over each bin, by groups of neighbouring bins.

    A group's bins see a short run of steps only: the first of each run (G,), and the shares (G, steps, bins).
    """
    step, cell, moved = uniform_merge(n, bins)
    group = cell // _GROUP
    begin = np.searchsorted(group, np.arange(group[-1] + 1))
    first, last = step[begin], step[np.append(begin[1:], len(step)) - 1]
    width = int((last - first).max()) + 1
    first = np.minimum(first, n - width)  # runs of one length, none beyond the last step
    shares = np.zeros((len(first), width, min(_GROUP, bins)), np.float32)
    shares[group, step - first[group], cell % _GROUP] = moved * bins
    return first, shares


def _weighted_bins(
    values: NDArray[np.float32], cumulated: NDArray[np.float64], bins: int
) -> NDArray[np.float64]:
    """Bin averages of one weighted quantile function: differences of its integral at the bins' edges."""
    levels = np.concatenate([[0.0], cumulated / cumulated[-1]])
    integral = np.concatenate([[0.0], np.cumsum(values * np.diff(levels))])
    return np.diff(np.interp(np.arange(bins + 1) / bins, levels, integral)) * bins
