"""The meta-graph and the map of subsets: what is drawn for given rows."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from shiftlab import figures, subset_figures


def nodes(n: int, **columns: Any) -> pl.DataFrame:
    names = [f"cat(x{one})" for one in range(n)]
    plain = {"name": names, "context": names, "n": range(1, n + 1), "community": [0] * n,
             "x": [one / n for one in range(n)], "y": [(one * 7 % n) / n for one in range(n)]}  # fmt: skip
    return pl.DataFrame(plain | columns, strict=False)


@pytest.mark.parametrize("n", [1, 5, 40, 300])
@pytest.mark.parametrize("edges", [0, 3])
def test_every_node_has_a_place_of_its_own_inside_the_picture(n: int, edges: int) -> None:
    frame = nodes(n)
    names = frame["name"].to_list()
    joined = [(names[one], names[one + 1], 0.5) for one in range(min(edges, n - 1))]
    links = pl.DataFrame(
        joined, schema={"left_name": pl.String, "right_name": pl.String, "overlap": pl.Float64}, orient="row"
    )
    places = subset_figures.graph_places(frame, links)
    assert places["name"].to_list() == names
    assert places.select(pl.col("x", "y").is_between(0, 1).all()).row(0) == (True, True)
    assert places.select("x", "y").n_unique() == n


def test_a_map_makes_the_chosen_subsets_stand_out_by_a_ring_and_a_bold_label() -> None:
    plain = subset_figures.subset_map(nodes(4)).to_dict()
    chosen = subset_figures.subset_map(nodes(4), chosen=["cat(x1)", "cat(x2)"]).to_dict()

    def names(spec: dict[str, Any], layer: int) -> set[str]:
        return {row["name"] for row in spec["datasets"][spec["layer"][layer]["data"]["name"]]}

    assert len(chosen["layer"]) == len(plain["layer"]) + 1
    assert chosen["layer"][2]["mark"]["fontWeight"] == "bold"
    assert names(chosen, 2) == names(chosen, 3) == {"cat(x1)", "cat(x2)"}
    assert (
        chosen["layer"][0]["encoding"]["opacity"]["value"] < plain["layer"][0]["encoding"]["opacity"]["value"]
    )


def test_meta_graph_colours_communities_and_leaves_single_ones_grey() -> None:
    frame = nodes(4, community=[0, 0, 1, None])
    links = pl.DataFrame({"left_name": ["cat(x0)"], "right_name": ["cat(x1)"], "overlap": [0.4]})
    option = subset_figures.meta_graph(frame, links, selected="cat(x2)")
    last = len(figures.GROUP_COLOURS)
    assert [node["category"] for node in option["series"][0]["data"]] == [0, 0, last, last]
    assert option["series"][0]["data"][2]["itemStyle"]["borderColor"] == figures.MARK_COLOUR
    json.dumps(option, allow_nan=False)


def test_communities_are_nodes_with_the_edges_of_their_subsets() -> None:
    frame = nodes(6, community=[0, 0, 1, 1, 2, None])  # n is 1 to 6: the last two are alone
    ends = [
        ("cat(x0)", "cat(x1)", 0.9),
        ("cat(x1)", "cat(x2)", 0.3),
        ("cat(x3)", "cat(x0)", 0.4),
        ("cat(x3)", "cat(x5)", 0.2),
    ]
    edges = pl.DataFrame(ends, schema=["left_name", "right_name", "overlap"], orient="row")
    found, links = subset_figures.communities(frame, edges)
    told = found.select("name", "subsets", "n", "largest", "within", "across", "community").rows()
    assert told == [
        ("community 1", 2, 2, "cat(x1)", 1, 2, 0),
        ("community 2", 2, 2, "cat(x3)", 0, 3, 1),
        (subset_figures.ALONE, 2, 2, "cat(x5)", 0, 1, None),
    ]
    assert links.rows() == [("alone", "community 2", 0.2), ("community 1", "community 2", 0.4)]
    option = subset_figures.meta_graph(found, links)
    last = len(figures.GROUP_COLOURS)
    assert [node["category"] for node in option["series"][0]["data"]] == [0, 1, last]
    json.dumps(option, allow_nan=False)
    assert figures.image(subset_figures.meta_graph_drawing(found, links), "svg")
