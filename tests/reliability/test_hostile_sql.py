"""Hostile SQL at both of its doors: nothing gets out, in or broken, and what is large or endless is ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import shiftlab as sl
from tests.reliability.conftest import Tally, content

SECRET = "canary-5b1f"
MOST_MEMORY = 4 << 30
# Files, other databases, the network, settings, the environment, several statements: {0} is a file of a secret.
DOORS = [
    "select * from read_csv('{0}')", "select * from read_csv_auto('{0}', header = false)", "from '{0}'",
    "select * from read_text('{0}')", "select * from read_blob('{0}')", "select content from read_text(['{0}'])",
    "select * from read_json_auto('{0}')", "select * from read_parquet('{0}')", "from parquet_schema('{0}')",
    "select * from glob('/etc/*')", "from sniff_csv('{0}')", "select * from '{0}' limit 1", "describe from '{0}'",
    "summarize from '{0}'", "select (select content from read_text('{0}'))", "from subsets where name in (from '{0}')",
    "with x as (from read_text('{0}')) from x", "with x as materialized (select * from '{0}') select * from x",
    "select * from query('select * from read_text(''{0}'')')", "from query_table('{0}')",
    "with c as (copy item to '{0}.out') select 1", "select * from (copy item to '{0}.out')",
    "copy (select 1) to '{0}.out'", "copy item from '{0}'", "copy subset to '{0}.out' (format parquet)",
    "export database '{0}.out'", "import database '{0}'", "create view v as from '{0}'", "create table t as from '{0}'",
    "create temp view v as from '{0}'", "create or replace macro f() as table from '{0}'",
    "attach '{0}.db' as other", "attach ':memory:' as other", "attach '' as other (type sqlite)", "detach catalog",
    "use memory", "connect '{0}'", "from duckdb_secrets(allow_unredacted = true)) union all (from '{0}'",
    "install httpfs", "install '{0}'", "load httpfs", "load '{0}'", "force install httpfs from 'http://127.0.0.1:1'",
    "from 'https://127.0.0.1:1/x.parquet'", "from 's3://bucket/x.parquet'", "from read_parquet('hf://datasets/a/b.parquet')",
    "set enable_external_access = true", "set memory_limit = '100GB'", "set max_execution_time = 0", "set threads = 64",
    "set lock_configuration = false", "set global temp_directory = '/'", "reset max_execution_time", "set variable x = 1",
    "pragma database_list", "pragma enable_profiling", "pragma profiling_output = '{0}.out'", "call pragma_version()",
    "select getenv('HOME')", "select getvariable(getenv('HOME'))", "select current_setting(getenv('PATH'))",
    "create secret s (type s3, key_id 'x')", "create persistent secret s (type s3)",
    "select 1; copy item to '{0}.out'", "select 1) ; copy (select 1) to '{0}.out' ; select (1", "; ; select 1; delete from item",
    "insert into item select * from item", "delete from item", "update item set width = 1", "drop table item", "alter table item drop width",
    "with d as (delete from item returning *) from d", "with i as (insert into item from item returning *) from i",
    "truncate item", "merge into item using item b on true when matched then delete", "comment on table item is 'x'",
    "prepare p as select 1", "execute p", "deallocate p", "begin; delete from item; commit", "checkpoint", "force checkpoint", "vacuum", "analyze",
    "explain analyze select * from read_text('{0}')", "select * from store", "from __main__", "select * from os", "from catalog_file_list",
]  # fmt: skip
# One function call, endless rows, large lists, deep expressions. The words are what must be told.
BOMBS = [
    "select levenshtein(repeat('a', 200000), repeat('b', 200000))", "select len(lpad('x', 2000000000, 'y'))",
    "select len(list_sort(range(300000000)))", "select count(*) from (select unnest(range(1000000000)))",
    "select len(repeat('x', 4000000000))", "select list(i) from range(1000000000) t(i)",
    "select string_agg(repeat('x', 1000), '') from range(10000000)", "select count(*) from range(1000000000000)",
    "select len(array_to_string(range(100000000), ','))", "select len(list_transform(range(200000000), lambda x: repeat('x', 1000)))",
    "select len(string_split(repeat('a,', 100000000), ','))", "select len(format('{:>2000000000}', 'a'))",
    "select len(printf('%2000000000d', 1))", "select len(bitstring('1', 2000000000))", "select len(list_resize([1], 2000000000))",
    "select repeat([1, 2, 3], 500000000)", "select list_reduce(range(1000000000), lambda x, y: x + y)",
    "select json_array(range(300000000))", "select count(*) from range(1000000) a, range(1000000) b, range(1000000) c",
    "with recursive r as (select 1 as i union all select i + 1 from r) select count(*) from r",
    "with recursive r as (select 'x' as s union all select s || s from r) select max(len(s)) from r",
    "with recursive r as (select 1 as i union all select unnest([i, i + 1]) from r) select count(*) from r",
    "select " + "(" * 100_000 + "1" + ")" * 100_000, "select " + "+".join(["1"] * 100_000),
    "select * from " + ", ".join(f"range(1000) t{i}" for i in range(40)), "select histogram(i) from range(10000000000) t(i)",
    "select regexp_replace(repeat('a', 20000000), 'a', repeat('b', 1000), 'g')", "select regexp_matches('a', '(((a{999}){999}){999}){999}')",
    "select sum(x) over (order by x rows between unbounded preceding and unbounded following) from range(1000000000) t(x) order by random()",
    "select count(distinct a || b) from range(100000) t(a), range(100000) u(b)",
    "select factorial(100000)", "select array_agg(a) over () from range(10000000) t(a)",
]  # fmt: skip
QUICK_BOMBS = BOMBS[:6]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text(f"word\n{SECRET}\n", encoding="utf-8")
    return path


def shiftlab_sql(catalog: sl.Catalog, statement: str, timeout: float) -> subprocess.Popen[str]:
    """`shiftlab sql -`, as a person or the console starts it."""
    command = [sys.executable, "-m", "shiftlab", "--catalog", str(catalog.path), "sql", "-"]
    process = subprocess.Popen(
        [*command, "--limit", "1000", "--timeout", str(timeout)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(statement)
    process.stdin.close()
    process.stdin = None
    return process


def ended(process: subprocess.Popen[str], within: float) -> tuple[int, str, str, int]:
    """Exit code, both streams, and the most memory the process had."""
    start, most = time.monotonic(), 0
    while process.poll() is None:
        assert time.monotonic() - start < within, "the process hangs"
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            most = max(
                [most, *(int(line.split()[1]) << 10 for line in status.splitlines() if "VmHWM" in line)]
            )
        except OSError:
            pass
        time.sleep(0.02)
    out, err = process.communicate()
    return process.returncode, out, err, most


def test_the_door_in_this_process_stays_shut(stored: sl.Catalog, secret: Path, tally: Tally) -> None:
    """Every statement is refused in words; this process, the files and the rows are as before."""
    from shiftlab.cli import root
    from shiftlab.errors import ShiftLabError

    before, files = content(stored), sorted(secret.parent.iterdir())
    let_through = []
    for statement in DOORS:
        words = ["--catalog", str(stored.path), "sql", statement.format(secret)]
        try:
            root.main(words, prog_name="shiftlab", standalone_mode=False)
            let_through.append(statement)
        except ShiftLabError as error:
            assert str(error).strip(), statement
            assert SECRET not in str(error), statement
    assert let_through == []
    assert sorted(secret.parent.iterdir()) == files
    assert content(stored) == before
    assert stored.sql("select count(*) from item where dataset = 'small'").rows() == [(60,)]
    tally("hostile SQL", statements_refused_at_the_command_line=len(DOORS))


@pytest.fixture
def console(stored: sl.Catalog, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The explorer's door: `jobs.rows`, which runs the statement in a child process."""
    monkeypatch.setenv("SHIFTLAB_CATALOG", str(stored.path))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "apps"))
    import gateway
    import jobs

    with gateway.reading():
        yield jobs


@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.slow)])
def test_the_console_stays_shut(
    console: object, stored: sl.Catalog, secret: Path, tally: Tally, every: int
) -> None:
    before, files = content(stored), sorted(secret.parent.iterdir())
    tried = DOORS[::every]
    for statement in tried:
        with pytest.raises(console.CommandError) as refused:  # type: ignore[attr-defined]
            console.rows(["sql", "-", "--limit", "10"], stdin=statement.format(secret), timeout=5)  # type: ignore[attr-defined]
        assert refused.value.exit_code in (1, 2), statement
        assert SECRET not in str(refused.value)
        assert "internal error" not in str(refused.value), statement
        assert "Traceback" not in str(refused.value), statement
    assert sorted(secret.parent.iterdir()) == files
    assert content(stored) == before
    found = console.rows(["sql", "-"], stdin="select count(*) as n from item", timeout=5)  # type: ignore[attr-defined]
    assert (
        found.frame["n"].to_list() == stored.sql("select count(*) from item").pl()["count_star()"].to_list()
    )
    tally("hostile SQL", statements_refused_at_the_console=len(tried))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is bounded on Linux")
@pytest.mark.parametrize("bombs", [QUICK_BOMBS, pytest.param(BOMBS, marks=pytest.mark.slow)])
def test_bombs_are_stopped_by_time_or_memory(stored: sl.Catalog, tally: Tally, bombs: list[str]) -> None:
    before = content(stored)
    most = 0
    for first in range(0, len(bombs), 2):
        pair = bombs[first : first + 2]
        for statement, process in [(one, shiftlab_sql(stored, one, 1.0)) for one in pair]:
            code, out, err, memory = ended(process, within=20)
            most = max(most, memory)
            shown = statement[:70]
            assert code in (0, 1, 2, 124), (shown, code, err[-300:])
            assert (code == 0) == (err == "" or "rows shown" in err), (shown, err[-300:])
            assert "Traceback" not in err, shown
            assert "internal error" not in err, (shown, err[-300:])
            assert memory < MOST_MEMORY, (shown, memory)
            assert code == 0 or not out, shown
    assert content(stored) == before
    tally("hostile SQL", bombs_stopped=len(bombs), MB_at_most=most >> 20)
