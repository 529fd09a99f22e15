"""Sketches: everything the statistics need of a layer, in one pass, mergeable by addition.

A sketch keeps the sums and Gram matrices of raw and of scaled filters, counts of sparse filters at several
thresholds, and the histograms of the scaled filters on the fixed DCT-II basis. Any grouping of layers is then
a sum of sketches and touches no weight.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.filters.basis import Basis, as_filters, axis_variance_share, dct_basis, principal_components

BINS = 70  # as published (arXiv:2203.15331)
EPSILONS = (0.001, 0.003, 0.01, 0.03, 0.1)  # sparsity thresholds, as shares of the layer's peak
MAX_KERNEL_AREA = 121  # 11 x 11; a Gram matrix grows with the square of the area
_WORKING_SET = 400 << 10  # bytes of one chunk of filters
_held = threading.local()
_SNAP = 1e-12  # coefficients this close below a bin edge (0 is one) count as on it, whatever the rounding


@dataclass(frozen=True, eq=False)
class Sketch:
    """Sufficient statistics of n filters of one kernel shape (kh, kw), d = kh * kw.

    `sum_raw`, `sum_scaled` [d] and `gram_raw`, `gram_scaled` [d, d] are over filters as stored and divided
    by their largest absolute weight; `counts` [d, 70] are histograms of the scaled filters on the DCT-II
    basis over [-sqrt(d), sqrt(d)], uncentred; `sparse` [5] counts filters whose largest absolute weight is
    below EPSILONS times the peak of their layer (all of them in a zero layer); `peak` is the largest
    absolute weight; `zero` counts filters of zeros. Add sketches with `+`.
    """

    shape: tuple[int, int]
    n: int
    peak: float
    zero: int
    sparse: np.ndarray
    sum_raw: np.ndarray
    gram_raw: np.ndarray
    sum_scaled: np.ndarray
    gram_scaled: np.ndarray
    counts: np.ndarray

    def __add__(self, other: Sketch) -> Sketch:
        if self.shape != other.shape:
            raise BadInputError(f"sketches of {self.shape} and {other.shape} kernels cannot be added")
        return Sketch(
            shape=self.shape,
            n=self.n + other.n,
            peak=max(self.peak, other.peak),
            zero=self.zero + other.zero,
            sparse=self.sparse + other.sparse,
            sum_raw=self.sum_raw + other.sum_raw,
            gram_raw=self.gram_raw + other.gram_raw,
            sum_scaled=self.sum_scaled + other.sum_scaled,
            gram_scaled=self.gram_scaled + other.gram_scaled,
            counts=self.counts + other.counts,
        )

    def basis(self) -> Basis:
        """The principal components of the scaled filters, exactly as from the filters themselves."""
        return principal_components(self.n, self.sum_scaled, self.gram_scaled)

    def dct_variance_share(self) -> np.ndarray:
        """Share of the scaled filters' variance on each DCT-II axis [d]."""
        return axis_variance_share(self.n, self.sum_scaled, self.gram_scaled, dct_basis(*self.shape))


def histogram_range(shape: tuple[int, int]) -> float:
    """Half-width of the histograms: no scaled filter of d weights has a norm above sqrt(d)."""
    return float(np.sqrt(shape[0] * shape[1]))


def sketch(weight: np.ndarray, shape: tuple[int, int] | None = None) -> Sketch:
    """Sketch one layer: weight (O, I, kh, kw), filters (n, kh, kw), or rows (n, d) with `shape` = (kh, kw).

    Weights are read in chunks; memory beyond them is constant. Raises BadInputError for NaN, infinite or
    empty input and for kernels above 121 weights.
    """
    array = np.asarray(weight)
    if shape is None:
        edge = int(np.sqrt(array.shape[-1])) if array.ndim == 2 else 0
        shape = (edge, edge) if array.ndim == 2 else (int(array.shape[-2]), int(array.shape[-1]))
    rows = as_filters(array)
    if rows.shape[1] != shape[0] * shape[1]:
        raise BadInputError(
            f"weight: rows of {rows.shape[1]} weights do not form {shape[0]}x{shape[1]} kernels"
        )
    return sketch_columns(rows.T, shape)


def sketch_columns(columns: np.ndarray, shape: tuple[int, int]) -> Sketch:
    """Sketch one layer given as columns [d, n] (one row per kernel position).

    Values must be finite; `sketch` checks that.
    """
    d, n = columns.shape
    if d > MAX_KERNEL_AREA:
        raise BadInputError(f"weight: a kernel of {shape[0]}x{shape[1]} is above {MAX_KERNEL_AREA} weights")
    scaled = scaled_statistics(columns, shape)
    raw_sum, raw_gram = np.zeros(d), np.zeros((d, d))
    for start, stop in _chunks(n, d):
        block = columns[:, start:stop].astype(np.float64)
        raw_sum += block.sum(axis=1)
        raw_gram += block @ block.T
    peak = float(scaled.peaks.max())
    limits = np.array(EPSILONS) * peak
    sparse = [np.count_nonzero(scaled.peaks < limit) if peak > 0 else n for limit in limits]
    return Sketch(
        shape=shape,
        n=n,
        peak=peak,
        zero=n - int(np.count_nonzero(scaled.peaks)),
        sparse=np.array(sparse, np.int64),
        sum_raw=raw_sum,
        gram_raw=raw_gram,
        sum_scaled=scaled.sum,
        gram_scaled=scaled.gram,
        counts=scaled.counts,
    )


@dataclass(frozen=True, eq=False)
class ScaledStatistics:
    """Of n scaled filters: sum [d], Gram [d, d], DCT histograms [d, 70]; `peaks` [n] before scaling."""

    sum: np.ndarray
    gram: np.ndarray
    counts: np.ndarray
    peaks: np.ndarray


def scaled_statistics(columns: np.ndarray, shape: tuple[int, int]) -> ScaledStatistics:
    """What basis and drift need of filters given as columns [d, n], in one pass of cache-sized chunks."""
    d, n = columns.shape
    to_bin = _bin_map(shape)
    gram = np.zeros((d + 1, d + 1))  # bordered by the sums: the last row of a block is ones
    tally = np.zeros(d * (BINS + 1), np.int64)
    peaks = np.empty(n, columns.dtype)
    for start, stop in _chunks(n, d):
        block, binned, places = _buffers(d, stop - start)
        source = columns[:, start:stop]
        peak = np.abs(source).max(axis=0, out=peaks[start:stop])
        np.divide(source, np.where(peak > 0, peak, 1), out=block[:d], dtype=np.float64)
        block[d] = 1
        gram += block @ block.T
        np.matmul(to_bin, block, out=binned)
        np.copyto(places, binned, casting="unsafe")
        tally += np.bincount(places.ravel(), minlength=len(tally))
    counts = tally.reshape(d, BINS + 1)
    counts[:, BINS - 1] += counts[:, BINS]  # the last bin includes its right edge
    return ScaledStatistics(gram[d, :d].copy(), gram[:d, :d].copy(), counts[:, :BINS].copy(), peaks)


def _chunks(n: int, d: int) -> Iterator[tuple[int, int]]:
    """Equal ranges of filters whose working arrays stay in the cache of a core."""
    pieces = -(-n // max(256, _WORKING_SET // (8 * (d + 1))))
    return pairwise(n * k // pieces for k in range(pieces + 1))


def _buffers(d: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contiguous working arrays [d+1, size], [d, size], [d, size] in memory kept from layer to layer."""
    need = (d + 1) * size
    if getattr(_held, "size", 0) < need:
        _held.size = need
        _held.block, _held.binned, _held.places = np.empty(need), np.empty(need), np.empty(need, np.intp)
    block = _held.block[:need].reshape(d + 1, size)
    return block, _held.binned[: d * size].reshape(d, size), _held.places[: d * size].reshape(d, size)


@cache
def _bin_map(shape: tuple[int, int]) -> np.ndarray:
    """[d, d+1]: maps a scaled filter and a 1 to its fractional bin numbers, 71 places apart per component.

    One matrix product projects, shifts and spreads; truncation then gives indices for a single bincount. The
    extra bin per component catches the right edge. _SNAP moves rounding noise below 0 into the bin from 0 up.
    """
    d = shape[0] * shape[1]
    half = histogram_range(shape)
    per_unit = BINS / (2 * half)
    offsets = np.arange(d) * (BINS + 1) + (half + _SNAP) * per_unit
    return np.hstack([dct_basis(*shape) * per_unit, offsets[:, None]])
