"""Shift: one measure for all pairs of subsets of a class, and the pair that is chosen in it."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import subset_map
import widgets
from pairs import GRAPH, SIMILARITIES, Shown, matrix_command, origin, read
from shiftlab import matrix_figures, measures
from shiftlab.report import Report, Section
from widgets import number, plain

_VIEWS = {"matrix": "Matrix", "map": "Map"}
_ORDERS = {
    "name": "by name",
    "cluster": "by similarity",
    "community": "by community",
    "mean": "by mean distance",
}
_UPPER = {
    "q": "q: false discovery rate over all pairs (Benjamini-Hochberg); none where fewer than 30 items are on one side "
    "alone",
    "interval_width": "Intervals come from tests of single pairs: open a pair to compute its own",
}
_FEW = 25
_BESIDE = 45  # subsets up to which the table of pairs stands beside the matrix; above, below it


def main() -> None:
    widgets.heading(
        "Shift matrix",
        "How far apart are the subsets of a class, pair by pair? Click a cell to look into it.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dataset = widgets.pick_dataset()
        if dataset is None:
            return
        subject = widgets.pick_class(dataset)
        if subject is None:
            return
        measure, space = _pick_measure(dataset, subject)
    _explain(measure)
    where, fitting = widgets.predicate(dataset, subject)
    shown = read(dataset, subject, measure, space)
    if shown is None:
        _not_stored(dataset, subject, measure)
        return
    if fitting is not None:
        st.caption(f"{len(fitting)} of {len(shown.names)} subsets fit.")
        shown = shown.filtered(where, fitting)
        if len(shown.names) < 2:
            widgets.empty_state("Fewer than two subsets fit", "A matrix needs two: widen the filter above.")
            return
    if len(shown.names) < 2:
        widgets.empty_state("One subset", f"{plain(subject)} has one subset; a matrix needs two.")
        return
    _matrix(shown)


def _pick_measure(dataset: str, subject: str) -> tuple[str, str | None]:
    """The measure from the URL, and the space over which it is stored."""
    stored = gateway.rows("page_measures", dataset=dataset, **{"class": subject})
    pairs_of = {row[0]: row[2] for row in reversed(list(stored.iter_rows()))}
    every = (
        measures.available()
        .filter(pl.col("kind").is_in(["mass", "cloud"]) & pl.col("symmetric"))["name"]
        .to_list()
    )
    options = [*pairs_of, *GRAPH, *(one for one in every if one not in pairs_of)]

    def label(name: str) -> str:
        words = name.replace("_", " ")
        if name in pairs_of:
            return f"{words} ({pairs_of[name]:,} scored)"
        return f"{words} (meta-graph)" if name in GRAPH else f"{words} (not computed)"

    measure = address.select("Measure", "measure", options, shown=label, resets=("space",))
    spaces = stored.filter(pl.col("measure") == measure)["space"].to_list()
    if len(spaces) > 1:
        return measure, address.select("Space", "space", spaces)
    return measure, spaces[0] if spaces else None


def _explain(measure: str) -> None:
    if measure in GRAPH:
        st.caption(GRAPH[measure])
        return
    spec = measures.get(measure)
    st.caption(
        f"Use it when {plain(spec.use_when)}. Range {plain(spec.range)}; 0 means {plain(spec.zero_means)}. "
        f"Unit: {plain(spec.unit)}."
    )


def _not_stored(dataset: str, subject: str, measure: str) -> None:
    """What computes the matrix, with a button; or what is missing before it can be computed."""
    words = measure.replace("_", " ")
    spaces = gateway.rows("page_spaces", dataset=dataset)["space"].unique().sort().to_list()
    if measures.get(measure).kind == "cloud" and not spaces:
        widgets.empty_state(
            f"{words.capitalize()} needs vectors",
            f"It compares vectors of items, and {plain(dataset)} has none yet. Add them as npy, npz or Parquet:",
            ["ingest", "vectors", "vectors.npz", "--dataset", dataset, "--space", "NAME"],
        )
        return
    with st.container(border=True):
        st.header(f"{words.capitalize()} is not computed for {plain(subject)} yet", anchor=False)
        space = None
        if measures.get(measure).kind == "cloud":
            space = address.select("Space", "space", spaces) if len(spaces) > 1 else spaces[0]
        st.markdown("This command computes all pairs and stores them:")
        widgets.job_button(
            matrix_command(dataset, subject, measure, space), "Compute now", key="shift_matrix"
        )


def _matrix(shown: Shown) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = address.select(
            "View", "view", list(_VIEWS), widget=st.segmented_control, shown=_VIEWS.__getitem__
        )
        how, upper = "name", ""
        if view == "matrix":
            how = address.select(
                "Order", "order", list(_ORDERS), widget=st.segmented_control, shown=_ORDERS.__getitem__
            )
            upper = _pick_upper(shown)
    pair = _chosen_pair(shown)
    if len(shown.names) <= _BESIDE or view == "map":
        left, right = st.columns([3, 2], gap="large")
    else:
        left, right = st.container(), st.container()
    with left:
        if view == "map":
            subset_map.draw(shown, pair)
        else:
            _draw(shown, how, upper, pair)
        _notes(shown, upper)
    with right:
        if pair:
            _pair(shown, *pair)
        _extremes(shown)


def _pick_upper(shown: Shown) -> str:
    """What the upper triangle shows, from the URL: the column of the pairs, or nothing where it is the value too."""
    stored = [one for one in matrix_figures.UPPER if one in shown.pairs.columns]
    stored = [one for one in stored if shown.pairs[one].null_count() < len(shown.pairs)]
    if not stored:
        return ""
    picked = address.select(
        "Upper triangle", "upper", ["value", *stored], widget=st.segmented_control,
        shown=lambda one: matrix_figures.UPPER.get(one, one),
    )  # fmt: skip
    return "" if picked == "value" else picked


def _order(shown: Shown, how: str) -> list[str]:
    if how == "community":
        nodes = gateway.rows("page_subsets", dataset=shown.dataset, **{"class": shown.subject})
        sorted_names = nodes.sort("community", "name", nulls_last=True)["name"]
        return sorted_names.filter(sorted_names.is_in(shown.names)).to_list()
    if how == "mean":
        mean = matrix_figures.square(shown.pairs).group_by("left_name").agg(pl.col("value").mean())
        ranked = dict(mean.iter_rows())
        return sorted(shown.names, key=lambda one: (-(ranked.get(one) or -math.inf), one))
    return shown.names


def _chosen_pair(shown: Shown) -> tuple[str, str] | None:
    left, right = address.text("left"), address.text("right")
    if not left and not right:
        return None
    unknown = [one for one in (left, right) if one not in shown.names]
    if unknown:
        st.warning(
            f"The link names the subset '{plain(unknown[0])}', which {plain(shown.subject)} does not have. "
            "Click a cell to choose a pair.",
            icon=":material/link_off:",
        )
        return None
    return left, right


def _draw(shown: Shown, how: str, upper: str, pair: tuple[str, str] | None) -> None:
    tree = None
    if how == "cluster":
        tree = matrix_figures.clustered(shown.pairs, shown.names, similarity=shown.measure in SIMILARITIES)
    order = tree.order if tree else _order(shown, how)
    key = f"matrix_{shown.dataset}_{shown.subject}_{shown.measure}"
    name = f"{shown.measure}_{shown.subject}"
    values = shown.pairs["value"].drop_nulls().to_numpy()
    span = f"from {number(values.min())} to {number(values.max())}" if len(values) else "no pair has a value"
    above = f" Its upper triangle shows the {matrix_figures.UPPER[upper]}." if upper else ""
    alt = (
        f"Heat map of {shown.title} between {len(shown.names)} subsets of {shown.subject}, {span}.{above} "
        "The table of pairs tells the same numbers."
    )
    below, drawn = widgets.matrix(
        shown.pairs, order, shown.title, key=key, name=name, alt=alt, chosen=pair or (), tree=tree, upper=upper,
        on_choose=lambda left, right: address.write(left=left, right=right),
    )  # fmt: skip
    with below:
        origin(shown)
        widgets.report_button(lambda: _report(shown, drawn, alt), key=key, name=name)


def _report(shown: Shown, drawn: Any, alt: str) -> Report:
    facts = {
        "Catalog": gateway.path(), "Generation": gateway.generation(), "Dataset": shown.dataset, "Class": shown.subject,
        "Measure": shown.title, "Space": shown.space or "meta-graph", "Subsets": len(shown.names),
    }  # fmt: skip
    if "run_id" in shown.pairs.columns:
        facts["Runs"] = ", ".join(map(str, shown.pairs["run_id"].unique().sort()))
        facts["Seeds"] = ", ".join(map(str, shown.pairs["seed"].drop_nulls().unique().sort())) or "none"
    table = widgets.filled(
        shown.pairs.drop("params", strict=False).sort("value", descending=True, nulls_last=True)
    )
    sections = [
        Section("All pairs", figure=drawn, alt=alt, command=widgets.shell(shown.command())),
        Section("Pairs, the largest value first", table=table),
    ]
    return Report(f"{shown.title.capitalize()} between subsets of {shown.subject}", facts, sections)


def _notes(shown: Shown, upper: str) -> None:
    """What to know before reading the matrix: missing pairs, missing values, few items."""
    missing = shown.pairs["value"].null_count()
    expected = len(shown.names) * (len(shown.names) - 1) // 2
    notes = [f"{len(shown.pairs):,} of {expected:,} pairs"]
    if missing:
        notes.append(f"{missing:,} without a value (grey; the table says why)")
    if "n_left" in shown.pairs.columns:
        few = shown.pairs.filter(pl.min_horizontal("n_left", "n_right") < _FEW)
        if len(few):
            notes.append(f"{len(few):,} rest on fewer than {_FEW} items on a side: read them with care")
        if shown.pairs["p"].null_count() == len(shown.pairs):
            notes.append("Not tested against chance: the values of small subsets are biased upwards")
    if upper:
        stored = len(shown.pairs) - shown.pairs[upper].null_count()
        which = f"{matrix_figures.UPPER[upper]}, stored for {stored:,} of {len(shown.pairs):,} pairs"
        notes.append(f"Upper triangle: {which}. {_UPPER[upper]}")
    st.caption(". ".join(notes) + ".")
    if len(shown.pairs) < expected and shown.measure not in GRAPH:
        with st.container(border=True):
            st.markdown("Only some pairs are scored. This command computes all of them:")
            command = matrix_command(shown.dataset, shown.subject, shown.measure, shown.space)
            widgets.job_button(command, "Compute all pairs", key="shift_rest")


def _pair(shown: Shown, left: str, right: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(left)}** and **{plain(right)}**")
        low, high = sorted((left, right))
        found = shown.pairs.filter((pl.col("left_name") == low) & (pl.col("right_name") == high))
        if left == right:
            st.caption("The same subset twice: choose a cell off the diagonal.")
            return
        one: dict[str, Any] = (
            found.row(0, named=True) if len(found) else {"value": None, "note": "not computed"}
        )
        with st.container(horizontal=True):
            st.metric(shown.title.capitalize(), number(one["value"]))
            if one.get("p") is not None:
                st.metric("p", number(one["p"]))
            if one.get("n_left") is not None:
                n = (one["n_left"], one["n_right"]) if left == low else (one["n_right"], one["n_left"])
                st.metric("Items", f"{n[0]:,} / {n[1]:,}")
        if one.get("note"):
            st.caption(plain(one["note"]))
        st.page_link(
            widgets.PAIR, label="Look into this pair", icon=":material/compare_arrows:",
            query_params={"dataset": shown.dataset, "left": left, "right": right},
        )  # fmt: skip
        for name in (left, right):
            st.page_link(
                widgets.SUBSETS, label=plain(name), icon=":material/hub:",
                query_params={"dataset": shown.dataset, "class": shown.subject, "subset": name},
            )  # fmt: skip


def _extremes(shown: Shown) -> None:
    st.markdown("**All pairs**, the largest value first. Click a row to choose the pair.")
    frame = shown.pairs.sort("value", "left_name", descending=[True, False], nulls_last=True)
    columns = (
        "left_name",
        "right_name",
        "value",
        "debiased",
        "p",
        "q",
        "interval_width",
        "n_left",
        "n_right",
        "note",
    )
    filled = [one for one in columns if one in frame.columns and frame[one].null_count() < len(frame)]
    frame = frame.select(filled)
    key = f"pairs_{shown.dataset}_{shown.subject}_{shown.measure}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(left=frame["left_name"][row], right=frame["right_name"][row])

    widgets.table(
        frame, key=key, name=f"{shown.measure}_{shown.subject}", height=520, on_select=clicked,
        columns={"value": st.column_config.NumberColumn(shown.title, format="%.4g")}, sql=shown.sql(),
        alt=f"All pairs of subsets of {shown.subject} by {shown.title}",
    )  # fmt: skip


main()
