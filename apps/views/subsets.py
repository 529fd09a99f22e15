"""Subsets: the classes of a data set, the meta-graph of one, its table, and one subset with its items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import thumbnails
import widgets
from shiftlab import matrix_figures, subset_figures
from shiftlab.report import Report, Section
from widgets import literal, plain

_ITEMS_PER_PAGE = 24
_STRIP = 8
_EDGE = 0.2
_SEEN = {"graph": "Meta-graph", "overlaps": "Overlaps", "classes": "Classes"}
_SHARES = {"overlap": "of the smaller subset", "jaccard": "of both together (Jaccard)"}


def main() -> None:
    widgets.heading(
        "Subsets",
        "A class in its contexts, such as cat(sofa). Two subsets are joined where they share items.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dataset = widgets.pick_dataset()
        if dataset is None:
            return
        subject = widgets.pick_class(dataset)
        if subject is None:
            return
        seen = address.select("See", "see", list(_SEEN), widget=st.segmented_control, shown=_SEEN.__getitem__)
    nodes = gateway.rows("page_subsets", dataset=dataset, **{"class": subject})
    pairs = gateway.rows("page_pairs", dataset=dataset, **{"class": subject})
    name = _chosen(nodes)
    left, right = st.columns([3, 2], gap="large")
    edge = _EDGE
    with left:
        if seen == "graph":
            edge = _edge()
            _graph(dataset, subject, nodes, pairs, name, edge)
        elif seen == "overlaps":
            _overlaps(dataset, subject, nodes, pairs)
        else:
            _classes(dataset)
    with right:
        _subset(dataset, subject, nodes, name)
    st.header(f"All subsets of {plain(subject)}", anchor=False)
    below = _table(dataset, subject, nodes)
    with below:
        widgets.report_button(
            lambda: _report(dataset, subject, nodes, pairs, edge), key=f"subsets_{dataset}_{subject}",
            name=f"subsets_{subject}",
        )  # fmt: skip


def _report(dataset: str, subject: str, nodes: pl.DataFrame, pairs: pl.DataFrame, edge: float) -> Report:
    """The class on one page: its meta-graph, its overlaps and its subsets."""
    sizes = nodes["n"].to_list()
    facts = {
        "Catalog": gateway.path(), "Generation": gateway.generation(), "Dataset": dataset, "Class": subject,
        "Subsets": len(nodes), "Items a subset": f"{min(sizes):,} to {max(sizes):,}",
        "Communities": nodes["community"].n_unique(), "Edges from an overlap of": edge,
        "Runs": ", ".join(map(str, nodes["run_id"].unique().sort())),
    }  # fmt: skip
    graph = widgets.shell(["subsets", "graph", subject, "--dataset", dataset])
    sections = []
    placed, edges = nodes.filter(pl.col("x").is_not_null()), pairs.filter(pl.col("overlap") >= edge)
    if len(placed):
        told = f"{len(placed)} subsets, {len(edges)} edges"
        if len(placed) > subset_figures.MOST_NODES:
            placed, edges = subset_figures.communities(placed, edges)
            told += f", drawn as {len(placed)} communities, each named after its largest subset"
        drawn: Any = subset_figures.meta_graph_drawing(placed, edges)
        alt = f"Meta-graph of {subject}: {told}."
        sections.append(Section("Meta-graph", f"{told.capitalize()}.", figure=drawn, alt=alt, command=graph))
    if len(nodes) > 1:
        values = pairs.rename({"overlap": "value"})
        tree = matrix_figures.clustered(values, nodes["name"].to_list(), similarity=True)
        drawn = matrix_figures.with_tree(
            matrix_figures.matrix(values, tree.order, "overlap"), tree, "overlap"
        )
        text = "Shared items over those of the smaller subset. 1: one holds the other."
        alt = f"Heat map of the overlaps of {len(nodes)} subsets, those that share most beside each other."
        sections.append(Section("Overlaps", text, figure=drawn, alt=alt, command=graph))
    command = widgets.shell(["subsets", "list", "--dataset", dataset, "--class", subject])
    sections.append(Section("Subsets", table=_listed(nodes), command=command))
    return Report(f"Subsets of {subject}", facts, sections)


def _classes(dataset: str) -> None:
    """Every class of the data set; a click goes to it."""
    frame = gateway.rows("page_classes", dataset=dataset)
    key = f"classes_{dataset}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(**{"class": frame["class"][row]}, subset=None, page=None)

    st.caption(f"{len(frame)} classes. Click a row to see its subsets.")
    widgets.table(
        frame, key=key, name=f"classes_{dataset}", on_select=clicked, height=640, alt=f"Classes of {dataset}",
        columns={"smallest": "smallest subset", "largest": "largest subset"},
        sql="select class, count(*) as subsets, min(n) as smallest, max(n) as largest\nfrom subsets\n"
        f"where dataset = {literal(dataset)} and kept group by class order by subsets desc",
    )  # fmt: skip


def _overlaps(dataset: str, subject: str, nodes: pl.DataFrame, pairs: pl.DataFrame) -> None:
    """How much any two subsets share; a click goes to the pair."""
    if len(nodes) < 2:
        widgets.empty_state("One subset", f"{plain(subject)} has one subset; overlaps need two.")
        return
    measure = address.select(
        "Share of the items", "share", list(_SHARES), widget=st.segmented_control, shown=_SHARES.__getitem__
    )
    values = pairs.rename({measure: "value"})
    tree = matrix_figures.clustered(values, nodes["name"].to_list(), similarity=True)

    def chosen(left: str, right: str) -> None:
        st.session_state["_go_pair"] = {"dataset": dataset, "left": left, "right": right}

    below, _ = widgets.matrix(
        values, tree.order, measure, key=f"overlaps_{dataset}_{subject}_{measure}", name=f"{measure}_{subject}",
        alt=f"Heat map of the {measure} of {len(nodes)} subsets of {subject}, those that share most beside each other; "
        "the command and SQL below give the same numbers.", on_choose=chosen, tree=tree,
    )  # fmt: skip
    if going := st.session_state.pop("_go_pair", None):
        st.switch_page(widgets.PAIR, query_params=going)
    st.caption("Ordered so that subsets which share most stand together. Click a cell to compare the two.")
    with below:
        widgets.copy_as(
            cli=["subsets", "graph", subject, "--dataset", dataset],
            sql=f"select left_name, right_name, {measure}\nfrom subset_distances\n"
            f"where dataset = {literal(dataset)} and class = {literal(subject)}\norder by {measure} desc",
            python=f'from shiftlab import subsets\n\nsubsets.graph(cat.store, "{subject}", "{dataset}")',
        )


def _edge() -> float:
    steps = [f"{one / 20:.2f}" for one in range(1, 20)]
    given = address.select(
        "Edges from an overlap of", "edge", steps, default=f"{_EDGE:.2f}", widget=st.select_slider,
        help="Overlap coefficient: shared items over those of the smaller subset. MetaShift draws edges from 0.2.",
        width=280,
    )  # fmt: skip
    return float(given)


def _chosen(nodes: pl.DataFrame) -> str | None:
    """The subset that the URL names; none until one is chosen."""
    given = address.text("subset")
    if given and given not in nodes["name"].to_list():
        address.choice("subset", ["", *nodes["name"].to_list()], noun="subset")
        return None
    return given or None


def _graph(
    dataset: str, subject: str, nodes: pl.DataFrame, pairs: pl.DataFrame, name: str | None, edge: float
) -> None:
    edges = pairs.filter(pl.col("overlap") >= edge)
    placed = nodes.filter(pl.col("x").is_not_null())
    if placed.is_empty():
        widgets.empty_state("No meta-graph", "The subsets of this class have no stored positions; build them again:",
                            ["subsets", "build", dataset])  # fmt: skip
        return
    if len(placed) <= subset_figures.MOST_NODES:
        _each(dataset, subject, placed, edges, name)
        return
    home = subset_figures.community_of(placed)
    groups, links = subset_figures.communities(placed, edges)
    sizes = dict(groups.select("name", "subsets").iter_rows())
    picked = address.select(
        "Community", "community", ["", *sizes], width=280,
        shown=lambda one: f"{one}, {sizes[one]} subsets" if one else f"all {len(sizes)}, one node each",
    )  # fmt: skip
    if picked:
        members = placed.filter(pl.col("name").replace_strict(home) == picked)
        inside = pl.col("left_name").is_in(members["name"].implode())
        inside &= pl.col("right_name").is_in(members["name"].implode())
        _each(dataset, subject, members, edges.filter(inside), name, picked)
    else:
        _communities(dataset, subject, groups, links, home.get(name or ""))


def _communities(
    dataset: str, subject: str, groups: pl.DataFrame, links: pl.DataFrame, selected: str | None
) -> None:
    """The meta-graph of a class that is too large to show each subset: its communities; a click narrows to one."""
    key = f"communities_{dataset}_{subject}"
    names, subsets = groups["name"].to_list(), groups["subsets"].sum()

    def narrow(name: str) -> None:
        address.write(community=name)

    def clicked() -> None:
        for row in widgets.selected_rows(f"{key}_table"):
            narrow(names[row])

    widgets.chart(
        subset_figures.meta_graph(groups, links, selected=selected) | {"height": 640}, key=key,
        name=f"communities_{subject}", export=subset_figures.meta_graph_drawing(groups, links),
        alt=f"Meta-graph of {subject}: {len(groups)} communities of {subsets} subsets, {len(links)} edges. The table "
        "below lists the same communities.",
        on_select=lambda: _clicked(key, names, narrow),
    )  # fmt: skip
    st.caption(
        f"{subsets} subsets, too many to show each: a node is a community, named after its largest subset. Size: "
        "subsets. Width: the largest overlap between two. Click a node or a row to see the subsets of a community."
    )
    widgets.table(
        groups.select(community="name", subsets="subsets", largest="largest", within="within", across="across"),
        key=f"{key}_table", name=f"communities_{subject}", on_select=clicked, alt=f"Communities of {subject}",
        columns={"largest": "largest subset", "within": "edges within", "across": "edges to others"},
        sql="select if(together > 1, 'community ' || (community + 1), 'alone') as name, count(*) as subsets,\n"
        "    arg_max(name, n) as largest\n"
        "from (select *, count(*) over (partition by community) as together from subsets\n"
        f"      where dataset = {literal(dataset)} and class = {literal(subject)} and kept)\n"
        "group by all order by min(community)",
    )  # fmt: skip


def _each(
    dataset: str, subject: str, placed: pl.DataFrame, edges: pl.DataFrame, name: str | None, part: str = ""
) -> None:
    """The meta-graph, or the `part` of it that `placed` holds, with a node for each subset; a click chooses it."""
    key = f"graph_{dataset}_{subject}_{part}"
    communities = placed.group_by("community").len().filter(pl.col("len") > 1).height
    option = subset_figures.meta_graph(placed, edges, selected=name) | {"height": 640}
    below = widgets.chart(
        option, key=key, name=f"meta_graph_{subject}", export=subset_figures.meta_graph_drawing(placed, edges),
        alt=f"Meta-graph of {subject}: {len(placed)} subsets, {len(edges)} edges, {communities} communities. "
        "The table below lists the same subsets.",
        on_select=lambda: _clicked(key, placed["name"].to_list(), lambda one: address.write(subset=one, page=None)),
    )  # fmt: skip
    several = "community" if communities == 1 else "communities"
    st.caption(
        f"{len(placed)} subsets, {len(edges)} edges, {communities} {several} (found at an overlap of 0.2). "
        "Size: items. Colour and shape: community. Width: overlap. Subsets without an edge stand below. "
        "Click a subset to see it; scroll to zoom, drag to move."
    )
    with below:
        widgets.copy_as(
            cli=["subsets", "graph", subject, "--dataset", dataset],
            sql=f"from subset_distances where dataset = {literal(dataset)} and class = {literal(subject)}",
            python=f'from shiftlab import subsets\n\nsubsets.graph(cat.store, "{subject}", "{dataset}")',
        )
        widgets.computed(
            placed["run_id"].to_list()[-1],
            {"Subsets": len(placed), "Computed by": "`shiftlab subsets build`"},
        )
        st.page_link(
            widgets.SHIFT, label=f"Shift between subsets of {plain(subject)}", icon=":material/grid_on:",
            query_params={"dataset": dataset, "class": subject},
        )  # fmt: skip


def _clicked(key: str, names: list[str], choose: Callable[[str], None]) -> None:
    """Calls `choose` with the name of the node that was clicked; nodes are in the order of `names`."""
    for part in st.session_state[key]["selection"].get("selected", []):
        at = part.get("data_indices") or []
        if part.get("data_type") == "node" and at and at[0] < len(names):
            choose(names[at[0]])


def _listed(nodes: pl.DataFrame) -> pl.DataFrame:
    """The subsets as people read them; communities are counted from 1."""
    return widgets.filled(nodes.drop("x", "y", "subset_id", "run_id").with_columns(pl.col("community") + 1))


def _table(dataset: str, subject: str, nodes: pl.DataFrame) -> Any:
    """All subsets, narrowed by a predicate; returns the row below the table."""
    where, names = widgets.predicate(dataset, subject)
    words = ["subsets", "list", "--dataset", dataset, "--class", subject]
    condition = f"dataset = {literal(dataset)} and class = {literal(subject)} and kept"
    shown = _listed(nodes)
    if where:
        words, condition = [*words, f"--where={where}"], f"{condition} and ({where})"
    if names is not None:
        shown = shown.filter(pl.col("name").is_in(names))
        st.caption(f"{len(shown)} of {len(nodes)} subsets fit.")
    key = f"subsets_table_{dataset}_{subject}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(subset=shown["name"][row], page=None)

    below = widgets.table(
        shown, key=key, name=f"subsets_{subject}", on_select=clicked, alt=f"Subsets of {subject}",
        columns={"n": st.column_config.NumberColumn("items", format="localized")},
    )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=words,
            sql=f"from subsets where {condition}",
            python=f'cat.sql("""from subsets where {condition}""").pl()',
        )
    return below


def _subset(dataset: str, subject: str, nodes: pl.DataFrame, name: str | None) -> None:
    if name is None:
        with st.container(border=True):
            st.markdown("**Choose a subset** in the graph or in the table to see its items and neighbours.")
            largest = nodes.sort("n", descending=True).head(6)
            st.caption("The largest:")
            for one, n in largest.select("name", "n").iter_rows():
                st.page_link(
                    widgets.SUBSETS, label=f"{plain(one)}, {n:,} items", icon=":material/folder:",
                    query_params={"dataset": dataset, "class": subject, "subset": one},
                )  # fmt: skip
        return
    one = nodes.filter(pl.col("name") == name).row(0, named=True)
    st.header(plain(name), anchor=False)
    with st.container(horizontal=True):
        st.metric("Items", f"{one['n']:,}")
        st.metric("Edges", one["degree"])
        st.metric("Community", "none" if one["community"] is None else one["community"] + 1)
    if one["mirror_of"]:
        st.caption(f"The same items as {plain(one['mirror_of'])}, seen from the other class.")
    view = address.select(
        "Show", "view", ["neighbours", "items"], widget=st.segmented_control, label_visibility="collapsed"
    )
    if view == "neighbours":
        if thumbnails.there(dataset):
            thumbnails.strip(dataset, one["subset_id"], name, most=_STRIP, key=f"strip_{dataset}_{name}")
        _neighbours(dataset, name, one["subset_id"])
    else:
        _items(dataset, name, one["subset_id"], one["n"])


def _neighbours(dataset: str, name: str, subset_id: int) -> None:
    frame = gateway.rows("subset_neighbours", subset_id=subset_id)
    if frame.is_empty():
        st.info("It shares no item with another subset of its class.", icon=":material/info:")
        return
    key = f"neighbours_{dataset}_{name}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            st.session_state["_go"] = {"dataset": dataset, "left": name, "right": frame["neighbour"][row]}

    st.caption("Nearest first. Click a row to compare the two.")
    shown = widgets.filled(frame.drop("spectral_valid", "note"))
    below = widgets.table(
        shown,
        key=key,
        name="neighbours",
        height=420,
        on_select=clicked,
        alt=f"Subsets that share items with {name}",
    )
    if going := st.session_state.pop("_go", None):
        st.switch_page(widgets.PAIR, query_params=going)
    with below:
        widgets.copy_as(
            cli=["subsets", "show", name, "--dataset", dataset],
            sql=f"from subset_pairs where dataset = {literal(dataset)} and {literal(name)} in (left_name, right_name)\n"
            "order by overlap desc",
            python=f'from shiftlab import subsets\n\nsubsets.neighbours(cat.store, "{name}", "{dataset}")',
        )


def _go(dataset: str, item: str) -> None:
    st.session_state["_go"] = {"dataset": dataset, "item": item}


def _items(dataset: str, name: str, subset_id: int, n: int) -> None:
    page = widgets.page_of(n, _ITEMS_PER_PAGE)
    frame = gateway.rows(
        "page_items", subset_id=subset_id, limit=_ITEMS_PER_PAGE, offset=(page - 1) * _ITEMS_PER_PAGE
    )
    key = f"items_{dataset}_{name}"
    label = f"Items of {name}, page {page}"
    place = st.container()
    if thumbnails.there(dataset):
        place = st.expander("The same items as a table")
        thumbnails.grid(
            dataset, thumbnails.tiles(frame), key=f"{key}_pictures", label=label, size=72,
            on_choose=lambda item: _go(dataset, item),
        )  # fmt: skip
    shown = widgets.filled(frame.drop("item_id"))

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            _go(dataset, shown["item"][row])

    with place:
        below = widgets.table(shown, key=key, name="items", height=420, on_select=clicked, alt=label)
    if going := st.session_state.pop("_go", None):
        st.switch_page(widgets.ITEMS, query_params=going)
    widgets.pages_of(n, _ITEMS_PER_PAGE, page)
    with below:
        widgets.copy_as(
            cli=["subsets", "show", name, "--dataset", dataset, "--items"],
            sql="select i.external_id from membership m join item i using (item_id) join subset s using (subset_id)\n"
            f"where s.dataset = {literal(dataset)} and s.name = {literal(name)} order by i.external_id",
            python=f'from shiftlab import subsets\n\nsubsets.members(cat.store, "{name}", "{dataset}")',
        )
        st.page_link(
            widgets.ITEMS, label="Filter them", icon=":material/photo_library:",
            query_params={"dataset": dataset, "subset": name},
        )  # fmt: skip


main()
