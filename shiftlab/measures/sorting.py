"""Sorting many long rows: by buckets first, then within short blocks, where a processor sorts fastest.

numpy sorts rows of a few hundred numbers in registers, several times faster a number than long rows. So a long
row is brought close to order by a radix sort of 16-bit keys that grow with the values, and finished in blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.inputs import Floats

_SHORTEST = 6000  # below, numpy's own sort is as fast
_BLOCK = 256
_CHUNK = 2048
_LAST_KEY = np.iinfo(np.uint16).max
_SAMPLE = 1024


def sort_rows(rows: Floats) -> None:
    """Sort the finite rows of a contiguous matrix (k, n) in place, each ascending, as ``rows.sort(axis=1)`` does."""
    if rows.shape[1] < _SHORTEST:
        rows.sort(axis=1)
        return
    key, room = np.empty(rows.shape[1], np.uint16), np.empty_like(rows[0])
    for row, lowest, keys_per_unit in zip(rows, *_key_ranges(rows), strict=True):
        if keys_per_unit == 0:
            row.sort()
            continue
        with np.errstate(over="ignore"):  # a value at infinite distance has the last key
            np.subtract(row, lowest, out=room)
            room *= keys_per_unit
        np.clip(room, 0, _LAST_KEY, out=room)
        np.copyto(key, room, casting="unsafe")
        order = np.argsort(key, kind="stable")
        np.take(row, order, out=room, mode="clip")
        row[:] = room
        row[: np.count_nonzero(key == 0)].sort()  # what lies beyond the range has the outermost keys
        row[np.count_nonzero(key < _LAST_KEY) :].sort()
        _sort_blocks(row)
        if not (row[1:] >= row[:-1]).all():
            _sort_between_keys(row, key[order])


def _key_ranges(rows: Floats) -> tuple[Floats, Floats]:
    """Lowest value and keys per unit of value, (k,) each: the range that holds nearly all of a row.

    The middle 98 % of a sample, and half as much again on both sides; keys per unit are 0 where that is no range.
    """
    sample = np.sort(rows[:, :: max(1, rows.shape[1] // _SAMPLE)], axis=1)
    tail = sample.shape[1] // 100
    low, high = sample[:, tail], sample[:, -1 - tail]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        lowest = low - (high - low) / 2
        keys_per_unit = _LAST_KEY / (2 * (high - low))
        usable = np.isfinite(lowest) & np.isfinite(keys_per_unit)
    return lowest, np.where(usable, keys_per_unit, 0).astype(rows.dtype)


def _sort_blocks(row: Floats) -> None:
    """Order a row in which no value is further than half a block from its place."""
    for start in (0, _BLOCK // 2):
        whole = (len(row) - start) // _BLOCK * _BLOCK
        row[start : start + whole].reshape(-1, _BLOCK).sort(axis=1)
        row[start + whole :].sort()


def _sort_between_keys(row: Floats, key: NDArray[np.uint16]) -> None:
    """Order a row whose ``key`` is in order, where many values share one: in parts that begin with a new key."""
    new = np.flatnonzero(key[1:] != key[:-1]) + 1
    cuts = np.searchsorted(new, np.arange(_CHUNK, len(row), _CHUNK))
    for part in np.split(row, np.unique(new[cuts[cuts < len(new)]])):
        part.sort()
