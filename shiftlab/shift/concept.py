"""What moved between two subsets: the mix of cells, the mix of labels, or the labels given the cell."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import ShiftParts, decompose_shift
from shiftlab.measures.registry import get
from shiftlab.names import nearest, require_subset
from shiftlab.shift.inference import permutation_p
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl

FEWEST_DISTINCT = 30
PARTS = ("covariate_tv", "label_tv", "concept_tv")
_SAME_ITEMS = "no p: the same items stand on both sides, so that every changed label is a change"


def compare_concepts(
    store: Store,
    left: str,
    right: str | None = None,
    *,
    cells: str,
    labels: str,
    labels_after: str | None = None,
    dataset: str | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> pl.DataFrame:
    """Parts of the shift of (cell, label) counts from subset ``left`` to ``right``; each stored as a score.

    ``cells`` and ``labels`` are schemes of labels ('object' for the objects shown); items without one value of both are
    left out and counted. Without ``right``, ``labels_after`` is a second labelling of the items of ``left``. Columns
    part, value, null_mean, null_q95, p, n_left, n_right, note; parts covariate_tv, label_tv, concept_tv,
    support_overlap. For the concept part labels are dealt anew within their cell, for the others over all. Raises
    NotFoundError for a scheme that is not there.
    """
    import polars as pl

    if (right is None) == (labels_after is None):
        raise BadInputError(
            "compare two subsets, or one subset under two labellings: name RIGHT or labels_after"
        )
    refs = [require_subset(store, name, dataset) for name in (left, right or left)]
    schemes = labels, labels_after or labels
    sides = [_pairs(store, ref.subset_id, cells, scheme) for ref, scheme in zip(refs, schemes, strict=True)]
    for ref, side, scheme in zip(refs, sides, schemes, strict=True):
        _require(store, ref.dataset, ref.name, side, (cells, scheme))
    counts = _counts(*sides)
    found = decompose_shift(*counts)
    told, chance, alone = _null(sides, counts, right is None, permutations, seed)
    left_out = sum(ref.n - len(side) for ref, side in zip(refs, sides, strict=True))
    told += [f"left out, without one value of both schemes: {left_out:,} items"] if left_out else []
    rows, stored = [], []
    params = {"cells": cells, "labels": labels, "labels_after": labels_after, "permutations": permutations}
    nats = {
        key: value for key, value in asdict(found).items() if isinstance(value, float) and np.isfinite(value)
    }
    for part in (*PARTS, "support_overlap"):
        value = getattr(found, part)
        note = "; ".join(filter(None, [found.concept_reason if value is None else None, *told])) or None
        row = {"part": part, "value": value} | _against(chance.get(part), getattr(alone, part, None))
        row |= {"n_left": len(sides[0]), "n_right": len(sides[1]), "note": note}
        rows.append(row)
        about = {key: one for key, one in row.items() if key != "part"} | {"seed": seed}
        ends = str(refs[0].subset_id), str(refs[1].subset_id)
        told_all = about | {"params": params | {"parts": nats}}
        stored.append(score_row(get("decompose_shift"), "subset", *ends, part, told_all))
    store_scores(store, Run("shift concept", params, dataset=refs[0].dataset, seed=seed), stored)
    numbers = dict.fromkeys(("value", "null_mean", "null_q95", "p"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers | {"note": pl.String})


def _pairs(store: Store, subset_id: int, cells: str, labels: str) -> pl.DataFrame:
    with store.read() as con:
        values = {"subset_id": subset_id, "cells": cells, "labels": labels}
        return con.sql(queries.sql("cells_and_labels"), params=values).pl()


def _require(store: Store, dataset: str, name: str, side: pl.DataFrame, schemes: tuple[str, str]) -> None:
    if len(side):
        return
    with store.read() as con:
        known = [row[0] for row in con.execute(queries.sql("schemes_there"), {"dataset": dataset}).fetchall()]
    for scheme in schemes:
        if scheme not in (*known, "object"):
            there = nearest(scheme, known) or f"; there are {', '.join([*known, 'object'])}"
            raise NotFoundError(f"the items of '{dataset}' have no label '{scheme}'{there}")
    raise BadInputError(f"no item of '{name}' has one value of '{schemes[0]}' and one of '{schemes[1]}'")


def _counts(*sides: pl.DataFrame) -> list[np.ndarray]:
    """Counts (cells, labels) of both sides over the same cells and labels."""
    names = [
        np.unique(np.concatenate([side[column].to_numpy() for side in sides])) for column in ("cell", "label")
    ]
    found = []
    for side in sides:
        table = np.zeros((len(names[0]), len(names[1])), dtype=np.int64)
        at = [
            np.searchsorted(known, side[column].to_numpy())
            for known, column in zip(names, ("cell", "label"), strict=True)
        ]
        np.add.at(table, tuple(at), 1)
        found.append(table)
    return found


def _null(
    sides: list[pl.DataFrame], counts: list[np.ndarray], same: bool, permutations: int, seed: int
) -> tuple[list[str], dict[str, np.ndarray], ShiftParts | None]:
    """Notes, the parts by chance, and the parts that these are held against: those of the items on one side only."""
    if same:
        return [_SAME_ITEMS], {}, None
    if not permutations:
        return [], {}, None
    ids = [side["item_id"].to_numpy() for side in sides]
    shared = np.intersect1d(ids[0], ids[1])
    told = []
    if len(shared):
        mine = [side.filter(~np.isin(one, shared)) for side, one in zip(sides, ids, strict=True)]
        if min(map(len, mine)) < FEWEST_DISTINCT:
            return [f"no p: fewer than {FEWEST_DISTINCT} items of a side are on it alone"], {}, None
        told = [f"null and p are of the items on one side only; on both: {len(shared):,}"]
        counts = _counts(*mine)
    return told, _chance(counts, permutations, seed), decompose_shift(*counts)


def _chance(counts: list[np.ndarray], permutations: int, seed: int) -> dict[str, np.ndarray]:
    """Each part (B,) when sides are dealt anew: hypergeometric counts, exactly what permuting items gives."""
    rng = np.random.default_rng([seed, 941])
    pooled, first = counts[0] + counts[1], counts[0]
    n = first.sum()
    cells = rng.multivariate_hypergeometric(pooled.sum(1), n, size=permutations)
    labels = rng.multivariate_hypergeometric(pooled.sum(0), n, size=permutations)
    within = np.stack([rng.multivariate_hypergeometric(row, drawn, size=permutations)
                       for row, drawn in zip(pooled, first.sum(1), strict=True)], axis=1)  # fmt: skip
    m = counts[1].sum()
    return {
        "covariate_tv": np.abs(cells / n - (pooled.sum(1) - cells) / m).sum(1) / 2,
        "label_tv": np.abs(labels / n - (pooled.sum(0) - labels) / m).sum(1) / 2,
        "concept_tv": _concept_tv(within, pooled - within),
    }


def _concept_tv(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """concept_tv (B,) of counts (B, cells, labels)."""
    a, b = left.sum(2), right.sum(2)
    both = (a > 0) & (b > 0)
    share = (a / a.sum(1, keepdims=True) + b / b.sum(1, keepdims=True)) / 2 * both
    p, q = (side / np.maximum(total, 1)[..., None] for side, total in ((left, a), (right, b)))
    return (share * np.abs(p - q).sum(2) / 2).sum(1) / np.maximum(share.sum(1), 1e-300)


def _against(null: np.ndarray | None, value: float | None) -> dict[str, Any]:
    if null is None or value is None:
        return dict.fromkeys(("null_mean", "null_q95", "p"))
    return {
        "null_mean": float(null.mean()),
        "null_q95": float(np.quantile(null, 0.95)),
        "p": permutation_p(value, null),
    }
