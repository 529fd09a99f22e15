"""Episodes that are copies of one another: listed in pairs, and not allowed to vouch for each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.neighbours import Neighbours

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

NEAR = 1e-3  # root mean square difference per dimension, in standard deviations
SHARE = 0.8  # of the steps of both episodes that must have such a twin
IN_STEP = 0.99  # correlation of the twins' places in their episodes


def near_duplicates(
    z: Floats, actions: Floats, episode: Ints, place: Ints, n_episodes: int, table: Neighbours
) -> tuple[Ints, Floats]:
    """Pairs (P, 2) of episodes that repeat each other and the share (P,) of steps that have a twin.

    A twin is a neighbour whose z-scored state and standardised action differ by at most 0.001 sd per
    dimension (root mean square). Both episodes need twins for 80 % of their steps, in the same order
    (``place`` (N,) is a step's position in its episode), so dense data alone never looks copied.
    """
    near = table.distance <= NEAR * np.sqrt(z.shape[1])
    step, column = np.nonzero(near)
    twin = table.index[step, column].astype(np.int64)
    apart_sq = np.square(actions[step] - actions[twin]).sum(axis=1)
    alike = apart_sq <= NEAR**2 * max(1, actions.shape[1])
    step, twin = step[alike], twin[alike]
    pair = episode[step] * n_episodes + episode[twin]
    gap = np.abs(place[step] - place[twin])
    order = np.lexsort((gap, pair, step))
    first = np.concatenate([[True], np.diff(step[order]) != 0]) if len(order) else np.zeros(0, dtype=bool)
    first[1:] |= np.diff(pair[order]) != 0
    step, twin, pair = step[order][first], twin[order][first], pair[order][first]
    code, which = np.unique(pair, return_inverse=True)
    if not len(code):
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    left, right = np.divmod(code, n_episodes)
    length = np.bincount(episode, minlength=n_episodes)
    share = np.bincount(which) / length[left]
    ordered = _correlation_by(which, place[step].astype(float), place[twin].astype(float)) >= IN_STEP
    good = {(int(a), int(b)): float(s) for a, b, s, o in zip(left, right, share, ordered, strict=True) if o}
    pairs = [(a, b, min(s, good[b, a])) for (a, b), s in good.items() if a < b and (b, a) in good]
    found = [(a, b, s) for a, b, s in pairs if s >= SHARE]
    return np.array([(a, b) for a, b, _ in found], dtype=np.int64).reshape(-1, 2), np.array(
        [s for _, _, s in found]
    )


def _correlation_by(group: Ints, x: Floats, y: Floats) -> Floats:
    count = np.bincount(group)
    dx = x - (np.bincount(group, x) / count)[group]
    dy = y - (np.bincount(group, y) / count)[group]
    spread = np.sqrt(np.bincount(group, dx * dx) * np.bincount(group, dy * dy))
    product = np.bincount(group, dx * dy)
    return np.where(spread > 0, product / np.where(spread > 0, spread, 1), 0)


def silence(table: Neighbours, episode: Ints, pairs: Ints, n_episodes: int) -> Neighbours:
    """The table without neighbours from near-duplicates of the step's own episode, moved to the end."""
    if not len(pairs):
        return table
    codes = np.concatenate([pairs @ [n_episodes, 1], pairs @ [1, n_episodes]])
    pair = episode[:, None] * n_episodes + episode[np.maximum(table.index, 0)]
    out = np.isin(pair, codes) | (table.index < 0)
    order = np.argsort(out, axis=1, kind="stable")
    index = np.take_along_axis(np.where(out, -1, table.index), order, axis=1)
    distance = np.take_along_axis(np.where(out, np.inf, table.distance), order, axis=1)
    return Neighbours(index.astype(np.int32), distance.astype(np.float32))
