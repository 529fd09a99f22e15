"""Figures of all pairs of subsets: heat maps in an order, with the tree that gives it, small and large."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shiftlab.figures import MARK_COLOUR, NO_VALUE_COLOUR, ON_CANVAS, OTHER_COLOUR

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

    from shiftlab.figures import Drawn

ALTAIR_CELLS = 100
"""Subsets up to which a matrix is drawn by Altair, which exports it as it is shown."""

UPPER = {"q": "q-value", "interval_width": "interval width"}
"""What the upper triangle may show in the place of the value: columns of the pairs, and how they are called."""
_LOWER, _UPPER = ", lower triangle", ", upper triangle"
_Q_STEPS = (0.01, 0.05, 0.1, 0.25)
_Q_LABELS = [*(f"\u2264 {one:g}" for one in _Q_STEPS), f"> {_Q_STEPS[-1]:g}"]
_VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_UPPER_COLOURS = [
    "#feedde",
    "#fdbe85",
    "#fd8d3c",
    "#e6550d",
    "#a63603",
]  # no hue of viridis; dark: wide, or a small q
_SIDES = {"left": 110, "right": 20}
_TREE_HEIGHT = 90
# What lies between the parentheses of cat(sofa): within one class the context says it all.
_CONTEXT = (
    "indexof(datum.label, '(') < 0 ? datum.label "
    ": slice(datum.label, indexof(datum.label, '(') + 1, length(datum.label) - 1)"
)


def matrix(
    pairs: pl.DataFrame,
    order: Sequence[str],
    title: str,
    *,
    selected: Sequence[str] = (),
    upper: str = "",
) -> Drawn:
    """Heat map of all pairs of subsets of one class, a cell a pair, clicks as the selection ``cell``.

    `pairs`: left_name, right_name, value (null where undefined), one row per unordered pair; further columns
    n_left, n_right, p, note are told in the tooltip. `order`: names of the subsets along both axes.
    `selected`: the two names of a pair to be marked. `upper`: a column of `UPPER` that the upper triangle shows.
    """
    import altair as alt

    marked = " || ".join(
        f"(datum.left_name === {json.dumps(a)} && datum.right_name === {json.dumps(b)})"
        for a, b in (selected, tuple(selected)[::-1])
    ) if len(selected) == 2 else "false"  # fmt: skip
    parts = halves(pairs, order, upper)
    colours = [_value_colour(title, upper), *([_upper_colour(upper)] if upper else [])]
    drawn = [
        _cells(part, order, _told(part, title, upper), column, colour, marked)
        for part, column, colour in zip(parts, ("value", upper), colours, strict=False)
    ]
    drawn[0] = drawn[0].add_params(alt.selection_point(name="cell", fields=["left_name", "right_name"]))
    chart = alt.layer(*drawn).resolve_scale(color="independent") if upper else drawn[0]
    side = max(260, min(760, 17 * len(order)))
    return chart.properties(height=side + 110, width=side, usermeta=ON_CANVAS)


def _cells(
    cells: pl.DataFrame,
    order: Sequence[str],
    told: list[alt.Tooltip],
    column: str,
    colour: alt.Color,
    marked: str,
) -> alt.Chart:
    """A rectangle a cell, coloured by `column`; those where the expression `marked` holds have a frame."""
    import altair as alt

    axis = alt.Axis(labelExpr=_CONTEXT, labelFontSize=_label_size(len(order)), labelLimit=110, title=None, grid=False,
                    domain=False, ticks=False, labelOverlap=False)  # fmt: skip
    place: dict[str, Any] = {"sort": None, "scale": alt.Scale(domain=list(order), paddingInner=0.04)}
    # The test for no value comes first: Vega-Lite would paint such cells as the least value, or leave them out.
    filled = alt.when(f"!isValid(datum.{column})").then(alt.value(NO_VALUE_COLOUR)).otherwise(colour)
    return (
        alt.Chart(cells)
        .mark_rect(cursor="pointer", stroke=MARK_COLOUR, invalid="show")
        .transform_calculate(marked=f"({marked}) ? 1 : 0")
        .encode(
            x=alt.X("right_name:N", axis=axis.copy(), **place),
            y=alt.Y("left_name:N", axis=axis.copy(), **place),
            color=filled,
            strokeWidth=alt.when(marked).then(alt.value(3)).otherwise(alt.value(0)),
            order=alt.Order("marked:Q"),
            tooltip=told,
        )
    )


def _value_colour(title: str, upper: str) -> alt.Color:
    import altair as alt

    # Two legends share the width of one.
    style: dict[str, Any] = (
        {"gradientLength": 150} if upper else {"gradientLength": 260, "titleOrient": "left"}
    )
    legend = alt.Legend(orient="top", format=".3~g", **style)
    return alt.Color(
        "value:Q", title=f"{title}{_LOWER if upper else ''}", scale=alt.Scale(scheme="viridis"), legend=legend
    )


def _upper_colour(upper: str) -> alt.Color:
    import altair as alt

    title = f"{UPPER[upper]}{_UPPER}"
    if upper == "q":
        scale = alt.Scale(domain=_Q_LABELS, range=_UPPER_COLOURS[::-1])
        legend = alt.Legend(orient="top", columns=5, symbolStrokeWidth=0)
        return alt.Color("level:O", title=title, scale=scale, legend=legend)
    legend = alt.Legend(orient="top", format=".3~g", gradientLength=150)
    return alt.Color(f"{upper}:Q", title=title, scale=alt.Scale(range=_UPPER_COLOURS), legend=legend)


def _told(cells: pl.DataFrame, title: str, upper: str) -> list[alt.Tooltip]:
    """What a tooltip tells; where the triangles differ, which of them shows what."""
    import altair as alt

    titles = {"value": f"{title}{_LOWER}", upper: f"{UPPER[upper]}{_UPPER}"} if upper else {}
    names = [
        "left_name",
        "right_name",
        "value",
        *([upper] if upper else []),
        "n_left",
        "n_right",
        "p",
        "note",
    ]
    return [
        alt.Tooltip(
            name,
            title=titles.get(name, name.replace("_", " ")),
            format=".3~g" if cells[name].dtype.is_float() else alt.Undefined,
        )
        for name in names
        if name in cells.columns
    ]


@dataclass(frozen=True)
class Tree:
    """Subsets clustered by average linkage: `order` of the leaves, and `lines` (x, x2, y, y2) that draw the tree.

    A leaf at place i of the order stands at x = i + 0.5; y is the height of a merge: a distance, which is 1 less the
    value of a `similarity`.
    """

    order: list[str]
    lines: pl.DataFrame
    similarity: bool = False

    def height(self, title: str) -> str:
        """What the heights are, where values are called `title`."""
        return f"1 - {title}" if self.similarity else title


def clustered(pairs: pl.DataFrame, names: Sequence[str], *, similarity: bool = False) -> Tree:
    """The optimal leaf order of the distances in `pairs` (left_name, right_name, value).

    `similarity`: values are 1 for the same and 0 for nothing in common. A pair without a value counts as far as the
    farthest. Bar-Joseph et al. 2001 (leaf order).
    """
    import numpy as np
    import polars as pl
    from scipy.cluster.hierarchy import dendrogram, linkage

    at = {name: number for number, name in enumerate(names)}
    values = pairs["value"].cast(pl.Float64).to_numpy()
    farthest = np.nanmax(values, initial=0.0)
    distance = np.full((len(names), len(names)), 1.0 if similarity else farthest)
    left, right = ([at[one] for one in pairs[c]] for c in ("left_name", "right_name"))
    known = np.where(np.isnan(values), 0.0 if similarity else farthest, values)
    distance[left, right] = distance[right, left] = 1.0 - known if similarity else known
    upper = np.triu_indices(len(names), 1)
    merges = linkage(distance[upper], method="average", optimal_ordering=True)
    drawn = dendrogram(merges, no_plot=True)
    lines = [
        (xs[k] / 10, xs[k + 1] / 10, ys[k], ys[k + 1])
        for xs, ys in zip(drawn["icoord"], drawn["dcoord"], strict=True)
        for k in range(3)
    ]
    schema = ["x", "x2", "y", "y2"]
    order = [names[one] for one in drawn["leaves"]]
    return Tree(order, pl.DataFrame(lines, schema=schema, orient="row"), similarity)


def with_tree(heat_map: Drawn, tree: Tree, title: str) -> alt.VConcatChart:
    """The tree above the matrix whose columns stand in its order."""
    import altair as alt

    scale = alt.Scale(domain=[0, len(tree.order)], nice=False)
    height = alt.Y("y:Q", title=tree.height(title), axis=alt.Axis(tickCount=3, grid=False))
    lines = alt.Chart(tree.lines).mark_rule(color=OTHER_COLOUR, strokeWidth=1.3)
    drawn = lines.encode(x=alt.X("x:Q", axis=None, scale=scale), x2="x2:Q", y=height, y2="y2:Q")
    below = heat_map.copy(deep=False)
    below.usermeta = alt.Undefined
    top = drawn.properties(width=below.width, height=70)
    return alt.vconcat(top, below.properties(height=below.width), spacing=4).properties(usermeta=ON_CANVAS)


def large_matrix(
    pairs: pl.DataFrame, order: Sequence[str], title: str, *, tree: Tree | None = None, upper: str = ""
) -> dict[str, Any]:
    """The same as an ECharts option, for more than `ALTAIR_CELLS` subsets, with the tree above it.

    Series i shows the rows of part i of `halves`; the tree is the last.
    """
    import polars as pl

    short = _short(order)
    sides = [pl.col(c).replace_strict(short, default=pl.col(c)) for c in ("right_name", "left_name")]
    columns = ["value", upper] if upper else ["value"]
    parts = [
        part.select(*sides, pl.col(one).round_sig_figs(4))  # the tooltip tells them as they are
        for part, one in zip(halves(pairs, order, upper), columns, strict=True)
    ]
    titles = [f"{title}{_LOWER}", f"{UPPER[upper]}{_UPPER}"] if upper else [title]
    legends = [_large_legend(part[one], one, titles[i] if upper else "", i)
               for i, (part, one) in enumerate(zip(parts, columns, strict=True))]  # fmt: skip
    top, bottom = (_TREE_HEIGHT + 20 if tree else 10), 130 + (50 if upper else 0)
    label = {"fontSize": 8, "interval": "auto"}
    axis: dict[str, Any] = {"type": "category", "data": list(short.values()), "axisLabel": label}
    option: dict[str, Any] = {
        "animation": False,
        "tooltip": {},
        "grid": [{**_SIDES, "top": top, "bottom": bottom}],
        "xAxis": [{**axis, "axisLabel": {**label, "rotate": 90}}],
        "yAxis": [{**axis, "inverse": True}],
        "visualMap": legends,
        "dataset": [{"source": one} for one in parts],
        "series": [
            _large_cells(i, one, told) for i, (one, told) in enumerate(zip(columns, titles, strict=True))
        ],
    }
    return _with_large_tree(option, tree, title) if tree else option


def _large_cells(number: int, column: str, title: str) -> dict[str, Any]:
    return {
        "type": "heatmap", "datasetIndex": number, "selectedMode": "single", "progressive": 0,
        "encode": {"x": "right_name", "y": "left_name", "value": column},
        "tooltip": {"formatter": f"{{@left_name}} and {{@right_name}}<br>{title} {{@{column}}}"},
    }  # fmt: skip


def _large_legend(values: pl.Series, column: str, title: str, number: int) -> dict[str, Any]:
    """What the colours of series `number` mean; the second stands above the first."""
    place = {
        "orient": "horizontal",
        "left": "center",
        "bottom": 60 * number,
        "seriesIndex": number,
        "dimension": 2,
    }
    if column == "q":
        bounds = [{"lte": one} for one in _Q_STEPS] + [{}]
        pieces = [
            {"gt": low, **bound, "label": label, "color": colour}
            for low, bound, label, colour in zip(
                (-1, *_Q_STEPS), bounds, _Q_LABELS, _UPPER_COLOURS[::-1], strict=True
            )
        ]
        small = {"itemWidth": 12, "itemGap": 6, "textGap": 4, "textStyle": {"fontSize": 10}}
        return {
            **place,
            **small,
            "type": "piecewise",
            "pieces": pieces,
            "text": [title, ""],
            "showLabel": True,
        }
    finite = values.drop_nulls().to_numpy()
    return {
        **place, "calculable": True, "precision": 3, "text": [title, ""],
        "min": float(finite.min()) if len(finite) else 0.0, "max": float(finite.max()) if len(finite) else 1.0,
        "inRange": {"color": list(_VIRIDIS if column == "value" else _UPPER_COLOURS)},
    }  # fmt: skip


def _with_large_tree(option: dict[str, Any], tree: Tree, title: str) -> dict[str, Any]:
    """The option with the tree in a grid of its own above the matrix, whose columns stand in its order."""
    ends: list[list[float | None]] = []
    for x, x2, y, y2 in tree.lines.select("x", "x2", "y", "y2").iter_rows():
        ends += [[x, y], [x2, y2], [x2, None]]  # nothing lifts the pen
    inside = {"gridIndex": 1, "type": "value"}
    height = {**inside, "name": tree.height(title), "nameLocation": "middle", "nameGap": 45, "splitNumber": 2,
              "splitLine": {"show": False}, "axisLabel": {"fontSize": 8}}  # fmt: skip
    lines = {"type": "line", "xAxisIndex": 1, "yAxisIndex": 1, "data": ends, "symbol": "none", "silent": True,
             "lineStyle": {"color": OTHER_COLOUR, "width": 1}, "tooltip": {"show": False}}  # fmt: skip
    return option | {
        "grid": [*option["grid"], {**_SIDES, "top": 10, "height": _TREE_HEIGHT}],
        "xAxis": [*option["xAxis"], {**inside, "show": False, "min": 0, "max": len(tree.order)}],
        "yAxis": [*option["yAxis"], height],
        "series": [*option["series"], lines],
    }


def _short(names: Sequence[str]) -> dict[str, str]:
    """What lies between the parentheses of each name, where that still tells them apart."""
    short = {
        name: name[name.index("(") + 1 : -1] if name.endswith(")") and "(" in name else name for name in names
    }
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def square(pairs: pl.DataFrame) -> pl.DataFrame:
    """Both halves of a symmetric matrix from one row per unordered pair."""
    import polars as pl

    swap = {"left_name": "right_name", "right_name": "left_name", "n_left": "n_right", "n_right": "n_left"}
    other = pairs.rename({a: b for a, b in swap.items() if a in pairs.columns}).select(pairs.columns)
    return pl.concat([pairs, other])


def halves(pairs: pl.DataFrame, order: Sequence[str], upper: str = "") -> list[pl.DataFrame]:
    """The cells of a matrix: all in one part or, where the upper triangle shows `upper`, the lower and the upper one.

    Rows are left_name, columns right_name. With ``q`` the column ``level`` says how small it is.
    """
    import polars as pl

    cells = square(pairs)
    if not upper:
        return [cells]
    at = {name: number for number, name in enumerate(order)}
    across, down = (pl.col(c).replace_strict(at, return_dtype=pl.Int64) for c in ("right_name", "left_name"))
    if upper == "q":
        within = (pl.when(pl.col("q") <= one) for one in (*_Q_STEPS, float("inf")))
        levels = [one.then(pl.lit(label)) for one, label in zip(within, _Q_LABELS, strict=True)]
        cells = cells.with_columns(level=pl.coalesce(levels))
    return [cells.filter(across < down), cells.filter(across > down)]


def _label_size(n: int) -> int:
    return 11 if n <= 40 else 9 if n <= 70 else 7
