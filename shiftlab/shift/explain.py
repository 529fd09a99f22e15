"""What makes two sides different: which features, which mass moved where, which items drive it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.distances import squared_distances
from shiftlab.measures.inputs import clouds, positive_integer, weights
from shiftlab.measures.kernel import pair_gamma
from shiftlab.measures.neighbours import nearest_residual
from shiftlab.measures.sliced import line_costs
from shiftlab.measures.sorting import sort_rows
from shiftlab.measures.transport import transport_plan
from shiftlab.shift.inference import benjamini_hochberg

if TYPE_CHECKING:
    import polars as pl

BLOCK_ROWS = 1024


def features(
    x: ArrayLike, y: ArrayLike, names: Sequence[str] | None = None, permutations: int = 199, seed: int = 0
) -> pl.DataFrame:
    """Every column's own shift, largest first: which features of x (n, d) and y (m, d) differ.

    One row per feature: ``wasserstein`` (1-D W1 in the feature's unit), ``standardised`` (over the pooled standard
    deviation, so that features compare; null for a constant one), ``mean_change`` and ``scale_ratio`` of y over
    x, ``share`` of the summed squared standardised shift, ``null_q95``, ``p`` by permutation and ``q`` over
    features. Columns are tested one by one: a shift of their correlation is not seen. ValueError for bad clouds
    or names.
    """
    import polars as pl

    a, b = (side.astype(np.float64) for side in clouds(x, y))
    d = a.shape[1]
    labels = [str(i) for i in range(d)] if names is None else [str(name) for name in names]
    if len(labels) != d:
        raise ValueError(f"names must name every feature: {len(labels)} names for {d} columns")
    pool = np.concatenate([a, b])
    scale = pool.std(axis=0)
    constant = scale <= 1e-12 * np.abs(pool).max(axis=0, initial=0)
    columns = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    for side in columns:
        sort_rows(side)
    moved = line_costs(*columns, 1)
    null = _column_nulls(pool, len(a), permutations, seed)
    reach = moved - 1e-9 * scale
    p = (1 + (null >= reach).sum(axis=0)) / (1 + permutations)
    standard = np.where(constant, np.nan, moved / np.where(constant, 1, scale))
    total = np.nansum(np.square(standard))
    spread = a.std(axis=0)
    frame = pl.DataFrame(
        {
            "feature": labels,
            "wasserstein": moved,
            "standardised": standard,
            "mean_change": b.mean(0) - a.mean(0),
            "scale_ratio": np.where(spread > 0, b.std(0) / np.where(spread > 0, spread, 1), np.nan),
            "share": np.square(standard) / total if total > 0 else np.zeros(d),
            "null_q95": np.quantile(null, 0.95, axis=0, method="higher")
            if permutations
            else np.full(d, np.nan),
            "p": p if permutations else np.full(d, np.nan),
            "q": benjamini_hochberg(p) if permutations else np.full(d, np.nan),
        }
    ).with_columns(pl.selectors.float().fill_nan(None))
    return frame.sort("standardised", "feature", descending=[True, False], nulls_last=True)


def _column_nulls(pool: NDArray[np.float64], n: int, permutations: int, seed: int) -> NDArray[np.float64]:
    """W1 of every column under permuted rows, (B, d): each column is sorted once, a split is a signed cumulation."""
    rng = np.random.default_rng([seed, 811])
    m = len(pool) - n
    signed = np.tile(np.repeat([1 / n, -1 / m], [n, m]), (permutations, 1))
    signed = rng.permuted(signed, axis=1).astype(np.float32)
    null = np.empty((permutations, pool.shape[1]))
    for column in range(pool.shape[1]):
        order = np.argsort(pool[:, column], kind="stable")
        gaps = np.diff(pool[order, column]).astype(np.float32)
        null[:, column] = np.abs(np.cumsum(signed[:, order], axis=1)[:, :-1]) @ gaps
    return null


def moves(
    x: ArrayLike,
    y: ArrayLike,
    ids_x: ArrayLike | None = None,
    ids_y: ArrayLike | None = None,
    top: int = 20,
    p: float = 2,
) -> pl.DataFrame:
    """The optimal transport plan's costliest moves: item ``source`` of x to item ``target`` of y.

    ``mass`` is what moves, ``distance`` how far, ``cost`` = mass * distance^p, ``share`` its part of the whole
    cost. ValueError as for `measures.wasserstein`, whose limit of size holds here too.
    """
    import polars as pl

    plan = transport_plan(x, y, p=p)
    paid = plan.mass * plan.cost
    order = np.lexsort((plan.target, plan.source, -paid))[: positive_integer(top, "top")]
    left, right = _names(ids_x, int(plan.source.max()) + 1), _names(ids_y, int(plan.target.max()) + 1)
    return pl.DataFrame(
        {
            "source": left[plan.source[order]],
            "target": right[plan.target[order]],
            "mass": plan.mass[order],
            "distance": plan.cost[order] ** (1 / p),
            "cost": paid[order],
            "share": paid[order] / plan.total if plan.total > 0 else np.zeros(len(order)),
        }
    )


def group_moves(
    x: ArrayLike, y: ArrayLike, groups_x: ArrayLike, groups_y: ArrayLike, p: float = 2
) -> pl.DataFrame:
    """Which mass moved where: the optimal plan summed by groups, costliest first.

    One row per pair of groups between which mass moves: ``source``, ``target``, ``mass`` (sums to one), ``distance``
    (root mean cost), ``cost`` and its ``share``. ValueError as for `measures.wasserstein`, or for groups that do
    not fit the rows.
    """
    import polars as pl

    plan = transport_plan(x, y, p=p)
    left, right = np.asarray(groups_x), np.asarray(groups_y)
    for name, groups, side in (("groups_x", left, x), ("groups_y", right, y)):
        if groups.shape != (len(np.asarray(side)),):
            raise ValueError(f"{name} must have one group per row, not shape {groups.shape}")
    rows = pl.DataFrame(
        {
            "source": left[plan.source],
            "target": right[plan.target],
            "mass": plan.mass,
            "cost": plan.mass * plan.cost,
        }
    )
    total = plan.total or 1.0
    return (
        rows.group_by("source", "target")
        .agg(pl.col("mass").sum(), pl.col("cost").sum())
        .with_columns(
            distance=(pl.col("cost") / pl.col("mass")).clip(0) ** (1 / p), share=pl.col("cost") / total
        )
        .select("source", "target", "mass", "distance", "cost", "share")
        .sort("cost", "mass", "source", "target", descending=[True, True, False, False])
    )


def flows(
    x: ArrayLike,
    y: ArrayLike,
    ids_x: ArrayLike | None = None,
    ids_y: ArrayLike | None = None,
    most: int = 10,
    p: float = 2,
    seed: int = 0,
) -> pl.DataFrame:
    """`group_moves` between at most ``most`` groups of similar items, where the data bring no groups of their own.

    Groups are the k-means clusters of x and y together (k-means++ started from ``seed``, at least ten items a group on
    average), the largest first. ``source`` and ``target`` call a group by the item that is nearest to its centre.
    ValueError as for `group_moves`.
    """
    import polars as pl

    a, b = (side.astype(np.float64) for side in clouds(x, y))
    pool = np.concatenate([a, b])
    names = np.concatenate([_names(ids_x, len(a)), _names(ids_y, len(b))])
    labels, central = _clusters(pool, max(2, min(most, len(pool) // 10)), seed)
    moved = group_moves(a, b, labels[: len(a)], labels[len(a) :], p=p)
    called = [str(names[one]) for one in central]
    return moved.with_columns(
        pl.col(side).replace_strict(range(len(called)), called, return_dtype=pl.String)
        for side in ("source", "target")
    )


def _clusters(rows: NDArray[np.float64], k: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cluster of every row, (n,), the largest first, and the row nearest to each centre; no cluster is empty."""
    from scipy.cluster.vq import kmeans2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty clusters
        centres, raw = kmeans2(rows, k, iter=30, minit="++", rng=np.random.default_rng([seed, 919]))
    used, size = np.unique(raw, return_counts=True)
    used = used[np.argsort(-size, kind="stable")]
    distance = squared_distances(rows, centres[used])
    distance[raw[:, None] != used] = np.inf  # the item that names a group lies in it
    place = np.empty(k, dtype=np.int64)
    place[used] = np.arange(len(used))
    return place[raw], distance.argmin(axis=0)


def nearest_and_farthest(
    x: ArrayLike,
    y: ArrayLike,
    ids_x: ArrayLike | None = None,
    ids_y: ArrayLike | None = None,
    top: int = 10,
) -> pl.DataFrame:
    """The items of x nearest to and farthest from y, with the item of y that is nearest to each.

    Columns ``end`` ("nearest" or "farthest"), ``rank`` from 1, ``item``, ``match``, ``distance``. ValueError for
    bad clouds or ids.
    """
    import polars as pl

    a, b = clouds(x, y)
    found = nearest_residual(a, b)
    left, right = _names(ids_x, len(a)), _names(ids_y, len(b))
    count = min(positive_integer(top, "top"), len(a))
    order = np.argsort(found.distance, kind="stable")
    chosen = np.concatenate([order[:count], order[::-1][:count]])
    return pl.DataFrame(
        {
            "end": ["nearest"] * count + ["farthest"] * count,
            "rank": np.tile(np.arange(1, count + 1), 2),
            "item": left[chosen],
            "match": right[found.index[chosen]],
            "distance": found.distance[chosen],
        }
    )


def witness(
    x: ArrayLike,
    y: ArrayLike,
    ids_x: ArrayLike | None = None,
    ids_y: ArrayLike | None = None,
    gamma: float | None = None,
    top: int = 10,
) -> pl.DataFrame:
    """Items at the extremes of the MMD witness: where x is denser than y (positive), and the reverse.

    The witness of an item is its mean kernel with x less that with y; its mean over x less that over y is MMD^2
    (Gretton et al. 2012, section 2.3). Columns ``side`` ("x" or "y"), ``rank``, ``item``, ``witness``: the ``top``
    items of x with the largest and of y with the smallest values. ValueError for bad clouds, ids or gamma.
    """
    import polars as pl

    a, b = clouds(x, y)
    values = witness_values(a, b, gamma)
    names = _names(ids_x, len(a)), _names(ids_y, len(b))
    sides = values[: len(a)], values[len(a) :]
    frames = []
    for side, sign, name, value in (("x", -1, names[0], sides[0]), ("y", 1, names[1], sides[1])):
        order = np.argsort(sign * value, kind="stable")[: positive_integer(top, "top")]
        ranks = np.arange(1, len(order) + 1)
        frames.append(
            pl.DataFrame(
                {"side": [side] * len(order), "rank": ranks, "item": name[order], "witness": value[order]}
            )
        )
    return pl.concat(frames, how="vertical_relaxed")


def witness_values(x: ArrayLike, y: ArrayLike, gamma: float | None = None) -> NDArray[np.float64]:
    """The MMD witness of every row of x (n, d), then of y (m, d): (n + m,)."""
    a, b = clouds(x, y)
    scale = pair_gamma(a, b, gamma)
    pool = np.concatenate([a, b]).astype(np.float64)
    signed = np.concatenate([weights(None, len(a), "x"), -weights(None, len(b), "y")])
    values = np.empty(len(pool))
    for start in range(0, len(pool), BLOCK_ROWS):
        table = squared_distances(pool[start : start + BLOCK_ROWS], pool)
        values[start : start + BLOCK_ROWS] = np.exp(-scale * table) @ signed
    return values


def _names(ids: ArrayLike | None, n: int) -> NDArray[Any]:
    if ids is None:
        return np.arange(n)
    names = np.asarray(ids)
    if names.ndim != 1 or len(names) < n:
        raise ValueError(f"ids must name every row: shape {names.shape} for {n} rows")
    return names
