"""A catalog written as plain files comes back row for row; what was changed in between does not come back at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import shiftlab as sl
from shiftlab import backup, catalog, integrity
from shiftlab.errors import BadInputError


def content(store: catalog.Store) -> dict[str, list]:
    with store.read() as con:
        names = [row[0] for row in con.sql("select table_name from duckdb_tables() order by 1").fetchall()]
        return {
            name: con.sql(f"from {name} order by all").fetchall() for name in names if name != "catalog_info"
        }


@pytest.fixture
def written(coco: sl.Catalog, tmp_path: Path) -> Path:
    done = backup.export(coco.store, tmp_path / "backup")
    assert done.files == done.tables + 2  # the vectors and their ids
    assert done.rows > 10_000
    return tmp_path / "backup"


def test_it_comes_back_row_for_row(coco: sl.Catalog, written: Path, tmp_path: Path) -> None:
    again = tmp_path / "deep" / "again"
    backup.restore(written, again)
    store = sl.open(again).store
    before, after = content(coco.store), content(store)
    skipped = {"migration"}  # it has the moments of its own making
    assert before.keys() == after.keys()
    assert [name for name in before if name not in skipped and before[name] != after[name]] == []
    assert not [one for one in integrity.check(store) if one.violations]
    assert (
        sl.open(again).sql("select count(*) from subsets").rows()
        == coco.sql("select count(*) from subsets").rows()
    )
    assert not list(tmp_path.glob(".*"))


def test_any_tool_reads_it(coco: sl.Catalog, written: Path) -> None:
    frame = pl.read_parquet(written / "tables" / "subset.parquet")
    assert len(frame) == coco.sql("select count(*) from subset").rows()[0][0]


def test_an_older_schema_comes_back_through_the_migrations(tmp_path: Path) -> None:
    old = catalog.Store(tmp_path / "old")
    old.path.mkdir()
    old.migrate(until=1)
    with old.alone() as con:
        con.execute("insert into term values (1, 'd', 'object', 'cat', null)").fetchall()
        (tmp_path / "backup" / "tables").mkdir(parents=True)
        con.sql("from term").write_parquet(str(tmp_path / "backup" / "tables" / "term.parquet"))
        schema = [list(row) for row in con.sql("select name, sha256 from migration").fetchall()]
    file = tmp_path / "backup" / "tables" / "term.parquet"
    manifest = {"format": 1, "shiftlab": "0.0.1", "schema": schema, "tables": {"term": 1},
                "files": {"tables/term.parquet": backup.content_hash([file])}}  # fmt: skip
    (tmp_path / "backup" / "backup.json").write_text(json.dumps(manifest))
    backup.restore(tmp_path / "backup", tmp_path / "new")
    assert sl.open(tmp_path / "new").sql("select name from term").rows() == [("cat",)]


def _changed(**new: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "backup.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | new))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "tables" / "item.parquet").write_bytes(b"x"), "not as it was written"),
        (lambda f: (f / "tables" / "item.parquet").unlink(), "missing"),
        (lambda f: (f / "backup.json").unlink(), "no backup"),
        (lambda f: (f / "backup.json").write_text("{"), "no backup"),
        (_changed(format=2), "upgrade"),
        (_changed(schema=[["0001_core", "0"]]), "does not know"),
        (_changed(files={"../item.parquet": ""}), "does not describe"),
        (_changed(files={"vectors/../x": ""}), "does not describe"),
        (_changed(tables={'item" (select 1': 1}), "does not describe"),
        (_changed(files=[]), "does not describe"),
    ],
)  # fmt: skip
def test_what_was_changed_is_refused(written: Path, tmp_path: Path, change: Any, words: str) -> None:
    change(written)
    with pytest.raises(BadInputError, match=words):
        backup.restore(written, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_folders_in_use_are_left_alone(coco: sl.Catalog, written: Path) -> None:
    with pytest.raises(BadInputError, match="there already"):
        backup.export(coco.store, written)
    with pytest.raises(BadInputError, match="there already"):
        backup.restore(written, coco.path)


def test_from_the_command_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    sl.open(tmp_path / "catalog")
    done = cli("--catalog", tmp_path / "catalog", "export", tmp_path / "backup")
    assert done.returncode == 0
    assert "wrote" in done.stderr
    done = cli("--catalog", tmp_path / "again", "restore", tmp_path / "backup")
    assert (done.returncode, done.stdout) == (0, "")
    assert cli("--catalog", tmp_path / "again", "check").returncode == 0
    done = cli("--catalog", tmp_path / "again", "restore", tmp_path / "nothing")
    assert done.returncode == 2
    assert "no backup" in done.stderr
