"""Trained networks into the catalog: weights are read once, sketches stay.

One file is one transaction: it is stored whole or not at all. A model that is already there, by the hash of
its content, is left alone, so a run that was cut off can simply be repeated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import frames, parallel, queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.filters.packing import (
    DESCRIPTIONS,
    PackedModel,
    content_key,
    model_schema,
    pack_model,
    read_packed,
)
from shiftlab.readers.weights_open import find_models, open_weights

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from shiftlab.readers.weights_record import SkippedLayer

_KEY_COLUMNS = ("file", "name", "sha256")
_FILES_PER_WORKER = 4


@dataclass(frozen=True)
class IngestedModel:
    """What one model brought: layers, 3x3 layers and filters, and the layers that were seen and not used.

    `already_there`: nothing was stored, except for `filters_added` the 3x3 filters that were not kept before.
    """

    name: str
    file: str
    layers: int
    layers_3x3: int
    filters_3x3: int
    skipped: tuple[SkippedLayer, ...] = ()
    already_there: bool = False
    filters_added: bool = False


def ingest_models(
    store: Store,
    paths: str | Path | Sequence[str | Path],
    metadata: str | Path | None = None,
    *,
    external_data: bool = False,
    fold_batch_norm: bool = False,
    keep_filters: bool = False,
    engine: parallel.Engine = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[IngestedModel]:
    """Read models (files, or folders of them, or a sketch file .parquet) and store their filter statistics.

    `metadata`: a CSV with a column `file` (name or ending of the path) or `sha256`, and any of name, task,
    category, architecture, training_data, licence, source; other columns are kept too. `external_data` lets
    ONNX models keep weights in other files of their folder. `fold_batch_norm` multiplies batch normalisations
    that follow into the weights, so that state_dicts compare with exports that have them folded.
    `keep_filters` also writes the 3x3 filters themselves to the catalog's filters folder, which the published
    drift and contact sheets need; for a model that is there already too. `engine` says where the files are read
    (see `parallel.run`; a cluster must see the files and the catalog's folder). Raises BadInputError naming file
    and tensor; models before the bad one are stored, nothing of the bad one is.
    """
    parallel.check(engine)
    rows = _read_metadata(Path(metadata)) if metadata is not None else []
    done: list[IngestedModel] = []
    files = _model_files([paths] if isinstance(paths, str | Path) else paths)
    if engine is not None:  # a worker may have another working folder
        files = [path.resolve() for path in files]
    # Some at a time, so that what was read is soon stored, in the order of the files.
    step = 1 if engine is None else _FILES_PER_WORKER * parallel.width(engine)
    for first in range(0, len(files), step):
        some = files[first : first + step]
        progress(f"reading {some[0].name}" + (f" and {len(some) - 1} more" if len(some) > 1 else ""))
        known = _known_hashes(store, keep_filters)
        tasks = [
            _Task(path, tuple(rows), known, external_data, fold_batch_norm,
                  (store.path / "filters").resolve() if keep_filters else None)
            for path in some
        ]  # fmt: skip
        for found in parallel.run(_read, tasks, engine):
            if isinstance(found, BadInputError):
                raise found
            done += _store_read(store, found)
    return done


def _model_files(paths: Iterable[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            models = find_models(path)
            if not models:
                raise BadInputError(f"the folder '{path}' holds no model file")
            found += models
        else:
            found.append(path)
    if not found:
        raise BadInputError("name at least one model file or folder")
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Task:
    """One file to read, and all that decides what is read."""

    path: Path
    rows: tuple[dict[str, str | None], ...]
    known: dict[str, bool]  # keys of the models that are there: whether there is nothing to add to them
    external_data: bool
    fold_batch_norm: bool
    filters_folder: Path | None


@dataclass(frozen=True)
class _Found:
    """What a file holds: models to store, or the key of one that is there already, maybe with its filters."""

    file: str
    models: tuple[PackedModel, ...] = ()
    filters_file: str | None = None
    known_key: str | None = None


def _read(task: _Task) -> _Found | BadInputError:
    """A bad file is an answer, not a failure: the files before it are still stored."""
    try:
        return _read_file(task)
    except BadInputError as error:
        return error


def _read_file(task: _Task) -> _Found:
    path = task.path
    if path.suffix.lower() == ".parquet":
        return _Found(path.name, tuple(read_packed(path)))
    file = open_weights(path, external_data=task.external_data)
    key = content_key(file.sha256, task.fold_batch_norm)
    if task.known.get(key):
        return _Found(path.name, known_key=key)
    description = _description(list(task.rows), path, file.sha256)
    target = task.filters_folder and task.filters_folder / f"{file.sha256[:32]}{key[64:]}.parquet"
    with _filter_writer(target) as keep:
        model = pack_model(
            file,
            description,
            external_data=task.external_data,
            fold_batch_norm=task.fold_batch_norm,
            keep=keep,
        )
    filters_file = target.name if target and target.exists() else None
    if key in task.known:
        return _Found(path.name, filters_file=filters_file, known_key=key)
    return _Found(path.name, (model,), filters_file)


def _store_read(store: Store, found: _Found) -> list[IngestedModel]:
    if found.known_key is not None:
        added = found.filters_file is not None
        if added:
            run = Run(
                "ingest models", {"models": 0, "keep_filters": True}, inputs={found.file: found.known_key}
            )
            with store.write(run) as con:
                values = {"sha256": found.known_key, "filters_file": found.filters_file}
                queries.execute(con, "add_filters_file", values)
        name = _known(store, [found.known_key])[found.known_key]
        return [IngestedModel(name, found.file, 0, 0, 0, already_there=True, filters_added=added)]
    return _store(store, list(found.models), found.filters_file)


def _store(store: Store, models: list[PackedModel], filters_file: str | None = None) -> list[IngestedModel]:
    """Store models in one transaction; those that are there already are left alone."""
    known = _known(store, [model.sha256 for model in models])
    fresh = [model for model in models if model.sha256 not in known]
    if fresh:
        run = Run(
            "ingest models",
            {"models": len(fresh), "keep_filters": filters_file is not None},
            inputs={str(model.description["file"]): model.sha256 for model in fresh},
            notes={"skipped": sum(len(model.skipped) for model in fresh)},
        )
        with store.workspace() as con:
            _stage(con, fresh, filters_file)
            with store.write(run, con) as out:
                _insert(out, run)
        known |= _known(store, [model.sha256 for model in fresh])
    return [_told(model, known[model.sha256], model not in fresh) for model in models]


def _told(model: PackedModel, name: str, already_there: bool) -> IngestedModel:
    of_3x3 = model.layers.filter(model.layers["layer_id"].is_not_null())
    return IngestedModel(
        name=name,
        file=str(model.description["file"]),
        layers=len(model.layers),
        layers_3x3=len(of_3x3),
        filters_3x3=int(of_3x3["n"].sum()),
        skipped=tuple(model.skipped),
        already_there=already_there,
    )


def _stage(con: DuckDBPyConnection, models: list[PackedModel], filters_file: str | None) -> None:
    """Tables staged_model, staged_layer, staged_issue in the workspace; `ordinal` counts the models."""
    import polars as pl

    ordinals = pl.int_range(len(models), dtype=pl.Int32, eager=True).alias("ordinal")
    described = pl.DataFrame([model.description for model in models], schema=model_schema())
    layers = [m.layers.with_columns(ordinal=pl.lit(k, pl.Int32)) for k, m in enumerate(models)]
    issues = [(str(m.description["file"]), s.name, s.reason) for m in models for s in m.skipped]
    texts = {"source": pl.String, "record": pl.String, "detail": pl.String}
    staged = {
        "staged_model": described.with_columns(ordinals, filters_file=pl.lit(filters_file, pl.String)),
        "staged_layer": pl.concat(layers).with_row_index("place"),
        "staged_issue": pl.DataFrame(issues, schema=texts, orient="row"),
    }
    for table, frame in staged.items():
        con.register("incoming", frame.to_arrow())
        con.execute(f"create table {table} as from incoming").fetchall()
        con.unregister("incoming")


def _insert(con: DuckDBPyConnection, run: Run) -> None:
    # Asked again within the transaction: another process may have stored the same model meanwhile.
    if con.execute(queries.sql("staged_models_already_there")).fetchall():
        raise BadInputError("another process stored one of these models just now: run it again")
    model_id, layer_key = con.execute(queries.sql("next_model_keys")).fetchall()[0]
    keys = {"model_id": model_id, "layer_key": layer_key, "run_id": run.run_id}
    for name in (
        "insert_models",
        "insert_conv_layers",
        "insert_layer_sketches",
        "insert_layer_histograms",
        "insert_layer_quality",
        "insert_skipped_layers",
    ):
        queries.execute(con, name, keys)


def _known_hashes(store: Store, keep_filters: bool) -> dict[str, bool]:
    """The models that are there, and whether reading one again adds nothing: not even its filters."""
    with store.read() as con:
        return dict(con.execute(queries.sql("complete_models"), {"keep_filters": keep_filters}).fetchall())


def _known(store: Store, hashes: list[str]) -> dict[str, str]:
    """Names of the models among `hashes` that are there."""
    with store.read() as con:
        return dict(con.execute(queries.sql("known_models"), {"hashes": hashes}).fetchall())


# -- metadata ----------------------------------------------------------------------------------------
def _read_metadata(path: Path) -> list[dict[str, str | None]]:
    import polars as pl

    frame = frames.read_table(path)
    if not {"file", "sha256"} & set(frame.columns):
        raise BadInputError(
            f"{path.name}: needs a column 'file' or 'sha256'; it has {', '.join(frame.columns)}"
        )
    with frames.explained(path):
        return frame.cast(pl.String).to_dicts()


def _description(rows: list[dict[str, str | None]], path: Path, sha256: str) -> dict[str, str | None]:
    """The one metadata row of a model: by content, else by the longest matching end of its path."""
    by_hash = [row for row in rows if row.get("sha256") == sha256]
    by_file = [row for row in rows if row.get("file") and path.match(str(row["file"]))]
    found = by_hash or by_file
    if len(found) > 1:
        longest = max(len(Path(str(row.get("file"))).parts) for row in found)
        found = [row for row in found if len(Path(str(row.get("file"))).parts) == longest]
    if len(found) > 1:
        raise BadInputError(
            f"the metadata has {len(found)} rows for '{path.name}'; give more of its path in 'file'"
        )
    row = found[0] if found else {}
    kept = {name: value for name, value in row.items() if name in DESCRIPTIONS or name not in _KEY_COLUMNS}
    return {name: value for name, value in kept.items() if value not in (None, "")}


# -- raw filters -------------------------------------------------------------------------------------
@contextlib.contextmanager
def _filter_writer(target: Path | None) -> Iterator[Callable[[int, np.ndarray], None] | None]:
    """A function that appends the 3x3 filters of a layer to nine FLOAT columns and its layer_id.

    The file gets its name only when all went well; without any 3x3 layer there is none.
    """
    if target is None:
        yield None
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("layer_id", pa.int32()), *((f"w{k}", pa.float32()) for k in range(9))])
    temporary = target.with_name(f"{target.name}.tmp")
    writer: Any = None

    def append(layer_id: int, weight: np.ndarray) -> None:
        nonlocal writer
        if writer is None:
            writer = pq.ParquetWriter(temporary, schema, compression="zstd")
        columns = np.ascontiguousarray(weight.reshape(-1, 9).T, dtype=np.float32)
        arrays: list[pa.Array] = [pa.array(np.full(columns.shape[1], layer_id, np.int32))]
        writer.write_table(pa.Table.from_arrays(arrays + [pa.array(c) for c in columns], schema=schema))

    try:
        yield append
    except BaseException:
        if writer is not None:
            writer.close()
        temporary.unlink(missing_ok=True)
        raise
    if writer is not None:
        writer.close()
        temporary.replace(target)
