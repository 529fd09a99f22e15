"""Models that share weights: copies, fine-tunes and near duplicates.

Equal hashes of whole layers are proof; a drift below 0.001 over the same kernel shape is a hint that asks for
a look (ShiftLab's thresholds).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shiftlab.filters.divergence import drift_table
from shiftlab.filters.sketch import BINS, Sketch, histogram_range

NEAR = 0.001
Relation = Literal["copy", "shares layers", "near duplicate"]


@dataclass(frozen=True)
class Duplicate:
    """Two models with equal layers (`shared` of the smaller's `layers`) or with drift below 0.001."""

    left: str
    right: str
    relation: Relation
    shared: int
    layers: int
    drift: float


def weight_hash(weight: np.ndarray) -> str:
    """Hash of a weight (O, I, kh, kw) as float32, so that copies of equal values in other types agree."""
    digest = hashlib.blake2b(repr(weight.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(weight, dtype="<f4").tobytes())
    return digest.hexdigest()


def duplicates(hashes: Mapping[str, Sequence[str]], sketches: Mapping[str, Sketch]) -> list[Duplicate]:
    """All pairs of models that share layers or hardly drift, most shared layers first.

    `hashes` gives the layer hashes of each model, `sketches` the sum of its sketches of one kernel shape.
    """
    names = sorted(sketches)
    if len(names) < 2:
        return []
    half = histogram_range(sketches[names[0]].shape)
    counts = np.stack([sketches[name].counts for name in names])
    pooled = sum((sketches[name] for name in names[1:]), start=sketches[names[0]])
    table = drift_table(counts, pooled.dct_variance_share(), 2 * half / BINS)
    shared, sizes = _shared_layers([hashes.get(name, ()) for name in names])
    found = []
    for a, b in zip(*np.triu_indices(len(names), 1), strict=True):
        common, layers, value = int(shared[a, b]), int(min(sizes[a], sizes[b])), float(table[a, b])
        if common or value < NEAR:
            relation: Relation = "near duplicate"
            if common:
                relation = "copy" if common == max(sizes[a], sizes[b]) else "shares layers"
            found.append(Duplicate(names[a], names[b], relation, common, layers, value))
    return sorted(found, key=lambda pair: (-pair.shared, pair.drift))


def _shared_layers(hashes: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of distinct layer hashes in common [models, models], and of each model [models]."""
    codes = {name: code for code, name in enumerate(sorted({h for layers in hashes for h in layers}))}
    members = np.zeros((len(hashes), len(codes)), np.float32)
    for row, layers in enumerate(hashes):
        members[row, [codes[name] for name in layers]] = 1
    return (members @ members.T).astype(np.int64), members.sum(axis=1).astype(np.int64)
