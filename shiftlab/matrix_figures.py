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
    signed: bool = False,
    selected: Sequence[str] = (),
) -> Drawn:
    """Heat map of all pairs of subsets of one class, a cell a pair, clicks as the selection ``cell``.

    `pairs`: left_name, right_name, value (null where undefined), one row per unordered pair; further columns
    n_left, n_right, p, note are told in the tooltip. `order`: names of the subsets along both axes.
    `selected`: the two names of a pair to be marked.
    """
    import altair as alt

    cells = square(pairs)
    scale = alt.Scale(scheme="blueorange", domainMid=0) if signed else alt.Scale(scheme="viridis")
    click = alt.selection_point(name="cell", fields=["left_name", "right_name"])
    colour = alt.when("isValid(datum.value)").then(
        alt.Color(
            "value:Q",
            title=title,
            scale=scale,
            legend=alt.Legend(orient="top", gradientLength=260, format=".3~g", titleOrient="left"),
        )
    )
    told = ("left_name", "right_name", "value", "n_left", "n_right", "p", "note")
    known = [_told(name, cells[name].dtype.is_float()) for name in told if name in cells.columns]
    axis = alt.Axis(labelExpr=_CONTEXT, labelFontSize=_label_size(len(order)), labelLimit=110, title=None, grid=False,
                    domain=False, ticks=False, labelOverlap=False)  # fmt: skip
    place: dict[str, Any] = {"sort": None, "scale": alt.Scale(domain=list(order), paddingInner=0.04)}
    base = alt.Chart(cells).encode(
        x=alt.X("right_name:N", axis=axis.copy(), **place), y=alt.Y("left_name:N", axis=axis.copy(), **place)
    )
    marked = " || ".join(
        f"(datum.left_name === {json.dumps(a)} && datum.right_name === {json.dumps(b)})"
        for a, b in (selected, tuple(selected)[::-1])
    ) if len(selected) == 2 else "false"  # fmt: skip
    drawn = base.mark_rect(cursor="pointer", stroke=MARK_COLOUR).encode(
        color=colour.otherwise(alt.value(NO_VALUE_COLOUR)),
        strokeWidth=alt.when(marked).then(alt.value(3)).otherwise(alt.value(0)),
        order=alt.Order("marked:Q"),
        tooltip=known,
    )
    side = max(260, min(760, 17 * len(order)))
    chart = drawn.transform_calculate(marked=f"({marked}) ? 1 : 0").add_params(click)
    return chart.properties(height=side + 110, width=side, usermeta=ON_CANVAS)


@dataclass(frozen=True)
class Tree:
    """Subsets clustered by average linkage: `order` of the leaves, and `lines` (x, x2, y, y2) that draw the tree.

    A leaf at place i of the order stands at x = i + 0.5; y is the height of a merge.
    """

    order: list[str]
    lines: pl.DataFrame


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
    return Tree([names[one] for one in drawn["leaves"]], pl.DataFrame(lines, schema=schema, orient="row"))


def with_tree(heat_map: Drawn, tree: Tree, title: str) -> alt.VConcatChart:
    """The tree above the matrix whose columns stand in its order."""
    import altair as alt

    scale = alt.Scale(domain=[0, len(tree.order)], nice=False)
    height = alt.Y("y:Q", title=title, axis=alt.Axis(tickCount=3, grid=False))
    lines = alt.Chart(tree.lines).mark_rule(color=OTHER_COLOUR, strokeWidth=1.3)
    drawn = lines.encode(x=alt.X("x:Q", axis=None, scale=scale), x2="x2:Q", y=height, y2="y2:Q")
    below = heat_map.copy(deep=False)
    below.usermeta = alt.Undefined
    top = drawn.properties(width=below.width, height=70)
    return alt.vconcat(top, below.properties(height=below.width), spacing=4).properties(usermeta=ON_CANVAS)


def large_matrix(pairs: pl.DataFrame, order: Sequence[str], title: str) -> dict[str, Any]:
    """The same as an ECharts option, for more than `ALTAIR_CELLS` subsets; rows of its source as `square` gives."""
    import polars as pl

    short = _short(order)
    sides = (pl.col(c).replace_strict(short, default=pl.col(c)) for c in ("right_name", "left_name"))
    cells = square(pairs).select(*sides, "value")
    finite = cells["value"].drop_nulls().to_numpy()
    axis: dict[str, Any] = {
        "type": "category",
        "data": list(short.values()),
        "axisLabel": {"fontSize": 8, "interval": "auto"},
    }
    return {
        "animation": False,
        "tooltip": {"formatter": f"{{@left_name}} and {{@right_name}}<br>{title} {{@value}}"},
        "grid": {"left": 110, "right": 20, "top": 10, "bottom": 130},
        "xAxis": {**axis, "axisLabel": {**axis["axisLabel"], "rotate": 90}},
        "yAxis": {**axis, "inverse": True},
        "visualMap": {
            "min": float(finite.min()) if len(finite) else 0.0,
            "max": float(finite.max()) if len(finite) else 1.0,
            "dimension": 2, "calculable": True, "orient": "horizontal", "left": "center", "bottom": 0, "precision": 3,
            "inRange": {"color": ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]},
        },
        "dataset": {"source": cells},
        "series": [{"type": "heatmap", "selectedMode": "single", "progressive": 0,
                    "encode": {"x": "right_name", "y": "left_name", "value": "value"}}],
    }  # fmt: skip


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


def _label_size(n: int) -> int:
    return 11 if n <= 40 else 9 if n <= 70 else 7


def _told(name: str, measured: bool) -> alt.Tooltip:
    import altair as alt

    title = name.replace("_", " ")
    return alt.Tooltip(name, title=title, format=".3~g") if measured else alt.Tooltip(name, title=title)
