"""Parts of a subset: near and far from a reference, and by group so that no group is on two sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shiftlab import vectors
from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, labels, matrix, parents_of, without_vector
from shiftlab.curate.selecting import nearest_other
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl


def distance_parts(distance: np.ndarray, quantiles: Sequence[float]) -> np.ndarray:
    """Part number (n,) of each distance, 0 the nearest: cuts at the quantiles, a value at the cut is near.

    Quantiles are lower ones (an observed distance), so that at .5 exactly half of distinct values are near.
    """
    cuts = np.quantile(distance, quantiles, method="inverted_cdf")
    return np.searchsorted(cuts, distance, side="left")


def split_by_distance(
    store: Store,
    *,
    subsets: Sequence[str],
    reference: str,
    quantiles: Sequence[float] = (0.5,),
    dataset: str | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
) -> Plan:
    """Parts by distance from the ``reference`` subset (that of training): ``near`` and ``far``, or ``part1`` ...

    The distance of an item is the Euclidean one to the nearest item of the reference but itself.
    BadInputError for quantiles that do not rise between 0 and 1.
    """
    import polars as pl

    if list(quantiles) != sorted(set(quantiles)) or not quantiles or not all(0 < q < 1 for q in quantiles):
        raise BadInputError("quantiles must rise between 0 and 1, as 0.5 or 0.25,0.5,0.75")
    dataset, refs = parents_of(store, subsets, dataset)
    _, (target,) = parents_of(store, [reference], dataset)
    pool, rows, without = matrix(store, dataset, items(store, dataset, refs), space, stage)
    known, known_rows, _ = matrix(store, dataset, items(store, dataset, [target]), space, stage)
    distance = nearest_other(rows, pool["item_id"].to_numpy(), known_rows, known["item_id"].to_numpy())
    number = distance_parts(distance, quantiles)
    names = ["near", "far"] if len(quantiles) == 1 else [f"part{k + 1}" for k in range(len(quantiles) + 1)]
    told = pool.with_columns(
        part=pl.Series([names[k] for k in number]),
        reason=pl.Series([f"distance {d:.4g} from {reference}" for d in distance]),
    )
    order = {name: k for k, name in enumerate(names)}
    members = told.sort(pl.col("part").replace_strict(order), "item_id")
    lost = without_vector(without)
    params = {"reference": reference, "quantiles": list(quantiles), "space": space, "stage": stage}
    return Plan(
        "split_by_distance", dataset, params, (*refs, target), members.select("part", "item_id", "weight"),
        pl.concat([told.select("item_id", "part", "reason"), lost]),
        facts={f"mean_distance_{name}": float(distance[number == k].mean()) for k, name in enumerate(names)
               if (number == k).any()},
    )  # fmt: skip


def assign_groups(sizes: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Part number (g,) of groups of these sizes, so that parts come near their shares of all items.

    The largest group first, equal ones in seeded order, each to the part that lacks most.
    """
    rng = np.random.default_rng([seed, 503])
    order = np.lexsort((rng.random(len(sizes)), -sizes))
    wanted = np.asarray(shares, dtype=float) / np.sum(shares) * sizes.sum()
    part = np.empty(len(sizes), dtype=int)
    for group in order:
        lack = int(np.argmax(wanted))
        part[group] = lack
        wanted[lack] -= sizes[group]
    return part


def group_split(
    store: Store,
    *,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    by: str,
    shares: Sequence[float] = (0.8, 0.2),
    near_duplicates: float | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    seed: int = 0,
) -> Plan:
    """Parts ``train``, ``test`` (or ``part1`` ... for more shares) with no value of label ``by`` on two sides.

    ``near_duplicates``: items whose vectors are at most so far apart stay together too, and so do their groups.
    Items without the label are groups of their own.
    BadInputError for shares that are not two positive numbers or more, and for fewer groups than parts.
    """
    import polars as pl

    if len(shares) < 2 or min(shares) <= 0:
        raise BadInputError("shares must be two positive numbers or more, as 0.8,0.2")
    dataset, refs = parents_of(store, subsets, dataset)
    pool = items(store, dataset, refs)
    named = labels(store, dataset, pool, by)
    keyed = pool.join(named, on="item_id", how="left", maintain_order="left").with_columns(
        key=pl.coalesce(pl.lit("v") + pl.col("value"), pl.lit("i") + pl.col("item"))
    )
    group = keyed["key"].rank("dense").to_numpy().astype(int) - 1
    if near_duplicates is not None:
        group = joined(store, dataset, pool, group, near_duplicates, space, stage)
    sizes = np.bincount(group)
    part = assign_groups(sizes, shares, seed)
    if len(np.unique(part)) < len(shares):
        raise BadInputError(
            f"{len(sizes)} groups of '{by}' cannot fill {len(shares)} parts (the largest has {sizes.max():,} of "
            f"{len(pool):,} items): ask for fewer parts, or split by another label"
        )
    names = ["train", "test"] if len(shares) == 2 else [f"part{k + 1}" for k in range(len(shares))]
    values = keyed["value"].to_list()
    told = pool.with_columns(
        part=pl.Series([names[k] for k in part[group]]),
        reason=pl.Series([f"{by} {v}" if v is not None else f"no single {by}" for v in values]),
    )
    order = {name: k for k, name in enumerate(names)}
    members = told.sort(pl.col("part").replace_strict(order), "item_id").select("part", "item_id", "weight")
    params = {
        "by": by,
        "shares": list(shares),
        "near_duplicates": near_duplicates,
        "space": space,
        "stage": stage,
    }
    facts = {"groups": len(sizes)} | {
        f"share_{name}": float(sizes[part == k].sum() / len(pool)) for k, name in enumerate(names)
    }
    return Plan(
        "group_split",
        dataset,
        params,
        refs,
        members,
        told.select("item_id", "part", "reason"),
        seed=seed,
        facts=facts,
    )


def joined(
    store: Store,
    dataset: str,
    pool: pl.DataFrame,
    group: np.ndarray,
    near: float,
    space: str | None,
    stage: str,
) -> np.ndarray:
    """Groups merged where two of their items are near-duplicates."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if not near >= 0:
        raise BadInputError(
            f"near-duplicates are items at most so far apart: a number of at least 0, not {near:g}"
        )
    have, rows, _ = matrix(store, dataset, pool, space, stage)
    position = np.searchsorted(pool["item_id"].to_numpy(), have["item_id"].to_numpy())
    pairs = cKDTree(rows).query_pairs(near, output_type="ndarray")
    left, right = group[position[pairs[:, 0]]], group[position[pairs[:, 1]]]
    count = group.max() + 1
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component)[group]
