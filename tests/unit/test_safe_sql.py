"""SQL from people: what a SELECT may do, and everything it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

import shiftlab as sl
from shiftlab import safe_sql
from shiftlab.errors import BadInputError, ShiftLabError, TimeLimitError

FORBIDDEN = [
    "insert into item values (1)", "update item set width = 1", "delete from item", "drop table item",
    "create table x as select 1", "create temp table x as select 1", "create macro f(x) as x", "truncate item",
    "copy item to 'x.csv'", "copy item from 'x.csv'", "with c as (copy item to 'x.csv') select 1",
    "with d as (delete from item returning *) select * from d", "select * from (copy item to 'x.csv')",
    "attach 'x.duckdb'", "attach 'x.duckdb' as y (read_only)", "detach catalog", "connect 'x'", "use memory",
    "install httpfs", "load httpfs", "load '/tmp/x.duckdb_extension'",
    "set threads = 1", "set enable_external_access = true", "reset memory_limit", "pragma version", "call pragma_version()",
    "select 1; select 2", "select 1) ; copy item to 'x.csv' ; select (1", ") union all select 1 from (select 1",
    "select * from read_csv('/etc/passwd')", "from '/etc/passwd'", "select * from glob('/*')", "from sniff_csv('/etc/passwd')",
    "select * from read_text('/etc/hostname')", "select * from read_blob('/etc/hostname')", "from 'x.parquet'",
    "select * from read_json('/etc/hostname')", "from 'https://example.org/x.csv'", "select * from query('drop table item')",
    "begin", "commit", "checkpoint", "vacuum", "export database 'x'", "import database 'x'", "analyze",
    "prepare p as select 1", "execute p", "set variable x = 1", "create secret s (type s3)", "select getenv('HOME')",
    "explain analyze copy item to 'x.csv'", "", "   ", "-- nothing", "not sql at all", "select * from store",
]  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_what_is_no_select_over_the_catalog_is_refused(
    catalog: sl.Catalog, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ShiftLabError):
        catalog.sql(statement)
    assert sorted(tmp_path.rglob("*")) == before
    assert catalog.sql("select count(*) from item").rows() == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "from subsets", "select 42 as x", "values (1), (2)", "describe item", "summarize item", "show tables",
        "with a as (select 1 as x) select * from a;", "select 1 -- a comment", "select 1 /* a; b */ order by 1",
        "select ';' as semicolon", "select $$a;b$$",
    ],
)  # fmt: skip
def test_every_form_of_select_works(catalog: sl.Catalog, statement: str) -> None:
    assert catalog.sql(statement).pl().width >= 1


def test_limits_tell_that_there_is_more(catalog: sl.Catalog) -> None:
    result = catalog.sql("from range(10)", limit=3)
    assert (result.truncated, result.pl().height) == (True, 3)
    assert not catalog.sql("from range(3)", limit=3).truncated


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from range(1000000000000) a",
        "with recursive r as (select 1 as i union all select i + 1 from r) select count(*) from r",
        "select count(*) from range(1000000) a, range(1000000) b",
    ],
)
def test_long_queries_are_stopped(catalog: sl.Catalog, statement: str) -> None:
    with pytest.raises(TimeLimitError, match=r"longer than 0.5 s"):
        safe_sql.query(catalog.store, statement, timeout=0.5)


@pytest.mark.parametrize(
    "statement",
    ["select string_agg(repeat('x', 1000), '') from range(10000000)", "select repeat('x', 10000000000)"],
)
def test_large_results_hit_the_memory_limit(catalog: sl.Catalog, statement: str) -> None:
    with pytest.raises(ShiftLabError):
        safe_sql.query(catalog.store, statement, timeout=20)


def test_errors_name_the_place(catalog: sl.Catalog) -> None:
    with pytest.raises(ShiftLabError, match=r"nme.*Candidate bindings.*name"):
        catalog.sql("select nme from subsets")


def test_values_are_bound(catalog: sl.Catalog) -> None:
    assert catalog.sql("select $x as x", {"x": "'; drop table item; --"}).rows() == [
        ("'; drop table item; --",)
    ]
    with pytest.raises(ShiftLabError):
        catalog.sql("select $y", {"x": 1})


def test_a_predicate_cannot_leave_its_place(catalog: sl.Catalog) -> None:
    for predicate in (
        "true) ; drop table item ; select (1",
        "true) limit (1",
        "true) union all (from subsets",
    ):
        with pytest.raises(BadInputError, match="not one SQL expression"):
            safe_sql.query(catalog.store, safe_sql.narrowed("from subsets", predicate))
