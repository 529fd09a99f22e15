"""Saved views: what is saved is read again as it was, by many at once, and a file that is damaged stays as it is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shiftlab as sl
from shiftlab import backup, saved_views
from shiftlab.errors import BadInputError, CatalogBusyError, NotFoundError, ShiftLabError
from shiftlab.saved_views import SavedView

LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))
VIEWS = st.builds(
    SavedView,
    name=LINE.map(lambda one: one[:80].strip()).filter(bool),
    page=st.from_regex(r"[a-z_]{0,40}", fullmatch=True),
    query=st.dictionaries(LINE.filter(bool), LINE.filter(bool), max_size=4)
    .map(urlencode)
    .filter(lambda one: len(one) <= 8000),
    note=LINE.map(lambda one: one[:300]),
    created=st.datetimes(timezones=st.just(UTC)).map(lambda one: one.replace(microsecond=0)),
)


def content(folder: Path, **changed: Any) -> None:
    """A file with one whole view, and what was changed in it."""
    view = {"name": "a", "page": "items", "query": "x=1", "note": "", "created": "2026-01-02T03:04:05Z"}
    whole = {"format": 1, "views": [view | changed.pop("view", {})]} | changed
    (folder / saved_views.FILE).write_text(json.dumps(whole), encoding="utf-8")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(views=st.lists(VIEWS, max_size=8, unique_by=lambda one: one.name))
def test_what_is_saved_is_read_again(catalog: sl.Catalog, views: list[SavedView]) -> None:
    (catalog.path / saved_views.FILE).unlink(missing_ok=True)
    for view in views:
        assert saved_views.save(catalog.path, view)
    found = saved_views.listed(catalog.path)
    assert {one.name: one for one in found} == {one.name: one for one in views}
    assert [one.created for one in found] == sorted((one.created for one in views), reverse=True)
    for view in views[::2]:
        saved_views.delete(catalog.path, view.name)
    assert {one.name for one in saved_views.listed(catalog.path)} == {one.name for one in views[1::2]}


def test_parameters_are_those_of_the_link(catalog: sl.Catalog) -> None:
    query = urlencode(
        {"subset": "cat(o'hare *bold*)", "where": "n > 1 and name <> 'a&b'", "chosen": ["a", "b"]}, doseq=True
    )
    saved_views.save(catalog.path, saved_views.now("x", "shift", query))
    (view,) = saved_views.listed(catalog.path)
    assert view.parameters() == {
        "subset": ["cat(o'hare *bold*)"], "where": ["n > 1 and name <> 'a&b'"], "chosen": ["a", "b"]
    }  # fmt: skip


def test_a_name_that_is_taken_is_replaced_only_when_told(catalog: sl.Catalog) -> None:
    assert saved_views.save(catalog.path, saved_views.now("  mine ", "items", "page=1"))
    again = saved_views.now("mine", "pair", "", "better")
    assert not saved_views.save(catalog.path, again)
    assert saved_views.listed(catalog.path)[0].page == "items"
    assert saved_views.save(catalog.path, again, replace=True)
    assert [(one.name, one.page, one.note) for one in saved_views.listed(catalog.path)] == [
        ("mine", "pair", "better")
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"name": " "}, "needs a name"),
        ({"name": "x" * 81}, "at most 80"),
        ({"name": "two\nlines"}, "one line"),
        ({"name": "\ud800"}, "one line"),
        ({"note": "x" * 301}, "at most 300"),
        ({"note": "a\x00"}, "one line"),
        ({"page": "../app"}, "needs a page"),
        ({"query": "x=" + "y" * 8000}, "longer than the 8,000"),
        ({"query": "x=é"}, "encoded"),
    ],
)
def test_what_cannot_be_kept_is_refused(words: dict[str, str], told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        saved_views.now(**({"name": "x", "page": "items", "query": ""} | words))


def test_there_is_an_end_to_them(catalog: sl.Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "MOST", 2)
    for name in "ab":
        saved_views.save(catalog.path, saved_views.now(name, "", ""))
    with pytest.raises(BadInputError, match="delete one"):
        saved_views.save(catalog.path, saved_views.now("c", "", ""))
    assert saved_views.save(catalog.path, saved_views.now("a", "items", ""), replace=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / saved_views.FILE).write_bytes(b""),
        lambda f: (f / saved_views.FILE).write_bytes(b'{"format": 1, "views": ['),
        lambda f: (f / saved_views.FILE).write_bytes(b"\xff\xfe"),
        lambda f: (f / saved_views.FILE).write_bytes(b"[" * 200_000),
        lambda f: (f / saved_views.FILE).write_bytes(b" " * (5 << 20)),
        lambda f: (f / saved_views.FILE).write_text("[]"),
        lambda f: (f / saved_views.FILE).mkdir(),
        lambda f: content(f, format=2),
        lambda f: content(f, views={}),
        lambda f: content(f, views=[3]),
        lambda f: content(f, view={"name": 3}),
        lambda f: content(f, view={"name": "\ud800"}),
        lambda f: content(f, view={"more": "x"}),
        lambda f: content(f, view={"page": "../../etc/passwd"}),
        lambda f: content(f, view={"query": "x=\n"}),
        lambda f: content(f, view={"created": "yesterday"}),
        lambda f: content(f, view={"created": "0001-01-01T00:00:00+14:00"}),
        lambda f: content(f, views=[{"name": "a", "page": "", "query": "", "note": "", "created": "2026-01-02T03:04:05Z"}] * 2),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_left_as_it_is(catalog: sl.Catalog, damage: Any) -> None:
    damage(catalog.path)
    file = catalog.path / saved_views.FILE
    before = file.read_bytes() if file.is_file() else None
    for act in (
        lambda: saved_views.listed(catalog.path),
        lambda: saved_views.save(catalog.path, saved_views.now("x", "", ""), replace=True),
        lambda: saved_views.delete(catalog.path, "a"),
    ):
        with pytest.raises(BadInputError, match=r"views\.json"):
            act()
    assert (file.read_bytes() if file.is_file() else None) == before


def test_windows_and_processes_at_once_lose_nothing(catalog: sl.Catalog) -> None:
    code = (
        "import sys; from pathlib import Path; from shiftlab import saved_views as s\n"
        "for k in range(10): assert s.save(Path(sys.argv[1]), s.now(f'{sys.argv[2]} {k}', 'items', f'page={k}'))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(catalog.path), f"process {one}"])
        for one in range(2)
    ]

    def window(one: int) -> None:
        for k in range(10):
            assert saved_views.save(catalog.path, saved_views.now(f"window {one} {k}", "items", ""))

    threads = [threading.Thread(target=window, args=(one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(saved_views.listed(catalog.path)) == 60
    assert not list(catalog.path.glob(".views*"))


def test_one_who_holds_the_lock_for_long_is_told_of(
    catalog: sl.Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(saved_views, "_WAIT_SECONDS", 0.1)
    with (catalog.path / "jobs" / "views.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CatalogBusyError, match="try again"):
            saved_views.save(catalog.path, saved_views.now("x", "", ""))
    assert saved_views.save(catalog.path, saved_views.now("x", "", ""))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "make the catalog's folder writable"),
        (errno.EACCES, "make the catalog's folder writable"),
        (errno.ENOSPC, "free space"),
    ],
)
def test_a_folder_that_takes_no_file_says_so_and_keeps_what_is_there(
    catalog: sl.Catalog, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    saved_views.save(catalog.path, saved_views.now("old", "", ""))

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ShiftLabError, match=words):
        saved_views.save(catalog.path, saved_views.now("new", "", ""))
    assert [one.name for one in saved_views.listed(catalog.path)] == ["old"]
    assert not list(catalog.path.glob(".views*"))


def test_without_a_catalog_there_is_nothing_to_save_beside(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no catalog"):
        saved_views.save(tmp_path, saved_views.now("x", "", ""))
    assert saved_views.listed(tmp_path) == []


def test_a_backup_holds_them(catalog: sl.Catalog, tmp_path: Path) -> None:
    view = SavedView("x", "items", "page=2", "look", datetime(2026, 1, 2, tzinfo=UTC))
    saved_views.save(catalog.path, view)
    done = backup.export(catalog.store, tmp_path / "backup")
    assert done.files == done.tables + 1
    backup.restore(tmp_path / "backup", tmp_path / "again")
    assert saved_views.listed(tmp_path / "again") == [view]
