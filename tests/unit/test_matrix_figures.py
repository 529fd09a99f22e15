"""Heat maps of all pairs: what is drawn for given rows."""

from __future__ import annotations

import polars as pl
import pytest

from shiftlab import matrix_figures

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


def test_large_matrix_spans_the_values() -> None:
    option = matrix_figures.large_matrix(PAIRS, NAMES, "distance")
    assert (option["visualMap"]["min"], option["visualMap"]["max"]) == (1.0, 9.0)
