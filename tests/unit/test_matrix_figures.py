"""Heat maps of all pairs: what is drawn for given rows."""

from __future__ import annotations

import json

import polars as pl
import pytest

from shiftlab import figures, matrix_figures

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


def test_square_holds_each_pair_both_ways_with_its_sides_swapped() -> None:
    both = matrix_figures.square(PAIRS)
    assert len(both) == 2 * len(PAIRS)
    swapped = both.filter((pl.col("left_name") == "cat(d)") & (pl.col("right_name") == "cat(c)")).row(
        0, named=True
    )
    assert (swapped["value"], swapped["n_left"], swapped["n_right"]) == (2.0, 40, 30)


def test_matrix_marks_the_selected_pair_and_keeps_the_order() -> None:
    order = NAMES[::-1]
    spec = matrix_figures.matrix(PAIRS, order, "distance", selected=("cat(b)", "cat(a)")).to_dict()
    assert spec["encoding"]["x"]["scale"]["domain"] == order
    assert '"cat(b)"' in spec["transform"][0]["calculate"]


def test_clustered_puts_near_subsets_beside_each_other() -> None:
    tree = matrix_figures.clustered(PAIRS, NAMES)
    assert {frozenset(tree.order[:2]), frozenset(tree.order[2:])} == {
        frozenset({"cat(a)", "cat(b)"}),
        frozenset({"cat(c)", "cat(d)"}),
    }
    assert tree.lines["y2"].max() == pytest.approx(8.5)  # average linkage of 8, 8, 9, 9


def test_clustered_takes_a_missing_pair_as_the_farthest_and_turns_similarities() -> None:
    missing = PAIRS.with_columns(value=pl.when(pl.col("value") == 9).then(None).otherwise(pl.col("value")))
    assert matrix_figures.clustered(missing, NAMES).lines["y2"].max() == pytest.approx(8.0)
    alike = PAIRS.with_columns(value=pl.col("value") / 10)
    tree = matrix_figures.clustered(alike, NAMES, similarity=True)
    assert tree.lines["y2"].max() > tree.lines["y2"].min()
    spec = matrix_figures.with_tree(
        matrix_figures.matrix(alike, tree.order, "overlap"), tree, "overlap"
    ).to_dict()
    assert spec["vconcat"][0]["encoding"]["y"]["title"] == "1 - overlap"


def test_large_matrix_spans_the_values() -> None:
    option = matrix_figures.large_matrix(PAIRS, NAMES, "distance")
    assert (option["visualMap"][0]["min"], option["visualMap"][0]["max"]) == (1.0, 9.0)


TESTED = PAIRS.with_columns(
    q=pl.Series([0.01, 0.02, 0.3, None, 0.05, 0.1]), interval_width=pl.Series([0.5, None, 1.0, 2.0, 0.1, 0.2])
)


@pytest.mark.parametrize("upper", matrix_figures.UPPER)
def test_halves_split_at_the_diagonal_of_the_order(upper: str) -> None:
    order = NAMES[::-1]
    lower, above = matrix_figures.halves(TESTED, order, upper)
    for part, sign in ((lower, -1), (above, 1)):
        assert len(part) == len(TESTED)
        for left, right in part.select("left_name", "right_name").iter_rows():
            assert sign * (order.index(right) - order.index(left)) > 0
    assert len(matrix_figures.halves(TESTED, order)[0]) == 2 * len(TESTED)


def test_levels_of_q_hold_their_bounds() -> None:
    _, above = matrix_figures.halves(TESTED, NAMES, "q")
    levels = dict(above.select("q", "level").iter_rows())
    assert levels == {
        0.01: "\u2264 0.01", 0.02: "\u2264 0.05", 0.05: "\u2264 0.05", 0.1: "\u2264 0.1", 0.3: "> 0.25", None: None,
    }  # fmt: skip


@pytest.mark.parametrize("upper", matrix_figures.UPPER)
def test_triangles_have_legends_and_tooltips_that_say_which_is_which(upper: str) -> None:
    title = matrix_figures.UPPER[upper]
    spec = matrix_figures.matrix(TESTED, NAMES, "distance", upper=upper).to_dict()
    colours = [layer["encoding"]["color"] for layer in spec["layer"]]
    assert [one["title"] for one in colours] == ["distance, lower triangle", f"{title}, upper triangle"]
    assert spec["resolve"]["scale"]["color"] == "independent"
    for layer in spec["layer"]:
        told = {one["field"]: one["title"] for one in layer["encoding"]["tooltip"]}
        assert (told["value"], told[upper]) == ("distance, lower triangle", f"{title}, upper triangle")
    option = matrix_figures.large_matrix(TESTED, NAMES, "distance", upper=upper)
    assert [one["text"][0] for one in option["visualMap"]] == [
        "distance, lower triangle",
        f"{title}, upper triangle",
    ]
    assert [one["seriesIndex"] for one in option["visualMap"]] == [0, 1]
    for series, told in zip(
        option["series"], ("distance, lower triangle", f"{title}, upper triangle"), strict=True
    ):
        assert told in series["tooltip"]["formatter"]


@pytest.mark.parametrize("upper", ["", *matrix_figures.UPPER])
def test_large_matrix_has_the_tree_in_its_order(upper: str) -> None:
    tree = matrix_figures.clustered(TESTED, NAMES)
    option = matrix_figures.large_matrix(TESTED, tree.order, "distance", tree=tree, upper=upper)
    assert option["xAxis"][0]["data"] == [one[4:-1] for one in tree.order]
    assert (option["xAxis"][1]["min"], option["xAxis"][1]["max"]) == (0, len(NAMES))
    lines = option["series"][-1]
    assert lines["type"] == "line"
    ends = [tuple(map(tuple, lines["data"][k : k + 2])) for k in range(0, len(lines["data"]), 3)]
    assert ends == [((x, y), (x2, y2)) for x, x2, y, y2 in tree.lines.iter_rows()]
    assert all(y is None for _, y in lines["data"][2::3])  # the pen is lifted between two lines
    leaves = {x for x, y in lines["data"] if y == 0}
    assert leaves == {0.5, 1.5, 2.5, 3.5}
    json.dumps({k: v for k, v in option.items() if k != "dataset"}, allow_nan=False)


@pytest.mark.parametrize(("upper", "empty"), [("", 4), ("q", 3), ("interval_width", 3)])
def test_cells_without_a_number_are_drawn_and_grey(upper: str, empty: int) -> None:
    missing = TESTED.with_columns(value=pl.when(pl.col("value") == 9).then(None).otherwise(pl.col("value")))
    drawn = figures.image(matrix_figures.matrix(missing, NAMES, "distance", upper=upper), "svg").decode()
    assert drawn.count('aria-roledescription="rect mark"') == 12
    assert drawn.count(f'fill="{figures.NO_VALUE_COLOUR}"') == empty
