"""Figures: what is drawn for given rows, and the file formats."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from shiftlab import figures
from shiftlab.report import Report, Section

NAMES = ["cat(a)", "cat(b)", "cat(c)", "cat(d)"]
PAIRS = pl.DataFrame(
    {
        "left_name": ["cat(a)", "cat(a)", "cat(a)", "cat(b)", "cat(b)", "cat(c)"],
        "right_name": ["cat(b)", "cat(c)", "cat(d)", "cat(c)", "cat(d)", "cat(d)"],
        "value": [1.0, 8.0, 9.0, 8.0, 9.0, 2.0],
        "n_left": [10, 10, 10, 20, 20, 30],
        "n_right": [20, 30, 40, 30, 40, 40],
    }
)


def nodes(n: int, **columns: Any) -> pl.DataFrame:
    names = [f"cat(x{one})" for one in range(n)]
    plain = {"name": names, "context": names, "n": range(1, n + 1), "community": [0] * n,
             "x": [one / n for one in range(n)], "y": [(one * 7 % n) / n for one in range(n)]}  # fmt: skip
    return pl.DataFrame(plain | columns, strict=False)


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_square_holds_each_pair_both_ways_with_its_sides_swapped() -> None:
    both = figures.square(PAIRS)
    assert len(both) == 2 * len(PAIRS)
    swapped = both.filter((pl.col("left_name") == "cat(d)") & (pl.col("right_name") == "cat(c)")).row(
        0, named=True
    )
    assert (swapped["value"], swapped["n_left"], swapped["n_right"]) == (2.0, 40, 30)


def test_matrix_marks_the_selected_pair_and_keeps_the_order() -> None:
    order = NAMES[::-1]
    spec = figures.matrix(PAIRS, order, "distance", selected=("cat(b)", "cat(a)")).to_dict()
    assert spec["encoding"]["x"]["scale"]["domain"] == order
    assert '"cat(b)"' in spec["transform"][0]["calculate"]


def test_clustered_puts_near_subsets_beside_each_other() -> None:
    tree = figures.clustered(PAIRS, NAMES)
    assert {frozenset(tree.order[:2]), frozenset(tree.order[2:])} == {
        frozenset({"cat(a)", "cat(b)"}),
        frozenset({"cat(c)", "cat(d)"}),
    }
    assert tree.lines["y2"].max() == pytest.approx(8.5)  # average linkage of 8, 8, 9, 9


def test_clustered_takes_a_missing_pair_as_the_farthest_and_turns_similarities() -> None:
    missing = PAIRS.with_columns(value=pl.when(pl.col("value") == 9).then(None).otherwise(pl.col("value")))
    assert figures.clustered(missing, NAMES).lines["y2"].max() == pytest.approx(8.0)
    alike = PAIRS.with_columns(value=pl.col("value") / 10)
    tree = figures.clustered(alike, NAMES, similarity=True)
    assert tree.lines["y2"].max() > tree.lines["y2"].min()


@pytest.mark.parametrize("n", [1, 5, 40, 300])
@pytest.mark.parametrize("edges", [0, 3])
def test_every_node_has_a_place_of_its_own_inside_the_picture(n: int, edges: int) -> None:
    frame = nodes(n)
    names = frame["name"].to_list()
    joined = [(names[one], names[one + 1], 0.5) for one in range(min(edges, n - 1))]
    links = pl.DataFrame(
        joined, schema={"left_name": pl.String, "right_name": pl.String, "overlap": pl.Float64}, orient="row"
    )
    places = figures.graph_places(frame, links)
    assert places["name"].to_list() == names
    assert places.select(pl.col("x", "y").is_between(0, 1).all()).row(0) == (True, True)
    assert places.select("x", "y").n_unique() == n


def test_meta_graph_colours_communities_and_leaves_single_ones_grey() -> None:
    frame = nodes(4, community=[0, 0, 1, None])
    links = pl.DataFrame({"left_name": ["cat(x0)"], "right_name": ["cat(x1)"], "overlap": [0.4]})
    option = figures.meta_graph(frame, links, selected="cat(x2)")
    last = len(figures.GROUP_COLOURS)
    assert [node["category"] for node in option["series"][0]["data"]] == [0, 0, last, last]
    assert option["series"][0]["data"][2]["itemStyle"]["borderColor"] == figures.MARK_COLOUR
    json.dumps(option, allow_nan=False)


def test_large_matrix_spans_the_values() -> None:
    option = figures.large_matrix(PAIRS, NAMES, "distance")
    assert (option["visualMap"]["min"], option["visualMap"]["max"]) == (1.0, 9.0)


def test_against_chance_is_a_share_of_the_value() -> None:
    scores = pl.DataFrame(
        {"label": ["a", "b"], "value": [2.0, None], "ci_low": [1.0, None], "ci_high": [3.0, None],
         "null_mean": [0.2, None], "null_q95": [0.5, None], "null_quantiles": [[0.1, 0.2, 0.6], None]}
    )  # fmt: skip
    drawn = rows_of(figures.against_chance(scores))
    values = [row for row in drawn if "ci_low_share" in row]
    assert [(row["ci_low_share"], row["null_q95_share"]) for row in values] == [(0.5, 0.25)]
    assert [row["null_quantiles"] for row in drawn if "ci_low_share" not in row] == [0.05, 0.1, 0.3]


@pytest.mark.parametrize(
    ("frame", "mark"),
    [
        (pl.DataFrame({"a.b[c]": ["x", "y"], "n": [1, 2]}), "bar"),
        (pl.DataFrame({"u": [1.0, 2.0], "v": [3.0, 4.0]}), "point"),
        (pl.DataFrame({"u": [1.0, 2.0]}), "bar"),
        (pl.DataFrame({"u": ["x", "y"]}), None),
        (pl.DataFrame({"u": [1]}), None),
    ],
)
def test_a_chart_of_any_rows(frame: pl.DataFrame, mark: str | None) -> None:
    drawn = figures.of_rows(frame)
    assert (drawn.to_dict()["mark"]["type"] if drawn is not None else None) == mark


def test_figures_become_files() -> None:
    chart = figures.matrix(PAIRS, NAMES, "distance")
    assert figures.image(chart, "png").startswith(b"\x89PNG")
    assert b"<svg" in figures.image(
        figures.with_tree(chart, figures.clustered(PAIRS, NAMES), "distance"), "svg"
    )
    assert json.loads(figures.image(chart, "json"))["$schema"].startswith(
        "https://vega.github.io/schema/vega-lite"
    )


def test_a_report_holds_everything_and_loads_nothing() -> None:
    section = Section(
        "All <pairs>", figure=figures.matrix(PAIRS, NAMES, "d"), alt='a "map"', table=PAIRS, command="x < y"
    )
    text = Report("Cats & dogs", {"seed": 0}, [section]).html().decode()
    assert len(text) < 5_000_000
    assert "All &lt;pairs&gt;" in text
    assert "<svg" in text
    assert "<td>cat(c)</td>" in text
    assert not any(loads in text for loads in ("<script", "src=", "<link", "@import", "url(http"))
