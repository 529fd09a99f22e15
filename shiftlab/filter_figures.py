"""Figures of groups of filters: their principal components, variance explained, distributions of coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shiftlab.figures import GROUP_COLOURS, LEFT_COLOUR, RIGHT_COLOUR

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

_TILE = 64


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
