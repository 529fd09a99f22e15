"""Pictures of a catalog: small copies of the images of items, so that people see what numbers are about.

The originals stay where they are. As with vectors, files come first (under the name of their content), the row
that names them after.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, ShiftLabError
from shiftlab.names import require_dataset
from shiftlab.readers import pictures as reader
from shiftlab.readers import vectors as arrays
from shiftlab.readers.annotations import OnBad
from shiftlab.sources import content_hash

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FOLDER = "pictures"
_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Ingested:
    """What one source brought. `unknown`: its pictures that are of no item, `without`: items that have none now."""

    dataset: str
    pictures: int
    unknown: int
    without: int
    skipped: int
    already_there: bool = False


@dataclass(frozen=True)
class _Source:
    """Pictures and the items they are of, item ids ascending."""

    item_ids: np.ndarray
    small: Iterator[bytes | reader.Bad]
    unknown: int
    content: str


@dataclass
class _Pack:
    """A file of pictures while it is written, and what could not be used."""

    item_ids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    bad: list[reader.Bad] = field(default_factory=list)


def ingest_pictures(
    store: Store,
    path: str | Path,
    dataset: str,
    *,
    ids: str | None = None,
    on_bad: OnBad = "error",
    progress: Callable[[str], None] = lambda _: None,
) -> Ingested:
    """Keeps a small copy (at most 256 pixels a side) of the picture of each item of `dataset`.

    `path`: a folder of image files, each named like the item's file, or like its id with any suffix; or an npz or
    npy file of grey pixels (n, h, w), uint8, with `ids` as for vectors. Pictures of no item are left out and
    counted. `on_bad`: "error" refuses the source at the first picture that cannot be decoded, "skip" leaves such
    ones out and lists them in the table ``ingest_issue``. Raises `BadInputError` naming the file and the mend.
    """
    path = Path(path)
    require_dataset(store, dataset)
    if not path.exists():
        raise BadInputError(f"there is no file or folder '{path}'")
    progress(f"looking through {path.name}")
    items = _items(store, dataset)
    found = _of_folder(path, items) if path.is_dir() else _of_arrays(path, ids, items)
    with store.read() as con:
        there = con.execute(
            queries.sql("picture_files_there"), {"dataset": dataset, "sha256": found.content}
        ).fetchall()
    if there:
        return Ingested(
            dataset, int(there[0][0]), found.unknown, len(items[0]) - int(there[0][0]), 0, already_there=True
        )
    pack, file, index_file = _written(store.path / FOLDER, found, path, on_bad, progress)
    n = len(pack.item_ids)
    if n == 0:
        raise BadInputError(f"no picture of '{path}' can be used: {pack.bad[0].name}: {pack.bad[0].why}")
    run = Run("ingest pictures", {"path": path.name, "ids": ids, "on_bad": on_bad}, dataset=dataset)
    run.inputs = {path.name: found.content}
    run.notes = {"pictures": n, "unknown": found.unknown, "skipped": len(pack.bad)}
    with store.write(run) as con:
        _refuse_twice(con, store, dataset, pack)
        con.execute(
            "insert into picture_file values ($1, $2, $3, $4, $5, $6)",
            [dataset, file, index_file, found.content, n, run.run_id],
        ).fetchall()
        for one in pack.bad:
            con.execute(
                "insert into ingest_issue values ($1, $2, 'skipped: bad picture', $3, $4)",
                [run.run_id, path.name, one.name, one.why],
            ).fetchall()
    return Ingested(dataset, n, found.unknown, len(items[0]) - n, len(pack.bad))


def load(
    store: Store, files: Sequence[tuple[str, str]], item_ids: Sequence[int]
) -> dict[int, tuple[str, bytes]]:
    """Media type and bytes of the pictures of those of `item_ids` that have one.

    `files`: (file, index_file) of the rows of ``picture_file``. Raises `ShiftLabError` for a file that is missing or
    damaged.
    """
    wanted = np.unique(np.asarray(item_ids, dtype=np.int64))
    found: dict[int, tuple[str, bytes]] = {}
    for file, index_file in files:
        path = store.path / FOLDER / file
        try:
            index = np.load(store.path / FOLDER / index_file, mmap_mode="r", allow_pickle=False)
            at = np.searchsorted(index[:, 0], wanted)
            known = (at < len(index)) & (index[np.minimum(at, len(index) - 1), 0] == wanted)
            with path.open("rb") as pack:
                for row in at[known]:
                    start = int(index[row - 1, 1]) if row else 0
                    pack.seek(start)
                    content = pack.read(int(index[row, 1]) - start)
                    found[int(index[row, 0])] = (
                        _TYPES.get(content[:4]) or _TYPES.get(content[:3]) or "",
                        content,
                    )
        except (OSError, ValueError, IndexError) as error:
            raise ShiftLabError(
                f"the picture file '{path}' is missing or damaged ({error}); ingest it again"
            ) from error
    return found


def _items(store: Store, dataset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """item_id, id in the source and file name (or None) of every item, item ids ascending."""
    with store.read() as con:
        frame = con.sql(queries.sql("picture_items"), params={"dataset": dataset}).pl()
    return frame["item_id"].to_numpy(), frame["external_id"].to_numpy(), frame["file"].to_numpy()


def _of_folder(path: Path, items: tuple[np.ndarray, np.ndarray, np.ndarray]) -> _Source:
    """By the file that an item names; else by its id, which the name of a file without its suffix must equal."""
    files = reader.files_below(path)
    stems: dict[str, str | None] = {}
    for name in files:
        stem = name.rpartition("/")[2].rpartition(".")[0]
        stems[stem] = None if stem in stems else name  # two files of one name: which is meant is not known
    item_ids: list[int] = []
    chosen: list[str] = []
    for item_id, external_id, file in zip(*items, strict=True):
        found: str | None = (
            file if file in files else stems.get(external_id) or stems.get(Path(file).stem if file else "")
        )
        if found is not None:
            item_ids.append(item_id)
            chosen.append(found)
    if not chosen:
        raise BadInputError(
            f"no picture in '{path}' (as '{next(iter(files))}') is named like an item (as '{items[1][0]}')"
            if len(items[1])
            else "the dataset has no items"
        )
    paths = [files[name] for name in chosen]
    content = content_hash(paths, path.resolve())
    return _Source(np.array(item_ids, np.int64), reader.small(paths), len(files) - len(set(chosen)), content)


def _of_arrays(path: Path, ids: str | None, items: tuple[np.ndarray, np.ndarray, np.ndarray]) -> _Source:
    found = arrays.read(path, ids, pictures=True)
    at = {external_id: item_id for item_id, external_id in zip(items[0], items[1], strict=True)}
    keys = np.array([at.get(one, -1) for one in found.ids], np.int64)
    known = np.flatnonzero(keys >= 0)
    if not len(known):
        raise BadInputError(f"{path.name}: none of its ids (as '{found.ids[0]}') is an item of the dataset")
    order = known[np.argsort(keys[known], kind="stable")]
    if (twice := np.flatnonzero(np.diff(keys[order]) == 0)).size:
        raise BadInputError(f"{path.name}: id '{found.ids[order[twice[0]]]}' has several pictures; keep one")
    small = reader.small_arrays(found.matrix[order], path)
    return _Source(keys[order], small, len(found.ids) - len(known), content_hash([path]))


def _written(
    folder: Path, found: _Source, source: Path, on_bad: OnBad, progress: Callable[[str], None]
) -> tuple[_Pack, str, str]:
    """Both files, named by their content; nothing stays where a picture is refused."""
    folder.mkdir(exist_ok=True)
    pack, digest = _Pack(), hashlib.blake2b(digest_size=16)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
        try:
            for number, (item_id, small) in enumerate(zip(found.item_ids, found.small, strict=True)):
                if number % 1000 == 0:
                    progress(f"{number:,} of {len(found.item_ids):,} pictures")
                if isinstance(small, reader.Bad):
                    if on_bad == "error":
                        raise BadInputError(
                            f"{source.name}: the picture {small.name} cannot be used: {small.why}; mend it, or leave "
                            "such pictures out with --on-bad skip"
                        )
                    pack.bad.append(small)
                    continue
                file.write(small)
                digest.update(small)
                pack.item_ids.append(int(item_id))
                pack.ends.append(file.tell())
            index = np.column_stack([pack.item_ids, pack.ends]).astype(np.int64).reshape(-1, 2)
            digest.update(index.tobytes())
            names = f"{digest.hexdigest()}.pack", f"{digest.hexdigest()}.npy"
            file.flush()
            os.fsync(file.fileno())
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as beside:
                np.save(beside, index, allow_pickle=False)
            os.replace(beside.name, folder / names[1])
            os.replace(file.name, folder / names[0])
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return pack, *names


def _refuse_twice(con: DuckDBPyConnection, store: Store, dataset: str, pack: _Pack) -> None:
    rows: list[Any] = con.execute(
        "select index_file from picture_file where dataset = $1", [dataset]
    ).fetchall()
    for (name,) in rows:
        both = np.intersect1d(np.load(store.path / FOLDER / name, allow_pickle=False)[:, 0], pack.item_ids)
        if len(both):
            raise BadInputError(
                f"{len(both):,} items of dataset '{dataset}' have a picture already: leave those out, "
                "or ingest the images under another --dataset name"
            )
