"""The doubt that comes from which other episodes happened to be recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.neighbours import Neighbours

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

MOST_STEPS = 10_000  # steps that the bootstrap looks at, evenly spaced: the value itself uses all
_BATCH = 256


def resampled_residuals(
    actions: Floats,
    episode: Ints,
    table: Neighbours,
    *,
    n_episodes: int,
    k: int,
    replicates: int,
    seed: int,
) -> Floats:
    """Leave-one-out residuals (N, R) under ``replicates`` bootstrap samples of the reference episodes.

    The 4k neighbours are found once; in each replicate those of episodes that were not drawn drop out and
    the nearest k that remain give the mean. NaN for steps that the bootstrap does not look at.
    """
    rng = np.random.default_rng([seed, 8])
    drawn = rng.multinomial(n_episodes, np.full(n_episodes, 1 / n_episodes), size=replicates).T > 0
    result = np.full((len(actions), replicates), np.nan)
    rows = np.arange(0, len(actions), max(1, -(-len(actions) // MOST_STEPS)))
    for at in range(0, len(rows), _BATCH):
        part = rows[at : at + _BATCH]
        index = table.index[part]
        near = np.maximum(index, 0)
        present = drawn[episode[near]] & (index >= 0)[:, :, None]
        used = present & (np.cumsum(present, axis=1, dtype=np.int16) <= k)
        count = used.sum(axis=1)
        away = actions[near] - actions[part][:, None]
        mean = np.swapaxes(used, 1, 2).astype(np.float64) @ away / np.maximum(count, 1)[:, :, None]
        square = np.square(mean).sum(axis=2) * count / (count + 1)
        enough = count >= max(2, k // 2)  # in a draw without others the episode keeps its own value
        result[part] = np.where(enough, square, _all_present(away, index, k)[:, None])
    return result


def _all_present(away: Floats, index: Ints, k: int) -> Floats:
    mean = away[:, :k].mean(axis=1)
    return np.where(index[:, k - 1] >= 0, np.square(mean).sum(axis=1) * k / (k + 1), np.nan)
