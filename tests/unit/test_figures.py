"""Figures: what is drawn for given rows, and the file formats."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from shiftlab import figures, matrix_figures
from shiftlab.report import Report, Section
from tests.unit.test_matrix_figures import NAMES, PAIRS


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


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
    chart = matrix_figures.matrix(PAIRS, NAMES, "distance")
    assert figures.image(chart, "png").startswith(b"\x89PNG")
    assert b"<svg" in figures.image(
        matrix_figures.with_tree(chart, matrix_figures.clustered(PAIRS, NAMES), "distance"), "svg"
    )
    assert json.loads(figures.image(chart, "json"))["$schema"].startswith(
        "https://vega.github.io/schema/vega-lite"
    )


def test_a_report_holds_everything_and_loads_nothing() -> None:
    section = Section(
        "All <pairs>",
        figure=matrix_figures.matrix(PAIRS, NAMES, "d"),
        alt='a "map"',
        table=PAIRS,
        command="x < y",
    )
    text = Report("Cats & dogs", {"seed": 0}, [section]).html().decode()
    assert len(text) < 5_000_000
    assert "All &lt;pairs&gt;" in text
    assert "<svg" in text
    assert "<td>cat(c)</td>" in text
    assert not any(loads in text for loads in ("<script", "src=", "<link", "@import", "url(http"))
