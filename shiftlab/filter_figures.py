"""Figures of groups of filters: their principal components, variance explained, distributions of coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shiftlab.figures import (
    GROUP_COLOURS,
    LEFT_COLOUR,
    MARK_COLOUR,
    NO_VALUE_COLOUR,
    RIGHT_COLOUR,
    over_depth,
)
from shiftlab.matrix_figures import square

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

    from shiftlab.figures import Drawn

_TILE = 64
FEWEST_FILTERS = 1_000  # of a group; below, a distribution is mostly chance
# Where a layer begins to count as degenerate, and who says so.
THRESHOLDS = {
    "variance_entropy": [(0.5, "low diversity below, with many sparse filters (CNN Filter DB)")],
    "variance_entropy_ratio": [(1.0, "as diverse as noise above (CNN Filter DB)")],
    "sparsity": [(0.14, "many sparse filters above, where diversity is low (CNN Filter DB)")],
}
_SHEET_WIDE = 12  # filters in a row of a contact sheet


def eigenfilters(basis: pl.DataFrame) -> alt.FacetChart:
    """Contact sheet of principal components, a row a group: light and dark about zero, on one scale.

    `basis`: group, component, variance_share, eigenfilter (list of kh*kw), as `filters.basis_by` gives for square
    kernels.
    """
    import altair as alt
    import polars as pl

    edge = round(len(basis["eigenfilter"][0]) ** 0.5)
    cells = (
        basis.with_columns(cell=pl.int_ranges(0, edge * edge))
        .explode("cell", "eigenfilter")
        .with_columns(
            row=pl.col("cell") // edge,
            column=pl.col("cell") % edge,
            title=pl.format("PC{}", pl.col("component") + 1),
        )
    )
    tile = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("column:O", axis=None),
            y=alt.Y("row:O", axis=None),
            color=alt.Color(
                "eigenfilter:Q",
                title="Weight",
                scale=alt.Scale(scheme="purpleorange", domain=[-1, 1], domainMid=0),
            ),
            tooltip=[
                "group",
                alt.Tooltip("title:N", title="component"),
                alt.Tooltip("variance_share:Q", title="variance explained", format=".1%"),
                alt.Tooltip("eigenfilter:Q", title="weight", format=".2f"),
            ],
        )
        .properties(width=_TILE, height=_TILE)
    )
    return tile.facet(
        row=alt.Row(
            "group:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left", labelLimit=170)
        ),
        column=alt.Column("title:N", title=None),
        spacing=6,
    )


def contact_sheet(sheet: pl.DataFrame) -> Drawn:
    """Filters as one picture, a tile a filter: light is 0, the two colours are the signs, one scale for all.

    `sheet`: place, filter, out_channel, in_channel, norm, cosine, weights, as `filters.contact_sheet` gives. Clicks
    come as the selection ``filter``.
    """
    import altair as alt
    import polars as pl

    wide = min(_SHEET_WIDE, max(1, len(sheet)))
    cells = (
        sheet.with_columns(cell=pl.int_ranges(0, 9))
        .explode("cell", "weights")
        .with_columns(
            x=pl.col("place") % wide * 3.4 + pl.col("cell") % 3,
            y=pl.col("place") // wide * 3.4 + pl.col("cell") // 3,
        )
        .with_columns(x2=pl.col("x") + 1, y2=pl.col("y") + 1)
    )
    peak = float(cells["weights"].abs().max() or 1.0)  # type: ignore[arg-type]
    side = 15  # of a weight, in pixels
    told = [
        alt.Tooltip("filter:Q", format="d"),
        alt.Tooltip("out_channel:Q", title="output channel", format="d"),
        alt.Tooltip("in_channel:Q", title="input channel", format="d"),
        alt.Tooltip("norm:Q", format=".3~g"),
        alt.Tooltip("weights:Q", title="weight", format=".3~g"),
    ]
    if sheet["cosine"].null_count() < len(sheet):
        told.append(alt.Tooltip("cosine:Q", format=".3f"))
    across, down = 3.4 * wide - 0.4, 3.4 * -(-len(sheet) // wide) - 0.4
    x_scale = alt.Scale(domain=[0, across], nice=False)
    y_scale = alt.Scale(domain=[0, down], nice=False, reverse=True)
    tiles = alt.Chart(cells).encode(
        x=alt.X("x:Q", axis=None, scale=x_scale), x2="x2:Q", y=alt.Y("y:Q", axis=None, scale=y_scale), y2="y2:Q",
        color=alt.Color(
            "weights:Q", title="Weight",
            scale=alt.Scale(scheme="purpleorange", domain=[-peak, peak], domainMid=0, nice=False),
        ),
        tooltip=told,
    )  # fmt: skip
    click = alt.selection_point(name="filter", fields=["filter"])
    drawn = tiles.mark_rect(cursor="pointer").add_params(click)
    return drawn.properties(width=side * across, height=side * down, view=alt.ViewBackground(stroke=None))


def drift_matrix(pairs: pl.DataFrame, order: Sequence[str], *, selected: Sequence[str] = ()) -> Drawn:
    """Heat map of the drift between all pairs of groups; what cannot be told from chance is crossed out.

    `pairs`: left_name, right_name, value, debiased, n_left, n_right, distinguishable, one row per unordered pair. Pairs
    with a side below 1,000 filters are grey: their drift is mostly bias. Clicks come as the selection ``cell``.
    """
    import altair as alt
    import polars as pl

    cells = square(pairs).with_columns(
        tiny=pl.min_horizontal("n_left", "n_right") < FEWEST_FILTERS,
    )
    largest = cells.filter(~pl.col("tiny"))["value"].max()
    colours = alt.Scale(scheme="viridis", domain=[0, largest or 1.0], clamp=True)  # type: ignore[list-item]
    legend = alt.Legend(orient="top", gradientLength=260, format=".2~g", titleOrient="left")
    tips = [
        alt.Tooltip(name, format="," if name.startswith("n_") else ".3~g")
        for name in ("value", "debiased", "n_left", "n_right")
    ]
    place: dict[str, Any] = {
        "sort": None, "scale": alt.Scale(domain=list(order), paddingInner=0.04),
        "axis": alt.Axis(title=None, labelLimit=150, labelOverlap=False, domain=False, ticks=False),
    }  # fmt: skip
    base = alt.Chart(cells).encode(
        x=alt.X("right_name:N", **place), y=alt.Y("left_name:N", **place),
        tooltip=["left_name", "right_name", *tips, "distinguishable"],
    )  # fmt: skip
    shown = "isValid(datum.value) && !datum.tiny"
    tiles = base.mark_rect(cursor="pointer").encode(
        color=alt.when(shown).then(alt.Color("value:Q", title="Drift", scale=colours, legend=legend))
        .otherwise(alt.value(NO_VALUE_COLOUR))
    ).add_params(alt.selection_point(name="cell", fields=["left_name", "right_name"]))  # fmt: skip
    crosses = base.transform_filter("datum.distinguishable === false").mark_point(
        shape="cross", angle=45, size=60, filled=True, color="#ffffff", stroke="#444444", strokeWidth=0.7
    )
    layers = [tiles, crosses.encode(tooltip=alt.value(None))]
    if len(selected) == 2:
        chosen = cells.filter(pl.col("left_name").is_in(selected) & pl.col("right_name").is_in(selected))
        ring = alt.Chart(chosen).mark_rect(fillOpacity=0, stroke=MARK_COLOUR, strokeWidth=3)
        layers.append(ring.encode(x=alt.X("right_name:N", **place), y=alt.Y("left_name:N", **place)))
    side = max(260, min(760, 30 * len(order)))
    return alt.layer(*layers).properties(height=side + 110, width=side)


def group_order(pairs: pl.DataFrame) -> list[str]:
    """Numbers by value; other groups by the mean of their drift, the most usual first, as CNN Filter DB draws them."""
    import polars as pl

    both = square(pairs).group_by("left_name").agg(pl.col("value").mean())
    number = pl.col("left_name").cast(pl.Float64, strict=False)
    ordered = both.sort(number, "value", "left_name", nulls_last=True)
    return ordered["left_name"].to_list()


def quality_over_depth(layers: pl.DataFrame, metric: str, *, selected: str = "") -> Drawn:
    """A quality of layers over their relative depth, a line a model, with the published thresholds.

    `layers`: model, task, name, depth_norm in (0, 1], `metric`, label, reason.
    """
    import altair as alt

    limits = alt.Chart(alt.Data(values=[{"limit": at, "of": why} for at, why in THRESHOLDS.get(metric, ())]))
    rule = limits.mark_rule(color=MARK_COLOUR, strokeDash=[6, 4], strokeWidth=1.5).encode(y="limit:Q")
    text = limits.mark_text(align="right", baseline="bottom", dy=-3, color=MARK_COLOUR, fontSize=11).encode(
        y="limit:Q", x=alt.value("width"), text="of:N"
    )
    return alt.layer(over_depth(layers, metric, selected=selected), rule, text).properties(height=420)


def explained_variance(basis: pl.DataFrame) -> alt.Chart:
    """Variance that the first principal components explain together, a line a group."""
    import altair as alt
    import polars as pl

    summed = basis.sort("group", "component").with_columns(
        pl.col("variance_share").cum_sum().over("group").alias("cumulative"), number=pl.col("component") + 1
    )
    return (
        alt.Chart(summed)
        .mark_line(point=True)
        .encode(
            x=alt.X("number:O", title="Principal components", axis=alt.Axis(labelAngle=0)),
            y=alt.Y(
                "cumulative:Q",
                title="Variance explained",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%"),
            ),
            color=_colour(sorted(summed["group"].unique().to_list())),
            tooltip=[
                "group",
                alt.Tooltip("number:O", title="components"),
                alt.Tooltip("cumulative:Q", format=".1%"),
                alt.Tooltip("n:Q", title="filters", format=","),
            ],
        )
        .properties(height=280)
    )


def coefficient_ridges(coefficients: pl.DataFrame, order: Sequence[str] | None = None) -> alt.FacetChart:
    """Distributions of coefficients, a panel a component and a line a group; `order` says which groups stand first.

    `coefficients`: group, component, coefficient, share, n, as `filters.coefficients_by` gives.
    """
    import altair as alt
    import polars as pl

    groups = list(order or sorted(coefficients["group"].unique().to_list()))
    # Beyond the outermost filled bins there is nothing to see.
    half = float(coefficients.filter(pl.col("share") > 1e-4)["coefficient"].abs().max() or 1.0)  # type: ignore[arg-type]
    shown = coefficients.filter(pl.col("coefficient").abs() <= half).with_columns(
        title=pl.format("component {}", pl.col("component") + 1)
    )
    # Areas of more than two groups cover one another.
    drawn = alt.Chart(shown)
    marked = (
        drawn.mark_area(line=True, opacity=0.25) if len(groups) <= 2 else drawn.mark_line(strokeWidth=1.5)
    )
    panel = marked.encode(
        x=alt.X("coefficient:Q", title=None, scale=alt.Scale(domain=[-half, half], nice=False)),
        y=alt.Y("share:Q", title=None, stack=None, axis=alt.Axis(format="%", tickCount=3)),
        color=_colour(groups),
        tooltip=[
            "group",
            "title:N",
            alt.Tooltip("coefficient:Q", format=".2f"),
            alt.Tooltip("share:Q", format=".2%"),
            alt.Tooltip("n:Q", title="filters", format=","),
        ],
    ).properties(width=200, height=90)
    names = [f"component {k + 1}" for k in range(coefficients["component"].n_unique())]
    return panel.facet(facet=alt.Facet("title:N", title=None, sort=names), columns=3).resolve_scale(
        y="independent"
    )


def _colour(groups: Sequence[str]) -> alt.Color:
    import altair as alt

    colours = [LEFT_COLOUR, RIGHT_COLOUR] if len(groups) <= 2 else list(GROUP_COLOURS)
    return alt.Color("group:N", title=None, scale=alt.Scale(domain=list(groups), range=colours))
