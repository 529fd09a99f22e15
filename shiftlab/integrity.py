"""`shiftlab check`: does the catalog hold what it says? Rules are SQL, files are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftlab import queries
from shiftlab.catalog import FILE_FOLDERS, Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PREFIX = "check_"


@dataclass(frozen=True)
class Finding:
    """One rule: how many rows or files break it, and the first of them."""

    rule: str
    violations: int
    example: str | None


def check(store: Store, *, repair: bool = False) -> list[Finding]:
    """Every rule of ``sql/queries`` named check_..., the vector files, and leftovers of killed runs.

    `repair` removes leftovers (files that no row names); it never changes a row.
    """
    rules = [name for name in queries.load_all() if name.startswith(_PREFIX)]
    with store.workspace() as con, store.attached(con):
        con.execute("use catalog").fetchall()
        findings = [_rule(con, name) for name in rules]
        vectors = con.sql(
            "select file, ids_file, n, dim from vector_file join space using (space_id) order by file"
        ).fetchall()
        named = {tuple(row) for row in con.sql(queries.sql("files_named_by_rows")).fetchall()}
        con.execute("use memory").fetchall()
    findings.append(_vectors(store.path / "vectors", vectors))
    findings.append(_missing(store, named))
    findings.append(_leftovers(store, named, repair=repair))
    return findings


def _rule(con: DuckDBPyConnection, name: str) -> Finding:
    rows = con.sql(queries.sql(name)).fetchall()
    example = ", ".join(map(str, rows[0])) if rows else None
    return Finding(name.removeprefix(_PREFIX).replace("_", " "), len(rows), example)


def _vectors(folder: Path, files: list[tuple[str, str, int, int]]) -> Finding:
    broken = [problem for row in files if (problem := _vector_problem(folder, *row))]
    return Finding("vector files are whole", len(broken), broken[0] if broken else None)


def _vector_problem(folder: Path, file: str, ids_file: str, n: int, dim: int) -> str | None:
    try:
        matrix = np.load(folder / file, mmap_mode="r", allow_pickle=False)
        ids = np.load(folder / ids_file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        return f"{file}: {error}"
    if matrix.shape != (n, dim) or ids.shape != (n,):
        return f"{file}: shape {matrix.shape} with {len(ids)} ids; the catalog says {(n, dim)}"
    if (np.diff(ids) <= 0).any():
        return f"{ids_file}: item ids do not rise"
    return None


def _missing(store: Store, named: set[tuple[str, str]]) -> Finding:
    gone = sorted(f"{folder}/{name}" for folder, name in named if not (store.path / folder / name).is_file())
    return Finding("files that rows name are there", len(gone), gone[0] if gone else None)


def _leftovers(store: Store, named: set[tuple[str, str]], *, repair: bool) -> Finding:
    """Files that no row names: harmless, left by a run that was killed between file and row."""
    orphans = [
        path
        for folder in FILE_FOLDERS
        for path in sorted((store.path / folder).glob("*"))
        if path.is_file() and (folder, path.name) not in named
    ]
    if repair:
        for path in orphans:
            path.unlink(missing_ok=True)
    found = [] if repair else orphans
    return Finding("no leftover files (--repair sweeps them)", len(found), found[0].name if found else None)
