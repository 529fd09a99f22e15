"""Views saved on pages and listed on Home: names are data, a name is replaced when that is said twice, faults are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

import shiftlab as sl
from shiftlab import saved_views
from tests.app.conftest import CONTEXTS, Page, shown
from tests.app.test_pages import PAGES

ODD = "*bold* [link](http://x) `code` $x$ :red[no] <b>"


def save(at: AppTest, name: str, note: str = "") -> AppTest:
    at.text_input(key="view_name").set_value(name)
    at.text_input(key="view_note").set_value(note)
    return submit(at)


def submit(at: AppTest) -> AppTest:
    return next(one for one in at.button if one.label in ("Save", "Replace")).click().run()


def opened(at: AppTest) -> dict[str, Any]:
    """Links of the saved views: label -> page and parameters."""
    return {
        one.label: (one.page, parse_qs(one.query_string))
        for one in (link.proto for link in at.get("page_link"))
        if one.icon == ":material/bookmark:"
    }


@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_saved_and_is_listed(page: Page, own: sl.Catalog, name: str) -> None:
    at = save(page(name, own.path), f"my {name}")
    assert not at.exception
    assert f"Saved as my {name}" in shown(at)
    (view,) = saved_views.listed(own.path)
    assert view.page == ("" if name == "home" else name)
    home = page("home", own.path)
    assert not home.exception
    assert opened(home)[f"my {name}"] == (view.page, view.parameters())


def test_what_is_saved_is_what_the_link_says(page: Page, own: sl.Catalog) -> None:
    words = {"dataset": "pets", "class": "cat", "subset": f"cat({CONTEXTS[2]})", "view": "items", "page": "2"}
    at = page("subsets", own.path, **words)
    save(at, "odd", "second page")
    (view,) = saved_views.listed(own.path)
    assert {name: value for name, (value,) in view.parameters().items()}.items() >= words.items()
    assert any(one.value.endswith(f"/subsets?{view.query}") for one in at.code)
    told = shown(page("home", own.path)).replace("\\", "")
    assert re.search(r"/subsets, [\d-]{10} [\d:]{5} UTC. second page", told)


def test_names_are_no_markdown(page: Page, own: sl.Catalog) -> None:
    at = save(page("items", own.path), ODD, ODD)
    (view,) = saved_views.listed(own.path)
    assert (view.name, view.note) == (ODD, ODD)
    at = page("home", own.path)
    (label,) = opened(at)
    assert label.replace("\\", "") == ODD
    for mark in "*[`$:<":
        assert f"\\{mark}" in label
        assert not any(f" {mark}" in one.value and ODD in one.value for one in at.caption)


def test_a_name_that_is_taken_asks_first(page: Page, own: sl.Catalog) -> None:
    save(page("items", own.path), "mine", "old")
    at = save(page("runs", own.path), "mine", "new")
    assert "There is a view called mine" in at.warning[0].value
    assert [one.note for one in saved_views.listed(own.path)] == ["old"]
    at = submit(at)
    assert not at.warning
    assert [(one.page, one.note) for one in saved_views.listed(own.path)] == [("runs", "new")]


def test_the_question_does_not_follow_to_another_page(page: Page, own: sl.Catalog) -> None:
    save(page("items", own.path), "mine")
    at = save(page("runs", own.path), "mine")
    at.switch_page("views/measures.py").run()
    assert not at.warning
    at = save(at, "mine")
    assert "There is a view called mine" in at.warning[0].value


def test_another_name_after_the_question_is_a_new_view(page: Page, own: sl.Catalog) -> None:
    save(page("items", own.path), "mine")
    at = save(page("runs", own.path), "mine")
    save(at, "other")
    assert {one.name: one.page for one in saved_views.listed(own.path)} == {"mine": "items", "other": "runs"}
    at = save(page("runs", own.path), "mine")
    at = save(at, "other")  # taken too: asked for itself, not replaced by the first answer
    assert "There is a view called other" in at.warning[0].value


def test_a_view_is_deleted(page: Page, own: sl.Catalog) -> None:
    for name in ("one", "two"):
        save(page("items", own.path), name)
    at = page("home", own.path)
    at.button(key="delete_view_one").click().run()
    assert not at.exception
    assert list(opened(at)) == ["two"]
    assert [one.name for one in saved_views.listed(own.path)] == ["two"]


@pytest.mark.parametrize("name", ["", "  ", "\ttab\x07"])
def test_a_name_that_cannot_be_kept_is_told(page: Page, own: sl.Catalog, name: str) -> None:
    at = save(page("items", own.path), name)
    assert not at.exception
    assert "view" in at.error[0].value
    assert saved_views.listed(own.path) == []


def test_a_damaged_file_breaks_no_page_and_is_not_overwritten(page: Page, own: sl.Catalog) -> None:
    file = own.path / saved_views.FILE
    file.write_text("{", encoding="utf-8")
    at = page("home", own.path)
    assert not at.exception
    assert "views.json" in at.error[0].value
    assert "move it away" in at.error[0].value
    assert at.metric  # the rest of Home stands
    at = save(page("items", own.path), "new")
    assert "views.json" in at.error[0].value
    assert file.read_text(encoding="utf-8") == "{"


def test_a_view_of_a_page_that_is_not_here_is_told(page: Page, own: sl.Catalog) -> None:
    saved_views.save(own.path, saved_views.now("later", "from_the_future", "x=1"))
    saved_views.save(own.path, saved_views.now("framed", "items", "embed=true&dataset=pets"))
    at = page("home", own.path)
    assert not at.exception
    assert list(opened(at)) == ["framed"]
    assert "its page /from_the_future is not in this version" in shown(at).replace("\\", "")


def test_where_nothing_can_be_written_the_page_says_so(
    page: Page, own: sl.Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_views.save(own.path, saved_views.now("old", "items", ""))
    home, items = page("home", own.path), page("items", own.path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    for at in (home.button(key="delete_view_old").click().run(), save(items, "new")):
        assert not at.exception
        assert "make the catalog's folder writable" in at.error[0].value
    assert [one.name for one in saved_views.listed(own.path)] == ["old"]


def test_without_a_catalog_there_is_nothing_to_save_beside(page: Page, states: dict[str, Path]) -> None:
    at = save(page("measures", states["missing"]), "x")
    assert "no catalog" in at.error[0].value
    assert not states["missing"].exists()


def test_many_are_listed_quickly(page: Page, own: sl.Catalog) -> None:
    for number in range(saved_views.MOST):
        saved_views.save(own.path, saved_views.now(f"view {number}", "items", f"page={number}"))
    at = page("home", own.path)
    assert not at.exception
    assert len(opened(at)) == saved_views.MOST
