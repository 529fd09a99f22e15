"""Nulls: items dealt to sides by chance, what the measure then says, and how rare the observed value is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.sliced import project, uniform_merge
from shiftlab.shift.kernels import KERNEL_MEASURES
from shiftlab.shift.sides import PER_ROW, Pair, column_sums

Splits = NDArray[np.bool_]
BUDGET_SECONDS = 60.0  # estimated, so that the number of permutations does not depend on the machine's mood
FEWEST_PERMUTATIONS = 19

_LEVELS = np.arange(21) / 20


@dataclass(frozen=True)
class Null:
    """The measure under exchangeable sides, summed up, and what it says about the observed value.

    ``quantiles`` are 0, 5, ... 100 % of the statistics, None where one is infinite.
    """

    p: float
    mean: float | None
    q95: float | None
    permutations: int
    quantiles: tuple[float, ...] | None


def permutation_p(observed: float, null: NDArray[np.float64]) -> float:
    """(1 + #{null >= observed}) / (B + 1), never zero; values equal up to rounding count as equal.

    The add-one makes the test exact (Phipson and Smyth 2010); without it 1 % of p-values are 0 at B = 99.
    """
    finite = null[np.isfinite(null)]
    scale = max(abs(observed) if np.isfinite(observed) else 0.0, float(np.abs(finite).max(initial=0.0)))
    reach = observed - 1e-6 * scale
    return float((1 + np.count_nonzero(null >= reach)) / (len(null) + 1))


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """False discovery rate q (k,) of p-values (k,): Benjamini and Hochberg 1995. NaN entries stay NaN."""
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    ranked = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q


def null_of(observed: float, null: NDArray[np.float64]) -> Null:
    """Summary of a null; an infinite mean or quantile is None."""
    mean, q95 = float(null.mean()), float(np.quantile(null, 0.95, method="higher"))
    quantiles = tuple(np.quantile(null, _LEVELS, method="higher").tolist())
    return Null(
        permutation_p(observed, null),
        mean if np.isfinite(mean) else None,
        q95 if np.isfinite(q95) else None,
        len(null),
        quantiles if np.isfinite(mean) else None,
    )


def random_splits(n: int, m: int, permutations: int, seed: int, paired: bool = False) -> Splits:
    """Masks (B + 1, n + m) of the rows on the left: row 0 as observed, the others reassigned.

    Unpaired rows are dealt anew to sides of the same sizes; paired rows swap sides within their pair.
    """
    first = np.arange(n + m) < n
    rng = np.random.default_rng([seed, 101])
    if paired:
        stays = rng.random((permutations, n)) < 0.5
        return np.vstack([first, np.hstack([stays, ~stays])])
    return np.vstack([first, rng.permuted(np.tile(first, (permutations, 1)), axis=1)])


def affordable(permutations: int, seconds_each: float) -> tuple[int, str | None]:
    """How many permutations fit the budget of estimated seconds, and a note if they are fewer than asked."""
    fitting = int(BUDGET_SECONDS / max(seconds_each, 1e-12))
    if fitting >= permutations:
        return permutations, None
    if fitting < FEWEST_PERMUTATIONS:
        return 0, (
            f"no p-value: one permutation would take about {seconds_each:.0f} s; "
            "compare a sample of the rows or use sliced_wasserstein"
        )
    return fitting, f"{fitting} permutations instead of {permutations}: about {seconds_each:.2g} s each"


def statistics(pair: Pair, splits: Splits) -> NDArray[np.float64]:
    """The measure of every split (B + 1,) of the pair's pooled rows, by the fastest way this measure has."""
    if pair.spec.batched is not None:
        return _of_counts(pair, splits)
    x, y, params = pair.left.rows, pair.right.rows, pair.arguments()
    if pair.spec.name == "sliced_wasserstein" and not pair.left.per_row:
        return _sliced(x, y, splits, params)
    return _one_by_one(pair.spec.function, np.concatenate([x, y]), splits, params)


def seconds_per_split(pair: Pair) -> float:
    """Estimated seconds of one more permutation."""
    rows, d = len(pair.left) + len(pair.right), pair.left.rows.shape[1]
    if pair.spec.batched is not None:
        return 3e-9 * rows * min(d, 100) + 1e-7 * d
    if pair.spec.name == "sliced_wasserstein" and not pair.left.per_row:
        return 8e-9 * rows * (1 if d == 1 else pair.params.get("n_projections", 256))
    if pair.spec.name in KERNEL_MEASURES:
        return 2.5e-11 * rows**2
    return pair.seconds()


def _one_by_one(
    function: Callable[..., Any], pool: NDArray[Any], splits: Splits, params: dict[str, Any]
) -> NDArray[np.float64]:
    """Call the measure once per split; weights and labels travel with their rows."""
    params = dict(params)
    n, total = int(splits[0].sum()), len(pool)
    per_row = {}
    for key in PER_ROW:
        left, right = params.pop(f"{key}_x", None), params.pop(f"{key}_y", None)
        if left is not None:
            sides = [left * n, right * (total - n)] if key == "weights" else [left, right]
            per_row[key] = np.concatenate(sides)
    values = np.empty(len(splits))
    for row, s in enumerate(splits):
        rows = {f"{k}_x": v[s] for k, v in per_row.items()} | {f"{k}_y": v[~s] for k, v in per_row.items()}
        found = function(pool[s], pool[~s], **rows, **params)
        values[row] = getattr(found, "value", found)
    return values


def _sliced(x: NDArray[Any], y: NDArray[Any], splits: Splits, params: dict[str, Any]) -> NDArray[np.float64]:
    """Sort the pool once per direction; every split then reads its two sorted sides out of it by its mask."""
    p = params.get("p", 2)
    a, b, theta = project(x, y, p, params.get("n_projections", 256), params.get("seed", 0))
    pool = np.concatenate([a, b]).astype(np.float32)
    n, m = len(a), len(b)
    i, j, moved = uniform_merge(n, m)
    if n == m:
        i = j = slice(None)  # type: ignore[assignment]
    total = np.zeros(len(splits))
    step = max(1, 20_000_000 // (n + m))
    for direction in theta.T.astype(np.float32):
        values = pool @ direction
        order = np.argsort(values, kind="stable")
        values = values[order]
        for start in range(0, len(splits), step):
            mask = splits[start : start + step, order]
            pool_of = np.broadcast_to(values, mask.shape)
            gap = pool_of[mask].reshape(-1, n)[:, i] - pool_of[~mask].reshape(-1, m)[:, j]
            cost = np.square(gap) if p == 2 else np.abs(gap) ** p
            total[start : start + step] += cost @ moved.astype(np.float32)
    return (total / theta.shape[1]) ** (1 / p)


def _of_counts(pair: Pair, splits: Splits) -> NDArray[np.float64]:
    """A mass measure of every split of item-by-category counts (N, k): one product sums the sides of all.

    A split that leaves a side without mass counts as infinitely far, which can only raise p.
    """
    left, right = pair.left.rows, pair.right.rows
    if hasattr(left, "tocsr"):
        from scipy.sparse import vstack

        counts = vstack([left, right]).tocsr()
    else:
        counts = np.concatenate([left, right])
    total = column_sums(left) + column_sums(right)
    result = np.empty(len(splits))
    step = max(1, 4_000_000 // max(total.size, splits.shape[1]))
    for start in range(0, len(splits), step):
        chosen = splits[start : start + step].astype(np.float64)
        taken = np.asarray((counts.T @ chosen.T).T, dtype=np.float64)
        sides = np.maximum(taken, 0), np.maximum(total - taken, 0)
        sums = [side.sum(1) for side in sides]
        p, q = (side / np.maximum(s, 1e-300)[:, None] for side, s in zip(sides, sums, strict=True))
        values = pair.spec.batched(p, q, **pair.params)  # type: ignore[misc]
        result[start : start + step] = np.where((sums[0] > 0) & (sums[1] > 0), values, np.inf)
    return result
