"""Vectors of growing number, up to ten million: ingest and scores of a class from memory-mapped files.

The file holds as many float32 vectors of 128 dimensions as there are items; a class has 40 subsets of 5,000 of them
each. Ingest reads the file block by block, and a score reads the rows of its members alone, so the memory that the
process has for itself, apart from the mapped file's pages, hardly grows with the file. CPU seconds, both cores.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SCALES = {"small": (20_000, 50_000), "full": (1_000_000, 3_000_000, 10_000_000)}
WIDTH, SUBSETS, MEMBERS, BLOCK = 128, 40, 5_000, 100_000


def run(scale: str = "full") -> list[dict[str, Any]]:
    """One row per size and step, each size in a process of its own."""
    rows = []
    for items in SCALES[scale]:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows += pool.apply(_measured, (items,))
    return rows


def _measured(items: int) -> list[dict[str, Any]]:
    import shiftlab as sl
    from shiftlab.catalog import Run

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        file, ids = _files(Path(folder), items)
        catalog = sl.open(Path(folder) / "catalog")
        filling = Run("benchmark")
        with catalog.store.write(filling) as con:
            _fill(con, items, filling.run_id)
        with _clocked(rows, "ingest", items):
            catalog.ingest_vectors(file, "many", "space", ids=f"{ids}:item")
        with _clocked(rows, f"sliced W2, {SUBSETS * (SUBSETS - 1) // 2} pairs of subsets", items):
            catalog.matrix("sliced_wasserstein", subject="thing", dataset="many")
        with _clocked(rows, "MMD of one pair, 99 permutations", items):
            catalog.compare("thing(0)", "thing(1)", measure="mmd", permutations=99, dataset="many")
    return rows


def _files(folder: Path, items: int) -> tuple[Path, Path]:
    import polars as pl

    rng = np.random.default_rng(0)
    matrix = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (items, WIDTH))
    for start in range(0, items, BLOCK):
        matrix[start : start + BLOCK] = rng.standard_normal((min(BLOCK, items - start), WIDTH), np.float32)
    matrix.flush()
    names = pl.select(item=pl.format("{}", pl.int_range(items)))
    names.write_parquet(folder / "ids.parquet")
    return folder / "vectors.npy", folder / "ids.parquet"


def _fill(con: Any, items: int, run_id: int) -> None:
    """Items and subsets as a build leaves them, without the annotations they would come from."""
    for statement in (
        f"insert into dataset values ('many', 'images', null, 'made', 'made', {run_id})",
        f"insert into item select i, 'many', i::varchar, null, null, null from range({items}) t(i)",
        f"""insert into subset select s, 'many', format('thing({{}})', s), 'thing', s::varchar, 'object', {MEMBERS}, true,
            null, s, {run_id} from range({SUBSETS}) t(s)""",
        f"""insert into membership select s, (hash(s * {MEMBERS} + k) % {items // SUBSETS})::bigint * {SUBSETS} + s, 1
            from range({SUBSETS}) t(s), range({MEMBERS}) u(k) group by all order by all""",
    ):
        con.execute(statement).fetchall()


@contextmanager
def _clocked(rows: list[dict[str, Any]], what: str, items: int) -> Iterator[None]:
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
            peak[0] = max(peak[0], own / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield
    finally:
        row = {"what": what, "items": items, "cpu_s": time.process_time() - cpu}
        row |= {"wall_s": time.perf_counter() - wall}
        done.set()
        watcher.join()
        rows.append(row | {"own_memory_gb": peak[0]})


if __name__ == "__main__":
    import sys

    for row in run(sys.argv[1] if len(sys.argv) > 1 else "full"):
        print({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()})
