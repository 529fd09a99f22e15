"""The map of the subsets of a class by a measure, and the table below it: both select the same subsets."""

from __future__ import annotations

import numpy as np
import polars as pl
import streamlit as st

import address
import gateway
import widgets
from pairs import SIMILARITIES, Shown, origin
from shiftlab import matrix_figures, subset_figures
from shiftlab.shift.layout import classical_scaling
from widgets import number, plain


def draw(shown: Shown, pair: tuple[str, str] | None) -> None:
    """Subsets placed so that straight distances resemble the measure; those without every value are left out."""
    points = _placed(
        gateway.current().stamp, shown.dataset, shown.subject, shown.measure, shown.space, shown.where, shown
    )
    if points is None:
        st.info("A map needs three subsets with a value for every pair.", icon=":material/info:")
        return
    frame, stress, left_out = points
    base = f"map_{shown.dataset}_{shown.subject}_{shown.measure}"
    chosen = _chosen(frame)
    key = _brush_key(base, frame, chosen)

    def brushed() -> None:
        inside = _inside(frame, key)
        st.session_state[f"{base}_first"] = inside
        address.write(chosen=inside)

    below = widgets.chart(
        subset_figures.subset_map(frame, selected=pair or (), chosen=chosen), key=key,
        name=f"map_{shown.measure}_{shown.subject}", on_select=brushed,
        alt=f"Map of {len(frame)} subsets of {shown.subject} by {shown.title}; the table of pairs tells the distances, "
        "the table below the map lists the subsets.",
    )  # fmt: skip
    with below:
        origin(shown)
    st.caption(
        f"Classical scaling. Distances are approximate: stress {number(stress, 2)} (0 is perfect, above 0.2 is poor). "
        + (f"{left_out} subsets without a value to every other are left out. " if left_out else "")
        + "Drag over subsets, or select rows below: they stand out in the map and in the table."
    )
    _mapped(frame, chosen, base)


def _chosen(frame: pl.DataFrame) -> list[str]:
    """The subsets of the map that the URL names; those that it does not hold are told."""
    given, known = address.texts("chosen"), set(frame["name"])
    unknown = [one for one in given if one not in known]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        st.warning(
            f"The link names the subset '{plain(unknown[0])}'{more}, which this map does not hold. "
            "Select rows below the map instead.",
            icon=":material/link_off:",
        )
    return [one for one in given if one in known]


def _inside(frame: pl.DataFrame, key: str) -> list[str]:
    """The subsets inside the brush of the map called `key`."""
    brush = (st.session_state.get(key) or {}).get("selection", {}).get("brush") or {}
    if "x" not in brush or "y" not in brush:
        return []
    both = [pl.col(one).is_between(*sorted(brush[one])) for one in ("x", "y")]
    return frame.filter(*both)["name"].to_list()


def _brush_key(base: str, frame: pl.DataFrame, chosen: list[str]) -> str:
    """The key of the map: a new one where its brush is not what is chosen, for a brush is not taken away otherwise."""
    turn = st.session_state.setdefault(f"{base}_turn", 0)
    inside = _inside(frame, f"{base}_{turn}")
    if inside and set(inside) != set(chosen):
        turn = st.session_state[f"{base}_turn"] = turn + 1
    return f"{base}_{turn}"


def _mapped(frame: pl.DataFrame, chosen: list[str], base: str) -> None:
    """The subsets of the map as a table, where rows are selected as points are by the brush."""
    first = st.session_state.setdefault(
        f"{base}_first", chosen
    )  # rows keep their place while they are clicked
    listed = frame.sort(~pl.col("name").is_in(first), "name").select("name", "n", "community", "degree")
    key = f"{base}_subsets"

    def clicked() -> None:
        address.write(chosen=[listed["name"][row] for row in widgets.selected_rows(key)])

    def cleared() -> None:
        address.write(chosen=None)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(chosen)} of {len(frame)} selected**")
        if chosen:
            st.button(
                "Clear", key=f"{base}_clear", icon=":material/close:", type="tertiary", on_click=cleared
            )
    rows = [row for row, name in enumerate(listed["name"]) if name in set(chosen)]
    widgets.table(
        listed.with_columns(pl.col("community") + 1), key=key, name="subsets", height=260,
        on_select=clicked, selected=rows, alt="Subsets of the map",
    )  # fmt: skip


@st.cache_data(max_entries=20, show_spinner=False)
def _placed(
    stamp: tuple[str, int, int],
    dataset: str,
    subject: str,
    measure: str,
    space: str | None,
    where: str,
    _shown: Shown,
) -> tuple[pl.DataFrame, float, int] | None:
    """Subsets with places x and y, Kruskal's stress, and how many had to be left out. Only `_shown` is read."""
    shown = _shown
    values = matrix_figures.square(shown.pairs.select("left_name", "right_name", "value"))
    if shown.measure in SIMILARITIES:
        values = values.with_columns(1 - pl.col("value"))
    wide = values.pivot("right_name", index="left_name", values="value", sort_columns=True).sort("left_name")
    missing = {name: wide[name].null_count() - 1 for name in wide.columns[1:]}
    whole = [name for name, n in missing.items() if n <= min(missing.values())]
    square = wide.filter(pl.col("left_name").is_in(whole)).select(whole).to_numpy().copy()
    np.fill_diagonal(square, 0.0)
    if len(whole) < 3 or not np.isfinite(square).all():
        return None
    layout = classical_scaling(np.maximum(square, 0.0))
    nodes = gateway.rows("page_subsets", dataset=shown.dataset, **{"class": shown.subject}).drop("x", "y")
    at = pl.DataFrame({"name": whole, "x": layout.positions[:, 0], "y": layout.positions[:, 1]})
    return nodes.join(at, on="name"), layout.stress, len(shown.names) - len(whole)
