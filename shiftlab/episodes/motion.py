"""Scores of an episode's path alone: how smooth it is and how much of the state space it sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.neighbours import build_blocks
from shiftlab.episodes.transition import next_in_segment

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

CELLS = 256


def squared_jerk(z: Floats, segment: Ints) -> tuple[Floats, Floats]:
    """Squared third difference (N,) and squared first difference (N,) of the path; NaN near borders."""
    velocity = next_in_segment(segment, z)
    jerk = next_in_segment(segment, next_in_segment(segment, velocity))
    return np.square(jerk).sum(axis=1), np.square(velocity).sum(axis=1)


def smoothness(jerk_sq: Floats, peak_sq: Floats, length: Ints) -> Floats:
    """Log dimensionless jerk, -ln(T^3 * sum |jerk|^2 / peak speed^2), after Balasubramanian et al. (2015).

    ``jerk_sq`` is the sum over the episode, ``peak_sq`` its greatest squared speed, ``length`` T in steps.
    Higher is smoother; it has no unit and does not change when the path is scaled. NaN without motion.
    When not to use: to compare recordings of different frame rates or sensor noise.
    """
    defined = (peak_sq > 0) & (jerk_sq > 0)
    ratio = np.where(defined, length.astype(float) ** 3 * jerk_sq / np.where(peak_sq > 0, peak_sq, 1), 1)
    return np.where(defined, -np.log(ratio), np.nan)


def state_cells(z: Floats) -> Ints:
    """Cut the pooled states into up to 256 cells of equal population along their principal axes: (N,)."""
    leaf = max(8, -(-len(z) // CELLS))
    blocks = build_blocks(z, leaf=leaf)
    cell = np.empty(len(z), dtype=np.int64)
    cell[blocks.order] = np.repeat(np.arange(blocks.n_blocks), np.diff(blocks.starts))
    return cell


def cells_seen(cell: Ints, episode: Ints, n_episodes: int) -> NDArray[np.bool_]:
    """Which episode visits which cell: (E, cells)."""
    seen = np.zeros((n_episodes, int(cell.max()) + 1), dtype=bool)
    seen[episode, cell] = True
    return seen
