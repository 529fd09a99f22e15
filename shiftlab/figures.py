"""Figures of ShiftLab: frames in, specifications out. The explorer, the command line and reports share them.

Altair charts for everything that is exported; ECharts options (plain dictionaries) for the network and for
matrices too large for one mark a cell. Colours: viridis for distances, a diverging scale only for signed
values, the palette of Okabe and Ito for groups, with a shape or a label beside every colour.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

    Drawn = alt.Chart | alt.LayerChart | alt.FacetChart

# Okabe and Ito (2008), without black and yellow, which vanish on a dark or a light page.
GROUP_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999933", "#AA4499")
OTHER_COLOUR = "#8a8f98"
LEFT_COLOUR, RIGHT_COLOUR = "#3487c2", "#e08214"
MARK_COLOUR = "#ff3b30"
NO_VALUE_COLOUR = "#8a8f9833"
_LEVELS, _BINS = 100, 40
_WIDTH = 640
# On an SVG the legend's gradient is lost where the page's address holds parentheses, as cat(sofa) does, and a
# brush that is not drawn yet is a picture without a text alternative.
ON_CANVAS = {"embedOptions": {"renderer": "canvas"}}


def term_shares(shares: pl.DataFrame, left: str, right: str, *, most: int = 20) -> Drawn:
    """What the items of two subsets show: two points a row, joined, the largest difference first.

    `shares`: term, left_share, right_share (shares of items in [0, 1]), in the order wanted.
    """
    import altair as alt
    import polars as pl

    top = shares.head(most)
    order = top["term"].to_list()
    long = top.unpivot(
        ["left_share", "right_share"], index="term", variable_name="side", value_name="share"
    ).with_columns(pl.col("side").replace_strict({"left_share": left, "right_share": right}))
    y = alt.Y("term:N", sort=order, title=None, axis=alt.Axis(labelLimit=140, labelOverlap=False))
    rules = alt.Chart(top).mark_rule(color=OTHER_COLOUR, strokeWidth=2).encode(
        y=y, x=alt.X("left_share:Q", title="Share of the items that show it", axis=alt.Axis(format="%")),
        x2="right_share:Q",
    )  # fmt: skip
    pair: dict[str, Any] = {"domain": [left, right]}
    points = alt.Chart(long).mark_point(filled=True, size=90, opacity=1).encode(
        y=y,
        x="share:Q",
        color=alt.Color("side:N", title=None, scale=alt.Scale(**pair, range=[LEFT_COLOUR, RIGHT_COLOUR]),
                        legend=alt.Legend(orient="top")),
        shape=alt.Shape("side:N", title=None, scale=alt.Scale(**pair, range=["circle", "diamond"])),
        tooltip=["term", "side", alt.Tooltip("share", format=".1%")],
    )  # fmt: skip
    return alt.layer(rules, points).properties(height=90 + 21 * len(order))


def against_chance(scores: pl.DataFrame) -> Drawn:
    """Each score beside what chance gives, both as a share of the observed value, so measures share one axis.

    `scores`: label, value, ci_low, ci_high, null_mean, null_q95, null_quantiles (a list of 21, or null); rows without a
    positive value are left out.
    """
    import altair as alt
    import polars as pl

    names = ("value", "ci_low", "ci_high", "null_mean", "null_q95")
    share = scores.filter(pl.col("value") > 0).with_columns(
        (pl.col(name) / pl.col("value")).alias(f"{name}_share") for name in names
    )
    y = alt.Y(
        "label:N",
        sort=scores["label"].to_list(),
        title=None,
        axis=alt.Axis(labelLimit=220, labelOverlap=False),
    )
    tips = [
        alt.Tooltip("label", title="measure"),
        *(alt.Tooltip(n, title=n.replace("_", " "), format=".3~g") for n in names),
    ]
    base = alt.Chart(share.drop("null_quantiles")).encode(y=y, tooltip=tips)
    strip = (
        share.select("label", pl.col("null_quantiles") / pl.col("value"))
        .explode("null_quantiles")
        .drop_nulls()
    )
    chance = base.mark_bar(color=OTHER_COLOUR, opacity=0.35, height=12).encode(
        x=alt.X("zero:Q", title="Share of the observed value"),
        x2="null_q95_share:Q",
    ).transform_calculate(zero="0")  # fmt: skip
    mean = base.mark_tick(color=OTHER_COLOUR, thickness=3, height=14).encode(x="null_mean_share:Q")
    interval = base.mark_rule(color=LEFT_COLOUR, strokeWidth=2.5).encode(
        x="ci_low_share:Q", x2="ci_high_share:Q"
    )
    value = base.mark_point(filled=True, size=110, color=RIGHT_COLOUR, shape="diamond", opacity=1).encode(
        x="value_share:Q"
    )
    ticks = alt.Chart(strip).mark_tick(color=OTHER_COLOUR, thickness=1, height=12, opacity=0.8)
    drawn = ticks.encode(y=y, x=alt.X("null_quantiles:Q"), tooltip=alt.value(None))
    return alt.layer(chance, drawn, mean, interval, value).properties(height=70 + 26 * len(share))


def distribution(values: pl.DataFrame, left: str, right: str, how: str, title: str) -> Drawn:
    """One number of the items of two subsets, drawn in one of three ways.

    `values`: side (one of the two names), value. `how`: "histogram" (share of the side's items in each of 40 equal
    bins), "ecdf" (share of the items at or below a value) or "quantiles" (Q-Q: on the dashed line the two agree).
    """
    import altair as alt
    import polars as pl

    levels = [k / _LEVELS for k in range(_LEVELS + 1)]
    at = {
        name: [values.filter(side=name)["value"].quantile(one, "linear") for one in levels]
        for name in (left, right)
    }
    if how == "quantiles":
        pairs = pl.DataFrame({"level": levels, "left": at[left], "right": at[right]})
        ends = [min(at[left][0], at[right][0]), max(at[left][-1], at[right][-1])]  # type: ignore[type-var]
        line = alt.Chart(pl.DataFrame({"left": ends, "right": ends})).mark_line(
            strokeDash=[4, 3], color=OTHER_COLOUR
        )
        points = alt.Chart(pairs).mark_point(filled=True, size=22, color=LEFT_COLOUR, opacity=0.9)
        place = {"x": alt.X("left:Q", title=f"{title}, {left}", scale=alt.Scale(zero=False)),
                 "y": alt.Y("right:Q", title=f"{title}, {right}", scale=alt.Scale(zero=False))}  # fmt: skip
        tips = [
            alt.Tooltip("level:Q", format=".1%"),
            alt.Tooltip("left:Q", format=".3~g"),
            alt.Tooltip("right:Q", format=".3~g"),
        ]
        return alt.layer(line.encode(**place), points.encode(**place, tooltip=tips)).properties(height=260)
    side = alt.Color(
        "side:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(domain=[left, right], range=[LEFT_COLOUR, RIGHT_COLOUR]),
    )  # fmt: skip
    dash = alt.StrokeDash("side:N", title=None, scale=alt.Scale(domain=[left, right], range=[[1, 0], [5, 3]]))
    if how == "ecdf":
        rows = pl.concat(
            [pl.DataFrame({"side": [name] * len(levels), "value": at[name], "share": levels}) for name in at]
        )
        drawn = alt.Chart(rows).mark_line(interpolate="step-after")
        y = alt.Y("share:Q", title="Share of the items at or below", axis=alt.Axis(format="%"))
    else:
        low, high = values["value"].min(), values["value"].max()
        width = (high - low) / _BINS or 1.0  # type: ignore[operator]
        number = ((pl.col("value") - low) / width).floor().clip(0, _BINS - 1)
        rows = (
            values.with_columns(value=low + width * (number + 0.5))
            .group_by("side", "value").agg(pl.len().alias("n"))
            .with_columns(share=pl.col("n") / pl.col("n").sum().over("side")).sort("side", "value")
        )  # fmt: skip
        drawn = alt.Chart(rows).mark_line(interpolate="step")
        y = alt.Y("share:Q", title="Share of the items", axis=alt.Axis(format="%"))
    tips = [
        alt.Tooltip("side:N"),
        alt.Tooltip("value:Q", title=title, format=".3~g"),
        alt.Tooltip("share:Q", format=".1%"),
    ]
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False))
    return drawn.encode(x=x, y=y, color=side, strokeDash=dash, tooltip=tips).properties(height=260)


def flow(moved: pl.DataFrame) -> dict[str, Any]:
    """Mass that moves between groups as an ECharts sankey: the left side's groups to the right side's.

    `moved`: source, target, mass, distance, share, as `explain.flows` gives. Width is mass; a band is darker the larger
    its part of the cost, so that wide and pale is mass that stays near.
    """
    most = max(float(moved["share"].max() or 0.0), 1e-12)  # type: ignore[arg-type]

    def node(name: str, colour: str, place: str) -> dict[str, Any]:
        return {"name": name, "itemStyle": {"color": colour}, "label": {"position": place}}

    nodes = [node(f"{one} ", LEFT_COLOUR, "left") for one in moved["source"].unique().sort()]
    nodes += [node(f" {one}", RIGHT_COLOUR, "right") for one in moved["target"].unique().sort()]
    links = [
        {
            "source": f"{source} ",
            "target": f" {target}",
            "value": round(mass, 6),
            "lineStyle": {"color": OTHER_COLOUR, "opacity": 0.15 + 0.75 * share / most},
        }
        for source, target, mass, share in moved.select("source", "target", "mass", "share").iter_rows()
    ]
    series = {
        "type": "sankey", "data": nodes, "links": links, "nodeAlign": "justify", "draggable": False,
        "emphasis": {"focus": "adjacency"}, "left": 80, "right": 80, "top": 8, "bottom": 8,
    }  # fmt: skip
    return {"animation": False, "tooltip": {"formatter": "{b}: {c} of the mass"}, "series": [series]}


def flow_drawing(moved: pl.DataFrame) -> Drawn:
    """The same as a matrix, for export and print: rows move to columns, area is mass, colour the part of the cost."""
    import altair as alt

    base = alt.Chart(moved).mark_square(opacity=1)
    return base.encode(
        x=alt.X("target:N", title="To the group like item", axis=alt.Axis(labelAngle=-45)),
        y=alt.Y("source:N", title="From the group like item"),
        size=alt.Size("mass:Q", title="Mass", scale=alt.Scale(range=[0, 900])),
        color=alt.Color("share:Q", title="Share of the cost", scale=alt.Scale(scheme="viridis")),
        tooltip=["source", "target", *(alt.Tooltip(c, format=".3~g") for c in ("mass", "distance", "share"))],
    ).properties(width=420, height=420)


def over_depth(layers: pl.DataFrame, metric: str, *, selected: str = "") -> Drawn:
    """A quality of layers over their relative depth, a line a model; the selected model stands out.

    `layers`: model, name, depth_norm in (0, 1], `metric`, label, reason, and task where it is known.
    """
    import altair as alt
    import polars as pl

    title = metric.replace("_", " ")
    known = layers.filter(pl.col(metric).is_not_null() & pl.col("depth_norm").is_not_null())
    base = alt.Chart(known).encode(
        x=alt.X("depth_norm:Q", title="Relative depth of the layer"),
        y=alt.Y(f"{metric}:Q", title=title, scale=alt.Scale(zero=False)),
        detail="model:N",
        tooltip=[
            "model", "name", *(["task"] if "task" in known.columns else []), alt.Tooltip(metric, format=".3~g"),
            "label", "reason",
        ],
    )  # fmt: skip
    lines = base.mark_line(strokeWidth=1).encode(
        opacity=alt.value(0.12 if selected else 0.3), color=alt.value(OTHER_COLOUR)
    )
    flags = base.transform_filter("datum.label !== 'none'").mark_point(size=45, filled=True)
    layered = [
        lines,
        flags.encode(
            color=alt.Color("label:N", title="Finding"), shape=alt.Shape("label:N", title="Finding")
        ),
    ]
    if selected:
        own = base.transform_filter(f"datum.model === {json.dumps(selected)}")
        layered.append(
            own.mark_line(strokeWidth=3, color=LEFT_COLOUR, point=alt.OverlayMarkDef(color=LEFT_COLOUR))
        )
    return alt.layer(*layered).properties(height=420)


def ranked(scores: pl.DataFrame, title: str, *, selected: int | None = None) -> Drawn:
    """One metric of every episode with its interval, sorted: intervals that overlap do not order two episodes.

    `scores`: episode, value, ci_low, ci_high, verdict.
    """
    import altair as alt
    import polars as pl

    known = (
        scores.filter(pl.col("value").is_not_null())
        .sort("value")
        .with_columns(pl.col("episode").cast(pl.String))
    )
    x = alt.X(
        "episode:N",
        sort=known["episode"].to_list(),
        title="Episode",
        axis=alt.Axis(labelAngle=0, labelOverlap=True),
    )
    numbers = ("value", "ci_low", "ci_high")
    tips = [alt.Tooltip("episode"), *(alt.Tooltip(n, format=".3~g") for n in numbers), alt.Tooltip("verdict")]
    base = alt.Chart(known).encode(x=x, tooltip=tips)
    interval = base.mark_rule(strokeWidth=2, color=OTHER_COLOUR).encode(y="ci_low:Q", y2="ci_high:Q")
    verdicts = alt.Scale(
        domain=["review", "fine", "cannot tell"], range=[RIGHT_COLOUR, LEFT_COLOUR, OTHER_COLOUR]
    )
    shapes = alt.Scale(domain=["review", "fine", "cannot tell"], range=["diamond", "circle", "square"])
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        color=alt.Color("verdict:N", title="Verdict", scale=verdicts),
        shape=alt.Shape("verdict:N", title="Verdict", scale=shapes),
    )
    layers = [interval, points.add_params(alt.selection_point(name="episode", fields=["episode"]))]
    if selected is not None:
        ring = base.transform_filter(f"datum.episode === '{selected}'").mark_point(
            size=380, stroke=MARK_COLOUR, strokeWidth=3
        )
        layers.append(ring.encode(y="value:Q"))
    return alt.layer(*layers).properties(height=380)


def keep_curve(curve: pl.DataFrame, metric: str) -> Drawn:
    """Mean outcome of the episodes kept, over the share kept: one metric beside the shortest, chance and hindsight.

    `curve`: rule, keep (share), n_kept, n, mean, low, high, as `episodes.keep_curve` gives for one data set. The
    band holds 95 % of random choices: inside it a rule did no better than chance.
    """
    import altair as alt
    import polars as pl

    rules = [one for one in (metric, "shortest", "oracle") if one in curve["rule"].to_list()]
    shown = curve.filter(pl.col("rule").is_in(rules))
    x = alt.X("keep:Q", title="Share of episodes kept", axis=alt.Axis(format="%"))
    random = alt.Chart(curve.filter(rule="random"))
    band = random.mark_area(color=OTHER_COLOUR, opacity=0.25).encode(
        x=x, y=alt.Y("low:Q", title="Mean outcome", scale=alt.Scale(zero=False)), y2="high:Q"
    )
    middle = random.mark_line(color=OTHER_COLOUR, strokeDash=[4, 3]).encode(x=x, y="mean:Q")
    lines = (
        alt.Chart(shown)
        .mark_line(point=True)
        .encode(
            x=x,
            y="mean:Q",
            color=alt.Color(
                "rule:N",
                title=None,
                scale=alt.Scale(
                    domain=rules, range=[LEFT_COLOUR, RIGHT_COLOUR, GROUP_COLOURS[2]][: len(rules)]
                ),
            ),
            tooltip=[
                "rule",
                alt.Tooltip("keep:Q", format=".0%"),
                "n_kept",
                alt.Tooltip("mean:Q", format=".3~g"),
            ],
        )
    )
    return alt.layer(band, middle, lines).properties(height=320)


def over_frames(steps: pl.DataFrame, metric: str) -> Drawn:
    """A score of the steps of one episode over its frames; pauses are marked below.

    `steps`: frame_index, is_idle, `metric`.
    """
    import altair as alt

    title = metric.replace("_", " ")
    base = alt.Chart(steps).encode(x=alt.X("frame_index:Q", title="Frame", scale=alt.Scale(nice=False)))
    line = base.mark_line(color=LEFT_COLOUR).encode(
        y=alt.Y(f"{metric}:Q", title=title),
        tooltip=["frame_index", alt.Tooltip(metric, format=".3~g"), "is_idle"],
    )
    idle = base.transform_filter("datum.is_idle").mark_tick(
        color=RIGHT_COLOUR, thickness=2, height=10, aria=False
    )
    return alt.layer(line, idle.encode(y=alt.value(270))).properties(height=330)


def of_rows(frame: pl.DataFrame, *, most: int = 5000) -> Drawn | None:
    """A first chart of any table: bars of its first number by its first text, or one number against another."""
    import altair as alt

    texts = [name for name, kind in frame.schema.items() if not kind.is_numeric() and not kind.is_nested()]
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    if not numbers or len(frame) < 2:
        return None
    top = frame.head(most)
    if texts and len(top) <= 60 and top[texts[0]].n_unique() == len(top):
        order = [str(one) for one in top[texts[0]]]
        y = alt.Y(_field(texts[0], "N"), sort=order, title=texts[0], axis=alt.Axis(labelLimit=200))
        bars = (
            alt.Chart(top)
            .mark_bar(color=LEFT_COLOUR)
            .encode(y=y, x=alt.X(_field(numbers[0], "Q"), title=numbers[0]))
        )
        return bars.properties(height=70 + 18 * len(order))
    if len(numbers) >= 2:
        x, against = (
            alt.X(_field(numbers[0], "Q"), title=numbers[0]),
            alt.Y(_field(numbers[1], "Q"), title=numbers[1]),
        )
        points = alt.Chart(top).mark_point(color=LEFT_COLOUR, filled=True, opacity=0.6)
        return points.encode(x=x, y=against).properties(height=380)
    bins = alt.X(_field(numbers[0], "Q"), bin=alt.Bin(maxbins=40), title=numbers[0])
    return (
        alt.Chart(top)
        .mark_bar(color=LEFT_COLOUR)
        .encode(x=bins, y=alt.Y("count()", title="rows"))
        .properties(height=320)
    )


def can_draw() -> bool:
    """Whether png, svg and html can be written: vl-convert, the extra ``figures``, is installed."""
    return find_spec("vl_convert") is not None


def image(chart: Any, kind: str, *, background: str = "white") -> bytes:
    """A chart as ``png`` (twice the size, for print), ``svg``, ``html`` (opens without a network) or ``json``.

    Raises `ImportError` for all but json without vl-convert (the extra ``figures``).
    """
    import altair as alt

    if isinstance(chart, alt.Chart | alt.LayerChart) and chart.width is alt.Undefined:
        chart = chart.properties(width=_WIDTH)  # a page stretches it, a file does not
    chart = chart.properties(background=background)
    with alt.data_transformers.disable_max_rows():
        spec = chart.to_dict()
        if kind == "html":
            return str(chart.to_html(inline=True)).encode()
    if kind == "json":
        return json.dumps(spec).encode()
    import vl_convert

    if kind == "svg":
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    return bytes(vl_convert.vegalite_to_png(spec, scale=2))


def _field(name: str, kind: str) -> str:
    """A column's name as Altair takes it, with the characters that it would read as structure escaped."""
    escaped = "".join("\\" + one if one in ".[]:\\" else one for one in name)
    return f"{escaped}:{kind}"
