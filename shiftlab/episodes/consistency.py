"""How alike the actions are that demonstrators chose in like states.

`published_consistency` is the estimator of *Data Quality in Imitation Learning* (Belkhale, Cui, Sadigh,
NeurIPS 2023), kept as it is for comparison. `leave_one_out` is ShiftLab's: neighbours come from other
episodes only, far neighbours count as unknown, and two strategies are told from noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.episodes.neighbours import Neighbours, ball_sums, build_blocks, nearest_of_other_groups
from shiftlab.episodes.prepare import standardise
from shiftlab.errors import BadInputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Mask = NDArray[np.bool_]

SPARSE_OF_PAIR = 0.5  # neighbours at half the distance of random pairs say nothing about this state
SPARSE_OF_TYPICAL = 3.0  # nor do those three times as far as is typical of the dataset,
NEVER_SPARSE_OF_PAIR = 0.05  # unless that is still next to nothing
_BATCH = 512  # steps whose neighbours' actions are in hand at once: they stay in the cache


@dataclass(frozen=True)
class PublishedConsistency:
    """``action_variance`` and ``state_similarity`` of a dataset, and per step (N,) what they average."""

    action_variance: float
    state_similarity: float
    step_variance: Floats
    step_similarity: Floats
    eps: float
    n: int


def published_consistency(
    states: ArrayLike,
    actions: ArrayLike,
    *,
    eps: float = 0.2,
    reference: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    standardised: bool = True,
) -> PublishedConsistency:
    """Action variance and state similarity over eps-balls, as in the paper's analysis.

    For states (N, ds) and actions (N, da): C(i) holds the steps within ``eps`` of step i *and i itself*;
    v_id = (a_id - mean of a_jd over C(i))^2; action variance = sum_d w_d mean_i v_id, state similarity =
    mean_i |C(i)| / N. States are z-scored per dimension by ``reference`` (default: the states themselves)
    unless ``standardised`` is false; w_d = 1 / variance of a_d unless ``weights`` (da,) are given.
    Range: both >= 0, similarity <= 1. Zero action variance: equal actions in like states, *or isolated
    states*: a step alone in its ball counts 0, so sparse coverage lowers the value.

    When not to use: to compare datasets of different coverage, or with different references.
    Raises BadInputError for shapes that disagree, values that are not finite, and eps <= 0.
    """
    s, a = _matrix("states", states), _matrix("actions", actions)
    if len(s) != len(a):
        raise BadInputError(f"states has {len(s)} steps and actions {len(a)}: they must be paired")
    if not eps > 0:
        raise BadInputError(f"eps must be positive, not {eps}")
    w = _weights(a, weights)
    z = s
    if standardised:
        basis = None if reference is None else _matrix("reference", reference)
        z, _ = standardise(s, basis)
    centre = a - a.mean(axis=0)
    if z.shape[1]:
        counts, sums = ball_sums(build_blocks(z, cut_axes=2), centre, eps)
    else:  # every state is the same: one ball
        counts, sums = np.full(len(a), len(a)), np.broadcast_to(centre.sum(axis=0), a.shape)
    variance = np.square(centre - sums / counts[:, None]) @ w
    similarity = counts / len(s)
    return PublishedConsistency(
        float(variance.mean()), float(similarity.mean()), variance, similarity, float(eps), len(s)
    )


def _matrix(name: str, given: ArrayLike) -> Floats:
    values = np.asarray(given, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        raise BadInputError(f"{name} must be (steps, dimensions), not {values.shape}")
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise BadInputError(f"{name} holds NaN or infinity in row {row}: leave such steps out")
    return values


def _weights(actions: Floats, weights: ArrayLike | None) -> Floats:
    if weights is None:
        variance = actions.var(axis=0)
        varies = variance > 1e-18 * np.maximum(1, np.square(actions).max(axis=0))
        return np.where(varies, 1 / np.where(varies, variance, 1), 0)
    w = np.asarray(weights, dtype=np.float64)
    w = np.full(actions.shape[1], float(w)) if w.ndim == 0 else w
    if w.shape != (actions.shape[1],) or not np.isfinite(w).all() or (w < 0).any():
        raise BadInputError(
            f"weights must be {actions.shape[1]} non-negative numbers, one per action dimension"
        )
    return w


@dataclass(frozen=True)
class LeaveOneOut:
    """Per step (N,): what neighbours from *other* episodes say. NaN where they are too few.

    ``residual`` and ``linear_residual`` estimate Var(a | s) summed over action dimensions, ``distance`` is
    the root mean square distance per dimension to the k neighbours, ``sparse`` marks states where that is
    too far to judge, ``multimodal`` two strategies, ``neighbours`` the table behind them.
    """

    residual: Floats
    linear_residual: Floats
    distance: Floats
    sparse: Mask
    multimodal: Mask
    neighbours: Neighbours
    sparse_beyond: float
    k: int


def neighbour_table(z: Floats, episode: Ints, k: int) -> Neighbours:
    """The 4k nearest steps of other episodes, found once; everything leave-one-out reads from it."""
    if not z.shape[1]:
        raise BadInputError("every state dimension is constant: there is no state to compare")
    return nearest_of_other_groups(build_blocks(z), episode, 4 * k)


def leave_one_out(
    z: Floats,
    axes: Floats,
    actions: Floats,
    episode: Ints,
    table: Neighbours,
    *,
    k: int = 16,
    seed: int = 0,
) -> LeaveOneOut:
    """Leave-one-episode-out residuals of actions (N, da) given z-scored states (N, d).

    ``axes`` (N, m) are the coordinates of the local-linear fit: the states, or their principal axes.
    residual = |a_i - mean of its k neighbours' actions|^2 k/(k+1): unbiased for Var(a|s) up to the spread
    of the state among the neighbours; the local-linear fit over 4k neighbours removes that bias.
    Units: those of the actions, squared. Zero: the action is what others did in that state.
    """
    n = len(z)
    residual, linear = np.full(n, np.nan), np.full(n, np.nan)
    multimodal = np.zeros(n, dtype=bool)
    split = _TwoStrategies(table.index.shape[1], seed)
    for rows in _batches(n):
        index = table.index[rows]
        found = index >= 0
        near = np.where(found, index, 0)
        chosen = actions[near]
        residual[rows] = _mean_residual(actions[rows], chosen[:, :k], found[:, :k])
        fit = _LocalLinear(axes[near] - axes[rows][:, None], found)
        linear[rows] = fit.residual(actions[rows], chosen)
        multimodal[rows] = split.found_in(fit.unexplained(chosen), episode[near], fit.enough)
    reach = table.distance[:, :k].astype(np.float64)
    distance = np.sqrt(np.mean(np.square(reach), axis=1) / z.shape[1])
    beyond = _sparse_beyond(z, episode, distance, seed)
    distance = np.where(np.isfinite(distance), distance, np.nan)
    sparse = ~(distance <= beyond)
    return LeaveOneOut(residual, linear, distance, sparse, multimodal & ~sparse, table, beyond, k)


def _batches(n: int) -> Iterator[slice]:
    return (slice(at, min(at + _BATCH, n)) for at in range(0, n, _BATCH))


def _mean_residual(own: Floats, chosen: Floats, found: Mask) -> Floats:
    k = found.sum(axis=1)
    mean = np.einsum("ijk,ij->ik", chosen, found.astype(float)) / np.maximum(k, 1)[:, None]
    value = np.square(own - mean).sum(axis=1) * k / (k + 1)
    return np.where(k == found.shape[1], value, np.nan)


class _LocalLinear:
    """Least squares of the neighbours' actions on their state offsets; the prediction is at offset zero."""

    def __init__(self, offset: Floats, found: Mask) -> None:
        design = np.concatenate([np.ones((*offset.shape[:2], 1)), offset], axis=2) * found[..., None]
        gram = np.swapaxes(design, 1, 2) @ design
        width = gram.shape[1]
        spread = np.trace(gram, axis1=1, axis2=2) / width
        gram[:, range(width), range(width)] += 1e-9 * np.maximum(spread, 1e-12)[:, None]
        self.inverse = np.linalg.inv(gram)
        self.design, self.found = design, found
        self.enough = found.sum(axis=1) >= 2 * width

    def residual(self, own: Floats, chosen: Floats) -> Floats:
        """Squared error at the step itself over 1 + the variance of the prediction in units of the noise."""
        smoother = np.einsum("ijk,ik->ij", self.design, self.inverse[:, 0])
        predicted = np.einsum("ij,ijk->ik", smoother, chosen)
        value = np.square(own - predicted).sum(axis=1) / (1 + np.square(smoother).sum(axis=1))
        return np.where(self.enough, value, np.nan)

    def unexplained(self, chosen: Floats) -> Floats:
        """What the state does not explain of the neighbours' actions, (B, K, da); 0 where none was found."""
        design, values = self.design.astype(np.float32), chosen.astype(np.float32)
        slope = self.inverse.astype(np.float32) @ (np.swapaxes(design, 1, 2) @ values)
        return (values - design @ slope) * self.found[..., None]


class _TwoStrategies:
    """2-means on the neighbours' actions: two tight groups, or one spread?

    Along the axis of most variance the best cut explains 2/pi of a Gaussian's variance (more for few
    neighbours: simulated) and 3/4 of a uniform spread. Two strategies need more than the 99 % point of the
    Gaussian and more than 0.8, a distance of half a standard deviation, and in each group a fifth of the
    neighbours from at least two episodes.
    """

    def __init__(self, k: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        explained, _, _ = _best_cut(np.sort(rng.normal(size=(2000, k)), axis=1))
        self.least = max(0.8, float(np.quantile(explained, 0.99)))

    def found_in(self, spread: Floats, episode: Ints, enough: Mask) -> Mask:
        flag = np.zeros(len(spread), dtype=bool)
        rows = np.flatnonzero(enough)
        if not len(rows) or spread.shape[1] < 10 or not spread.shape[2]:
            return flag
        along = _main_axis(spread[rows])
        order = np.argsort(along, axis=1)
        explained, cut, apart_sq = _best_cut(np.take_along_axis(along, order, axis=1))
        who = np.take_along_axis(episode[rows], order, axis=1)
        left = np.arange(who.shape[1]) < cut[:, None]
        several = _several(who, left) & _several(who, ~left)
        flag[rows] = (explained >= self.least) & (apart_sq >= 0.25) & several
        return flag


def _main_axis(spread: Floats) -> Floats:
    """Projection (B, K) of centred rows (B, K, d) on their axis of most variance, by power iteration."""
    centred = spread - spread.mean(axis=1, keepdims=True)
    covariance = np.swapaxes(centred, 1, 2) @ centred
    widest = np.argmax(np.diagonal(covariance, axis1=1, axis2=2), axis=1)
    axis = covariance[np.arange(len(covariance)), :, widest]
    for _ in range(12):
        axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-30)
        axis = np.einsum("ijk,ik->ij", covariance, axis)
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-30)
    return np.einsum("ijk,ik->ij", centred, axis)


def _best_cut(ascending: Floats) -> tuple[Floats, Ints, Floats]:
    """Best 2-means cut of each ascending row: share of variance explained, size of the left group, and the
    squared distance between the groups' means. Each group keeps at least a fifth of the row."""
    k = ascending.shape[1]
    centred = ascending - ascending.mean(axis=1, keepdims=True)
    left = np.arange(max(1, int(np.ceil(0.2 * k))), k - max(1, int(np.ceil(0.2 * k))) + 1)
    total = np.cumsum(centred, axis=1)[:, left - 1]
    between = np.square(total) * k / (left * (k - left))
    best = between.argmax(axis=1)
    rows = np.arange(len(centred))
    variance = np.maximum(np.square(centred).sum(axis=1), 1e-30)
    cut = left[best]
    return between[rows, best] / variance, cut, between[rows, best] * k / (cut * (k - cut))


def _several(who: Ints, part: Mask) -> Mask:
    low = np.where(part, who, np.iinfo(who.dtype).max).min(axis=1)
    high = np.where(part, who, -1).max(axis=1)
    return high > low


def _sparse_beyond(z: Floats, episode: Ints, distance: Floats, seed: int) -> float:
    """Root mean square distance per dimension beyond which neighbours say nothing about a state."""
    rng = np.random.default_rng([seed, 3])
    left, right = rng.integers(0, len(z), (2, 4000))
    other = episode[left] != episode[right]
    if not other.any() or not np.isfinite(distance).any():
        return 0.0
    pair = np.sqrt(np.mean(np.square(z[left[other]] - z[right[other]]), axis=1))
    typical = float(np.median(distance[np.isfinite(distance)]))
    apart = float(np.median(pair))
    return float(np.clip(SPARSE_OF_TYPICAL * typical, NEVER_SPARSE_OF_PAIR * apart, SPARSE_OF_PAIR * apart))
