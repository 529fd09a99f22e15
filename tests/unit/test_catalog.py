"""The store: migrations, short transactions, the lock, and folders that cannot be used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

import shiftlab as sl
from shiftlab import resources
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, CatalogBusyError, NotFoundError


def holding(path: Path, read_only: bool) -> subprocess.Popen[str]:
    """Another process that parks its connection to the catalog."""
    code = f"""
        import duckdb, sys
        con = duckdb.connect({str(path / "catalog.duckdb")!r}, read_only={read_only})
        print("held", flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_created_once_and_opened_again(tmp_path: Path) -> None:
    first = Store.create(tmp_path / "c")
    version = first.migrate()
    assert version == len(list((resources.folder("sql") / "schema").glob("*.sql")))
    generation = first.generation()
    assert Store.open(tmp_path / "c").generation() == generation  # opening writes nothing
    assert {p.name for p in (tmp_path / "c").iterdir()} >= {
        "catalog.duckdb",
        "vectors",
        "steps",
        "filters",
        "jobs",
    }


def test_a_missing_catalog_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="shiftlab demo"):
        Store.open(tmp_path / "nowhere")


def test_a_file_is_no_catalog(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(BadInputError, match="is a file"):
        Store.create(tmp_path / "f")


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "catalog.duckdb")) as con:
        con.execute("create table mine as select 1 as i").fetchall()
    with pytest.raises(BadInputError, match="no ShiftLab catalog"):
        Store.create(tmp_path)
    with duckdb.connect(str(tmp_path / "catalog.duckdb")) as con:
        assert con.sql("show tables").fetchall() == [("mine",)]


def test_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.duckdb").write_bytes(b"not a database" * 100)
    with pytest.raises(BadInputError, match="no DuckDB file"):
        Store.open(tmp_path)


def test_a_damaged_catalog_is_told_with_the_mend(tmp_path: Path) -> None:
    """As a kill within DuckDB's writing of its metadata leaves it: a block that does not fit its checksum."""
    store = sl.open(tmp_path / "c").store
    content = bytearray(store.file.read_bytes())
    for start in range(12_288, len(content), 262_144):
        content[start + 40_000 : start + 48_192] = bytes(8_192)
        content[start + 100 : start + 200] = bytes(100)
    store.file.write_bytes(content)
    with pytest.raises(BadInputError, match=r"is damaged .* restore it from a backup"):
        sl.open(tmp_path / "c")


def test_a_newer_catalog_is_refused_by_name_and_version(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "c")
    with store.write(Run("test")) as con:
        con.execute("insert into migration values (99, '0099_future', 'x', now()::timestamp)").fetchall()
    with pytest.raises(BadInputError, match=r"0099_future.*upgrade ShiftLab"):
        Store.open(tmp_path / "c")


def test_an_edited_migration_is_refused(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "c")
    with store.write(Run("test")) as con:
        con.execute("update migration set sha256 = 'other' where version = 1").fetchall()
    with pytest.raises(BadInputError, match="0001_core"):
        Store.open(tmp_path / "c")


def test_an_older_catalog_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog made with the first migration alone, opened by a version that has more of them."""
    older = tmp_path / "older"
    shutil.copytree(resources.folder("sql"), older)
    for path in sorted((older / "schema").glob("*.sql"))[1:]:
        path.unlink()
    shutil.rmtree(older / "views")
    (older / "views").mkdir()
    real = resources.folder
    with monkeypatch.context() as patch:
        patch.setattr(resources, "folder", lambda name: older if name == "sql" else real(name))
        Store.create(tmp_path / "c")
    store = Store.open(tmp_path / "c")
    with store.read() as con:
        applied = con.sql("select name from migration order by version").fetchall()
        assert con.sql("select count(*) from scores").fetchall() == [(0,)]
    assert [name for (name,) in applied] == [p.stem for p in sorted((real("sql") / "schema").glob("*.sql"))]


def test_a_failing_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(resources.folder("sql"), broken)
    (broken / "schema" / "0098_broken.sql").write_text(
        "create table half (i integer); select * from nowhere;"
    )
    Store.create(tmp_path / "c")
    monkeypatch.setattr(resources, "folder", lambda name: broken)
    with pytest.raises(duckdb.Error, match="nowhere"):
        Store.open(tmp_path / "c")
    monkeypatch.undo()
    with Store.open(tmp_path / "c").read() as con:
        assert con.sql("select count(*) from duckdb_tables() where table_name = 'half'").fetchall() == [(0,)]


def test_what_fails_within_a_transaction_is_not_stored(catalog: sl.Catalog) -> None:
    before = catalog.store.generation()
    with pytest.raises(RuntimeError), catalog.store.write(Run("test")) as con:
        con.execute("insert into dataset values ('x', 'images', null, null, null, 1)").fetchall()
        raise RuntimeError("in the middle")
    assert catalog.sql("select count(*) from dataset").rows() == [(0,)]
    assert catalog.sql("select count(*) from run").rows() == [(0,)]
    assert catalog.store.generation() == before


def test_every_commit_raises_the_generation_and_leaves_a_run(catalog: sl.Catalog) -> None:
    before = catalog.store.generation()
    with catalog.store.write(Run("test", {"a": 1}, seed=7)):
        pass
    assert catalog.store.generation() == before + 1
    assert catalog.sql("select command, params->>'a', seed from runs").rows() == [("test", "1", 7)]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_writer_says_who_holds_the_catalog(tmp_path: Path, read_only: bool) -> None:
    store = Store.create(tmp_path / "c")
    store.wait_seconds = 0.3
    process = holding(store.path, read_only)
    try:
        with (
            pytest.raises(CatalogBusyError, match=rf"process {process.pid} \(python.*waited 0.3 s"),
            store.write(Run("x")),
        ):
            pass
    finally:
        process.communicate("")
    with store.write(Run("after")):
        pass


def test_readers_share_the_catalog(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "c")
    process = holding(store.path, read_only=True)
    try:
        assert store.generation() >= 1
    finally:
        process.communicate("")


def test_a_workspace_leaves_nothing_behind(catalog: sl.Catalog) -> None:
    with catalog.store.workspace("64MB") as con:
        con.execute(
            "create table big as select range as i, repeat('x', 100) as t from range(2_000_000)"
        ).fetchall()
        assert con.sql("select count(*) from big").fetchall() == [(2_000_000,)]
    assert list((catalog.path / "jobs").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInputError, match="choose a folder you can write to"):
        Store.create(tmp_path / "c")


def test_the_file_is_written_for_duckdb_1_5_clients(catalog: sl.Catalog) -> None:
    with catalog.store.read() as con:
        tags = con.sql(
            "select tags['storage_version'] from duckdb_databases() where database_name = 'catalog'"
        ).fetchall()
    assert "v1.5" in tags[0][0]


def test_a_plain_duckdb_client_reads_the_views(coco: sl.Catalog) -> None:
    with duckdb.connect(str(coco.path / "catalog.duckdb"), read_only=True) as con:
        names = {
            row[0] for row in con.sql("select view_name from duckdb_views() where not internal").fetchall()
        }
        assert {"subsets", "subset_pairs", "subset_distances", "scores", "runs", "presence"} <= names
        for name in sorted(names - {"step"}):
            con.sql(f"select * from {name} limit 1").fetchall()
        assert con.sql("select n from subsets where name = 'cat(couch)'").fetchall() == [(459,)]
