"""Items: the units of a data set, and one item with what it shows and every subset that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import thumbnails
import widgets
from widgets import literal, plain

_PER_PAGE = ("50", "200", "500")


@dataclass(frozen=True)
class _Filter:
    """What of a data set is listed: items that show an object, that a subset holds, whose id starts with a text."""

    dataset: str
    shows: str
    subset: str
    starts: str

    def words(self) -> list[str]:
        """The command that lists them, but for the start of the id, which it takes in a predicate."""
        narrower = [("--shows", self.shows), ("--subset", self.subset)]
        options = [word for name, value in narrower if value for word in (name, value)]
        return ["items", "list", "--dataset", self.dataset, *options]

    def condition(self, where: str) -> str:
        """The predicate `where`, and the start of the id, as one."""
        starts = f"starts_with(item, {literal(self.starts)})" if self.starts else ""
        return f"{_bracketed(where)} and {starts}" if where and starts else where or starts

    def sql(self, where: str) -> str:
        """The same rows in SQL."""
        parts = [f"dataset = {literal(self.dataset)}"]
        if self.shows:
            parts.append(f"list_contains(objects, {literal(self.shows)})")
        if self.subset:
            parts.append(
                "item_id in (select m.item_id from membership m join subset s using (subset_id)\n"
                f"    where s.dataset = {literal(self.dataset)} and s.name = {literal(self.subset)})"
            )
        if condition := self.condition(where):
            parts.append(_bracketed(condition))
        return "from items where " + "\nand ".join(parts) + "\norder by item"


def _bracketed(condition: str) -> str:
    """On lines of its own where it may end in a comment, which would take the bracket with it."""
    return f"(\n{condition}\n)" if "--" in condition or "\n" in condition else f"({condition})"


def main() -> None:
    widgets.heading(
        "Items", "The images or other units of a data set: what each shows, and which subsets hold it."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dataset = widgets.pick_dataset(resets=("object", "subset", "item", "page"))
        if dataset is None:
            return
        wanted = _filter(dataset)
        view = "table"
        if thumbnails.there(dataset):
            view = address.select("View", "view", ["pictures", "table"], widget=st.segmented_control)
        per_page = int(address.select("Items a page", "per_page", _PER_PAGE, resets=("page",), width=130))
    where, fitting = widgets.narrowed(
        wanted.words(),
        "item",
        view="items",
        example="len(objects) > 3 and labels['split'] = 'test'",
        resets=("page",),
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        _list(wanted, where, fitting, view, per_page)
    with right:
        _one(dataset)


def _filter(dataset: str) -> _Filter:
    objects = dict(gateway.rows("page_objects", dataset=dataset).iter_rows())
    subsets = dict(gateway.rows("page_subset_names", dataset=dataset).select("name", "n").iter_rows())
    shows = address.select(
        "Shows", "object", ["", *objects], shown=lambda o: f"{o} ({objects[o]:,} items)" if o else "anything",
        resets=("page",),
    )  # fmt: skip
    subset = address.select(
        "Subset", "subset", ["", *subsets], shown=lambda s: f"{s} ({subsets[s]:,} items)" if s else "any or none",
        resets=("page",),
    )  # fmt: skip
    return _Filter(dataset, shows, subset, address.typed("Id starts with", "starts", resets=("page",)))


def _list(wanted: _Filter, where: str, fitting: pl.DataFrame | None, view: str, per_page: int) -> None:
    dataset = wanted.dataset
    if fitting is not None:
        fitting = fitting.filter(pl.col("item").str.starts_with(wanted.starts))
    n = _count(wanted) if fitting is None else len(fitting)
    if n == 0:
        _nothing(wanted, where)
        return
    page = widgets.page_of(n, per_page)
    place = {"limit": per_page, "offset": (page - 1) * per_page}
    if fitting is None:
        names = gateway.rows("page_item_names", **_values(wanted), **place)["item"]
    else:
        names = fitting["item"].slice(place["offset"], place["limit"])
    frame = gateway.rows("page_some_items", dataset=dataset, items=names.to_list())
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
    with below:
        _copy(wanted, where)
        _brought(dataset, n)


def _nothing(wanted: _Filter, where: str) -> None:
    if where or wanted.shows or wanted.subset or wanted.starts:
        widgets.empty_state("No item fits", "Clear or change what is asked for above to see more.")
        return
    widgets.empty_state(
        f"No items in {plain(wanted.dataset)}",
        "A data set of demonstrations has none. Items come with annotations:",
        ["ingest", "images", "annotations.json", "--dataset", wanted.dataset],
    )


def _count(wanted: _Filter) -> int:
    return int(gateway.rows("page_count_items", **_values(wanted))["n"][0])


def _values(wanted: _Filter) -> dict[str, Any]:
    """What the statements that list and count items ask for."""
    subset_id = None
    if wanted.subset:
        found = gateway.rows("page_subset", dataset=wanted.dataset, name=wanted.subset)
        subset_id = found["subset_id"][0]
    return {
        "dataset": wanted.dataset, "object": wanted.shows, "starts": wanted.starts, "subset_id": subset_id,
    }  # fmt: skip


def _copy(wanted: _Filter, where: str) -> None:
    condition = wanted.condition(where)
    options = {"where": condition, "subset": wanted.subset, "shows": wanted.shows}
    given = "".join(f", {name}={value!r}" for name, value in options.items() if value)
    widgets.copy_as(
        cli=[*wanted.words(), *([f"--where={condition}"] if condition else [])],
        sql=wanted.sql(where),
        python=f"from shiftlab import subsets\n\nsubsets.list_items(cat.store, {wanted.dataset!r}{given})",
    )


def _brought(dataset: str, n: int) -> None:
    """The run that brought the items, and what else was read into the data set since."""
    runs = gateway.rows("page_ingests", dataset=dataset)
    told = ", ".join(f"{command} (run {run_id})" for run_id, command in runs.iter_rows())
    first = None if runs.is_empty() else int(runs["run_id"][0])
    widgets.computed(
        first, {"Items listed": widgets.number(n), "Read into the data set by": told or "unknown"}
    )


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

    below = widgets.table(
        subsets.drop("weight", "run_id"), key="item_subsets", name=f"item_{name}_subsets", height=300,
        on_select=clicked, alt=f"Subsets that hold item {name}",
        sql="select s.name, s.class, s.n, m.weight from membership m join subset s using (subset_id)\n"
        f"where s.kept and m.item_id = {item['item_id']} order by s.class, s.name",
    )  # fmt: skip
    if len(subsets):
        made = subsets.group_by("run_id").len().sort("run_id", descending=True)
        told = ", ".join(f"{count} by run {run_id}" for run_id, count in made.iter_rows())
        with below:
            widgets.computed(int(made["run_id"][0]), {"Subsets": told})
    if going := st.session_state.pop("_go", None):
        st.switch_page(
            widgets.SUBSETS, query_params={"dataset": dataset, **{k: v for k, v in going.items() if v}}
        )


main()
