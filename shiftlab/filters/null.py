"""What drift two groups of the same filters show by chance: resampling nulls and bootstrap intervals.

Filters of one layer are not independent, so the main null shuffles whole models, or layers where models are
too few. The null of single filters is the pure sampling bias, a lower bound; it also gives the correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.filters.divergence import drift_values

NullKind = Literal["model", "layer", "filter"]
_FEWEST_SPLITS = 40  # with fewer, the largest of them cannot mark the upper 2.5 %
_HYPERGEOMETRIC_LIMIT = 1_000_000_000  # of numpy's generator
_BATCH = 256


@dataclass(frozen=True)
class NullInterval:
    """Drift of relabelled data: mean, 2.5, 97.5 and 95 % quantiles, and how many relabellings."""

    kind: NullKind
    mean: float
    low: float
    high: float
    q95: float
    resamples: int


@dataclass(frozen=True, eq=False)
class Units:
    """Histograms of a group's layers: counts [layers, d, bins] and the model of each layer [layers]."""

    counts: np.ndarray
    model: np.ndarray

    def __post_init__(self) -> None:
        if self.counts.ndim != 3 or len(self.counts) != len(self.model) or not self.counts.sum():
            raise BadInputError("a group of filters is empty: it holds no layer with a filter of this shape")

    @property
    def total(self) -> np.ndarray:
        """Counts of the whole group [d, bins]."""
        return self.counts.sum(axis=0)

    def by_model(self) -> np.ndarray:
        """Counts summed over the layers of each model [models, d, bins]."""
        order = np.argsort(self.model, kind="stable")
        _, starts = np.unique(self.model[order], return_index=True)
        return np.add.reduceat(self.counts[order], starts, axis=0)


def filter_null(
    left: np.ndarray, right: np.ndarray, weights: np.ndarray, width: float, resamples: int, seed: int
) -> NullInterval:
    """Split the pooled counts [d, bins] at random into groups of the same sizes, without replacement."""
    rng = np.random.default_rng([seed, 1])
    pooled, size = left + right, int(left.sum(axis=-1).max())
    drawn = np.stack(
        [_draw(rng, component, size, resamples) for component in pooled.astype(np.int64)], axis=1
    )
    return _interval("filter", drift_values(drawn, pooled - drawn, weights, width))


def _draw(rng: np.random.Generator, counts: np.ndarray, size: int, resamples: int) -> np.ndarray:
    if counts.sum() < _HYPERGEOMETRIC_LIMIT:
        return rng.multivariate_hypergeometric(counts, size, resamples, method="marginals")
    # NOTE: beyond the generator's limit the binomial's variation in the group size is below 1e-4 of it.
    return rng.binomial(counts, size / counts.sum(), (resamples, len(counts)))


def unit_null(
    left: Units, right: Units, weights: np.ndarray, width: float, resamples: int, seed: int
) -> NullInterval | None:
    """Shuffle the group labels of whole models, or of layers; None when there are too few of both.

    Models are used when each group has two or more and they can be split in at least 40 ways.
    """
    shared = np.intersect1d(left.model, right.model).size > 0
    choices: list[tuple[NullKind, np.ndarray, np.ndarray]] = [("layer", left.counts, right.counts)]
    if not shared:
        choices.insert(0, ("model", left.by_model(), right.by_model()))
    for kind, left_units, right_units in choices:
        taken, whole = len(left_units), len(left_units) + len(right_units)
        enough = min(taken, whole - taken) >= 2 if kind == "model" else whole > 2
        if enough and comb(whole, taken) >= _FEWEST_SPLITS:
            values = _shuffled(
                np.concatenate([left_units, right_units]), taken, weights, width, resamples, seed
            )
            return _interval(kind, values)
    return None


def _shuffled(
    units: np.ndarray, taken: int, weights: np.ndarray, width: float, resamples: int, seed: int
) -> np.ndarray:
    """Drift of `resamples` random splits of units [units, d, bins] into `taken` and the rest."""
    rng = np.random.default_rng([seed, 2])
    flat = units.reshape(len(units), -1).astype(np.float64)
    pooled, values = flat.sum(axis=0), []
    for start in range(0, resamples, _BATCH):
        size = min(_BATCH, resamples - start)
        members = rng.permuted(np.tile(np.arange(len(units)) < taken, (size, 1)), axis=1)
        left = members.astype(np.float64) @ flat
        shape = (size, *units.shape[1:])
        values.append(drift_values(left.reshape(shape), (pooled - left).reshape(shape), weights, width))
    return np.concatenate(values)


def bootstrap(
    left: Units, right: Units, weights: np.ndarray, width: float, value: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    """95 % interval when models, then layers within them, are drawn anew; None for a group of one layer.

    Drawing anew adds the bias of `value` a second time, so the quantiles are mirrored at `value` (the basic
    bootstrap) and the interval is one for the drift without that bias; its ends are at least 0.
    """
    if min(len(left.counts), len(right.counts)) < 2:
        return None
    rng = np.random.default_rng([seed, 3])
    groups = []
    for units in (left, right):
        times = np.stack([_times_drawn(rng, units.model) for _ in range(resamples)])
        flat = units.counts.reshape(len(units.counts), -1)
        groups.append((times @ flat.astype(np.float64)).reshape(resamples, *units.counts.shape[1:]))
    low, high = np.quantile(drift_values(groups[0], groups[1], weights, width), [0.025, 0.975])
    return max(0.0, float(2 * value - high)), max(0.0, float(2 * value - low))


def _times_drawn(rng: np.random.Generator, model: np.ndarray) -> np.ndarray:
    """How often each layer comes up when models are drawn, then layers within each drawn model."""
    names, inverse, sizes = np.unique(model, return_inverse=True, return_counts=True)
    drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
    times = np.zeros(len(model))
    for index in np.flatnonzero(drawn):
        layers = np.flatnonzero(inverse == index)
        picks = rng.integers(sizes[index], size=drawn[index] * sizes[index])
        times[layers] = np.bincount(picks, minlength=sizes[index])
    return times


def _interval(kind: NullKind, values: np.ndarray) -> NullInterval:
    low, high, q95 = (float(x) for x in np.quantile(values, [0.025, 0.975, 0.95]))
    return NullInterval(kind, float(values.mean()), low, high, q95, len(values))
