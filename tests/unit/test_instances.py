"""DuckDB instances that are kept: each borrower finds an empty one, and a forked child its own."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

import shiftlab as sl
from shiftlab import instances
from shiftlab.catalog import Run


def _left(scratch: Path) -> list[str]:
    with instances.borrowed(scratch) as con:
        found = con.sql("select table_name from duckdb_tables() union all select view_name from duckdb_views() "
                        "where not internal union all select database_name from duckdb_databases() "
                        "where not internal and database_name <> 'memory'")  # fmt: skip
        return [row[0] for row in found.fetchall()]


def test_a_borrower_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    with instances.borrowed(tmp_path) as con:
        con.execute("create temp table t as select 1").fetchall()
        con.execute("create temp view v as select 2").fetchall()
        con.execute("begin").fetchall()
    assert _left(tmp_path) == []


def test_one_at_a_time_has_an_instance(tmp_path: Path) -> None:
    with instances.borrowed(tmp_path) as one, instances.borrowed(tmp_path) as other:
        one.execute("create table memory.only_here as select 1").fetchall()
        assert other.sql("select count(*) from duckdb_tables()").fetchall() == [(0,)]
        one.execute("drop table memory.only_here").fetchall()
    assert _left(tmp_path) == []


def test_an_instance_is_not_kept_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), instances.borrowed(tmp_path) as con:
        con.execute("create table t as select 1").fetchall()
        raise ZeroDivisionError
    assert _left(tmp_path) == []


def test_a_catalog_is_attached_for_the_moment_only(tmp_path: Path) -> None:
    store = sl.open(tmp_path / "c").store
    for _ in range(2):
        with store.read() as con:
            assert con.sql("select count(*) from run").fetchall() == [(0,)]
        with pytest.raises(ZeroDivisionError), store.write(Run("fails")):
            raise ZeroDivisionError
        with store.alone() as con:  # needs the file for itself
            assert con.sql("select count(*) from run").fetchall() == [(0,)]


def test_few_are_kept_however_many_catalogs_are_read(tmp_path: Path) -> None:
    for number in range(6):
        with instances.borrowed(tmp_path / str(number)):
            pass
    assert [scratch.name for scratch, _ in instances._kept] == ["4", "5"]
    kept = dict(instances._kept)[tmp_path / "5"]
    with instances.borrowed(tmp_path / "5") as con:
        assert kept not in dict(instances._kept).values()
        con.execute("select 1").fetchall()
    assert dict(instances._kept)[tmp_path / "5"] is kept


def test_threads_read_side_by_side(tmp_path: Path) -> None:
    store = sl.open(tmp_path / "c").store
    found = []

    def read() -> None:
        for _ in range(20):
            with store.read() as con:
                found.append(con.sql("select generation from catalog_info").fetchall()[0][0])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [store.generation()] * 120


def _in_child(path: str) -> None:
    store = sl.open(path).store
    with store.write(Run("by the child")):
        pass
    assert store.generation() == 2


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_instances_of_its_own(tmp_path: Path) -> None:
    store = sl.open(tmp_path / "c").store
    assert store.generation() == 1
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(str(tmp_path / "c"),))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert store.generation() == 2
