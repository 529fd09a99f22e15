"""Readers and writers of one catalog at the same time, in processes of their own.

``SHIFTLAB_BESIDE_SECONDS=300`` lets the slow test run for the five minutes that were measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import shiftlab as sl
from tests.reliability.conftest import Tally

SECONDS = float(os.environ.get("SHIFTLAB_BESIDE_SECONDS", "60"))
WRITER = """
    import json, sys, time
    import shiftlab as sl
    from shiftlab.catalog import Run
    cat, name, pause = sl.open(sys.argv[1]), sys.argv[2], float(sys.argv[4])
    n, waits = 0, []
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.time() + float(sys.argv[3])
    while time.time() < until:
        start = time.perf_counter()
        with cat.store.write(Run("batch " + name)) as con:
            waits.append(time.perf_counter() - start)
            con.execute("insert into label select $1, $2, i::varchar from range(100) t(i)", [n, name]).fetchall()
            con.execute("insert into batch values ($1, 1, $2, 'x', 100)", [f"{name}{n}", name]).fetchall()
        n += 1
        time.sleep(max(0, start + pause - time.perf_counter()))
    print(json.dumps([n, waits]))
"""
# One SELECT, so one state: rows and their ledger belong together, and nothing goes back in time.
ASKED = (
    "select (select count(*) from label), (select count(*) from batch), (select generation from catalog_info)"
)
READERS = {
    "sql": """
    read = lambda: cat.sql(ASKED).rows()[0]
""",
    # As a page of the explorer reads: the gateway's reading, its cache under the commit counter.
    "explorer": """
    import logging, os
    logging.disable(logging.WARNING)  # streamlit tells that no browser is there
    os.environ["SHIFTLAB_CATALOG"] = sys.argv[1]
    sys.path.insert(0, str(resources.folder("apps")))
    import gateway
    def read():
        with gateway.reading() as now:
            counted = gateway.rows("page_facts").row(0)
            rows = now.connection().sql(ASKED).fetchall()[0]
            assert now.generation == rows[2] == now.stamp[2], (now.generation, rows)
            assert gateway.rows("page_facts").row(0) == counted
            return rows
""",
}
READER = """
    import json, sys, time
    import shiftlab as sl
    from shiftlab import resources
    ASKED = {asked!r}
    cat = sl.open(sys.argv[1])
    {how}
    read()
    last, waits = -1, []
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.time() + float(sys.argv[2])
    while time.time() < until:
        start = time.perf_counter()
        rows, batches, generation = read()
        waits.append(time.perf_counter() - start)
        assert rows == 100 * batches, (rows, batches)   # never half of a transaction
        assert generation >= last, (generation, last)   # never back in time
        last = generation
        time.sleep(0.05)
    print(json.dumps([len(waits), waits, last]))
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def reader(kind: str, catalog: sl.Catalog, seconds: float) -> subprocess.Popen[str]:
    code = textwrap.dedent(READER).format(asked=ASKED, how=textwrap.dedent(READERS[kind]).strip())
    return started(code, catalog.path, seconds)


def writer(name: str, catalog: sl.Catalog, seconds: float, a_second: float) -> subprocess.Popen[str]:
    return started(textwrap.dedent(WRITER), catalog.path, name, seconds, 1 / a_second)


def ended(process: subprocess.Popen[str]) -> list:
    out, err = process.communicate(timeout=SECONDS + 120)
    assert process.returncode == 0, err
    answer: list = json.loads(out.splitlines()[-1])
    return answer


def in_ms(waits: list[float]) -> tuple[int, int]:
    """Median and largest."""
    ordered = sorted(waits)
    return round(1000 * ordered[len(ordered) // 2]), round(1000 * ordered[-1])


def beside(catalog: sl.Catalog, seconds: float, writers: int, a_second: float = 10) -> dict[str, int]:
    """Runs them side by side; every commit is there at the end, and the last state is seen."""
    writing = [writer(f"w{i}", catalog, seconds, a_second) for i in range(writers)]
    reading = {kind: reader(kind, catalog, seconds) for kind in READERS}
    for process in (*writing, *reading.values()):  # all have imported what they need before the first begins
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in (*writing, *reading.values()):
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    counts: dict[str, int] = {}
    commits, writers_waits = 0, []
    for process in writing:
        n, waits = ended(process)
        commits += n
        writers_waits += waits
    counts["commits"] = commits
    counts["write_wait_ms_median_at_most"], counts["write_wait_ms_at_most"] = in_ms(writers_waits)
    for kind, process in reading.items():
        counts[f"reads_by_{kind}"], waits, last = ended(process)
        counts[f"{kind}_read_ms_median_at_most"], counts[f"{kind}_read_ms_at_most"] = in_ms(waits)
        assert last > 1
    assert catalog.sql("select count(*) from batch").rows() == [(commits,)]
    assert catalog.sql("select count(*) from label").rows() == [(100 * commits,)]
    assert min(counts["reads_by_sql"], counts["reads_by_explorer"]) >= 2
    return counts


def test_readers_beside_a_writer_see_whole_commits_only(tmp_path: Path, tally: Tally) -> None:
    tally("side by side", **beside(sl.open(tmp_path / "c"), 4, writers=1))


def test_two_writers_take_turns(tmp_path: Path, tally: Tally) -> None:
    counts = beside(sl.open(tmp_path / "c"), 4, writers=2)
    tally("side by side", commits_of_two_writers=counts["commits"])


@pytest.mark.slow
def test_readers_beside_a_writer_for_long(tmp_path: Path, tally: Tally) -> None:
    counts = beside(sl.open(tmp_path / "c"), SECONDS, writers=1)
    tally("side by side", seconds=round(SECONDS), **counts)


PARKED = """
    import sys, time
    import duckdb
    con = duckdb.connect(sys.argv[1], read_only=True)
    con.sql("select 1").fetchall()
    print("parked", flush=True)
    time.sleep(300)
"""


def test_a_parked_reader_makes_the_writer_say_who_holds_the_catalog(tmp_path: Path, tally: Tally) -> None:
    """From outside, with a plain DuckDB client: the writer waits its bounded time, ends with 75, and nothing is lost."""
    catalog = sl.open(tmp_path / "c")
    table = tmp_path / "t.csv"
    table.write_text("image_id,object\n1,cat\n", encoding="utf-8")
    parked = started(textwrap.dedent(PARKED), catalog.store.file)
    try:
        assert parked.stdout is not None
        assert parked.stdout.readline() == "parked\n"
        words = [
            sys.executable,
            "-m",
            "shiftlab",
            "--catalog",
            str(catalog.path),
            "ingest",
            "images",
            str(table),
        ]
        start = time.monotonic()
        done = subprocess.run(
            [*words, "--dataset", "d"], capture_output=True, text=True, check=False, timeout=120
        )
        waited = time.monotonic() - start
        assert done.returncode == 75, done.stderr
        assert f"process {parked.pid}" in done.stderr
        assert "waited 10 s" in done.stderr
        assert "Nothing was changed" in done.stderr
        assert 10 <= waited < 60
        assert catalog.sql("select count(*) from item").rows() == [(0,)]  # readers read on
    finally:
        parked.kill()
        parked.wait()
    done = subprocess.run(
        [*words, "--dataset", "d"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert catalog.sql("select count(*) from item").rows() == [(1,)]
    tally("side by side", parked_readers_named=1)
