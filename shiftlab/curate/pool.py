"""What operations read: the items of subsets, their labels, and the vectors of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shiftlab import queries, vectors
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.names import SubsetRef, nearest, require_dataset, require_subset

if TYPE_CHECKING:
    import polars as pl


def parents_of(store: Store, names: Sequence[str], dataset: str | None) -> tuple[str, tuple[SubsetRef, ...]]:
    """The data set and the subsets called so; without names the whole data set."""
    refs = tuple(require_subset(store, name, dataset) for name in names)
    sets = sorted({one.dataset for one in refs}) or ([dataset] if dataset else [])
    if not sets:
        raise BadInputError("say what to choose from: --dataset NAME, or --from SUBSET")
    if len(sets) > 1:
        raise BadInputError(
            f"the subsets belong to the datasets {', '.join(sets)}; an operation works within one"
        )
    require_dataset(store, sets[0])
    return sets[0], refs


def items(store: Store, dataset: str, refs: Sequence[SubsetRef]) -> pl.DataFrame:
    """item_id, item, weight of the items of the subsets, or of the whole data set, ordered by item_id."""
    values = {"dataset": dataset, "subset_ids": [one.subset_id for one in refs]}
    with store.read() as con:
        return con.sql(queries.sql("curate_pool"), params=values).pl()


def labels(store: Store, dataset: str, pool: pl.DataFrame, scheme: str) -> pl.DataFrame:
    """item_id and value of the items that have one value in a scheme of labels; 'object' are the objects shown."""
    import polars as pl

    with store.read() as con:
        con.register("pool", pool.select("item_id").to_arrow())
        found = con.sql(queries.sql("curate_labels"), params={"scheme": scheme}).pl()
        known = [
            row[0] for row in con.execute(queries.sql("curate_schemes"), {"dataset": dataset}).fetchall()
        ]
    if found.is_empty():
        raise NotFoundError(
            f"the items of '{dataset}' have no label '{scheme}'"
            + (nearest(scheme, known) or f"; there are {', '.join([*known, 'object'])}")
        )
    single = found.filter(pl.col("n") == 1).select("item_id", "value")
    if single.is_empty():
        raise BadInputError(
            f"each of the {len(found):,} items with a label '{scheme}' has several values of it"
        )
    return single


def matrix(
    store: Store, dataset: str, pool: pl.DataFrame, space: str | None, stage: str
) -> tuple[pl.DataFrame, np.ndarray, pl.DataFrame]:
    """The items of a pool that have a vector, their vectors (n, d) float64, and the items without one."""
    found = vectors.load(store, dataset, space, stage)
    ids = pool["item_id"].to_numpy()
    at = np.minimum(np.searchsorted(found.item_ids, ids), len(found.item_ids) - 1)
    has = found.item_ids[at] == ids
    if not has.any():
        raise BadInputError(
            f"none of the {len(ids):,} items has a vector in space '{found.space}' of '{dataset}'"
        )
    return pool.filter(has), np.asarray(found.matrix[at[has]], dtype=np.float64), pool.filter(~has)


def without_vector(items: pl.DataFrame) -> pl.DataFrame:
    """The fate of items that have no vector: dropped."""
    import polars as pl

    return items.select("item_id", part=pl.lit(None, pl.String), reason=pl.lit("no vector in this space"))
