"""Shift between sets of items: one pair with its null and interval, all pairs, and what explains them.

Arrays in, results out; the catalog stands above this package.
"""

from __future__ import annotations

from shiftlab.shift import explain
from shiftlab.shift.compare import compare
from shiftlab.shift.incremental import FrozenBasis, freeze
from shiftlab.shift.inference import benjamini_hochberg, permutation_p
from shiftlab.shift.layout import Layout, classical_scaling
from shiftlab.shift.pairwise import PairMatrix, pairwise
from shiftlab.shift.progress import CancelledError
from shiftlab.shift.score import Score

__all__ = [
    "CancelledError",
    "FrozenBasis",
    "Layout",
    "PairMatrix",
    "Score",
    "benjamini_hochberg",
    "classical_scaling",
    "compare",
    "explain",
    "freeze",
    "pairwise",
    "permutation_p",
]
