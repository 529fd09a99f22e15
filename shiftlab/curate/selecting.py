"""Choosing items: by a predicate, by set algebra, by distance from a reference, by damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries, safe_sql, vectors
from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, matrix, parents_of, without_vector
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl


def select(store: Store, where: str, *, subsets: Sequence[str] = (), dataset: str | None = None) -> Plan:
    """Items that meet a SQL predicate.

    Columns: item, width, height, file, objects, attributes, places (lists), labels (a map by scheme), and any
    sub-select over the catalog: ``list_contains(objects, 'cat') and labels['split'] = 'test'``.
    BadInputError for an empty or wrong predicate.
    """
    dataset, refs = parents_of(store, subsets, dataset)
    if not where.strip():
        raise BadInputError("select needs a predicate, as \"list_contains(objects, 'cat')\"")
    pool = items(store, dataset, refs)
    values = {"dataset": dataset, "subset_ids": [one.subset_id for one in refs]}
    narrowed = safe_sql.narrowed(queries.sql("curate_candidates"), where)
    kept = safe_sql.query(store, narrowed, values).pl()["item_id"]
    chosen = pool["item_id"].is_in(kept.implode())
    return _plan(
        "select", dataset, {"where": where}, refs, pool, chosen, f"meets {where}", f"does not meet {where}"
    )


def union(store: Store, *, subsets: Sequence[str], dataset: str | None = None) -> Plan:
    """Items of any of the subsets; the largest weight counts."""
    return _algebra(store, "union", subsets, dataset)


def intersect(store: Store, *, subsets: Sequence[str], dataset: str | None = None) -> Plan:
    """Items of all the subsets."""
    return _algebra(store, "intersect", subsets, dataset)


def difference(store: Store, *, subsets: Sequence[str], dataset: str | None = None) -> Plan:
    """Items of the first subset that are in none of the others."""
    return _algebra(store, "difference", subsets, dataset)


def flag(
    store: Store,
    *,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    references: Sequence[str] = (),
    threshold: float | None = None,
    quantile: float = 0.95,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
) -> Plan:
    """Parts ``flagged`` and ``kept``: items far from every reference subset, by Euclidean distance to the nearest item.

    Far is beyond ``threshold``, or without it beyond the ``quantile`` of the references' own distances to their
    nearest other item. Without references an item is compared with the other items of the pool.
    BadInputError for a quantile outside 0 to 1.
    """
    dataset, refs = parents_of(store, subsets, dataset)
    against = parents_of(store, references, dataset)[1] if references else ()
    if not 0 < quantile < 1:
        raise BadInputError(f"quantile must lie between 0 and 1, not {quantile:g}")
    pool, rows, without = matrix(store, dataset, items(store, dataset, refs), space, stage)
    known, known_rows, _ = matrix(store, dataset, items(store, dataset, against or refs), space, stage)
    distance = nearest_other(rows, pool["item_id"].to_numpy(), known_rows, known["item_id"].to_numpy())
    own = nearest_other(known_rows, known["item_id"].to_numpy(), known_rows, known["item_id"].to_numpy())
    cut = float(np.quantile(own[np.isfinite(own)], quantile)) if threshold is None else threshold
    import polars as pl

    part = np.where(distance > cut, "flagged", "kept")
    reasons = [f"distance {d:.4g}, the cut is {cut:.4g}" for d in distance]
    told = pl.DataFrame({"item_id": pool["item_id"], "part": part, "reason": reasons})
    lost = without_vector(without)
    members = told.join(pool, on="item_id", maintain_order="left").sort(
        "part", "item_id", descending=[True, False]
    )
    params = {
        "threshold": threshold,
        "quantile": quantile,
        "references": list(references),
        "space": space,
        "stage": stage,
    }
    return Plan(
        "flag", dataset, params, (*refs, *against), members.select("part", "item_id", "weight"),
        pl.concat([told, lost]), facts={"cut": cut, "flagged": int((distance > cut).sum())},
    )  # fmt: skip


def drop_degenerate(
    store: Store,
    *,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
) -> Plan:
    """Items without those that cannot teach: no vector, a vector of zeros, or an exact copy of an earlier one."""
    dataset, refs = parents_of(store, subsets, dataset)
    pool, rows, without = matrix(store, dataset, items(store, dataset, refs), space, stage)
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    which = which.ravel()
    zero = ~rows.any(axis=1)
    copy = first[which] != np.arange(len(rows))
    names = pool["item"].to_list()
    reasons = np.full(len(rows), "nothing wrong with its vector", dtype=object)
    for at in np.flatnonzero(copy):
        reasons[at] = f"its vector repeats that of {names[first[which[at]]]}"
    reasons[zero] = "its vector is all zeros"
    import polars as pl

    told = pl.DataFrame({"item_id": pool["item_id"], "bad": zero | copy, "reason": reasons.astype(str)})
    told = told.select("item_id", pl.when(~pl.col("bad")).then(pl.lit("kept")).alias("part"), "reason")
    lost = without_vector(without)
    members = told.filter(pl.col("part").is_not_null()).join(pool, on="item_id", maintain_order="left")
    return Plan(
        "drop_degenerate", dataset, {"space": space, "stage": stage}, refs,
        members.select("part", "item_id", "weight"), pl.concat([told, lost]),
        facts={"zero": int(zero.sum()), "copies": int((copy & ~zero).sum()), "without": len(lost)},
    )  # fmt: skip


def nearest_other(rows: np.ndarray, ids: np.ndarray, known: np.ndarray, known_ids: np.ndarray) -> np.ndarray:
    """Euclidean distance (n,) of each row to the nearest known row that is another item; infinite if there is none."""
    found = np.full(len(rows), np.inf)
    squares = (known**2).sum(1)
    step = max(1, 4_000_000 // max(1, len(known)))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        near = squares - 2 * block @ known.T + (block**2).sum(1)[:, None]
        near[ids[start : start + step, None] == known_ids] = np.inf
        at = near.argmin(1)
        # The nearest is found by products, its distance by differences, which keep their digits.
        exact = np.sqrt(((block - known[at]) ** 2).sum(1))
        found[start : start + step] = np.where(np.isinf(near.min(1)), np.inf, exact)
    return found


def _algebra(store: Store, operation: str, names: Sequence[str], dataset: str | None) -> Plan:
    import polars as pl

    if len(names) < 2:
        raise BadInputError(f"{operation} needs two subsets or more")
    dataset, refs = parents_of(store, names, dataset)
    pool = items(store, dataset, refs)
    has = [
        pool["item_id"].is_in(items(store, dataset, [ref])["item_id"].implode()).to_numpy() for ref in refs
    ]
    if operation == "union":
        chosen, why, why_not = np.ones(len(pool), dtype=bool), "in one of the subsets", ""
    elif operation == "intersect":
        chosen, why, why_not = np.logical_and.reduce(has), "in all the subsets", "not in all the subsets"
    else:
        chosen = has[0] & ~np.logical_or.reduce(has[1:])
        why, why_not = f"only in {refs[0].name}", f"not only in {refs[0].name}"
    return _plan(operation, dataset, {}, refs, pool, pl.Series(chosen), why, why_not)


def _plan(
    operation: str, dataset: str, params: dict[str, Any], refs: Any, pool: pl.DataFrame, chosen: pl.Series,
    why: str, why_not: str,
) -> Plan:  # fmt: skip
    import polars as pl

    told = pool.with_columns(
        part=pl.when(chosen).then(pl.lit("kept")),
        reason=pl.when(chosen).then(pl.lit(why)).otherwise(pl.lit(why_not)),
    )
    members = told.filter(pl.col("part").is_not_null()).select("part", "item_id", "weight")
    return Plan(operation, dataset, params, refs, members, told.select("item_id", "part", "reason"))
