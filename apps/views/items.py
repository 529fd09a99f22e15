"""Items: the units of a data set, and one item with what it shows and every subset that holds it."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import thumbnails
import widgets
from widgets import literal, plain

_PER_PAGE = ("50", "200", "500")


def main() -> None:
    widgets.heading(
        "Items", "The images or other units of a data set: what each shows, and which subsets hold it."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dataset = widgets.pick_dataset()
        if dataset is None:
            return
        objects = gateway.rows("page_objects", dataset=dataset)
        counts = dict(objects.iter_rows())
        shows = address.select(
            "Shows", "object", ["", *counts], shown=lambda o: f"{o} ({counts[o]:,} items)" if o else "anything",
            resets=("page",),
        )  # fmt: skip
        starts = address.typed("Id starts with", "starts", resets=("page",))
        view = "table"
        if thumbnails.there(dataset):
            view = address.select("View", "view", ["pictures", "table"], widget=st.segmented_control)
        per_page = int(address.select("Items a page", "per_page", _PER_PAGE, resets=("page",), width=130))
    left, right = st.columns([3, 2], gap="large")
    with left:
        _list(dataset, shows, starts, view, per_page)
    with right:
        _one(dataset)


def _list(dataset: str, shows: str, starts: str, view: str, per_page: int) -> None:
    wanted = {"dataset": dataset, "object": shows, "starts": starts}
    n = gateway.rows("page_count_items", **wanted)["n"][0]
    if n == 0:
        widgets.empty_state("No item fits", "Clear the id or the object above to see more.")
        return
    page = widgets.page_of(n, per_page)
    frame = gateway.rows("page_some_items", **wanted, limit=per_page, offset=(page - 1) * per_page)
    key = f"items_{view}_{dataset}"
    if view == "pictures":
        thumbnails.grid(
            dataset, thumbnails.tiles(frame), key=key, label=f"Items of {dataset}, page {page}",
            chosen=address.text("item"), on_choose=lambda name: address.write(item=name),
        )  # fmt: skip
        below = st.container(horizontal=True, gap="small")
    else:
        below = _table(dataset, widgets.filled(frame.drop("item_id")), key, page)
    widgets.pages_of(n, per_page, page)
    query = f"select external_id from presence where dataset = {literal(dataset)}"
    query += f" and term = {literal(shows)}" if shows else ""
    query += f" and starts_with(external_id, {literal(starts)})" if starts else ""
    with below:
        widgets.copy_as(cli=["sql", query], sql=query, python=f'cat.sql("""{query}""").pl()')


def _table(dataset: str, shown: pl.DataFrame, key: str, page: int) -> Any:
    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(item=shown["item"][row])

    return widgets.table(
        shown, key=key, name="items", on_select=clicked, height=560, alt=f"Items of {dataset}, page {page}"
    )


def _one(dataset: str) -> None:
    name = address.text("item")
    found = gateway.rows("page_item", dataset=dataset, item=name)
    if found.is_empty():
        if name:
            st.warning(
                f"The link names the item '{plain(name)}', which {plain(dataset)} does not have.",
                icon=":material/link_off:",
            )
        st.info("Choose an item to see its annotations and subsets.", icon=":material/ads_click:")
        return
    item = found.row(0, named=True)
    st.header(f"Item {plain(name)}", anchor=False)
    facts = [f"file {item['file']}"] if item["file"] else []
    facts += [f"{item['width']} x {item['height']} pixels"] if item["width"] else []
    labels = gateway.rows("page_item_labels", item_id=item["item_id"])
    facts += [f"{scheme} {value}" for scheme, value in labels.iter_rows()]
    thumbnails.large(dataset, item["item_id"], f"Picture of item {name}")
    if facts:
        st.caption(plain(", ".join(facts)))
    _annotations(name, item)
    _subsets(dataset, name, item)


def _annotations(name: str, item: dict[str, Any]) -> None:
    terms = gateway.rows("page_item_terms", item_id=item["item_id"])
    st.markdown(f"**What it shows** ({len(terms)})")
    widgets.table(
        widgets.filled(terms),
        key="item_terms",
        name=f"item_{name}",
        height=250,
        alt=f"Annotations of item {name}",
        sql=f"select term, n, area from presence where item_id = {item['item_id']}",
    )


def _subsets(dataset: str, name: str, item: dict[str, Any]) -> None:
    subsets = gateway.rows("page_item_subsets", item_id=item["item_id"])
    st.markdown(f"**Subsets that hold it** ({len(subsets)}). Click a row to see the subset.")

    def clicked() -> None:
        for row in widgets.selected_rows("item_subsets"):
            st.session_state["_go"] = {"class": subsets["class"][row], "subset": subsets["name"][row]}

    widgets.table(
        subsets.drop("weight"), key="item_subsets", name=f"item_{name}_subsets", height=300, on_select=clicked,
        alt=f"Subsets that hold item {name}",
        sql="select s.name, s.class, s.n, m.weight from membership m join subset s using (subset_id)\n"
        f"where s.kept and m.item_id = {item['item_id']} order by s.class, s.name",
    )  # fmt: skip
    if going := st.session_state.pop("_go", None):
        st.switch_page(
            widgets.SUBSETS, query_params={"dataset": dataset, **{k: v for k, v in going.items() if v}}
        )


main()
