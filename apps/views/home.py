"""Home: what the catalog holds, what stands out in it, what was saved, and where to start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st

import gateway
import saving
import widgets
from widgets import number, plain


def main() -> None:
    widgets.heading(
        "ShiftLab",
        "How different are two sets of data, what makes them different, and which part should I keep?",
    )
    facts = gateway.rows("page_facts").row(0, named=True)
    _facts(facts)
    datasets = gateway.rows("page_datasets")
    something = bool(facts["datasets"] or facts["models"])
    if something:
        st.header("Findings", anchor=False)
        _findings(datasets)
    else:
        widgets.no_dataset()
    st.header("Saved views", anchor=False)
    saving.listed()
    if something:
        _content(datasets)


def _content(datasets: pl.DataFrame) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header("Data sets", anchor=False)
        widgets.table(
            datasets.drop("created"),
            key="home_datasets",
            name="datasets",
            alt="Data sets with what was derived from each",
            sql="from dataset order by dataset",
        )
    with right:
        st.header("Tour", anchor=False)
        _tour()
    st.header("Recent runs", anchor=False)
    runs = gateway.rows("page_runs", limit=5).drop("params", "notes", "inputs")
    widgets.table(
        runs, key="home_runs", name="recent_runs", alt="The five newest runs", sql="from runs limit 5"
    )


def _facts(facts: dict[str, int]) -> None:
    always = {
        "datasets": "Data sets",
        "items": "Items",
        "classes": "Classes",
        "subsets": "Subsets",
        "scores": "Scores",
    }
    labels = {**always, "models": "Networks", "episodes": "Episodes", "runs": "Runs"}
    with st.container(horizontal=True, gap="small"):
        for name, label in labels.items():
            if facts[name] or name in always:
                st.metric(label, f"{facts[name]:,}", border=True, width=155)


def _findings(datasets: pl.DataFrame) -> None:
    shown = [_shift_card(one) for one in gateway.rows("page_findings_shift", limit=2).iter_rows(named=True)]
    for name, card in (("page_findings_same", _same_card), ("page_findings_apart", _apart_card)):
        shown += [card(one) for one in gateway.rows(name).iter_rows(named=True)]
    if not shown:
        widgets.empty_state(
            "No findings yet",
            "Findings come from subsets and their scores. Build the subsets of a data set, then compare two:",
            ["subsets", "build", datasets["dataset"][0] if len(datasets) else "mine"],
        )
        return
    columns = st.columns(min(4, len(shown)), gap="small")
    for column, (title, text, command, page, state) in zip(columns, shown, strict=False):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.markdown(text)
            st.page_link(page, label="Show it", icon=":material/arrow_forward:", query_params=state)
            with st.popover("Command", type="tertiary", icon=":material/terminal:"):
                widgets.command(command)


Card = tuple[str, str, Sequence[str], str, dict[str, str]]


def _shift_card(one: dict[str, Any]) -> Card:
    over = "the other objects in them" if one["space"] == "objects" else f"their {one['space']}"
    interval = f" [{number(one['ci_low'])}, {number(one['ci_high'])}]" if one["ci_low"] is not None else ""
    chance = f", where chance gives {number(one['null_mean'])}" if one["null_mean"] is not None else ""
    text = (
        f"{plain(one['left_name'])} and {plain(one['right_name'])} differ by {plain(over)}: "
        f"{one['measure'].replace('_', ' ')} {number(one['value'])}{interval}{chance} "
        f"(p = {number(one['p'])}, n = {one['n_left']:,} and {one['n_right']:,})."
    )
    command = [
        "shift",
        one["left_name"],
        one["right_name"],
        "--dataset",
        one["dataset"],
        "--measure",
        one["measure"],
    ]
    state = {"dataset": one["dataset"], "left": one["left_name"], "right": one["right_name"]}
    return "A shift beyond chance", text, command, widgets.PAIR, state


def _same_card(one: dict[str, Any]) -> Card:
    text = (
        f"{plain(one['left_name'])} and {plain(one['right_name'])} share {one['n_both']:,} of "
        f"{one['n_left']:,} and {one['n_right']:,} items (Jaccard {number(one['jaccard'])}): "
        "comparing them says little, holding one out leaks the other."
    )
    state = {"dataset": one["dataset"], "left": one["left_name"], "right": one["right_name"]}
    command = ["subsets", "graph", one["class"], "--dataset", one["dataset"], "--edges"]
    return "Most nearly the same", text, command, widgets.PAIR, state


def _apart_card(one: dict[str, Any]) -> Card:
    shared = "share no item" if one["overlap"] == 0 else f"overlap by {one['overlap']:.0%}"
    text = (
        f"{plain(one['left_name'])} and {plain(one['right_name'])} {shared} and are farthest apart in a connected "
        f"meta-graph (effective resistance {number(one['resistance'])}): one is a hard test set for the other."
    )
    state = {"dataset": one["dataset"], "class": one["class"], "subset": one["left_name"]}
    command = ["subsets", "graph", one["class"], "--dataset", one["dataset"]]
    return "Farthest apart", text, command, widgets.SUBSETS, state


def _tour() -> None:
    steps = (
        (widgets.SUBSETS, "1. Walk the meta-graph of a class", "hub"),
        (widgets.SHIFT, "2. See which subsets differ most", "grid_on"),
        (widgets.PAIR, "3. Look into one pair: what differs, by how much", "compare_arrows"),
        (widgets.MEASURES, "4. Choose the measure that fits your question", "straighten"),
    )
    for page, label, icon in steps:
        st.page_link(page, label=label, icon=f":material/{icon}:")
    query = (
        "select class, count(*) as subsets, round(avg(n)) as mean_items\n"
        "from subsets where kept group by class order by subsets desc"
    )
    st.page_link(
        widgets.SQL,
        label="5. Ask your own question in SQL",
        icon=":material/terminal:",
        query_params={"q": query},
    )


main()
