"""Readers and writers of one catalog at the same time, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import shiftlab as sl

WRITER = """
    import sys, time
    import shiftlab as sl
    from shiftlab.catalog import Run
    cat, name, until = sl.open(sys.argv[1]), sys.argv[2], time.time() + float(sys.argv[3])
    n = 0
    while time.time() < until:
        with cat.store.write(Run("batch " + name)) as con:
            con.execute("insert into label select $1, $2, i::varchar from range(100) t(i)", [n, name]).fetchall()
            con.execute("insert into batch values ($1, 1, $2, 'x', 100)", [f"{name}{n}", name]).fetchall()
        n += 1
        time.sleep(0.1)
    print(n)
"""
READER = """
    import sys, time
    import shiftlab as sl
    cat, until = sl.open(sys.argv[1]), time.time() + float(sys.argv[3])
    last, reads, longest = -1, 0, 0.0
    while time.time() < until:
        start = time.perf_counter()
        rows, batches, generation = cat.sql(
            "select (select count(*) from label), (select count(*) from batch), (select generation from catalog_info)"
        ).rows()[0]
        longest = max(longest, time.perf_counter() - start)
        assert rows == 100 * batches, (rows, batches)   # never half of a transaction
        assert generation >= last, (generation, last)   # never back in time
        last, reads = generation, reads + 1
        time.sleep(0.02)
    print(reads, f"{longest:.3f}")
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("writers", [1, 2])
def test_readers_beside_writers_see_whole_commits_only(tmp_path: Path, writers: int) -> None:
    catalog = sl.open(tmp_path / "c")
    seconds = 6
    processes = [started(WRITER, catalog.path, f"w{i}", seconds) for i in range(writers)]
    processes += [started(READER, catalog.path, "r", seconds) for _ in range(2)]
    outputs = [process.communicate(timeout=90) for process in processes]
    assert [err for _, err in outputs] == [""] * len(processes)
    commits = sum(int(out) for out, _ in outputs[:writers])
    assert catalog.sql("select count(*) from batch").rows() == [(commits,)]
    assert catalog.sql("select count(*) from label").rows() == [(100 * commits,)]
    assert commits >= writers * 5
    for out, _ in outputs[writers:]:
        reads, longest = out.split()
        assert int(reads) >= 10
        print(f"{commits} commits beside {reads} reads, the longest took {longest} s")
