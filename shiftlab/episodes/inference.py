"""How sure a score of an episode is: intervals, rank intervals, and when one cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Mask = NDArray[np.bool_]

_MOST_LAGS = 50
_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class StepMean:
    """Means of step values per episode: ``value`` (E,), ``replicates`` (E, R), ``n`` and ``n_eff`` (E,)."""

    value: Floats
    replicates: Floats
    n: Ints
    n_eff: Floats


def mean_per_episode(
    steps: Floats, episode: Ints, n_episodes: int, *, replicates: int, seed: int, varied: Floats | None = None
) -> StepMean:
    """Mean of finite ``steps`` (N,) per episode, with replicates that resample blocks of its own steps.

    ``episode`` (N,) ascends. The block is twice the autocorrelation time of the steps, at most an eighth of
    the episode. ``varied`` (N, R) gives the step values under resampled reference episodes, NaN where a
    step was left out of that; both sources of doubt are then in the replicates.
    """
    rows = np.flatnonzero(np.isfinite(steps))
    n = np.bincount(episode[rows], minlength=n_episodes)
    total = np.bincount(episode[rows], weights=steps[rows], minlength=n_episodes)
    value = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    time = autocorrelation_time(steps[rows], episode[rows])
    drawn = steps[:, None] if varied is None else varied
    rows = np.flatnonzero(np.isfinite(drawn).all(axis=1))
    rng = np.random.default_rng([seed, 7])
    thinning = len(rows) / max(1, int(n.sum()))
    spread = _resample_blocks(
        drawn[rows], episode[rows], n_episodes, max(1.0, 2 * time * thinning), replicates, rng
    )
    return StepMean(value, spread - spread.mean(axis=1, keepdims=True) + value[:, None], n, n / time)


def _resample_blocks(
    drawn: Floats, episode: Ints, n_episodes: int, block: float, replicates: int, rng: np.random.Generator
) -> Floats:
    spread = np.full((n_episodes, replicates), np.nan)
    if not len(episode):
        return np.zeros((n_episodes, replicates))
    first = np.concatenate([[0], np.flatnonzero(np.diff(episode)) + 1])
    count = np.diff([*first, len(episode)])
    size = np.clip(count // _FEWEST_BLOCKS, 1, max(1, round(block)))
    place = np.arange(len(episode)) - np.repeat(first, count)
    number = place // np.repeat(size, count)
    borders = np.flatnonzero(np.concatenate([[True], (np.diff(episode) != 0) | (np.diff(number) != 0)]))
    sums = np.add.reduceat(drawn, borders, axis=0)
    sizes = np.diff([*borders, len(episode)]).astype(float)
    owner = episode[borders]
    head = np.concatenate([[0], np.flatnonzero(np.diff(owner)) + 1])
    blocks = np.diff([*head, len(owner)])
    start, width = np.repeat(head, blocks)[:, None], np.repeat(blocks, blocks)[:, None]
    pick = start + (rng.random((len(owner), replicates)) * width).astype(np.int64)
    column = np.arange(replicates) % sums.shape[1]
    total = np.add.reduceat(sums[pick, column], head, axis=0)
    spread[owner[head]] = total / np.add.reduceat(sizes[pick], head, axis=0)
    return spread


def autocorrelation_time(steps: Floats, episode: Ints) -> float:
    """Steps per independent step: 1 + 2 * the pooled correlations up to the first lag below 0.05."""
    count = np.maximum(np.bincount(episode), 1) if len(episode) else np.ones(1)
    centred = steps - (np.bincount(episode, weights=steps) / count)[episode] if len(episode) else steps
    power = float(np.mean(np.square(centred))) if len(centred) else 0.0
    time = 1.0
    for lag in range(1, min(_MOST_LAGS, len(steps) - 1) + 1):
        same = episode[lag:] == episode[:-lag]
        if power == 0 or not same.any():
            break
        correlation = float(np.mean((centred[lag:] * centred[:-lag])[same])) / power
        if correlation < 0.05:
            break
        time += 2 * correlation
    return time


def interval(value: Floats, replicates: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Percentile interval (E,) and (E,) of replicates (E, R) that are centred on the value."""
    low, high = np.full(len(value), np.nan), np.full(len(value), np.nan)
    known = np.isfinite(value) & np.isfinite(replicates).all(axis=1)
    if known.any():
        tail = (1 - confidence) / 2
        low[known], high[known] = np.quantile(replicates[known], [tail, 1 - tail], axis=1)
    return low, high


def rank_interval(value: Floats, replicates: Floats, confidence: float) -> tuple[Ints, Ints]:
    """Lowest and highest plausible rank (E,), 1 for the smallest value; 0 where there is no value."""
    from scipy.stats import rankdata

    low, high = np.zeros(len(value), dtype=np.int64), np.zeros(len(value), dtype=np.int64)
    known = np.isfinite(value) & np.isfinite(replicates).all(axis=1)
    if known.any():
        ranks = rankdata(replicates[known], axis=0)
        tail = (1 - confidence) / 2
        low[known] = np.floor(np.quantile(ranks, tail, axis=1)).astype(np.int64)
        high[known] = np.ceil(np.quantile(ranks, 1 - tail, axis=1)).astype(np.int64)
    return low, high


def verdicts(
    rank_low: Ints, rank_high: Ints, worse: str | None, *, review_share: float, unsure: Mask
) -> list[str | None]:
    """``review``, ``fine`` or ``cannot tell`` per episode; None where neither end of the metric is bad.

    Review: the whole rank interval lies in the worst ``review_share`` of the ranked episodes.
    Fine: the whole interval lies outside. Otherwise, and where ``unsure``, one cannot tell.
    """
    ranked = int((rank_high > 0).sum())
    if worse is None or not ranked:
        return [None] * len(rank_low)
    from_worst_low = ranked + 1 - rank_high if worse == "high" else rank_low
    from_worst_high = ranked + 1 - rank_low if worse == "high" else rank_high
    border = review_share * ranked
    result: list[str | None] = []
    for best, last, known, doubt in zip(from_worst_low, from_worst_high, rank_high > 0, unsure, strict=True):
        if not known:
            result.append(None)
        elif doubt or best <= border < last:
            result.append("cannot tell")
        else:
            result.append("review" if last <= border else "fine")
    return result
