"""Exact neighbours of many steps in many dimensions, without an N x N matrix and without a tree.

Trees degrade above a dozen dimensions and plain brute force spends its time selecting, not multiplying.
Here the points are rotated onto their principal axes (distances do not change), cut into compact blocks,
and every block of queries meets the other blocks nearest first. A bounding box rules whole blocks out; a
product over the leading axes, which is a lower bound of the distance, rules points out against the best
k-th distance found so far; only the survivors get their full distance. Nothing is approximated.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_LEAF = 512  # points per block: a 512 x 2048 tile of float32 stays in the cache
_TILE = 2048
_LEADING_SHARE = 0.95  # of the variance that the leading axes must hold to be worth a first pass


@dataclass(frozen=True)
class Blocks:
    """Points in principal axes, ordered so that consecutive rows lie close together.

    ``points`` (N, d) float32 in block order, ``order`` (N,) the original row of each, ``starts`` (B + 1,)
    the block borders, ``low`` and ``high`` (B, d) the bounding boxes, ``leading`` how many axes the first
    pass uses.
    """

    points: Floats
    order: Ints
    starts: Ints
    low: Floats
    high: Floats
    leading: int

    @property
    def n_blocks(self) -> int:
        return len(self.starts) - 1

    def gaps_sq(self, block: int) -> Floats:
        """Squared distance between this block's box and every box, a lower bound for all their points."""
        gap = np.maximum(0, np.maximum(self.low - self.high[block], self.low[block] - self.high))
        return np.einsum("ij,ij->i", gap, gap)

    def near_first(self, block: int, gaps_sq: Floats) -> Ints:
        centre = (self.low + self.high) / 2
        away = np.square(centre - centre[block]).sum(axis=1)
        return np.lexsort((away, gaps_sq))

    def rows(self, blocks: Ints) -> Ints:
        return np.concatenate([np.arange(self.starts[b], self.starts[b + 1]) for b in blocks])


def build_blocks(points: Floats, leaf: int = _LEAF, cut_axes: int | None = None) -> Blocks:
    """Rotate ``points`` (N, d) onto principal axes and cut them into blocks of at most ``leaf`` rows.

    ``cut_axes`` limits the cuts to the first axes: a few thin slabs rule out more for balls of a small
    fixed radius, compact boxes (the default) more for nearest neighbours.
    """
    centred = np.asarray(points, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    variance, axes = np.linalg.eigh(centred.T @ centred)
    variance, axes = variance[::-1], axes[:, ::-1]
    rotated = centred @ axes
    order, starts = _halve(rotated[:, :cut_axes], leaf)
    rotated = np.ascontiguousarray(rotated[order], dtype=np.float32)
    share = np.cumsum(variance) / max(float(variance.sum()), np.finfo(float).tiny)
    leading = int(np.searchsorted(share, _LEADING_SHARE) + 1)
    width = rotated.shape[1]
    return Blocks(
        points=rotated,
        order=order,
        starts=starts,
        low=np.minimum.reduceat(rotated, starts[:-1], axis=0),
        high=np.maximum.reduceat(rotated, starts[:-1], axis=0),
        leading=leading if leading <= 0.6 * width else width,
    )


def _halve(points: Floats, leaf: int) -> tuple[Ints, Ints]:
    """Split at the median of the widest axis until a part has at most ``leaf`` rows."""
    order = np.arange(len(points))
    starts = []
    parts = [(0, len(points))]
    while parts:
        first, last = parts.pop()
        if last - first <= leaf:
            starts.append(first)
            continue
        part = points[order[first:last]]
        axis = int(np.argmax(part.max(axis=0) - part.min(axis=0)))
        middle = (last - first) // 2
        order[first:last] = order[first:last][np.argpartition(part[:, axis], middle)]
        parts += [(first, first + middle), (first + middle, last)]
    return order, np.array([*sorted(starts), len(points)])


class _Products:
    """Squared distances over the first axes as one matrix product, with the float32 error it may have."""

    def __init__(self, blocks: Blocks, axes: int) -> None:
        lead = blocks.points[:, :axes]
        norm = np.einsum("ij,ij->i", lead, lead)[:, None]
        one = np.ones_like(norm)
        self.left = np.concatenate([lead, norm, one], axis=1)
        self.right = np.concatenate([-2 * lead, one, norm], axis=1)
        self.slack = np.float32(4e-6 * float(norm.max(initial=0)))

    def tile(self, queries: slice, rows: Ints) -> Floats:
        return self.left[queries] @ self.right[rows].T


def _true_cells(mask: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Rows and columns of the true cells, reading eight cells at a time while few are true."""
    flat = mask.reshape(-1)
    if flat.size % 8 == 0:
        words = np.flatnonzero(flat.view(np.uint64))
        inside = np.flatnonzero(flat.view(np.uint64)[words].view(np.bool_))
        cells = words[inside >> 3] * 8 + (inside & 7)
    else:
        cells = np.flatnonzero(flat)
    row = cells // mask.shape[1]
    return row, cells - row * mask.shape[1]


@dataclass(frozen=True)
class Neighbours:
    """The ``k`` nearest points of other groups: ``index`` and ``distance`` (N, k), nearest first.

    Where a point has fewer than ``k`` candidates the rest is index -1 and distance infinity.
    """

    index: Ints
    distance: Floats


def nearest_of_other_groups(blocks: Blocks, group: Ints, k: int) -> Neighbours:
    """Exact ``k`` nearest neighbours of every point among the points of *other* groups.

    ``group`` (N,) holds integers in the original row order; give ``arange(N)`` to leave out only the
    point itself. Memory is O(N k) beside the points. Distances are Euclidean, in the units of the points.
    """
    n = len(blocks.points)
    index = np.full((n, k), -1, dtype=np.int32)
    distance = np.full((n, k), np.inf, dtype=np.float32)
    whole = _Products(blocks, blocks.points.shape[1])
    leading = whole if blocks.leading == blocks.points.shape[1] else _Products(blocks, blocks.leading)
    grouped = np.asarray(group)[blocks.order]

    def find(block: int) -> None:
        search = _BlockSearch(blocks, whole, leading, grouped, block, k)
        search.run()
        rows = blocks.order[search.queries]
        index[rows], distance[rows] = search.result()

    _each_block(find, blocks.n_blocks)
    return Neighbours(index, distance)


def _each_block(work: Callable[[int], None], n_blocks: int) -> None:
    """Blocks side by side, one BLAS thread each: a BLAS team would spin while numpy selects."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        deque(pool.map(work, range(n_blocks)), maxlen=0)


class _BlockSearch:
    """The search for one block of queries: the best candidates so far and those waiting to be merged."""

    def __init__(
        self, blocks: Blocks, whole: _Products, leading: _Products, group: Ints, block: int, k: int
    ) -> None:
        self.blocks, self.whole, self.leading = blocks, whole, leading
        self.group, self.block, self.k = group, block, k
        self.queries = slice(int(blocks.starts[block]), int(blocks.starts[block + 1]))
        size = self.queries.stop - self.queries.start
        self.best_sq = np.full((size, k), np.inf, dtype=np.float32)
        self.best = np.full((size, k), -1, dtype=np.int64)
        self.limit = np.full(size, np.inf, dtype=np.float32)
        self.waiting: list[tuple[Ints, Ints, Floats]] = []
        self.n_waiting = 0

    def run(self) -> None:
        blocks = self.blocks
        gaps = blocks.gaps_sq(self.block)
        order = blocks.near_first(self.block, gaps)
        per_tile = max(1, _TILE // _LEAF)
        for at in range(0, len(order), per_tile):
            chosen = order[at : at + per_tile]
            if gaps[chosen[0]] > self.limit.max() + self.whole.slack:
                break
            self._visit(blocks.rows(chosen))
        self._merge()

    def _visit(self, rows: Ints) -> None:
        if np.isfinite(self.limit).all():
            tile = self.leading.tile(self.queries, rows)
            row, column = _true_cells(tile < (self.limit + self.leading.slack)[:, None])
        else:
            row, column = self._shortlist(rows)
        candidate = rows[column]
        other = self.group[candidate] != self.group[self.queries][row]
        row, candidate = row[other], candidate[other]
        near_sq = self._full_distance_sq(row, candidate)
        keep = near_sq < self.limit[row]
        self.waiting.append((row[keep], candidate[keep], near_sq[keep]))
        self.n_waiting += int(keep.sum())
        if not np.isfinite(self.limit).all() or self.n_waiting > self.best.size:
            self._merge()

    def _shortlist(self, rows: Ints) -> tuple[Ints, Ints]:
        """While some query still lacks ``k`` candidates there is no limit: the smallest few of the tile."""
        tile = self.whole.tile(self.queries, rows)
        tile[self.group[self.queries][:, None] == self.group[rows][None, :]] = np.inf
        spare = self.k + 8
        if tile.shape[1] <= spare:
            return _true_cells(np.isfinite(tile))
        column = np.argpartition(tile, spare, axis=1)[:, :spare]
        row = np.repeat(np.arange(len(tile)), spare)
        column = column.reshape(-1)
        found = np.isfinite(tile[row, column])
        return row[found], column[found]

    def _full_distance_sq(self, row: Ints, candidate: Ints) -> Floats:
        points, queries = self.blocks.points, self.blocks.points[self.queries]
        near_sq = np.empty(len(row), dtype=np.float32)
        for at in range(0, len(row), 65_536):
            part = slice(at, at + 65_536)
            away = points[candidate[part]]
            away -= queries[row[part]]
            np.einsum("ij,ij->i", away, away, out=near_sq[part])
        return near_sq

    def _merge(self) -> None:
        if not self.n_waiting:
            self.waiting.clear()
            return
        row, candidate, near_sq = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        if len(self.waiting) > 1:
            by_row = np.argsort(row, kind="stable")
            row, candidate, near_sq = row[by_row], candidate[by_row], near_sq[by_row]
        count = np.bincount(row, minlength=len(self.best))
        place = self.k + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        pool_sq = np.full((len(self.best), self.k + int(count.max())), np.inf, dtype=np.float32)
        pool = np.full(pool_sq.shape, -1, dtype=np.int64)
        pool_sq[:, : self.k], pool[:, : self.k] = self.best_sq, self.best
        pool_sq[row, place], pool[row, place] = near_sq, candidate
        kept = np.argpartition(pool_sq, self.k - 1, axis=1)[:, : self.k]
        self.best_sq = np.take_along_axis(pool_sq, kept, axis=1)
        self.best = np.take_along_axis(pool, kept, axis=1)
        self.limit = self.best_sq.max(axis=1)
        self.waiting.clear()
        self.n_waiting = 0

    def result(self) -> tuple[Ints, Floats]:
        original = np.where(self.best >= 0, self.blocks.order[self.best], np.iinfo(np.int32).max)
        nearest = np.lexsort((original, self.best_sq), axis=1)
        original = np.take_along_axis(original, nearest, axis=1)
        original[original == np.iinfo(np.int32).max] = -1
        return original, np.sqrt(np.take_along_axis(self.best_sq, nearest, axis=1))


def ball_sums(blocks: Blocks, values: Floats, radius: float) -> tuple[Ints, Floats]:
    """How many points lie within ``radius`` of each point, itself included, and the sum of their values.

    ``values`` (N, v) in the original row order. Returns counts (N,) and sums (N, v), float64. Squared
    distances within float32 error of the border are settled in float64.
    """
    n = len(blocks.points)
    counts = np.zeros(n, dtype=np.int64)
    sums = np.zeros((n, values.shape[1]))
    products = _Products(blocks, blocks.leading)
    ordered = np.asarray(values, dtype=np.float64)[blocks.order]
    per_tile = max(1, _TILE // _LEAF)

    def add(block: int) -> None:
        queries = slice(int(blocks.starts[block]), int(blocks.starts[block + 1]))
        near = np.flatnonzero(blocks.gaps_sq(block) <= radius**2 + products.slack)
        for at in range(0, len(near), per_tile):
            rows = blocks.rows(near[at : at + per_tile])
            row, column = _inside(blocks, products, queries, rows, radius)
            size = queries.stop - queries.start
            counts[blocks.order[queries]] += np.bincount(row, minlength=size)
            sums[blocks.order[queries]] += _row_sums(row, column, size, ordered[rows])

    _each_block(add, blocks.n_blocks)
    return counts, sums


def _inside(
    blocks: Blocks, products: _Products, queries: slice, rows: Ints, radius: float
) -> tuple[Ints, Ints]:
    """Row and column of every pair within the radius, in row order."""
    tile = products.tile(queries, rows)
    row, column = _true_cells(tile <= radius**2 + products.slack)
    sure = np.zeros(len(row), dtype=bool)
    if blocks.leading == blocks.points.shape[1]:
        sure = tile[row, column] < radius**2 - products.slack
    doubtful = np.flatnonzero(~sure)
    for at in range(0, len(doubtful), 65_536):
        part = doubtful[at : at + 65_536]
        away = blocks.points[queries][row[part]].astype(np.float64) - blocks.points[rows[column[part]]]
        sure[part] = np.einsum("ij,ij->i", away, away) <= radius**2
    return row[sure], column[sure]


def _row_sums(row: Ints, column: Ints, n_rows: int, values: Floats) -> Floats:
    if len(row) > 0.02 * n_rows * len(values):
        inside = np.zeros((n_rows, len(values)))
        inside[row, column] = 1
        return inside @ values
    from scipy.sparse import csr_array

    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_rows))])
    return csr_array((np.ones(len(row)), column, ends), shape=(n_rows, len(values))) @ values
