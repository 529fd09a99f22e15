"""What the system adds by itself: the spread of the next state given state and action."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.neighbours import Neighbours

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_BATCH = 512
_RIDGE = 1e-6


def transition_residual(
    z: Floats, actions: Floats, segment: Ints, table: Neighbours, *, k: int = 16, unit: Floats | None = None
) -> Floats:
    """Squared surprise of each transition (N,), summed over state dimensions; NaN where there is none.

    z (N, d) z-scored states, actions (N, da) standardised, in frame order; a transition joins consecutive
    rows of one ``segment``. A ridge-linear model of s' - s given (s, a) comes first, then the mean of the k
    neighbours in (s, a) among the 4k nearest states of other episodes, times k/(k+1): an estimate of
    Var(s' | s, a), which sees the system's noise but not the demonstrator's (that is in a).
    Units: squared sd of the state, or squared units of ``unit`` (d,) per sd. Zero: a deterministic system.
    """
    n = len(z)
    moves = np.zeros(n, dtype=bool)
    moves[:-1] = segment[1:] == segment[:-1]
    rows = np.flatnonzero(moves)
    value = np.full(n, np.nan)
    if len(rows) < 2:
        return value
    surprise = np.zeros_like(z)
    surprise[rows] = _unexplained(np.concatenate([z, actions], axis=1)[rows], z[rows + 1] - z[rows])
    if unit is not None:
        surprise = surprise * unit
    compact = actions.astype(np.float32)
    for at in range(0, len(rows), _BATCH):
        part = rows[at : at + _BATCH]
        near, found = _nearest_in_both(compact, table, part, moves, k)
        mean = np.einsum("ijk,ij->ik", surprise[near], found.astype(float)) / k
        square = np.square(surprise[part] - mean).sum(axis=1) * k / (k + 1)
        value[part] = np.where(found.all(axis=1), square, np.nan)
    return value


def _unexplained(x: Floats, change: Floats) -> Floats:
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += _RIDGE * len(x)
    return change - design @ np.linalg.solve(gram, design.T @ change)


def _nearest_in_both(
    actions: Floats, table: Neighbours, rows: Ints, moves: NDArray[np.bool_], k: int
) -> tuple[Ints, NDArray[np.bool_]]:
    index = table.index[rows]
    found = (index >= 0) & moves[np.maximum(index, 0)]
    near = np.where(found, index, 0)
    apart = actions[near]
    apart -= actions[rows][:, None]
    away = np.square(table.distance[rows]) + np.einsum("ijk,ijk->ij", apart, apart)
    away[~found] = np.inf
    if index.shape[1] > k:
        chosen = np.argpartition(away, k - 1, axis=1)[:, :k]
        near, found = (np.take_along_axis(v, chosen, axis=1) for v in (near, found))
    return near, found


def next_in_segment(segment: Ints, values: Floats) -> Floats:
    """values[t + 1] - values[t] for rows whose successor is in the same segment; NaN elsewhere."""
    change = np.full(values.shape, np.nan)
    same = segment[1:] == segment[:-1]
    change[:-1][same] = (values[1:] - values[:-1])[same]
    return change
