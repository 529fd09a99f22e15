"""The page of items: its filters alone and together, what is copied from it, and what it tells of its making."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import parse_qs

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

import shiftlab as sl
from shiftlab import subsets
from tests.app.conftest import CONTEXTS, Page, shown
from tests.conftest import Cli

BED, ODD = "cat(bed)", f"cat({CONTEXTS[2]})"
FILTERS = [
    {"where": "len(objects) = 3"},
    {"subset": ODD},
    {"object": "lamp", "starts": "1"},
    {"where": "list_contains(objects, 'lamp') -- with light", "subset": BED, "starts": "3"},
    {"where": "len(objects) > 2 or item = '7'", "object": "dog", "subset": f"dog({CONTEXTS[0]})"},
]


def listed(at: AppTest) -> list[str]:
    """The ids of the page's table."""
    found = [one.value for one in at.dataframe if "item" in one.value.columns]
    return list(found[0]["item"]) if found else []


def told(at: AppTest) -> str:
    return next(one.value for one in at.caption if " of " in one.value and one.value[0].isdigit())


def expected(catalog: sl.Catalog, given: dict[str, str]) -> list[str]:
    """The same by the Python API and polars."""
    frame = subsets.list_items(
        catalog.store, "pets", where=given.get("where"), subset=given.get("subset"), shows=given.get("object")
    )
    return frame.filter(pl.col("item").str.starts_with(given.get("starts", "")))["item"].to_list()


@pytest.mark.parametrize("given", FILTERS)
def test_filters_are_restored_cold_and_count_what_fits(
    page: Page, filled: Path, given: dict[str, str]
) -> None:
    at = page("items", dataset="pets", view="table", per_page="500", **given)
    assert not at.exception
    assert not at.error
    assert not at.warning
    want = expected(sl.open(filled), given)
    assert listed(at) == want
    assert 0 < len(want) < 420
    assert told(at) == f"1 to {len(want)} of {len(want)}."


@pytest.mark.parametrize("given", FILTERS)
def test_what_is_copied_gives_the_same_rows(
    page: Page, filled: Path, cli: Cli, given: dict[str, str]
) -> None:
    at = page("items", dataset="pets", view="table", per_page="500", **given)
    codes = [one.value for one in at.code]
    sql = next(one for one in codes if one.startswith("from items"))
    command = next(one for one in codes if "items list" in one)
    python = next(one for one in codes if "subsets.list_items" in one)
    want = listed(at)
    catalog = sl.open(filled)
    assert catalog.sql(sql).pl()["item"].to_list() == want
    done = cli(*shlex.split(command)[1:], "--format", "ndjson")
    assert pl.read_ndjson(done.stdout.encode())["item"].cast(pl.String).to_list() == want
    *lines, last = python.splitlines()
    names: dict = {}
    exec("\n".join(lines), names)
    assert eval(last, names)["item"].to_list() == want


def test_pages_follow_the_filter(page: Page) -> None:
    words = {"dataset": "pets", "view": "table", "where": "len(objects) = 2"}
    first, second = page("items", **words), page("items", **words, page="2")
    assert not {*listed(first)} & {*listed(second)}
    assert told(second).startswith("51 to 100 of ")
    away = page("items", **words, page="99")
    assert any("page '99'" in one.value for one in away.warning)


def test_a_new_filter_starts_at_the_first_page(page: Page, filled: Path) -> None:
    at = page("items", dataset="pets", view="table", page="3")
    at.text_input(key="items_where").set_value("len(objects) = 2").run()
    assert told(at).startswith("1 to 50 of ")
    at.selectbox(key="items_subset").select(BED).run()
    assert not at.exception
    assert set(listed(at)) < set(expected(sl.open(filled), {"subset": BED}))


@pytest.mark.parametrize(
    "where",
    [
        "n > ; drop table item",
        "true) or (true",
        "true) limit (1",
        "true) union all (from items",
        "nothing = 1",
        "item in (select content from read_text('/etc/passwd'))",
        "exists (from read_csv('/etc/passwd'))",
        "(delete from item) is null",
        "getenv('HOME') = ''",
    ],
)
def test_a_filter_that_is_refused_tells_why_and_lists_nothing(page: Page, filled: Path, where: str) -> None:
    at = page("items", dataset="pets", where=where, item="1")
    assert not at.exception
    assert "refused" in at.error[0].value
    assert listed(at) == []
    assert "No item fits" in shown(at)
    assert any(one.value == "Item 1" for one in at.header)  # the rest of the page stands
    assert sl.open(filled).sql("select count(*) from item where dataset = 'pets'").rows() == [(420,)]


def test_nothing_fits(page: Page) -> None:
    at = page("items", dataset="pets", where="len(objects) > 50")
    assert not at.error
    assert "No item fits" in shown(at)


def test_a_data_set_without_items_says_where_they_come_from(page: Page) -> None:
    at = page("items", dataset="reach")
    assert not at.exception
    assert "No items in reach" in shown(at)
    assert "ingest images annotations.json --dataset reach" in shown(at)


def test_another_data_set_takes_the_filters_of_the_first_out_of_the_link(page: Page) -> None:
    at = page("items", dataset="pets", object="lamp", subset=BED, item="1")
    at.selectbox(key="items_dataset").select("reach").run()
    assert not at.exception
    assert not at.warning


def test_a_subset_leads_to_its_items(page: Page) -> None:
    at = page("subsets", dataset="pets", class_="cat", subset=ODD, view="items")
    links = [one.proto for one in at.get("page_link") if one.proto.label == "Filter them"]
    assert [(one.page, parse_qs(one.query_string)) for one in links] == [
        ("items", {"dataset": ["pets"], "subset": [ODD]})
    ]


def test_the_list_tells_the_run_that_brought_it_and_the_subsets_that_of_their_build(page: Page) -> None:
    at = page("items", dataset="pets", item="1")
    text = shown(at)
    assert "**Items listed**  420" in text
    assert "ingest images (run 1), ingest vectors (run 2), ingest pictures (run 3)" in text
    assert "**Run** 1: `ingest images`" in text
    assert "**Run** 4: `subsets build`" in text
    assert "by run 4" in text
    assert any("images.parquet" in one.value for one in at.json)  # parameters and hashes


def test_cards_tell_what_they_were_built_from(page: Page) -> None:
    at = page("cards", card="coco14_image_labels")
    assert not at.exception
    assert "**Computed by**  `shiftlab cards build`" in shown(at)
    assert "82,081 and 40,137, 199 permutations" in shown(at)
    assert "sha256 `" in shown(at)
