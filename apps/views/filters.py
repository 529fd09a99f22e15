"""Filters: the trained networks of the catalog, the quality of their layers over depth, drift between groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import jobs
import widgets
from shiftlab import filter_figures
from widgets import literal, plain

_VIEWS = {
    "models": "Models",
    "quality": "Quality over depth",
    "sheet": "Single filters",
    "basis": "Basis",
    "coefficients": "Coefficients",
    "drift": "Drift between groups",
}
_METRICS = {
    "sparsity": "Share of filters that are almost zero beside the layer's largest weight. 0: none.",
    "variance_entropy_ratio": "Diversity over that of random filters. Above 1: as diverse as noise; near 0: alike.",
    "variance_entropy": "Diversity of the filters in decimal digits. 0: all alike.",
    "orthogonality": "How little the filters of a layer repeat one another. 1: orthogonal.",
}
_GROUPINGS = ("task", "category", "architecture", "training_data", "depth_decile")
_MOST_GROUPS = 8  # told apart by colour
_SHEET_PIXELS = 690
_PICKS = {"random": "at random", "norm": "the strongest", "nearest": "most like one"}


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def main() -> None:
    widgets.heading(
        "Filters",
        "Convolution kernels of trained networks: which layers look wasted, and which groups differ.",
    )
    models = gateway.rows("list_models")
    if models.is_empty():
        widgets.empty_state(
            "No network yet",
            "Weights of trained networks are read without running them (ONNX, safetensors, torch, Keras, TFLite):",
            ["ingest", "models", "weights.safetensors"],
        )
        return
    view = address.select("View", "view", list(_VIEWS), widget=st.segmented_control, shown=_VIEWS.__getitem__)
    alone = {"sheet": _sheet, "basis": _basis, "coefficients": _coefficients, "drift": _drift}
    if view in alone:
        alone[view]()
        return
    name = address.choice("model", ["", *models["model"]])
    if view == "models":
        _models(models, name)
    else:
        _quality(models, name)


def _models(models: pl.DataFrame, name: str) -> None:
    key = "models_table"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(model=models["model"][row])

    st.caption(f"{len(models)} networks. Averages are weighted by filters. Click a row to see its layers.")
    below = widgets.table(
        widgets.filled(models), key=key, name="models", on_select=clicked, alt="Networks of the catalog"
    )
    with below:
        widgets.copy_as(
            cli=["filters", "list"],
            sql="select model, count(*) as layers, sum(n) as filters\nfrom filter_layers group by model",
            python='cat.sql("from filter_layers").pl()',
        )
    if name:
        _model(name)


def _model(name: str) -> None:
    st.header(plain(name), anchor=False)
    layers = gateway.rows("page_layers", model=name)
    flagged = layers.filter(pl.col("label").is_not_null() & (pl.col("label") != "none"))
    st.caption(f"{len(layers)} layers, {len(flagged)} with a finding. 1x1 kernels have no quality.")
    shown = widgets.filled(layers.drop("model", "task", "category", "layer_id"))
    below = widgets.table(shown, key="layers_table", name=f"{name}_layers", alt=f"Layers of {name}")
    with below:
        widgets.copy_as(
            cli=["filters", "show", name], sql=f"from filter_layers where model = {literal(name)} order by position",
            python=f'cat.sql("from filter_layers where model = $m", {{"m": "{name}"}}).pl()',
        )  # fmt: skip


def _quality(models: pl.DataFrame, name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = address.select("Quality", "metric", list(_METRICS), shown=lambda one: one.replace("_", " "))
        address.select("Stand out", "model", ["", *models["model"]], shown=lambda one: one or "no model")
    st.caption(_METRICS[metric])
    where, fitting = widgets.narrowed(
        ["filters", "quality"], "model", "layer_id", view="filter_layers",
        example="task = 'Segmentation' and kernel = '3x3'",
    )  # fmt: skip
    layers = gateway.rows("page_layers", model="").drop_nulls(metric)
    if fitting is not None:
        layers = layers.join(
            fitting.cast(layers.select(fitting.columns).schema), on=fitting.columns, how="semi"
        )
    if layers.is_empty():
        widgets.empty_state("No layer fits", "Change the predicate above to see more.")
        return
    below = widgets.chart(
        filter_figures.quality_over_depth(layers, metric, selected=name), key=f"depth_{metric}",
        name=f"{metric}_over_depth",
        alt=f"{metric.replace('_', ' ')} of {len(layers)} layers of {layers['model'].n_unique()} networks over depth; "
        "the table under Models tells the numbers.",
    )  # fmt: skip
    query = f"select model, name, depth_norm, {metric}, label, reason\nfrom filter_layers where {metric} is not null"
    query += f" and (\n{where}\n)" if where else ""
    with below:
        widgets.copy_as(
            cli=["filters", "quality", *([f"--where={where}"] if where else [])],
            sql=query,
            python=f'cat.sql("""{query}""").pl()',
        )
    told = "; ".join(f"{at:g}: {why}" for at, why in filter_figures.THRESHOLDS.get(metric, ()))
    st.caption(
        f"Dashed: {told}. Thresholds are conventions, see below what others would flag." if told
        else "No threshold of this quality is published."
    )  # fmt: skip
    choices = {"": "as published", "every": "every combination"}
    if address.select("Thresholds", "thresholds", list(choices), shown=choices.__getitem__, width=320):
        _sweep()
    if name:
        _model(name)


def _sweep() -> None:
    command = ["filters", "quality", "--sweep"]
    st.caption(
        "A layer counts as degenerate by thresholds that are conventions: how many there are under each combination."
    )
    below = widgets.table(
        jobs.rows(command).frame, key="sweep_table", name="degenerate_layers",
        alt="Degenerate 3x3 layers under every combination of thresholds",
    )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql="select count(*) from filter_layers where label <> 'none'",
            python="sl.filters.sweep(cat.store)",
        )


def _sheet() -> None:
    """Filters of one layer as they are, where the weights were read with --keep-filters."""
    layers = gateway.rows("kept_layers", model=None)
    kept = layers.filter(pl.col("filters_file").is_not_null())
    if kept.is_empty():
        widgets.empty_state(
            "Only statistics here",
            "Of these networks the catalog holds sums and histograms, not the filters themselves. Read the weights of "
            "one, also of one that is here already, and keep them:",
            ["ingest", "models", "weights.safetensors", "--keep-filters"],
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = kept["model"].unique(maintain_order=True).to_list()
        model = address.select("Network", "model", names, resets=("layer", "like"))
        own = kept.filter(model=model)
        shown = {
            str(row["layer_id"]): f"{row['layer_id']}: {row['layer']} ({row['n']:,})"
            for row in own.rows(named=True)
        }
        layer = address.select("3x3 layer", "layer", list(shown), shown=shown.__getitem__, resets=("like",))
        pick = address.select("Which", "pick", list(_PICKS), shown=_PICKS.__getitem__)
    command = ["filters", "sheet", model, "--layer", layer, "--pick", pick]
    like = address.text("like")
    if pick == "nearest" and like.isdecimal():
        command += ["--like", like]
    found = _computed(command)
    if found is None:
        return
    count = int(own.filter(layer_id=int(layer))["n"][0])
    st.caption(
        f"{len(found):,} of {count:,} filters as they are, one colour scale for all: light is 0, orange above, purple "
        "below. Click one for those most like it, by the cosine of the angle between them."
        + (f" Nearest to filter {found['filter'][0]}." if pick == "nearest" else "")
    )
    key = f"sheet_{model}_{layer}_{pick}_{like}"

    def clicked() -> None:
        for tile in st.session_state[key]["selection"].get("filter") or []:
            address.write(pick="nearest", like=str(tile["filter"]))

    with st.container(width=_SHEET_PIXELS):  # as wide as it is drawn: the tiles stay square
        below = widgets.chart(
            filter_figures.contact_sheet(found), key=key, name=f"{model}_{layer}_{pick}", on_select=clicked,
            alt=f"Contact sheet of {len(found)} filters of layer {layer} of {model}; the table tells their weights.",
        )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql=f"from filter_layers where model = {literal(model)} and layer_id = {layer}",
            python=f'sl.filters.contact_sheet(cat.store, "{model}", {layer}, pick="{pick}")',
        )
    table = found.drop("place").with_columns(pl.col("weights").list.eval(pl.element().round_sig_figs(3)))
    widgets.table(
        widgets.filled(table), key="sheet_table", name=f"{model}_{layer}", alt=f"Filters of {model}"
    )
    if len(names) < layers["model"].n_unique():
        st.caption(
            f"{len(names)} of {layers['model'].n_unique()} networks have their filters here; the others only their "
            "statistics."
        )


def _grouping(options: Sequence[str] = _GROUPINGS, shown: Callable[[str], str] = _spaced) -> str:
    """What makes the groups, from the URL: one of the options, or any SQL that a person types."""
    typed = st.query_params.get("by")
    known = [*options, *([typed] if typed and typed not in options else [])]
    return address.select(
        "Groups by", "by", known, width=420, shown=shown, resets=("left", "right"), accept_new_options=True,
        help="A column of filter_layers, or a SQL expression over them, such as: kind || ' ' || task",
    )  # fmt: skip


def _computed(command: Sequence[str]) -> pl.DataFrame | None:
    """The rows of a command, or None with its words."""
    try:
        return jobs.rows(command).frame
    except jobs.CommandError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return None


def _largest(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The rows of the groups with the most filters, as many as colours tell apart and none that is tiny."""
    sizes = frame.group_by("group").agg(pl.col("n").max()).sort("n", "group", descending=[True, False])
    enough = sizes.filter(pl.col("n") >= filter_figures.FEWEST_FILTERS)
    groups = (sizes if enough.is_empty() else enough)["group"].head(_MOST_GROUPS).sort().to_list()
    if len(sizes) > len(groups):
        st.caption(
            f"Drawn: the {len(groups)} groups with the most filters, at least {filter_figures.FEWEST_FILTERS:,}; the "
            f"table has all {len(sizes)}."
        )
    return frame.filter(pl.col("group").is_in(groups)), groups


def _basis() -> None:
    by = _grouping()
    command = ["filters", "basis", "--by", by]
    found = _computed(command)
    if found is None:
        return
    st.caption(
        "The directions along which the 3x3 filters of a group vary most, and the share of variance each explains: "
        "few directions that explain all mean filters that are alike."
    )
    shown, groups = _largest(found)
    python = f"sl.filters.basis_by(cat.store, {by!r})"
    query = (
        f"select {by}, model, name, n, gram_scaled\nfrom layer_sketch join filter_layers using (layer_key)"
    )
    for drawn, name, alt in (
        (filter_figures.eigenfilters(shown), "eigenfilters", "Contact sheet of the principal components"),
        (filter_figures.explained_variance(shown), "explained", "Variance explained by the first components"),
    ):
        below = widgets.chart(
            drawn, key=f"{name}_{by}", name=f"{name}_by_{by}", alt=f"{alt} of {len(groups)} groups by {by}."
        )
    with below:
        widgets.copy_as(cli=command, sql=query, python=python)
    table = found.with_columns(pl.col("component") + 1).drop("eigenfilter")
    widgets.table(table, key="basis_table", name=f"basis_by_{by}", alt=f"Variance explained by {by}")


def _coefficients() -> None:
    by = _grouping()
    command = ["filters", "coefficients", "--by", by]
    found = _computed(command)
    if found is None:
        return
    st.caption(
        "How the filters' coefficients are distributed on a fixed basis (DCT-II). Component 1 is the mean of a filter; "
        "the further ones are finer and finer edges and points."
    )
    shown, groups = _largest(found)
    below = widgets.chart(
        filter_figures.coefficient_ridges(shown), key=f"ridges_{by}", name=f"coefficients_by_{by}",
        alt=f"Distributions of the coefficients of {len(groups)} groups by {by}, a panel a component.",
    )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql="select layer_key, component, bin, n from layer_histogram",
            python=f"sl.filters.coefficients_by(cat.store, {by!r})",
        )
    table = (
        found.filter(pl.col("share") > 0)
        .group_by("group", "component", maintain_order=True)
        .agg(
            n=pl.col("n").first(),
            mean=(pl.col("coefficient") * pl.col("share")).sum(),
            second=(pl.col("coefficient").pow(2) * pl.col("share")).sum(),
        )
        .with_columns(pl.col("component") + 1, sd=(pl.col("second") - pl.col("mean").pow(2)).sqrt())
        .drop("second")
    )
    widgets.table(table, key="coefficients_table", name=f"coefficients_by_{by}", alt=f"Coefficients by {by}")


def _drift() -> None:
    stored = gateway.rows("page_drift_groupings")["by"].to_list()
    options = [*stored, *(one for one in _GROUPINGS if one not in stored)]
    by = _grouping(options, lambda one: _spaced(one) + ("" if one in stored else " (not computed)"))
    command = ["filters", "drift", "--by", by]
    pairs = gateway.rows("page_drift", by=by)
    if pairs.is_empty():
        with st.container(border=True):
            st.markdown(f"**Drift by {plain(by)} is not computed yet.** This command computes and stores it:")
            widgets.job_button(command, "Compute now", key="drift")
        return
    prefix = f"{by} = "
    short = pl.col("left_name", "right_name").str.strip_prefix(prefix)
    chance = pl.col("note").fill_null("").str.contains("not distinguishable", literal=True)
    pairs = pairs.with_columns(short, distinguishable=~chance)
    st.caption(
        "0: the filters are distributed alike. The value is biased upwards in small groups: read it beside its null."
    )
    order = filter_figures.group_order(pairs)
    left, right = address.choice("left", ["", *order]), address.choice("right", ["", *order])
    _drift_figure(pairs, order, (left, right), by, command)
    if left and right and left != right:
        _drift_pair(pairs, left, right, by)


def _drift_figure(
    pairs: pl.DataFrame, order: list[str], chosen: tuple[str, str], by: str, command: list[str]
) -> None:
    left, right = st.columns([3, 2], gap="large")
    key = f"drift_{by}"

    def clicked() -> None:
        for cell in st.session_state[key]["selection"].get("cell") or []:
            address.write(left=cell["left_name"], right=cell["right_name"])

    with left:
        st.caption(
            "Click a cell to see what makes the drift. Crossed: not beyond chance, so no finding. Grey: a side has "
            f"fewer than {filter_figures.FEWEST_FILTERS:,} filters."
        )
        below = widgets.chart(
            filter_figures.drift_matrix(pairs, order, selected=[one for one in chosen if one]), key=key,
            name=f"drift_by_{by}",
            alt=f"Heat map of filter drift between {len(order)} groups by {by}; the table tells the same numbers.",
            on_select=clicked,
        )  # fmt: skip
        query = f"from scores where measure = 'filter_drift' and grp = {literal(by)} order by value desc"
        facts: dict[str, Any] = {"Groups": by, "Compared": "filters on a fixed basis, weighted by variance"}
        with below:
            widgets.copy_as(cli=command, sql=query, python=f'cat.sql("""{query}""").pl()')
            widgets.computed(int(pairs["run_id"][0]), facts)
    with right:
        frame = widgets.filled(pairs.drop("run_id", "seed").sort("value", descending=True, nulls_last=True))
        widgets.table(
            frame,
            key="drift_table",
            name=f"drift_by_{by}",
            height=560,
            alt=f"Drift by {by}, the largest first",
        )


def _drift_pair(pairs: pl.DataFrame, left: str, right: str, by: str) -> None:
    """What makes the drift of one pair: its verdict, and the distributions component by component."""
    st.header(f"{plain(left)} and {plain(right)}", anchor=False)
    one = pairs.filter(
        (pl.col("left_name").is_in([left, right])) & (pl.col("right_name").is_in([left, right]))
    ).row(0, named=True)
    with st.container(horizontal=True):
        st.metric("Drift", widgets.number(one["value"]))
        st.metric("Drift less its bias", widgets.number(one["debiased"]))
        st.metric("By chance, 95 %", widgets.number(one["null_q95"]))
        st.metric("Beyond chance", "yes" if one["distinguishable"] else "no")
    if one["note"]:
        st.caption(plain(one["note"]))
    command = ["filters", "components", left, right, "--by", by]
    parts = jobs.rows(command).frame.with_columns(pl.col("component") + 1)
    both = jobs.rows(["filters", "coefficients", "--by", by]).frame.filter(
        pl.col("group").is_in([left, right])
    )
    below = widgets.chart(
        filter_figures.coefficient_ridges(both, (left, right)), key=f"pair_{by}", name=f"{left}_{right}",
        alt=f"Distributions of the coefficients of {left} and {right}; the table tells how far apart they are.",
    )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql=f"from scores where measure = 'filter_drift' and grp = {literal(by)}",
            python=f"sl.filters.components_of_pair(cat.store, {by!r}, {left!r}, {right!r})",
        )
    widgets.table(
        parts.sort("part", descending=True), key="parts_table", name=f"components_{left}_{right}",
        alt=f"Components of the drift between {left} and {right}, the largest part first",
    )  # fmt: skip


main()
