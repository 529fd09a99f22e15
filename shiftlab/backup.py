"""A catalog as plain files, and back: Parquet for every table, the files that rows name, a list with their hashes.

What is written needs no ShiftLab to be read, and no DuckDB of one version. It comes back through the migrations: the
schema as it was, the rows by the names of their columns, then whatever this version has added since.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from shiftlab import __version__, queries, saved_views
from shiftlab.catalog import FILE, FILE_FOLDERS, FOLDERS, Store
from shiftlab.errors import BadInputError
from shiftlab.sources import content_hash

MANIFEST = "backup.json"
_FORMAT = 1
# Written by the migrations themselves, as they are applied.
_OF_THE_SCHEMA = ("migration", "catalog_info")


@dataclass(frozen=True)
class Backup:
    """What was written or brought back."""

    folder: Path
    tables: int
    rows: int
    files: int
    bytes: int


def export(store: Store, folder: str | Path) -> Backup:
    """Writes the whole catalog into `folder`, which must be new or empty: all of it, or nothing.

    ``tables/*.parquet``, one a table, the files that rows name, below the names of the catalog's folders, and the
    explorer's saved views; ``backup.json`` lists them with rows and sha256. The catalog is held for as long as it
    takes to copy its DuckDB file. Raises `BadInputError` for a folder that is in use or cannot be written.
    """
    folder = Path(folder)
    with _whole(folder) as made:
        copy = Store(made / "copy")
        copy.path.mkdir()
        with store.read():  # no writer meanwhile: file and log belong together
            for part in sorted(store.path.glob(FILE + "*")):
                shutil.copyfile(part, copy.path / part.name)
        rows, schema, named = _tables(copy, made / "tables")
        shutil.rmtree(copy.path)
        _copy_files(store, named, made)
        files = sorted(p for p in made.rglob("*") if p.is_file())
        manifest = {
            "format": _FORMAT,
            "shiftlab": __version__,
            "schema": schema,
            "tables": rows,
            "files": {p.relative_to(made).as_posix(): content_hash([p]) for p in files},
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        size = sum(p.stat().st_size for p in files)
    return Backup(folder, len(rows), sum(rows.values()), len(files), size)


def restore(folder: str | Path, catalog: str | Path) -> Backup:
    """The catalog that `export` wrote into `folder`, in the folder `catalog`, which must be new or empty.

    Raises `BadInputError` for a file that is missing or changed, and for a backup of a newer version.
    """
    folder, catalog = Path(folder), Path(catalog)
    manifest = _manifest(folder)
    for name, sha256 in manifest["files"].items():
        if not (folder / name).is_file() or content_hash([folder / name]) != sha256:
            raise BadInputError(f"'{folder / name}' is missing or not as it was written: take another backup")
    with _whole(catalog) as made:
        for name in FOLDERS:
            (made / name).mkdir()
        store = Store(made)
        store.migrate(until=len(manifest["schema"]))
        with store.alone() as con:
            _refuse_other_schema(con, manifest, folder)
            con.execute("begin").fetchall()
            for table in manifest["tables"]:
                if table not in _OF_THE_SCHEMA:
                    con.register("given", con.read_parquet(str(folder / "tables" / f"{table}.parquet")))
                    con.execute(f'insert into "{table}" by name from given').fetchall()
                    con.unregister("given")
            con.execute("commit").fetchall()
        store.migrate()
        for name in manifest["files"]:
            if not name.startswith("tables/"):
                shutil.copyfile(folder / name, made / name)
    size = sum((folder / name).stat().st_size for name in manifest["files"])
    tables = manifest["tables"]
    return Backup(folder, len(tables), sum(tables.values()), len(manifest["files"]), size)


def _tables(copy: Store, target: Path) -> tuple[dict[str, int], list[list[str]], list[tuple[str, str]]]:
    """Writes every table of the copied catalog; rows by table, its migrations, and the files that its rows name."""
    target.mkdir()
    with copy.read() as con:
        names = [row[0] for row in con.sql("select table_name from duckdb_tables() order by 1").fetchall()]
        for name in names:
            columns = ", ".join(_as_kept(*row[:2]) for row in con.sql(f'describe "{name}"').fetchall())
            con.sql(f'select {columns} from "{name}"').write_parquet(
                str(target / f"{name}.parquet"), compression="zstd"
            )
        rows = {name: int(con.sql(f'select count(*) from "{name}"').fetchall()[0][0]) for name in names}
        schema = con.sql("select name, sha256 from migration order by version").fetchall()
        named = con.sql(queries.sql("files_named_by_rows")).fetchall()
    return rows, [list(row) for row in schema], sorted(named)


def _copy_files(store: Store, named: list[tuple[str, str]], target: Path) -> None:
    """Copies the files that rows name, and the saved views, which no row names."""
    for place, name in named:
        source = store.path / place / name
        if not source.is_file():
            raise BadInputError(f"'{source}' is gone although a row names it: see 'shiftlab check'")
        (target / place).mkdir(exist_ok=True)
        shutil.copyfile(source, target / place / name)
    if (store.path / saved_views.FILE).is_file():
        shutil.copyfile(store.path / saved_views.FILE, target / saved_views.FILE)


def _as_kept(column: str, kind: str) -> str:
    """Parquet has no integers of 128 bits, and DuckDB would write them as rounded numbers: they go as texts."""
    return f'"{column}"::varchar as "{column}"' if "HUGEINT" in kind else f'"{column}"'


def _manifest(folder: Path) -> dict[str, Any]:
    """What ``backup.json`` says, checked: names stay inside of the backup, tables are words."""
    path = folder / MANIFEST
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        usable = (
            all(_is_file_of_a_backup(name) and isinstance(told["files"][name], str) for name in told["files"])
            and all(
                f"tables/{name}.parquet" in told["files"] and name.isidentifier() for name in told["tables"]
            )
            and all(isinstance(rows, int) for rows in told["tables"].values())
            and all(len(step) == 2 for step in told["schema"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInputError(
            f"'{folder}' is no backup of a catalog: {MANIFEST} cannot be read ({error})"
        ) from error
    if not usable:
        raise BadInputError(f"'{path}' does not describe a backup: take another one")
    if told.get("format") != _FORMAT:
        raise BadInputError(
            f"'{folder}' is a backup of format {told.get('format')}: upgrade ShiftLab to read it"
        )
    return dict(told)


def _is_file_of_a_backup(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if name == saved_views.FILE:
        return True
    return len(parts) == 2 and parts[0] in ("tables", *FILE_FOLDERS) and ".." not in parts


def _refuse_other_schema(con: Any, manifest: dict[str, Any], folder: Path) -> None:
    here = [list(row) for row in con.sql("select name, sha256 from migration order by version").fetchall()]
    if here != manifest["schema"]:
        raise BadInputError(
            f"'{folder}' was written by ShiftLab {manifest.get('shiftlab')} with schema {manifest['schema'][-1][0]}, "
            f"which this ShiftLab {__version__} does not know: upgrade ShiftLab"
        )


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to fill; it takes the name of `folder` at the end, or is gone."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(f"'{folder}' is there already: name a folder that is new or empty")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    except OSError as error:
        raise BadInputError(f"cannot write '{folder}': {error.strerror}") from error
    try:
        yield made
        for path in made.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        made.chmod(0o755)
        os.replace(made, folder)
    except OSError as error:
        raise BadInputError(f"cannot write '{folder}': {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
