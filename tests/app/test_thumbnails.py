"""Pictures on pages: which are shown, what they are called, and where a click goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import shiftlab as sl
from shiftlab import safe_sql
from tests.app.conftest import Page, shown


def grids(at: AppTest) -> list[dict[str, Any]]:
    """What each grid of pictures was given."""
    return [json.loads(one.proto.json) for one in at.get("bidi_component")]


def test_items_are_a_grid_with_names_and_text_alternatives(page: Page) -> None:
    at = page("items", dataset="pets", object="sofa", item="7", per_page="50")
    assert not at.exception
    (grid,) = grids(at)
    assert grid["chosen"] == ["7"]
    assert len(grid["items"]) == 50
    first = grid["items"][0]
    assert first["label"] == "0"
    assert first["alt"].startswith("Item 0: ")
    assert "sofa" in first["alt"]
    assert first["pictures"][0].startswith("data:image/png;base64,")
    assert len(at.get("image")) == 1  # the chosen one, large


def test_the_same_items_are_a_table(page: Page) -> None:
    at = page("items", dataset="pets", object="sofa", view="table")
    assert not at.exception
    assert grids(at) == []
    assert any("item" in one.value.columns for one in at.dataframe)


def test_an_item_without_a_picture_keeps_its_place(page: Page) -> None:
    at = page("items", dataset="pets", starts="41")
    tiles = {one["id"]: one["pictures"] for one in grids(at)[0]["items"]}
    assert tiles["41"]
    assert tiles["410"] == []


def test_a_data_set_without_pictures_has_tables(page: Page, own: sl.Catalog) -> None:
    safe_sql.write(own.store, "delete from picture_file")
    for name, address in (
        ("items", {"item": "7"}),
        ("subsets", {"class_": "cat", "subset": "cat(bed)", "view": "items"}),
        ("pair", {"left": "cat(bed)", "right": "cat(sofa)", "why": "nearest"}),
    ):
        at = page(name, own.path, dataset="pets", **address)
        assert not at.exception
        assert grids(at) == []
        assert at.dataframe


def test_a_missing_picture_file_is_told(page: Page, own: sl.Catalog) -> None:
    for file in (own.path / "pictures").glob("*.pack"):
        file.unlink()
    at = page("items", own.path, dataset="pets")
    assert not at.exception
    assert "missing or damaged" in at.error[0].value


@pytest.mark.parametrize("view", ["neighbours", "items"])
def test_a_subset_shows_its_items(page: Page, filled: Path, view: str) -> None:
    at = page("subsets", dataset="pets", class_="cat", subset="cat(bed)", view=view)
    members = {
        row[0]
        for row in sl.open(filled)
        .sql(
            "select i.external_id from membership m join item i using (item_id) join subset s using (subset_id) "
            "where s.name = 'cat(bed)'"
        )
        .rows()
    }
    (grid,) = grids(at)
    assert len(grid["items"]) == (8 if view == "neighbours" else 24)
    assert {one["id"] for one in grid["items"]} <= members


@pytest.mark.parametrize(("kind", "sides"), [("moves", 2), ("flows", 2), ("nearest", 2), ("witness", 1)])
def test_a_pair_shows_the_items_that_tell_it_apart(page: Page, kind: str, sides: int) -> None:
    at = page("pair", dataset="pets", left="cat(bed)", right="cat(sofa)", why=kind)
    assert not at.exception
    some, *told = grids(at)[1:]
    assert len(some["items"]) == 8
    assert told
    assert all(len(one["pictures"]) <= sides for grid in told for one in grid["items"])
    assert any(len(one["pictures"]) == sides for grid in told for one in grid["items"])


@pytest.mark.parametrize("drawn", ["histogram", "ecdf", "quantiles"])
def test_a_pair_draws_the_distribution_of_the_feature_that_moved_most(page: Page, drawn: str) -> None:
    at = page("pair", dataset="pets", left="cat(bed)", right="cat(sofa)", why="features", drawn=drawn)
    assert not at.exception
    table = next(one.value for one in at.dataframe if "wasserstein" in one.value.columns)
    assert at.selectbox(key="pair_feature").value == table["feature"].iloc[0]
    assert f"--kind values --feature {table['feature'].iloc[0]}" in shown(at)
    assert any({"side", "item", "value"} <= set(one.value.columns) for one in at.dataframe)
