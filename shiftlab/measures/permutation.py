"""The permutation null of any measure of two clouds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shiftlab.measures.distances import canonical_order
from shiftlab.measures.inputs import clouds
from shiftlab.measures.registry import get


@dataclass(frozen=True)
class PermutationTest:
    """The observed value, and the mean, 95 % quantile and p-value under exchangeable rows."""

    value: float
    null_mean: float
    null_q95: float
    p: float
    permutations: int


def permutation_test(
    measure: str | Callable[..., Any],
    x: ArrayLike,
    y: ArrayLike,
    permutations: int = 999,
    seed: int = 0,
    **params: Any,
) -> PermutationTest:
    """Pool the rows of x (n, d) and y (m, d), deal them anew ``permutations`` times, and measure again.

    ``measure`` is a registered name or any function of two clouds whose large values mean a shift.
    p = (1 + #{null >= value}) / (permutations + 1) is never 0. Any measure is called once per permutation;
    shift.compare is far faster for those it knows. Not for paired rows. ValueError for bad clouds or measures.
    Source: Phipson and Smyth (2010).
    """
    function = get(measure).function if isinstance(measure, str) else measure
    if int(permutations) != permutations or permutations < 1:
        raise ValueError(f"permutations must be a whole number of at least 1, not {permutations!r}")
    a, b = clouds(x, y)
    pool = np.concatenate([a[canonical_order(a)], b[canonical_order(b)]])
    rng = np.random.default_rng([seed, 101])
    observed = _number(function(a, b, **params))
    null = np.empty(permutations)
    for i in range(permutations):
        order = rng.permutation(len(pool))
        null[i] = _number(function(pool[order[: len(a)]], pool[order[len(a) :]], **params))
    beyond = np.count_nonzero(null >= observed - 1e-9 * max(abs(observed), float(np.abs(null).max())))
    q95 = float(np.quantile(null, 0.95, method="higher"))
    return PermutationTest(observed, float(null.mean()), q95, (1 + beyond) / (permutations + 1), permutations)


def _number(result: Any) -> float:
    return float(getattr(result, "value", result))
