"""Which items are in which subset, as the designs need it: weights that sum to one, members, overlaps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class Membership:
    """Subsets by items (S, N) as a CSR matrix whose rows sum to one."""

    weights: csr_array

    @classmethod
    def of(cls, matrix: Any, n_items: int) -> Membership:
        """Check a sparse or dense membership (S, N): no negative weight, no empty subset."""
        w = csr_array(matrix, dtype=np.float64, copy=True)
        if w.ndim != 2 or w.shape[1] != n_items:
            raise ValueError(f"membership must have one column per row of vectors ({n_items}), not {w.shape}")
        w.sum_duplicates()
        w.eliminate_zeros()
        if not np.isfinite(w.data).all() or (w.data < 0).any():
            raise ValueError("membership must hold finite weights of at least 0")
        total = np.asarray(w.sum(axis=1)).ravel()
        if (total <= 0).any():
            raise ValueError(f"membership row {int(np.argmin(total))} is an empty subset")
        w.data /= np.repeat(total, np.diff(w.indptr))
        w.sort_indices()
        return cls(w)

    @property
    def n_subsets(self) -> int:
        """Number of subsets S."""
        return int(self.weights.shape[0])

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Items of each subset, (S,)."""
        return np.diff(self.weights.indptr).astype(np.int64)

    @cached_property
    def uniform(self) -> bool:
        """Whether the items of each subset weigh the same."""
        expected = np.repeat(1 / self.sizes, self.sizes)
        return bool(np.allclose(self.weights.data, expected, rtol=1e-9, atol=0))

    @cached_property
    def single(self) -> csr_array:
        """The weights in float32, for products with float32 rows."""
        return self.weights.astype(np.float32)

    def members(self, subset: int) -> NDArray[np.int32]:
        """Sorted item rows of one subset."""
        start, stop = self.weights.indptr[subset : subset + 2]
        return self.weights.indices[start:stop]

    def weights_of(self, subset: int) -> NDArray[np.float64]:
        """Weights of `members`, summing to one."""
        start, stop = self.weights.indptr[subset : subset + 2]
        return self.weights.data[start:stop]

    @cached_property
    def shared_weight(self) -> NDArray[np.float64]:
        """Sum over items of the product of both weights, (S, S); its diagonal is 1/n for uniform weights."""
        return np.asarray((self.weights @ self.weights.T).toarray())

    @cached_property
    def shared_items(self) -> NDArray[np.int64]:
        """Items that two subsets share, (S, S)."""
        if self.uniform:
            return np.rint(self.shared_weight * self.sizes[:, None] * self.sizes).astype(np.int64)
        ones = self.weights.copy()
        ones.data = np.ones_like(ones.data, dtype=np.float32)
        return np.rint((ones @ ones.T).toarray()).astype(np.int64)

    def overlap(self) -> NDArray[np.float64]:
        """Shared items over those of the smaller subset, (S, S)."""
        return self.shared_items / np.minimum(self.sizes[:, None], self.sizes)

    def spread(self) -> NDArray[np.float64]:
        """Sum over items of the squared difference of weights, (S, S): 0 for equal subsets.

        Times a constant of the pool it is the expected squared distance of two random subsets with these
        sizes and this overlap.
        """
        own = np.diag(self.shared_weight)
        return np.maximum(own[:, None] + own - 2 * self.shared_weight, 0)

    def permuted(self, order: NDArray[np.intp]) -> Membership:
        """The same subsets of items renamed by a permutation: sizes, weights and overlaps are kept."""
        w = csr_array(
            (self.weights.data, order[self.weights.indices], self.weights.indptr), shape=self.weights.shape
        )
        w.sort_indices()
        return Membership(w)

    def restricted(self, items: NDArray[np.bool_]) -> Membership:
        """The part of every subset among some items (N,); ValueError if a subset has none there."""
        keep = items[self.weights.indices]
        rows = np.repeat(np.arange(self.n_subsets), self.sizes)[keep]
        kept = csr_array((self.weights.data[keep], (rows, self.weights.indices[keep])), self.weights.shape)
        return Membership.of(kept, self.weights.shape[1])


def compact(vectors: NDArray[Any], membership: Membership) -> tuple[NDArray[np.float32], Membership]:
    """Only the items that are in some subset, as float32 rows around their mean; membership renumbered."""
    w = membership.weights
    is_used = np.zeros(w.shape[1], bool)
    is_used[w.indices] = True
    used = np.flatnonzero(is_used)
    rows = np.asarray(vectors[used], dtype=np.float32)
    rows = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    columns = (np.cumsum(is_used, dtype=np.int32) - 1)[w.indices]
    return np.ascontiguousarray(rows), Membership(
        csr_array((w.data, columns, w.indptr), (w.shape[0], len(used)))
    )
