"""Labels and predictions of items out of a table: CSV, TSV or Parquet with one row an item."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import frames, queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.names import nearest, require_dataset
from shiftlab.sources import content_hash

if TYPE_CHECKING:
    import polars as pl

_IDS = ("item", "image_id", "item_id", "external_id", "id")


@dataclass(frozen=True)
class Ingested:
    """What one table brought: rows stored, rows whose item the dataset does not have."""

    dataset: str
    what: str
    rows: int
    unknown_ids: int
    already_there: bool = False


def ingest_labels(
    store: Store,
    path: str | Path,
    dataset: str,
    scheme: str,
    *,
    column: str = "label",
    skip_unknown: bool = False,
) -> Ingested:
    """Stores ``column`` of a table as the labels ``scheme`` of the items of ``dataset``; empty cells are no label.

    Raises BadInputError naming file, row or column, for an item that stands twice, and for a scheme that is there
    with other labels.
    """
    about = {"scheme": scheme}
    return _ingest(store, Path(path), dataset, "labels", about, column, None, skip_unknown)


def ingest_predictions(
    store: Store,
    path: str | Path,
    dataset: str,
    model: str,
    *,
    stage: str = "base",
    column: str = "label",
    skip_unknown: bool = False,
) -> Ingested:
    """Stores ``column`` of a table, and its column prob if it has one, as what ``model`` says at ``stage``.

    Raises as `ingest_labels` does; prob must lie in [0, 1].
    """
    about = {"model": model, "stage": stage}
    return _ingest(store, Path(path), dataset, "predictions", about, column, "prob", skip_unknown)


def _ingest(
    store: Store, path: Path, dataset: str, what: str, about: dict[str, str], column: str, prob: str | None,
    skip_unknown: bool,
) -> Ingested:  # fmt: skip
    require_dataset(store, dataset)
    for name, value in about.items():
        if not value.strip() or not value.isprintable():
            raise BadInputError(f"{name} needs a printable name, not {value!r}")
    told = f"{what} {' '.join(about.values())}"
    if not path.is_file():
        raise BadInputError(f"there is no file '{path}'")
    content = content_hash([path])
    params = {**about, "column": column, "skip_unknown": skip_unknown}
    key = hashlib.sha256(json.dumps([what, dataset, content, params], sort_keys=True).encode()).hexdigest()
    with store.read() as con:
        if con.execute(queries.sql("paired_batch_there"), {"key": key}).fetchall():
            return Ingested(dataset, told, 0, 0, already_there=True)
        taken = con.execute(queries.sql(f"paired_{what}_there"), {"dataset": dataset, **about}).fetchall()[0][
            0
        ]
    if taken:
        raise BadInputError(f"'{dataset}' has {told} already, from another source: choose another name")
    table = _rows(path, column, prob)
    with store.read() as con:
        con.register("given", table.to_arrow())
        matched = con.sql(queries.sql("paired_match"), params={"dataset": dataset}).pl()
    unknown = matched.filter(matched["item_id"].is_null())
    if len(unknown) and (not skip_unknown or len(unknown) == len(matched)):
        raise BadInputError(
            f"{path.name}, row {unknown['row'][0] + 2}: '{unknown['item'][0]}' is no item of '{dataset}' "
            f"({len(unknown):,} of {len(matched):,} rows)"
            + ("" if len(unknown) == len(matched) else "; leave such rows out with --skip-unknown")
        )
    fresh = matched.filter(matched["item_id"].is_not_null()).select("item_id", "value", "prob")
    run = Run(f"ingest {what}", params, dataset=dataset, inputs={path.name: content})
    run.notes = {"rows": len(fresh), "unknown_ids": len(unknown)}
    with store.write(run) as con:
        con.register("fresh", fresh.to_arrow())
        queries.execute(con, f"paired_insert_{what}", {**about, "run_id": run.run_id})
        con.unregister("fresh")
        values: dict[str, Any] = {"key": key, "run_id": run.run_id, "dataset": dataset, "source": path.name}
        queries.execute(con, "paired_insert_batch", values | {"n": len(fresh)})
    return Ingested(dataset, told, len(fresh), len(unknown))


def read_table(path: Path) -> pl.DataFrame:
    """A CSV, TSV (all cells as text) or Parquet file; BadInputError naming it where it cannot be read."""
    if path.suffix.lower() not in (".parquet", ".csv", ".tsv"):
        raise BadInputError(f"{path.name}: tables come as .csv, .tsv or .parquet")
    return frames.read_table(path)


def _rows(path: Path, column: str, prob: str | None) -> pl.DataFrame:
    """row, item, value, prob of a table; rows without a value are left out."""
    import polars as pl

    table = read_table(path)
    ids = next((name for name in _IDS if name in table.columns), None)
    if ids is None:
        raise BadInputError(f"{path.name} has no column with ids: name it one of {', '.join(_IDS)}")
    if column not in table.columns:
        raise BadInputError(f"{path.name} has no column '{column}'{nearest(column, table.columns)}")
    for name in (ids, column, prob):
        if (kind := table.schema.get(name or "")) is not None and kind.is_nested():
            raise BadInputError(
                f"{path.name}: column '{name}' is of type {kind}; expected a text or a number a row"
            )
    probability = pl.lit(None, pl.Float64)
    if prob is not None and prob in table.columns:
        probability = pl.col(prob).cast(pl.Float64, strict=False)
    with frames.explained(path):
        rows = table.select(
            item=pl.col(ids).cast(pl.String), value=pl.col(column).cast(pl.String), prob=probability,
            given=pl.col(prob).is_not_null() if prob in table.columns else pl.lit(False),
        ).with_row_index("row")  # fmt: skip
    bad = rows.filter(pl.col("given") & ~pl.col("prob").is_between(0, 1).fill_null(False))
    if len(bad):
        raise BadInputError(f"{path.name}, row {bad['row'][0] + 2}: prob is no number between 0 and 1")
    if (twice := rows.filter(pl.col("item").is_duplicated())).height:
        raise BadInputError(
            f"{path.name}, row {twice['row'][1] + 2}: '{twice['item'][1]}' stands twice; keep one"
        )
    if rows["item"].null_count():
        raise BadInputError(
            f"{path.name}, row {rows.filter(pl.col('item').is_null())['row'][0] + 2}: {ids} is empty"
        )
    found = rows.filter(pl.col("value").is_not_null()).drop("given")
    if found.is_empty():
        raise BadInputError(f"{path.name}: column '{column}' is empty")
    return found
