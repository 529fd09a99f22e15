"""Figures of the subsets of a class: their meta-graph, and their map by a measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shiftlab.figures import GROUP_COLOURS, MARK_COLOUR, ON_CANVAS, OTHER_COLOUR

if TYPE_CHECKING:
    import polars as pl

    from shiftlab.figures import Drawn

GROUP_SHAPES = ("circle", "rect", "triangle", "diamond", "roundRect", "pin", "arrow", "circle", "circle")
MOST_NODES = 300
"""Subsets up to which a meta-graph shows each; above, `communities` makes one that can be read."""
ALONE = "alone"
_ALONE_PER_ROW = 8
_CROWD = 60  # nodes of a meta-graph that are drawn at full size


def meta_graph(nodes: pl.DataFrame, edges: pl.DataFrame, *, selected: str | None = None) -> dict[str, Any]:
    """Meta-graph of one class as an ECharts option; the data index of a node is its row in `nodes`.

    `nodes`: name, context, n, community, x, y. `edges`: left_name, right_name, overlap. Colour and shape tell
    the community; edges within one have its colour, those between are grey, and the width grows with the
    overlap (Liang & Zou, MetaShift, ICLR 2022, figure 1). Places are those of `graph_places`.
    """
    groups = _groups(nodes)
    places = graph_places(nodes, edges)
    shown = sorted(set(groups.values()))
    series = {
        "type": "graph", "layout": "none", "roam": True, "scaleLimit": {"min": 0.6, "max": 8},
        "selectedMode": "single", "width": "76%", "left": "6%", "top": 32,
        "data": _graph_nodes(nodes, places, groups, selected),
        "links": _graph_links(edges, groups),
        "categories": [{"name": _group_name(one)} for one in range(len(GROUP_COLOURS) + 1)],
        # Nodes of communities are large and may stand in rows: a label beside one would hide behind the next.
        "label": {"position": "bottom" if "subsets" in nodes.columns else "right", "fontSize": 11},
        "labelLayout": {"hideOverlap": True},
        "emphasis": {"focus": "adjacency", "lineStyle": {"width": 3}, "label": {"show": True}},
        "select": {"itemStyle": {"borderColor": MARK_COLOUR, "borderWidth": 4}},
        "lineStyle": {"curveness": 0.08},
    }  # fmt: skip
    return {
        "animation": False,
        "tooltip": {"formatter": "{b}: {c}"},
        "color": [*GROUP_COLOURS, OTHER_COLOUR],
        "legend": {"bottom": 0, "type": "scroll", "data": [_group_name(one) for one in shown]},
        "series": [series],
    }


def _graph_nodes(
    nodes: pl.DataFrame, places: pl.DataFrame, groups: Mapping[str, int], selected: str | None
) -> list[dict[str, Any]]:
    largest = max(1, int(nodes["n"].max() or 1))  # type: ignore[arg-type]
    crowd = min(1.0, (_CROWD / len(nodes)) ** 0.5)
    found = []
    for row, (x, y) in zip(nodes.iter_rows(named=True), places.select("x", "y").iter_rows(), strict=True):
        group, chosen = groups[row["name"]], row["name"] == selected
        label = {"show": chosen or len(nodes) <= 2 * _CROWD, "formatter": row["context"] or row["name"]}
        border = {"borderColor": MARK_COLOUR, "borderWidth": 4} if chosen else {"borderColor": "#ffffff99"}
        found.append(
            {
                "name": row["name"],
                "value": row["n"],
                "x": 1000 * x,
                "y": 1060 * y,
                "symbolSize": crowd * (8 + 24 * (row["n"] / largest) ** 0.5),
                "symbol": GROUP_SHAPES[group],
                "category": group,
                "label": label | ({"fontWeight": "bold", "fontSize": 13} if chosen else {}),
                "itemStyle": border,
            }
        )
    return found


def _graph_links(edges: pl.DataFrame, groups: Mapping[str, int]) -> list[dict[str, Any]]:
    found = []
    for left, right, overlap in edges.select("left_name", "right_name", "overlap").iter_rows():
        within = groups[left] == groups[right]
        style = {
            "width": 0.4 + 4 * overlap**2,
            "opacity": 0.7 if within else 0.3,
            "color": _colour(groups[left]) if within else OTHER_COLOUR,
        }
        found.append({"source": left, "target": right, "value": round(overlap, 3), "lineStyle": style})
    return found


def community_of(nodes: pl.DataFrame) -> dict[str, str]:
    """The name of the community of each subset; that of those which are alone in theirs is `ALONE`."""
    import polars as pl

    together = pl.len().over("community") > 1
    name = pl.when(together).then(pl.format("community {}", pl.col("community") + 1)).fill_null(ALONE)
    return dict(nodes.select("name", group=name).iter_rows())


def communities(nodes: pl.DataFrame, edges: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A meta-graph with one node for each community: its nodes and edges, as `meta_graph` takes them.

    Nodes have ``subsets`` (also as n), the ``largest`` of them, the edges ``within`` and those ``across``, to others.
    An edge has the largest overlap of those that it stands for.
    """
    import polars as pl

    home = community_of(nodes)
    ends = edges.select(
        *(pl.col(c).replace_strict(home, default=None) for c in ("left_name", "right_name")), "overlap"
    ).drop_nulls()
    same = pl.col("left_name") == pl.col("right_name")
    within = ends.filter(same).group_by(name="left_name").agg(within=pl.len())
    other = ends.filter(~same)
    both = pl.concat([other["left_name"], other["right_name"]]).alias("name").to_frame()
    across = both.group_by("name").agg(across=pl.len())
    found = nodes.with_columns(pl.col("name").replace_strict(home).alias("group")).sort("n", descending=True)
    found = found.group_by(name="group").agg(
        pl.col("community").min(), pl.len().alias("n"), subsets=pl.len(), largest=pl.col("name").first(),
        context=pl.format("{}: {}", pl.col("community").first() + 1, pl.col("context").first()),
        x=pl.col("x").mean(), y=pl.col("y").mean(),
    )  # fmt: skip
    alone = pl.col("name") == ALONE
    found = found.join(within, on="name", how="left").join(across, on="name", how="left")
    found = found.with_columns(
        pl.when(~alone).then("community"), pl.when(alone).then("name").otherwise("context").alias("context"),
        pl.col("within", "across").fill_null(0),
    ).sort("community", nulls_last=True)  # fmt: skip
    low, high = (one("left_name", "right_name") for one in (pl.min_horizontal, pl.max_horizontal))
    links = other.group_by(left_name=low, right_name=high).agg(pl.col("overlap").max())
    return found, links.sort("left_name", "right_name")


def graph_places(nodes: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """Where the nodes are drawn: name, x, y in [0, 1], in the order of `nodes`.

    The stored positions, drawn apart where they crowd (each coordinate is the mean of its value and its rank,
    so the order along both axes stays); nodes without an edge stand in rows below.
    """
    import polars as pl

    joined = pl.col("name").is_in(pl.concat([edges["left_name"], edges["right_name"]]).unique().to_list())
    at = nodes.select("name", "x", "y").with_row_index("row")
    inside, alone = at.filter(joined), at.filter(~joined)
    across = max(_ALONE_PER_ROW, math.ceil(math.sqrt(1.2 * len(alone))))
    rows = -(-len(alone) // across)
    below_share = 0.0 if rows == 0 else 1.0 if inside.is_empty() else min(0.09 * rows, 0.45)
    spread = [
        ((pl.col(c) - pl.col(c).min()) / pl.max_horizontal(pl.col(c).max() - pl.col(c).min(), pl.lit(1e-9))
         + (pl.col(c).rank("ordinal") - 1) / pl.max_horizontal(pl.len() - 1, pl.lit(1))) / 2
        for c in ("x", "y")
    ]  # fmt: skip
    placed = inside.with_columns(x=spread[0], y=spread[1] * (0.94 - below_share))
    number = pl.int_range(pl.len())
    below = alone.with_columns(
        x=(number % across + 0.5) / max(1, min(across, len(alone))),
        y=1 - below_share + below_share * (number // across + 0.5) / max(1, rows),
    )
    return pl.concat([placed, below.select(placed.columns)]).sort("row").drop("row")


def meta_graph_drawing(nodes: pl.DataFrame, edges: pl.DataFrame) -> Drawn:
    """The same meta-graph at the same places as an Altair chart, for export and print."""
    import altair as alt

    at = graph_places(nodes, edges)
    placed = _with_group(nodes.drop("x", "y").join(at, on="name"))
    lines = edges.join(at, left_on="left_name", right_on="name").join(
        at.rename({"x": "x2", "y": "y2"}), left_on="right_name", right_on="name"
    )
    place: dict[str, Any] = {
        "x": alt.X("x:Q", axis=None),
        "y": alt.Y("y:Q", axis=None, scale=alt.Scale(reverse=True)),
    }
    width = alt.StrokeWidth("overlap:Q", legend=None, scale=alt.Scale(range=[0.2, 4]))
    rules = alt.Chart(lines).mark_rule(color=OTHER_COLOUR, opacity=0.4)
    points = alt.Chart(placed).mark_point(filled=True, opacity=1)
    labels = alt.Chart(placed).mark_text(dy=-17 if "subsets" in nodes.columns else -11, fontSize=10)
    return alt.layer(
        rules.encode(**place, x2="x2:Q", y2="y2:Q", strokeWidth=width),
        points.encode(**place, **_group_channels(placed), tooltip=["name", "n", "group"]),
        labels.encode(**place, text="context:N"),
    ).properties(width=760, height=560)


def subset_map(points: pl.DataFrame, *, selected: Sequence[str] = (), chosen: Sequence[str] = ()) -> Drawn:
    """Map of subsets whose distances approximate a measure's; a brush as the selection ``brush``.

    `points`: name, context, n, community, x, y. The axes have no unit of their own and share one scale. `selected`: a
    pair, ringed in red. `chosen`: subsets that stand out, ringed with a bold label, while all others are pale.
    """
    import altair as alt
    import polars as pl

    placed = _with_group(points).with_columns(chosen=pl.col("name").is_in(list(chosen)))
    place = _map_places(points)
    pale = alt.when("datum.chosen").then(alt.value(1)).otherwise(alt.value(0.3 if chosen else 1))
    channels = _group_channels(placed)
    # Legends that fit a narrow window: one above, one below in rows.
    items = {
        "orient": "top",
        "tickCount": 3,
        "symbolFillColor": OTHER_COLOUR,
        "symbolStrokeColor": OTHER_COLOUR,
    }
    legends: dict[str, dict[str, Any]] = {"size": items, "color": {"columns": 3}, "shape": {"columns": 3}}
    channels |= {name: channels[name].legend(**style) for name, style in legends.items()}
    marks = alt.Chart(placed).mark_point(filled=True)
    marks = marks.encode(**place, **channels, opacity=pale, tooltip=["name", "n", "group"])
    plain = alt.Chart(placed.filter(~pl.col("chosen"))).mark_text(dy=-12, fontSize=10, color=OTHER_COLOUR)
    bold = alt.Chart(placed.filter("chosen")).mark_text(
        dy=-19, fontSize=13, fontWeight="bold", color=OTHER_COLOUR
    )
    labels = [one.encode(**place, text="context:N", opacity=pale) for one in (plain, bold)]
    rings = [
        alt.Chart(placed.filter(pl.col("name").is_in(list(names))))
        .mark_point(size=size, stroke=colour, strokeWidth=3, filled=False)
        .encode(**place)
        for names, size, colour in ((chosen, 560, OTHER_COLOUR), (selected, 620, MARK_COLOUR))
        if names
    ]
    layers = [marks.add_params(alt.selection_interval(name="brush")), *labels, *rings]
    return alt.layer(*layers).properties(height=660, usermeta=ON_CANVAS).configure_legend(orient="bottom")


def _map_places(points: pl.DataFrame) -> dict[str, Any]:
    """Both axes of a map, of equal length and scale."""
    import altair as alt

    low, high = ([float(getattr(points[c], end)()) for c in ("x", "y")] for end in ("min", "max"))
    half = 0.55 * (max(b - a for a, b in zip(low, high, strict=True)) or 1.0)
    axis = alt.Axis(labels=False, ticks=False, grid=True)

    def channel(kind: Any, name: str, a: float, b: float) -> Any:
        scale = alt.Scale(domain=[(a + b) / 2 - half, (a + b) / 2 + half], nice=False)
        return kind(f"{name}:Q", title=None, scale=scale, axis=axis)

    return {"x": channel(alt.X, "x", low[0], high[0]), "y": channel(alt.Y, "y", low[1], high[1])}


def _groups(nodes: pl.DataFrame) -> dict[str, int]:
    """Number of the colour of each node; the last, grey one is for communities of one and those beyond the palette."""
    import polars as pl

    last = len(GROUP_COLOURS)
    size = pl.col("subsets").sum() if "subsets" in nodes.columns else pl.len()
    sizes = dict(nodes.group_by("community").agg(size).iter_rows())
    return {
        name: last if community is None or sizes[community] == 1 else min(int(community), last)
        for name, community in nodes.select("name", "community").iter_rows()
    }


def _with_group(nodes: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    names = {name: _group_name(group) for name, group in _groups(nodes).items()}
    return nodes.with_columns(pl.col("name").replace_strict(names, default="").alias("group"))


def _group_channels(nodes: pl.DataFrame) -> dict[str, Any]:
    """Colour and shape by the column group, size by n."""
    import altair as alt

    numbers = sorted(set(_groups(nodes).values()))
    colours = alt.Scale(domain=[_group_name(one) for one in numbers], range=[_colour(one) for one in numbers])
    return {
        "color": alt.Color("group:N", title="Community", scale=colours),
        "shape": alt.Shape("group:N", title="Community", scale=alt.Scale(domain=colours.domain)),
        "size": alt.Size(
            "n:Q",
            title="Subsets" if "subsets" in nodes.columns else "Items",
            scale=alt.Scale(range=[30, 500]),
        ),
    }


def _group_name(group: int) -> str:
    return "alone or small" if group >= len(GROUP_COLOURS) else f"community {group + 1}"


def _colour(group: int) -> str:
    return OTHER_COLOUR if group >= len(GROUP_COLOURS) else GROUP_COLOURS[group]
