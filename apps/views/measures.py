"""Measures: what can be measured, when to use it and when not."""

from __future__ import annotations

import polars as pl
import streamlit as st

import address
import widgets
from shiftlab import measures
from shiftlab.measures.registry import KINDS
from widgets import plain


def main() -> None:
    widgets.heading(
        "Measures", "What can be measured, when to use it and when not. The same names work in every command."
    )
    every = measures.available()
    counts = dict(every.group_by("kind").len().iter_rows())
    kinds = ["all", *(one for one in KINDS if one in counts)]
    kind = address.select(
        "What is compared", "kind", kinds, widget=st.pills,
        shown=lambda one: f"{one} ({counts.get(one, len(every))})",
    )  # fmt: skip
    st.caption("Everything." if kind == "all" else f"{kind.capitalize()}: {KINDS[kind]}.")
    frame = every if kind == "all" else every.filter(pl.col("kind") == kind)
    key = f"measures_{kind}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(name=frame["name"][row])

    left, right = st.columns([3, 2], gap="large")
    with left:
        shown = frame.select("name", "kind", "use_when", "unit", "range", "zero_means")
        widgets.table(
            shown,
            key=key,
            name="measures",
            on_select=clicked,
            height=560,
            alt="Measures and when to use each",
        )
    with right:
        name = address.choice("name", ["", *every["name"].to_list()], noun="measure")
        if not name:
            st.info("Choose a measure in the table to read it in full.", icon=":material/ads_click:")
            return
        _detail(every.filter(pl.col("name") == name).row(0, named=True))


def _detail(one: dict[str, object]) -> None:
    text = {key: plain(str(value)) for key, value in one.items()}
    with st.container(border=True):
        st.header(text["name"], anchor=False)
        st.markdown(f"Compares {plain(KINDS[str(one['kind'])])}.")
        st.success(f"**Use it when** {text['use_when']}.", icon=":material/check:")
        st.warning(f"**Do not use it when** {text['do_not_use_when']}.", icon=":material/block:")
        st.markdown(
            f"**Zero means** {text['zero_means']}.  \n**Range** {text['range']}.  \n**Unit** {text['unit']}.  \n"
            f"**Symmetric** {'yes' if one['symmetric'] else 'no'}.  \n**Source** {text['source']}"
        )
        st.code(f"shiftlab measures {one['name']}", language="bash")
        st.code(f"import shiftlab as sl\n\nsl.measures.{one['name']}(x, y)", language="python")


main()
