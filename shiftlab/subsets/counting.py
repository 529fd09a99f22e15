"""Counts candidates, members and shared items: at once, or by shards of images on any engine.

A pair of names occurs within one image, so counts over shards that are cut between images add up exactly.
Each shard is a task of `parallel.run`: it reads its own Parquet file and leaves others beside it. A task whose
files are there is not run again, so a build that was cut off goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import parallel, queries
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

ROWS_PER_SHARD = 5_000_000
MEMORY_LIMIT = "3GB"  # of a build, which then stays within 4 GB; what goes beyond spills to disk
_SHARD_MEMORY = "2GB"
_SHARDS_PER_WORKER = 3  # so that a slow shard does not keep the others waiting


@dataclass(frozen=True)
class Statements:
    """The statements that count one kind of context, and the table of rows they start from."""

    rows: str
    pairs: str
    candidates: str
    members: str

    @classmethod
    def of(cls, kind: str) -> Statements:
        if kind == "object":
            return cls("presence", "pair_object_names", "object_candidates", "object_members")
        return cls("pair", "pair_names", "candidates", "members")


@dataclass(frozen=True)
class Shard:
    """One task: statements over the tables of some Parquet files, and the tables to leave as files."""

    inputs: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    threads: int | None


def count(
    con: DuckDBPyConnection,
    kind: str,
    values: dict[str, Any],
    folder: Path,
    engine: parallel.Engine,
    progress: Callable[[str], None],
) -> None:
    """From the tables ``presence`` or ``pair``, ``item_key`` and ``allowed`` of workspace `con` makes
    ``candidate``, ``member``, ``content`` and ``shared``. `folder` keeps the shards until `finished`."""
    names = Statements.of(kind)
    rows = int(con.sql(f"select count(*) from {names.rows}").fetchall()[0][0])
    shards = -(-rows // ROWS_PER_SHARD)
    if engine is not None and rows:
        shards = max(shards, _SHARDS_PER_WORKER * parallel.width(engine))
    if shards <= 1:
        progress(f"counting {kind} contexts")
        for name in (names.pairs, names.candidates, names.members, "subset_contents"):
            queries.execute(con, name, values)
        progress("counting overlaps")
        queries.execute(con, "count_shared", values)
        return
    folder.mkdir(parents=True, exist_ok=True)
    cuts = _cut(con, names.rows, rows, shards, folder)
    _count_by_shards(con, names, values, folder, cuts, engine, progress)


@contextmanager
def finished(folder: Path) -> Iterator[None]:
    """Within, the shards are needed; after the work they go. When it was cut off they stay, to go on from."""
    try:
        yield
    except BadInputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _cut(con: DuckDBPyConnection, table: str, rows: int, shards: int, folder: Path) -> list[str]:
    """Writes about equal shards of the rows and of the items' keys, cut between images; returns their names."""
    starts = [(number * rows) // shards for number in range(shards)]
    found = con.sql(
        f"select distinct item_id from {table} where rowid in (select unnest($starts)) order by item_id",
        params={"starts": starts},
    ).fetchall()
    bounds = [int(item) for (item,) in found]
    names = []
    for number, first in enumerate(bounds):
        name = f"{number:04d}-of-{len(bounds):04d}.parquet"
        names.append(name)
        within = "item_id >= $first and ($next is null or item_id < $next)"
        values = {"first": first, "next": bounds[number + 1] if number + 1 < len(bounds) else None}
        for source in (table, "item_key"):
            target = folder / f"{source}-{name}"
            if not target.exists():
                _write(con.sql(f"from {source} where {within}", params=values), target)
    con.execute(f"drop table {table}").fetchall()
    con.execute("drop table item_key").fetchall()
    return names


def _count_by_shards(
    con: DuckDBPyConnection,
    names: Statements,
    values: dict[str, Any],
    folder: Path,
    cuts: list[str],
    engine: parallel.Engine,
    progress: Callable[[str], None],
) -> None:
    def files(table: str) -> list[str]:
        return [str((folder / f"{table}-{cut}").resolve()) for cut in cuts]

    def each(what: str, inputs: list[str], statements: tuple[str, ...], outputs: list[str]) -> None:
        shared = (
            (("candidate", str((folder / "candidate.parquet").resolve())),)
            if outputs != ["pair_count"]
            else ()
        )
        columns = zip(*map(files, inputs), strict=True), zip(*map(files, outputs), strict=True)
        tasks = [
            Shard(
                (*zip(inputs, read, strict=True), *shared),
                statements,
                tuple(zip(outputs, written, strict=True)),
                None if engine is None else 1,
            )
            for read, written in zip(*columns, strict=True)
        ]
        parallel.run(
            count_shard, tasks, engine, told=lambda done, total: progress(f"{what}: {done} of {total} shards")
        )

    each("counting contexts", [names.rows], (names.pairs,), ["pair_count"])
    queries.execute(con, "sum_pair_counts", {"files": files("pair_count")})
    queries.execute(con, names.candidates, values)
    _write(con.table("candidate"), folder / "candidate.parquet")
    each(
        "counting overlaps",
        [names.rows, "item_key"],
        (names.members, "subset_contents", "count_shared"),
        ["member", "content", "shared"],
    )
    con.read_parquet(files("member")).create_view("member")
    queries.execute(con, "gather_contents", {"files": files("content")})
    queries.execute(con, "sum_shared", {"files": files("shared")})


def count_shard(shard: Shard) -> None:
    """Runs the statements of one shard in a database of its own; does nothing where all its files are there."""
    if all(Path(file).exists() for _, file in shard.outputs):
        return
    import duckdb

    scratch = f"{shard.outputs[0][1]}.{os.getpid()}.spill"
    con = duckdb.connect(config={"threads": shard.threads} if shard.threads else {})
    try:
        con.execute("set enable_progress_bar = false").fetchall()
        con.execute(f"set memory_limit = '{_SHARD_MEMORY}'").fetchall()
        con.execute("set temp_directory = '" + scratch.replace("'", "''") + "'").fetchall()
        for table, file in shard.inputs:
            con.read_parquet(file).create_view(table)
        for name in shard.statements:
            queries.execute(con, name, {})
        for table, file in shard.outputs:
            _write(con.table(table), Path(file))
    finally:
        con.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _write(relation: Any, target: Path) -> None:
    """Under a name of its own first: a file that is there is whole."""
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        relation.write_parquet(str(part), compression="zstd")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
