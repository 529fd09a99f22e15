"""Vector spaces of a catalog: written once as float32 shards, read as memory-mapped matrices.

Files come first (temporary name, fsync, rename), the row that names them after; a file that no row names
is harmless and swept by ``shiftlab check --repair``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError, ShiftLabError
from shiftlab.names import nearest, require_dataset
from shiftlab.readers import vectors as reader
from shiftlab.sources import content_hash

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BASE_STAGE = "base"
_ROWS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class Vectors:
    """A space as stored. item_ids: (n,) int64, ascending. matrix: (n, d) float32, read-only."""

    space: str
    stage: str
    item_ids: np.ndarray
    matrix: np.ndarray

    def rows(self, item_ids: np.ndarray) -> np.ndarray:
        """Row numbers of those of `item_ids` that have a vector, in the order given."""
        at = np.searchsorted(self.item_ids, item_ids)
        at = np.minimum(at, len(self.item_ids) - 1)
        return at[self.item_ids[at] == item_ids]


@dataclass(frozen=True)
class Ingested:
    """What one vector file brought. `averaged`: ids with several vectors, of which the mean is kept."""

    dataset: str
    space: str
    stage: str
    vectors: int
    dim: int
    averaged: int
    unknown_ids: int
    already_there: bool = False


def ingest_vectors(
    store: Store,
    path: str | Path,
    dataset: str,
    space: str,
    *,
    stage: str = BASE_STAGE,
    ids: str | None = None,
    average: bool = False,
    skip_unknown: bool = False,
) -> Ingested:
    """Stores the vectors of `path` for items of `dataset` as `space`.

    `ids`: where the ids of the rows are (see `readers.vectors.read`). `average`: an id with several vectors
    gets their mean; without it, a repeated id is refused. `skip_unknown`: ids that the dataset does not have
    are left out and counted; without it they are refused. Raises `BadInputError` naming file and row.
    """
    path = Path(path)
    require_dataset(store, dataset)
    if not space.strip() or not stage.strip():
        raise BadInputError("a space and its stage need names that are not empty")
    content = content_hash([path])
    with store.read() as con:
        there = con.execute(
            "select f.n, s.dim from vector_file f join space s using (space_id) "
            "where s.dataset = $1 and s.space = $2 and s.stage = $3 and f.sha256 = $4",
            [dataset, space, stage, content],
        ).fetchall()
    if there:
        return Ingested(dataset, space, stage, int(there[0][0]), int(there[0][1]), 0, 0, already_there=True)
    found = reader.read(path, ids)
    refuse_non_finite(found.matrix, path)
    keys, rows, unknown = match_items(store, dataset, found.ids, path, skip_unknown)
    item_ids, first = np.unique(keys, return_index=True)
    averaged = len(keys) - len(item_ids)
    if averaged and not average:
        again = found.ids[rows[np.setdiff1d(np.arange(len(keys)), first)[0]]]
        raise BadInputError(
            f"{path.name}: id '{again}' has several vectors; average them with --average, or keep one a row"
        )
    folder = store.path / "vectors"
    shape = (len(item_ids), found.matrix.shape[1])
    blocks = _ordered(found.matrix, keys, rows, item_ids)
    file = _write_blocks(folder, np.dtype(np.float32), shape, blocks)
    ids_file = write_array(folder, item_ids)
    params = {"space": space, "stage": stage, "ids": ids, "average": average, "skip_unknown": skip_unknown}
    run = Run("ingest vectors", params, dataset=dataset, inputs={path.name: content})
    run.notes = {"vectors": len(item_ids), "averaged": averaged, "unknown_ids": unknown}
    with store.write(run) as con:
        _store(con, run, dataset, space, stage, file, ids_file, content, item_ids, shape[1], folder)
    return Ingested(dataset, space, stage, len(item_ids), shape[1], averaged, unknown)


def load(store: Store, dataset: str, space: str | None = None, stage: str = BASE_STAGE) -> Vectors:
    """The vectors of a space; without a name, the only space of the dataset.

    Raises `NotFoundError` naming the spaces that there are.
    """
    with store.read() as con:
        spaces = con.execute(
            "select space_id, space, stage from space where dataset = $1 order by space, stage", [dataset]
        ).fetchall()
        names = sorted({row[1] for row in spaces})
        if not names:
            raise NotFoundError(
                f"dataset '{dataset}' has no vectors; add some with 'shiftlab ingest vectors'"
            )
        if space is None and len(names) > 1:
            raise BadInputError(
                f"dataset '{dataset}' has the spaces {', '.join(names)}: choose one with --space"
            )
        chosen = [row for row in spaces if row[1] == (space or names[0]) and row[2] == stage]
        if not chosen:
            stages = ", ".join(f"{row[1]} ({row[2]})" for row in spaces)
            near = "" if space is None or space in names else nearest(space, names)
            raise NotFoundError(
                f"dataset '{dataset}' has no space '{space or names[0]}' with stage '{stage}'"
                + (near or f"; it has {stages}")
            )
        files = con.execute(
            "select file, ids_file from vector_file where space_id = $1 order by file", [chosen[0][0]]
        ).fetchall()
    parts = [tuple(mapped(store.path / "vectors" / name) for name in row) for row in files]
    if len(parts) == 1:
        return Vectors(chosen[0][1], stage, parts[0][1], parts[0][0])
    item_ids = np.concatenate([ids for _, ids in parts])
    order = np.argsort(item_ids, kind="stable")
    return Vectors(chosen[0][1], stage, item_ids[order], np.concatenate([m for m, _ in parts])[order])


def mapped(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ShiftLabError(
            f"the vector file '{path}' is missing or damaged ({error}); ingest it again"
        ) from error
    return array


def refuse_non_finite(matrix: np.ndarray, path: Path) -> None:
    for start in range(0, len(matrix), _ROWS_PER_BLOCK):
        with np.errstate(over="ignore"):  # 1e39 is a number that float32, as vectors are stored, has not
            bad = ~np.isfinite(matrix[start : start + _ROWS_PER_BLOCK].astype(np.float32, copy=False)).all(1)
        if bad.any():
            raise BadInputError(
                f"{path.name}: the vector in row {start + int(bad.argmax())} holds NaN or infinity in float32; "
                "leave such rows out or mend them"
            )


def match_items(
    store: Store, dataset: str, ids: np.ndarray, path: Path, skip_unknown: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """item_id and row of each known id, and the number of unknown ones."""
    import pyarrow as pa

    with store.read() as con:
        con.register(
            "given", pa.table({"row": np.arange(len(ids)), "external_id": pa.array(ids, pa.string())})
        )
        matched = con.sql(
            "select g.row, g.external_id, i.item_id from given g "
            "left join (from item where dataset = $dataset) i using (external_id) order by g.row",
            params={"dataset": dataset},
        ).pl()
    unknown = matched.filter(matched["item_id"].is_null())
    if len(unknown) == len(matched):
        raise BadInputError(
            f"{path.name}: none of its ids (as '{ids[0]}') is an item of dataset '{dataset}': "
            "check --ids and --dataset"
        )
    if len(unknown) and not skip_unknown:
        some = ", ".join(f"'{one}'" for one in unknown["external_id"].head(3))
        raise BadInputError(
            f"{path.name}: {len(unknown):,} of {len(matched):,} ids are no items of dataset '{dataset}' "
            f"(as {some}); leave them out with --skip-unknown"
        )
    known = matched.filter(matched["item_id"].is_not_null())
    return known["item_id"].to_numpy(), known["row"].to_numpy(), len(unknown)


def _ordered(
    matrix: np.ndarray, keys: np.ndarray, rows: np.ndarray, item_ids: np.ndarray
) -> Iterator[np.ndarray]:
    """Blocks of (n, d) float32 in the order of `item_ids`; the mean, in float64, of the rows of one id."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    for start in range(0, len(item_ids), _ROWS_PER_BLOCK):
        mine = item_ids[start : start + _ROWS_PER_BLOCK]
        first, stop = np.searchsorted(keys, mine), np.searchsorted(keys, mine[-1], side="right")
        found = matrix[rows[first[0] : stop]]
        if len(found) > len(mine):
            counts = np.diff(np.append(first, stop))
            found = np.add.reduceat(found.astype(np.float64), first - first[0], axis=0) / counts[:, None]
        yield found.astype(np.float32, copy=False)


def write_array(folder: Path, array: np.ndarray) -> str:
    """Writes the array under the name of its content; a file that is there already is the same."""
    return _write_blocks(folder, array.dtype, array.shape, [array])


def _write_blocks(folder: Path, dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> str:
    """The same, of blocks of rows that together have `shape`: no more than one of them is in memory."""
    digest = hashlib.blake2b(f"{dtype.str}{shape}".encode(), digest_size=16)
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
        try:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                data = np.ascontiguousarray(block).data
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
            name = f"{digest.hexdigest()}.npy"
            os.replace(file.name, folder / name)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return name


def _store(
    con: DuckDBPyConnection,
    run: Run,
    dataset: str,
    space: str,
    stage: str,
    file: str,
    ids_file: str,
    content: str,
    item_ids: np.ndarray,
    dim: int,
    folder: Path,
) -> None:
    """The rows of a new shard; refuses another dimension and items that have a vector already."""
    there = con.execute(
        "select space_id, dim from space where dataset = $1 and space = $2 and stage = $3",
        [dataset, space, stage],
    ).fetchall()
    if there and there[0][1] != dim:
        raise BadInputError(
            f"space '{space}' has {there[0][1]} dimensions, these vectors {dim}: name another --space"
        )
    space_id = (
        there[0][0] if there else con.sql("select coalesce(max(space_id), 0) + 1 from space").fetchall()[0][0]
    )
    for (other,) in con.execute(
        "select ids_file from vector_file where space_id = $1", [space_id]
    ).fetchall():
        both = np.intersect1d(mapped(folder / other), item_ids)
        if len(both):
            raise BadInputError(
                f"{len(both):,} items of dataset '{dataset}' have a vector in space '{space}' ({stage}) already: "
                "name another --space or --stage"
            )
    if not there:
        con.execute(
            "insert into space values ($1, $2, $3, $4, $5, $6)",
            [space_id, dataset, space, stage, dim, run.run_id],
        ).fetchall()
    con.execute(
        "insert into vector_file values ($1, $2, $3, $4, $5, $6)",
        [space_id, file, ids_file, content, len(item_ids), run.run_id],
    ).fetchall()
