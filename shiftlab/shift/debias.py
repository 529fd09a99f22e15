"""Sampling bias removed: unbiased estimates by split halves, and intervals by half-sampling items.

Plug-in distances between samples are mostly sampling noise in many dimensions (two samples of 200 from one
64-d Gaussian have W2 = 9.3). Distances between halves carry the same noise within a side as between sides, so
their difference is free of it to first order.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.shift.sides import Pair, Side, shared_rows

SPLITS = 8
RESAMPLES = 40
BUDGET_SECONDS = 60.0
FEWEST_ROWS = 8  # halves of halves must keep two rows
Half = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def debiased_value(pair: Pair, seed: int) -> float:
    """Split-half estimate of value ** debias_power, averaged over seeded splits; the sign is kept.

    With halves X1, X2, Y1, Y2: the mean of the four distances between sides less half the sum of the two
    within. Where sides share items, an item is in the same half on both, and only X1-Y2 and X2-Y1 are used,
    which compare different items. UndefinedMeasureError if the measure cannot be debiased so.
    """
    if pair.spec.debias_power is None:
        raise UndefinedMeasureError(f"the bias of {pair.spec.name} cannot be removed by split halves")
    _refuse_costly(pair, 6 * SPLITS / 4)
    rng = np.random.default_rng([seed, 211])
    return _finite(float(np.mean([_split(pair, rng) for _ in range(SPLITS)])))


def sampling_interval(
    pair: Pair, centre: float, spread: float | None, confidence: float, seed: int
) -> tuple[float, float]:
    """Interval of the population's value ** debias_power around ``centre``; ``spread`` None is estimated.

    The spread comes from the delete-half jackknife (Shao and Wu 1989): over random halves of the items, taken
    without replacement, an estimate varies as much as it does over samples. Next to zero the estimate is
    degenerate and its variance falls faster than 1/n: the interval is then too wide, never too narrow. The
    plain bootstrap, whose duplicates look like a shift of their own, is invalid there and is not offered.
    """
    if spread is None:
        _refuse_costly(pair, 6 * RESAMPLES / 16)
        rng = np.random.default_rng([seed, 223])
        estimates = []
        for _ in range(RESAMPLES):
            left, right = _halves(pair, rng)
            half = pair.take(np.flatnonzero(left), np.flatnonzero(right))
            estimates.append(_split(half, rng))
        spread = float(np.std(estimates, ddof=1))
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * _finite(spread)
    return centre - reach, centre + reach


def _finite(estimate: float) -> float:
    if not np.isfinite(estimate):
        raise UndefinedMeasureError("the value of a part of the items is infinite")
    return float(estimate)


def _refuse_costly(pair: Pair, evaluations: float) -> None:
    if min(len(pair.left), len(pair.right)) < FEWEST_ROWS:
        raise UndefinedMeasureError(f"split halves need at least {FEWEST_ROWS} items on each side")
    if (seconds := evaluations * pair.seconds()) > BUDGET_SECONDS:
        raise UndefinedMeasureError(f"split halves would take about {seconds:.0f} s")


def _halves(pair: Pair, rng: np.random.Generator) -> Half:
    """Masks of the rows of each side in the first half; a shared item is in the same half on both sides."""
    left, right = _half(len(pair.left), rng), _half(len(pair.right), rng)
    shared_left, shared_right = shared_rows(pair)
    if len(shared_left):
        both = _half(len(shared_left), rng)
        for mask, shared in ((left, shared_left), (right, shared_right)):
            rest = np.setdiff1d(np.arange(len(mask)), shared, assume_unique=True)
            mask[rest] = _half(len(rest), rng)
            mask[shared] = both
    return left, right


def _half(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    mask = np.arange(n) < n // 2 + (n % 2) * rng.integers(2)
    return rng.permutation(mask)


def _split(pair: Pair, rng: np.random.Generator) -> float:
    """One split-half estimate."""
    left, right = _halves(pair, rng)
    (x1, x2), (y1, y2) = _cut(pair.left, left), _cut(pair.right, right)
    power = pair.spec.debias_power or 1

    def distance(a: Side, b: Side) -> float:
        return pair.between(a, b).value() ** power

    between = [distance(x1, y2), distance(x2, y1)]
    if not len(shared_rows(pair)[0]):
        between += [distance(x1, y1), distance(x2, y2)]
    return float(np.mean(between)) - (distance(x1, x2) + distance(y1, y2)) / 2


def _cut(side: Side, first: NDArray[np.bool_]) -> tuple[Side, Side]:
    return side.take(np.flatnonzero(first)), side.take(np.flatnonzero(~first))
