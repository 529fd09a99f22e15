"""Filters: the trained networks of the catalog, the quality of their layers over depth, drift between groups."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import widgets
from shiftlab import figures
from widgets import literal, plain

_VIEWS = {"models": "Models", "quality": "Quality over depth", "drift": "Drift between groups"}
_METRICS = {
    "sparsity": "Share of filters that are almost zero beside the layer's largest weight. 0: none.",
    "variance_entropy_ratio": "Diversity over that of random filters. Above 1: as diverse as noise; near 0: alike.",
    "variance_entropy": "Diversity of the filters in decimal digits. 0: all alike.",
    "orthogonality": "How little the filters of a layer repeat one another. 1: orthogonal.",
}
_GROUPINGS = ("task", "category", "architecture", "training_data", "depth_decile")


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
    if view == "drift":
        _drift()
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
    shown = widgets.filled(layers.drop("model", "task", "category"))
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
    layers = gateway.rows("page_layers", model="")
    below = widgets.chart(
        figures.over_depth(layers, metric, selected=name), key=f"depth_{metric}", name=f"{metric}_over_depth",
        alt=f"{metric.replace('_', ' ')} of the layers of {len(models)} networks over relative depth; "
        "the table under Models tells the numbers.",
    )  # fmt: skip
    query = f"select model, name, depth_norm, {metric}, label, reason\nfrom filter_layers where {metric} is not null"
    with below:
        widgets.copy_as(cli=["filters", "quality"], sql=query, python=f'cat.sql("""{query}""").pl()')
    if name:
        _model(name)


def _drift() -> None:
    stored = gateway.rows("page_drift_groupings")["by"].to_list()
    options = [*stored, *(one for one in _GROUPINGS if one not in stored)]
    by = address.select(
        "Groups by", "by", options, width=320,
        shown=lambda one: one.replace("_", " ") + ("" if one in stored else " (not computed)"),
    )  # fmt: skip
    command = ["filters", "drift", "--by", by]
    pairs = gateway.rows("page_drift", by=by)
    if pairs.is_empty():
        with st.container(border=True):
            st.markdown(f"**Drift by {plain(by)} is not computed yet.** This command computes and stores it:")
            widgets.job_button(command, "Compute now", key="drift")
        return
    prefix = f"{by} = "
    short = pl.col("left_name", "right_name").str.strip_prefix(prefix)
    pairs = pairs.with_columns(short)
    st.caption(
        "0: the filters are distributed alike. The value is biased upwards in small groups: read it beside its null."
    )
    _drift_figure(pairs, by, command)


def _drift_figure(pairs: pl.DataFrame, by: str, command: list[str]) -> None:
    left, right = st.columns([3, 2], gap="large")
    order = sorted({*pairs["left_name"], *pairs["right_name"]})
    with left:
        below = widgets.chart(
            figures.matrix(pairs, order, "filter drift"), key=f"drift_{by}", name=f"drift_by_{by}",
            alt=f"Heat map of filter drift between {len(order)} groups by {by}; the table tells the same numbers.",
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


main()
