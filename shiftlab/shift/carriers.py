"""What subsets bring to a comparison: the vectors of their members, the other objects these show, their spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries, signals, vectors
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError
from shiftlab.measures.one_dimensional import amplitude_shares

if TYPE_CHECKING:
    import polars as pl
    from scipy.sparse import csr_array

OBJECTS = "objects"


@dataclass(frozen=True)
class Carrier:
    """Items and who has them.

    rows: (N, d) float32 vectors, or sparse (N, k) counts, one row an item. item_ids: (N,).
    membership: (S, N) sparse weights of the S subsets, in the order given. group: what the rows are.
    missing: (S,) members of each subset that have no row.
    """

    rows: Any
    item_ids: np.ndarray
    membership: csr_array
    group: str
    missing: np.ndarray

    def side(self, subset: int) -> tuple[Any, np.ndarray]:
        """Rows and item ids of one subset."""
        mine = np.sort(
            self.membership.indices[self.membership.indptr[subset] : self.membership.indptr[subset + 1]]
        )
        return self.rows[mine], self.item_ids[mine]


def cloud(store: Store, picked: pl.DataFrame, space: str | None, stage: str) -> Carrier:
    """Vectors of the members of the `picked` subsets (columns subset_id, dataset, name, class)."""
    members = _members(store, picked)
    datasets = picked["dataset"].unique(maintain_order=True).to_list()
    spaces = [vectors.load(store, dataset, space, stage) for dataset in datasets]
    dims = {s.matrix.shape[1] for s in spaces}
    if len(dims) > 1:
        raise BadInputError(
            f"space '{spaces[0].space}' has {' and '.join(map(str, sorted(dims)))} dimensions in the datasets "
            f"{', '.join(datasets)}; they cannot be compared"
        )
    wanted = np.unique(members["item_id"].to_numpy())
    rows = [s.rows(wanted) for s in spaces]
    ids = np.concatenate([s.item_ids[at] for s, at in zip(spaces, rows, strict=True)])
    matrix = np.concatenate([np.asarray(s.matrix[at]) for s, at in zip(spaces, rows, strict=True)])
    order = np.argsort(ids)
    group = spaces[0].space if stage == vectors.BASE_STAGE else f"{spaces[0].space}@{stage}"
    return _carrier(matrix[order], ids[order], members, len(picked), group)


def objects(store: Store, picked: pl.DataFrame) -> Carrier:
    """Which objects the members show, 0 or 1: every object name but the classes of the subsets compared."""
    from scipy.sparse import csr_array

    members = _members(store, picked)
    with store.read() as con:
        con.register("picked", picked.select("subset_id").to_arrow())
        shown = con.sql(queries.sql("objects_of_picked")).pl()
    terms = shown["term"].unique().sort()
    if terms.is_empty():
        raise BadInputError(
            "the items show no object but the classes compared; compare fewer classes, or vectors with --space"
        )
    column = shown.join(terms.to_frame().with_row_index("at"), on="term", maintain_order="left")[
        "at"
    ].to_numpy()
    ids = np.unique(members["item_id"].to_numpy())
    row = np.searchsorted(ids, shown["item_id"].to_numpy())
    counts = csr_array((np.ones(len(row)), (row, column)), shape=(len(ids), len(terms)))
    return _carrier(counts, ids, members, len(picked), OBJECTS)


def spectra(store: Store, picked: pl.DataFrame, signal: str, stage: str) -> Carrier:
    """Amplitude spectra (N, k) without DC, each summing to 1, of the members' signals; constant signals are missing."""
    members = _members(store, picked)
    datasets = picked["dataset"].unique(maintain_order=True).to_list()
    found = [signals.load(store, dataset, signal, stage) for dataset in datasets]
    if len({one.values.shape[1:] for one in found}) > 1:
        raise BadInputError(f"signals '{signal}' differ in shape between the datasets {', '.join(datasets)}")
    wanted = np.unique(members["item_id"].to_numpy())
    shares, ids = [], []
    for one in found:
        mine = np.flatnonzero(np.isin(one.item_ids, wanted, assume_unique=True))
        rows, varies = amplitude_shares(np.asarray(one.values[mine]))
        shares.append(rows[varies])
        ids.append(one.item_ids[mine[varies]])
    item_ids = np.concatenate(ids)
    order = np.argsort(item_ids)
    group = signal if stage == vectors.BASE_STAGE else f"{signal}@{stage}"
    return _carrier(np.concatenate(shares)[order], item_ids[order], members, len(picked), group)


def members(store: Store, picked: pl.DataFrame) -> list[list[int]]:
    """Item ids of each of the `picked` subsets, in order."""
    rows = _members(store, picked)
    return [rows.filter(rows["position"] == at)["item_id"].to_list() for at in range(len(picked))]


def _members(store: Store, picked: pl.DataFrame) -> pl.DataFrame:
    with store.read() as con:
        con.register("picked", picked.select("subset_id").with_row_index("position").to_arrow())
        return con.sql(queries.sql("members_of_picked")).pl()


def _carrier(rows: Any, ids: np.ndarray, members: pl.DataFrame, count: int, group: str) -> Carrier:
    from scipy.sparse import csr_array

    item, position = members["item_id"].to_numpy(), members["position"].to_numpy()
    at = np.minimum(np.searchsorted(ids, item), max(0, len(ids) - 1))
    has = ids[at] == item if len(ids) else np.zeros(len(item), dtype=bool)
    weight = members["weight"].to_numpy().astype(np.float64)
    membership = csr_array((weight[has], (position[has], at[has])), shape=(count, len(ids)))
    return Carrier(rows, ids, membership, group, np.bincount(position[~has], minlength=count))
