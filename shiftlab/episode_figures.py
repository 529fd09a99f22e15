"""Figures of demonstrations: the plane of their states, traces of one beside the others, groups of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shiftlab.figures import GROUP_COLOURS, LEFT_COLOUR, MARK_COLOUR, OTHER_COLOUR

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

    from shiftlab.figures import Drawn

COVERAGE = "visited_by"


def state_plane(points: pl.DataFrame, colour: str = COVERAGE, *, selected: int | None = None) -> Drawn:
    """Steps on the plane of their states, coloured by coverage or by a score; the selected episode as a path.

    `points`: episode_index, frame_index, x, y, visited_by and the score `colour`, as `state_map` gives. Clicks come as
    the selection ``episode``.
    """
    import altair as alt
    import polars as pl

    known = points.filter(pl.col(colour).is_not_null())
    title = "Episodes that were here" if colour == COVERAGE else colour.replace("_", " ").capitalize()
    # Scores have long tails: beyond 98 % of the steps the colour says no more. Dark is what asks for a look.
    ends: list[Any] = [
        known[colour].min(),
        known[colour].max() if colour == COVERAGE else known[colour].quantile(0.98),
    ]
    scale = alt.Scale(
        scheme="viridis",
        domain=ends,
        clamp=True,
        reverse=colour != COVERAGE,
        nice=False,
    )
    axis: dict[str, Any] = {"axis": alt.Axis(format=".2~g"), "scale": alt.Scale(nice=False, padding=8)}
    place: dict[str, Any] = {
        "x": alt.X("x:Q", title="First axis of the states", **axis),
        "y": alt.Y("y:Q", title="Second axis", **axis),
    }
    steps = (
        alt.Chart(known)
        .mark_circle(size=22, opacity=0.75)
        .encode(
            **place,
            color=alt.Color(
                f"{colour}:Q", title=title, scale=scale, legend=alt.Legend(orient="top", titleOrient="left")
            ),
            tooltip=[
                alt.Tooltip("episode_index", title="episode"),
                alt.Tooltip("frame_index", title="frame"),
                alt.Tooltip(COVERAGE, title="episodes that were here"),
                *([alt.Tooltip(f"{colour}:Q", format=".3~g")] if colour != COVERAGE else []),
            ],
        )
        .add_params(alt.selection_point(name="episode", fields=["episode_index"]))
    )
    layers = [steps]
    if selected is not None:
        own = alt.Chart(points.filter(pl.col("episode_index") == selected)).encode(**place)
        layers.append(own.mark_line(color=MARK_COLOUR, strokeWidth=2).encode(order="frame_index:Q"))
    return alt.layer(*layers).properties(height=480)


def traces(found: pl.DataFrame, side: str) -> alt.FacetChart:
    """Values of one episode over its frames, a panel a dimension, on the middle 80 % of the other episodes.

    `found`: rank, dimension, frame_index, value, low, middle, high, as the query ``traces`` gives. `side`: states or
    actions.
    """
    import altair as alt
    import polars as pl

    word = side.removesuffix("s")
    titled = found.with_columns(title=pl.format("{} {}", pl.lit(word), "dimension"))
    names = titled.unique("dimension").sort("rank")["title"].to_list()
    base = alt.Chart(titled).encode(x=alt.X("frame_index:Q", title=None, scale=alt.Scale(nice=False)))
    number: dict[str, Any] = {"format": ".3~g"}
    band = base.mark_area(color=OTHER_COLOUR, opacity=0.25).encode(
        y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    middle = base.mark_line(color=OTHER_COLOUR, strokeWidth=1, strokeDash=[4, 3]).encode(y="middle:Q")
    own = base.mark_line(color=LEFT_COLOUR, strokeWidth=1.5).encode(
        y="value:Q",
        tooltip=[
            "title:N",
            "frame_index",
            *(alt.Tooltip(f"{n}:Q", **number) for n in ("value", "low", "middle", "high")),
        ],
    )
    panel = alt.layer(band, middle, own).properties(width=230, height=100)
    return panel.facet(facet=alt.Facet("title:N", title=None, sort=names), columns=3).resolve_scale(
        y="independent"
    )


def groups(episodes: pl.DataFrame, means: pl.DataFrame, scheme: str, metric: str) -> Drawn:
    """One metric of the episodes of each group: every episode a point, the mean a line with its interval.

    `episodes`: episode, the group's name in `scheme`, `metric`. `means`: grp, mean, ci_low, ci_high.
    """
    import altair as alt
    import polars as pl

    known = episodes.filter(pl.col(metric).is_not_null() & pl.col(scheme).is_not_null())
    names = known[scheme].unique().sort().to_list()
    base = alt.Chart(known.select("episode", scheme, metric)).encode(
        y=alt.Y(f"{scheme}:N", title=None, sort=names, axis=alt.Axis(labelLimit=170, labelOverlap=False)),
        x=alt.X(f"{metric}:Q", title=metric.replace("_", " "), scale=alt.Scale(zero=False)),
    )
    points = base.mark_circle(size=60, opacity=0.6, color=GROUP_COLOURS[0]).encode(
        tooltip=["episode", scheme, alt.Tooltip(metric, format=".3~g")]
    )
    middle = alt.Chart(means.rename({"grp": scheme})).encode(y=alt.Y(f"{scheme}:N", sort=names))
    interval = middle.mark_rule(color=MARK_COLOUR, strokeWidth=2).encode(x="ci_low:Q", x2="ci_high:Q")
    mean = middle.mark_tick(thickness=3, size=26, color=MARK_COLOUR).encode(
        x="mean:Q",
        tooltip=[scheme, *(alt.Tooltip(one, format=".3~g") for one in ("mean", "ci_low", "ci_high"))],
    )
    return alt.layer(points, interval, mean).properties(height=70 + 44 * len(names))
