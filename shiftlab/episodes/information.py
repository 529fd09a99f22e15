"""Mutual information between states and actions, per step, by the estimator of Kraskov et al. (2004).

`deminf` scores episodes as *DemInf* (Hejna et al., RSS 2025) does, on latents that the caller brings.
`ksg_steps` gives the same local contributions in nats.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.errors import BadInputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

BATCH = 1024
PASSES = 4
NEAREST = (5, 6, 7)
JITTER = 1e-3  # sd, after z-scoring: exact repeats are ties, and ties make the estimator report information
STATE_DIMS, ACTION_DIMS, CHUNK = 12, 8, 4


def ksg_batch(states: Floats, actions: Floats, nearest: Sequence[int] = NEAREST) -> tuple[Floats, Floats]:
    """Local terms of one batch: mean over k of psi(n_s) + psi(n_a), (B,), and mean psi(k) + psi(B), (B,).

    rho_k(i) is the distance to the k-th neighbour in the larger of the two spaces' Euclidean distances;
    n_s and n_a count the points strictly nearer than that in each space, the point itself included.
    NaN where rho_k is 0 (ties: more than k equal points).
    """
    from scipy.special import digamma

    in_states, in_actions = _squared_distances(states), _squared_distances(actions)
    joint = np.maximum(in_states, in_actions)
    nearby = max(nearest) + 1
    radius = np.sort(np.partition(joint, nearby - 1, axis=1)[:, :nearby], axis=1)[:, list(nearest)]
    table = np.full(len(states) + 1, np.nan)
    table[1:] = digamma(np.arange(1, len(states) + 1))
    crowd = np.zeros(len(states))
    for column in range(len(nearest)):
        limit = radius[:, column, None]
        for space in (in_states, in_actions):
            crowd += table[(space < limit).view(np.uint8).sum(axis=1, dtype=np.int32)]
    return crowd / len(nearest), np.full(len(states), table[list(nearest)].mean() + table[-1])


def _squared_distances(points: Floats) -> Floats:
    if points.shape[1] <= 4:  # few dimensions put points close together: no cancellation, then
        columns = np.ascontiguousarray(points.T, dtype=np.float32)
        return sum(np.square(column[:, None] - column) for column in columns)
    centred = np.ascontiguousarray(points - points.mean(axis=0), dtype=np.float32)
    norm = np.einsum("ij,ij->i", centred, centred)
    squared = centred @ (-2 * centred.T)
    squared += norm[:, None]
    squared += norm
    np.fill_diagonal(squared, 0)
    return np.maximum(squared, 0, out=squared)


def ksg_steps(
    states: Floats,
    actions: Floats,
    *,
    seed: int = 0,
    nearest: Sequence[int] = NEAREST,
    batch: int = BATCH,
    passes: int = PASSES,
) -> Floats:
    """Local mutual information (N,) in nats; their mean estimates I(S; A). NaN where no batch gave one.

    States (N, ds) and actions (N, da) are shuffled ``passes`` times and cut into batches of about ``batch``
    steps, so 1e10 distances of 100,000 steps become 4e8. Biased low in many dimensions and small batches.
    A single negative term is normal; a mean near 0 says the actions do not depend on the states.
    """
    from threadpoolctl import threadpool_limits

    n = len(states)
    if n <= max(nearest) + 1:
        return np.full(n, np.nan)
    pieces = [
        part
        for turn in range(passes)
        for part in np.array_split(
            np.random.default_rng([seed, 5, turn]).permutation(n), max(1, round(n / batch))
        )
    ]
    crowd, offset = np.zeros((passes, n)), np.zeros((passes, n))
    turns = np.repeat(np.arange(passes), len(pieces) // passes)

    def fill(at: int) -> None:
        rows, turn = pieces[at], turns[at]
        crowd[turn, rows], offset[turn, rows] = ksg_batch(states[rows], actions[rows], nearest)

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        deque(pool.map(fill, range(len(pieces))), maxlen=0)
    local = offset - crowd
    seen = np.isfinite(local)
    total = np.where(seen, local, 0).sum(axis=0)
    count = seen.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def clipped_scores(local: Floats) -> Floats:
    """DemInf's scale: clip to the 1st..99th percentile of all steps, then z-score; NaN stays NaN."""
    seen = np.isfinite(local)
    if not seen.any():
        return local
    low, high = np.quantile(local[seen], [0.01, 0.99])
    clipped = np.clip(local, low, high)
    spread = clipped[seen].std()
    return (clipped - clipped[seen].mean()) / (spread if spread > 0 else 1)


def deminf(
    state_latent: ArrayLike,
    action_latent: ArrayLike,
    episode: ArrayLike,
    *,
    seed: int = 0,
    nearest: Sequence[int] = NEAREST,
    batch: int = BATCH,
    passes: int = PASSES,
) -> tuple[NDArray[np.generic], Floats]:
    """DemInf quality per episode on given latents: labels (E,) and scores (E,), unitless, higher is better.

    state_latent (N, zs), action_latent (N, za) and episode (N,). An episode's score is the mean of its
    steps' clipped, z-scored contributions to the pooled mutual information; 0 is the average step.
    When not to use: raw absolute actions (it measures tracking), or data with pauses left in (ties).
    BadInputError for latents of different length or with NaN.
    """
    s, a = np.asarray(state_latent, dtype=np.float64), np.asarray(action_latent, dtype=np.float64)
    labels, which = np.unique(np.asarray(episode), return_inverse=True)
    if s.ndim != 2 or a.ndim != 2 or not len(s) == len(a) == len(which):
        raise BadInputError(f"latents must be (steps, dimensions) of one length, not {s.shape} and {a.shape}")
    if not (np.isfinite(s).all() and np.isfinite(a).all()):
        raise BadInputError("latents hold NaN or infinity: leave such steps out")
    local = clipped_scores(ksg_steps(s, a, seed=seed, nearest=nearest, batch=batch, passes=passes))
    seen = np.isfinite(local)
    total = np.bincount(which, weights=np.where(seen, local, 0), minlength=len(labels))
    count = np.bincount(which, weights=seen, minlength=len(labels))
    return labels, np.where(count > 0, total / np.maximum(count, 1), np.nan)


def jittered(values: Floats, seed: int) -> Floats:
    """z-scored values plus Gaussian noise of 0.001, so that no two steps tie."""
    return values + JITTER * np.random.default_rng([seed, 6]).normal(size=values.shape)


def action_chunks(actions: Floats, segment: Ints, size: int = CHUNK) -> Floats:
    """The next ``size`` actions of each step side by side, (N, size * da); the last repeats at the end."""
    last = np.concatenate([np.flatnonzero(np.diff(segment)), [len(segment) - 1]])
    end = np.repeat(last, np.diff([-1, *last]))
    ahead = np.minimum(np.arange(len(actions))[:, None] + np.arange(size), end[:, None])
    return actions[ahead].reshape(len(actions), -1)
