"""Classes of more subsets than a chart holds well: communities in the place of subsets."""

from __future__ import annotations

import json
from pathlib import Path

import shiftlab as sl
from tests.app.conftest import Page, shown

WORDS = {"dataset": "crowd", "class_": "stuff"}


def names(at: object) -> list[str]:
    """The nodes of the meta-graph that a page shows."""
    option = json.loads(at.get("echarts_chart")[0].proto.spec)  # type: ignore[attr-defined]
    return [node["name"] for node in option["series"][0]["data"]]


def test_a_large_meta_graph_has_a_node_for_each_community(page: Page, crowded: Path) -> None:
    at = page("subsets", crowded, **WORDS, subset="stuff(place 155)")
    assert not at.exception
    assert not at.warning
    drawn = names(at)
    table = next(one.value for one in at.dataframe if "across" in one.value.columns)
    assert list(table["community"]) == drawn
    assert len(drawn) == 31
    assert table["subsets"].sum() == 310
    (query,) = {one.value for one in at.code if one.value.startswith("select if(together")}
    rows = sl.open(crowded).sql(query).rows()
    assert rows == [tuple(row) for row in table[["community", "subsets", "largest"]].itertuples(index=False)]


def test_a_link_narrows_the_meta_graph_to_a_community(page: Page, crowded: Path) -> None:
    at = page("subsets", crowded, **WORDS, community="community 3")
    assert not at.exception
    assert set(names(at)) == {f"stuff(place 02{one})" for one in range(10)}
    assert "10 subsets, 9 edges, 1 community" in shown(at)


def test_a_community_that_is_not_there_is_told(page: Page, crowded: Path) -> None:
    at = page("subsets", crowded, **WORDS, community="community 99")
    assert "community 99" in at.warning[0].value
    assert len(names(at)) == 31


def test_a_smaller_class_shows_each_subset(page: Page, crowded: Path) -> None:
    at = page("subsets", crowded, dataset="crowd", class_="thing")
    assert len(names(at)) == 120
    assert not [one for one in at.selectbox if one.label == "Community"]
