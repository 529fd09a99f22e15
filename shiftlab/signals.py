"""Signals of items, one- or two-dimensional, by name and stage: written once as float32, read as mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shiftlab import queries, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.names import nearest, require_dataset
from shiftlab.readers import vectors as reader
from shiftlab.sources import content_hash


@dataclass(frozen=True)
class Signals:
    """Signals of one name and stage as stored. item_ids: (n,) int64, ascending. values: (n, ...) float32, read-only."""

    signal: str
    stage: str
    item_ids: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Ingested:
    """What one file of signals brought."""

    dataset: str
    signal: str
    stage: str
    signals: int
    shape: tuple[int, ...]
    unknown_ids: int
    already_there: bool = False


def ingest_signals(
    store: Store,
    path: str | Path,
    dataset: str,
    signal: str,
    *,
    stage: str = vectors.BASE_STAGE,
    ids: str | None = None,
    skip_unknown: bool = False,
) -> Ingested:
    """Stores the signals of `path`, arrays (n, length) or (n, height, width), for items of `dataset`.

    `ids` as for vectors. Raises `BadInputError` naming file and row for signals that are not finite, an id that
    stands twice or is no item, another shape than the signals of the same name have, and a stage that is there.
    """
    path = Path(path)
    require_dataset(store, dataset)
    for word, name in (("signal", signal), ("stage", stage)):
        if not name.strip() or not name.isprintable():
            raise BadInputError(f"{word} needs a printable name, not {name!r}")
    if not path.is_file():
        raise BadInputError(f"there is no file '{path}'")
    content = content_hash([path])
    there = _rows(store, dataset)
    same = [row for row in there if row[:2] == (signal, stage)]
    if same and same[0][6] == content:
        return Ingested(dataset, signal, stage, same[0][3], tuple(same[0][2]), 0, already_there=True)
    if same:
        raise BadInputError(
            f"'{dataset}' has the signals '{signal}' at '{stage}' already, from another source: name another stage"
        )
    found = reader.read(path, ids, pictures=True)
    flat = found.matrix.reshape(len(found.matrix), -1)
    vectors.refuse_non_finite(flat, path)
    shape = tuple(found.matrix.shape[1:])
    other = next((tuple(row[2]) for row in there if row[0] == signal and tuple(row[2]) != shape), None)
    if other is not None:
        raise BadInputError(
            f"{path.name}: signals have shape {shape}, those of '{signal}' at other stages {other}: "
            "resample them, or name another signal"
        )
    keys, rows, unknown = vectors.match_items(store, dataset, found.ids, path, skip_unknown)
    item_ids, first = np.unique(keys, return_index=True)
    if len(item_ids) < len(keys):
        again = found.ids[rows[np.setdiff1d(np.arange(len(keys)), first)[0]]]
        raise BadInputError(f"{path.name}: id '{again}' has several signals; keep one a row")
    values = np.ascontiguousarray(found.matrix[rows[first]], dtype=np.float32)
    folder = store.path / "vectors"
    files = [vectors.write_array(folder, array) for array in (values, item_ids)]
    params = {"signal": signal, "stage": stage, "ids": ids, "skip_unknown": skip_unknown}
    run = Run("ingest signals", params, dataset=dataset, inputs={path.name: content})
    run.notes = {"signals": len(item_ids), "unknown_ids": unknown}
    with store.write(run) as con:
        values_of_row = [dataset, signal, stage, list(shape), len(item_ids), *files, content, run.run_id]
        con.execute(
            "insert into signal values ($1, $2, $3, $4, $5, $6, $7, $8, $9)", values_of_row
        ).fetchall()
    return Ingested(dataset, signal, stage, len(item_ids), shape, unknown)


def load(store: Store, dataset: str, signal: str, stage: str = vectors.BASE_STAGE) -> Signals:
    """The signals of a name and stage. Raises `NotFoundError` naming those that there are."""
    require_dataset(store, dataset)
    there = _rows(store, dataset)
    for name, at, _, _, file, ids_file, _ in there:
        if (name, at) == (signal, stage):
            ids, values = (vectors.mapped(store.path / "vectors" / one) for one in (ids_file, file))
            return Signals(signal, stage, ids, values)
    names = [row[0] for row in there]
    known = ", ".join(f"{row[0]} ({row[1]})" for row in there)
    raise NotFoundError(
        f"'{dataset}' has no signals '{signal}' with stage '{stage}'"
        + (
            (nearest(signal, names) if signal not in names else "")
            or f"; it has {known or 'none: shiftlab ingest signals'}"
        )
    )


def _rows(store: Store, dataset: str) -> list[tuple]:
    with store.read() as con:
        return con.execute(queries.sql("signals_there"), {"dataset": dataset}).fetchall()
