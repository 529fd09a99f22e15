"""Pair: two subsets side by side, every stored score between them, and what differs."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import jobs
import thumbnails
import widgets
from shiftlab import figures
from shiftlab.report import Report, Section
from shiftlab.shift.why import why
from shiftlab.vectors import BASE_STAGE
from widgets import literal, number, plain

_OBJECTS = 20
_STRIP = 8
_WHY = {
    "features": "Columns of the vectors by their own shift, largest first. share: part of the summed squared shift; "
    "q: false discovery rate over the columns. A shift of their correlation is not seen here.",
    "flows": "Turning one subset into the other at least cost: how much goes from one group of similar items to "
    "another. A group is called by its most central item; a flow is drawn darker the larger its part of the cost.",
    "moves": "Turning one subset into the other at least cost: the costliest single moves, item to item.",
    "nearest": "Items of the first subset nearest to the second and farthest from it, with their nearest match.",
    "witness": "Items where one subset is dense and the other is not (the extremes of the MMD witness).",
}

_DRAWN = {"histogram": "Histogram", "ecdf": "Cumulative", "quantiles": "Q-Q"}
# Kind -> the columns that name items, and the column that is told below each tile with the one that groups them.
_ITEMS_OF = {
    "flows": ["source", "target"],
    "moves": ["source", "target"],
    "nearest": ["item", "match"],
    "witness": ["item"],
}
_TOLD_OF = {
    "flows": ("mass", None),
    "moves": ("distance", None),
    "nearest": ("distance", "end"),
    "witness": ("witness", "side"),
}


def main() -> None:
    widgets.heading(
        "Pair", "Two subsets side by side: how far apart, whether chance explains it, and what differs."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dataset = widgets.pick_dataset()
        if dataset is None:
            return
        known = gateway.rows("page_subset_names", dataset=dataset)
        if len(known) < 2:
            widgets.empty_state(
                "No two subsets here",
                f"{plain(dataset)} has {len(known)} subsets; a comparison needs two. Build them:",
                ["subsets", "build", dataset],
            )
            return
        left, right = _pick(dataset, known)
    if left == right:
        widgets.empty_state("The same subset twice", "Choose two different subsets.")
        return
    sides = [
        gateway.rows("page_subset", dataset=dataset, name=one).row(0, named=True) for one in (left, right)
    ]
    _facts(dataset, sides)
    _scores(dataset, left, right)
    _objects(dataset, sides)
    _why(dataset, left, right)


def _pick(dataset: str, known: pl.DataFrame) -> tuple[str, str]:
    """Both subsets from the URL; by default the pair of a finding, else the two largest of one class."""
    names = known["name"].to_list()
    found = gateway.rows("page_findings_shift", limit=20).filter(pl.col("dataset") == dataset)
    largest = known.filter("kept").sort("n", descending=True)
    of_class = (
        largest.filter(pl.col("class") == largest["class"][0])["name"].to_list() if len(largest) else []
    )
    first = (
        found.select("left_name", "right_name").row(0)
        if len(found)
        else tuple(dict.fromkeys(of_class + names))[:2]
    )
    sizes = dict(known.select("name", "n").iter_rows())

    def label(name: str) -> str:
        return f"{name}, {sizes[name]:,} items"

    left = address.select("Left subset", "left", names, default=first[0], shown=label)
    right = address.select("Right subset", "right", names, default=first[1], shown=label)
    return left, right


def _facts(dataset: str, sides: list[dict[str, Any]]) -> None:
    shared = gateway.rows("page_shared_items", left_id=sides[0]["subset_id"], right_id=sides[1]["subset_id"])[
        "n"
    ][0]
    smaller = min(one["n"] for one in sides)
    columns = st.columns([2, 2, 3], gap="medium")
    for column, one, mark in zip(columns, sides, ("circle", "diamond"), strict=False):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{plain(one['name'])}** ({mark})")
            st.metric("Items", f"{one['n']:,}")
            if thumbnails.there(dataset):
                thumbnails.strip(
                    dataset, one["subset_id"], one["name"], most=_STRIP, key=f"pair_strip_{mark}"
                )
            if one["class"]:
                st.page_link(
                    widgets.SUBSETS, label="See it in its class", icon=":material/hub:",
                    query_params={"dataset": dataset, "class": one["class"], "subset": one["name"]},
                )  # fmt: skip
    with columns[2].container(border=True, height="stretch"):
        st.markdown("**In common**")
        with st.container(horizontal=True):
            st.metric("Shared items", f"{shared:,}")
            st.metric(
                "Overlap", number(shared / smaller), help="Shared items over those of the smaller subset."
            )
            st.metric("Jaccard", number(shared / (sides[0]["n"] + sides[1]["n"] - shared)))
        if sides[0]["class"] and sides[0]["class"] == sides[1]["class"]:
            st.page_link(
                widgets.SHIFT, label=f"All pairs of {plain(sides[0]['class'])}", icon=":material/grid_on:",
                query_params={"dataset": dataset, "class": sides[0]["class"], "left": sides[0]["name"],
                              "right": sides[1]["name"]},
            )  # fmt: skip


def _scores(dataset: str, left: str, right: str) -> None:
    st.header("Scores", anchor=False)
    scores = gateway.rows("page_pair_scores", dataset=dataset, left=left, right=right)
    command = ["shift", left, right, "--dataset", dataset]
    spaces = gateway.rows("page_spaces", dataset=dataset)["space"].unique().sort().to_list()
    if len(spaces) > 1:
        command += ["--space", spaces[0]]
    tested = scores.filter(pl.col("design") == "pair")
    if tested.is_empty():
        with st.container(border=True):
            st.markdown(
                "**Not tested yet.** This command scores the pair by several measures, with intervals and p-values:"
            )
            widgets.job_button(command, "Compute now", key="pair_scores")
    if scores.is_empty():
        return
    if len(tested.filter(pl.col("value").is_not_null())):
        _against_chance(tested, left, right)
    shown = scores.select(
        "measure", "space", "design", "value", "ci_low", "ci_high", "debiased", "null_mean", "null_q95", "p", "q",
        "n_left", "n_right", "note", "seed", "seconds", "run_id",
    )  # fmt: skip
    shown = widgets.filled(shown)
    below = widgets.table(
        shown,
        key="pair_scores_table",
        name=f"{left}_{right}_scores",
        alt=f"Scores between {left} and {right}",
    )
    st.caption(
        "p: share of random splits at least as far apart. Matrix scores come from the all-pairs design, pair scores "
        "from the test of this pair. With several measures read all p together, not the smallest alone."
    )
    with below:
        widgets.copy_as(
            cli=command,
            sql=_select(dataset, left, right),
            python=f'cat.compare("{left}", "{right}", dataset="{dataset}")',
        )
        seeds = ", ".join(str(one) for one in scores["seed"].drop_nulls().unique().sort())
        widgets.report_button(
            lambda: _report(dataset, left, right, shown, command), key="pair", name=f"{left}_{right}"
        )
        runs = scores["run_id"].unique().sort().to_list()
        widgets.computed(runs[-1], {"Seeds": seeds or "none", "Runs": ", ".join(map(str, runs))})


def _select(dataset: str, left: str, right: str) -> str:
    as_asked = f"left_name = {literal(left)}"
    return (
        "select measure, grp, coalesce(params ->> 'design', 'pair') as design, value, ci_low, ci_high,\n"
        f"    null_mean, p, q, if({as_asked}, n_left, n_right) as n_left,\n"
        f"    if({as_asked}, n_right, n_left) as n_right, note\n"
        f"from scores\nwhere dataset = {literal(dataset)}"
        f" and list_sort([left_name, right_name]) = list_sort([{literal(left)}, {literal(right)}])\n"
        "qualify row_number() over (partition by measure, grp, design order by score_id desc) = 1\n"
        "order by design desc, measure, grp"
    )


def _against_chance(tested: pl.DataFrame, left: str, right: str) -> None:
    label = pl.col("measure").str.replace_all("_", " ") + ", " + pl.col("space").fill_null("")
    labelled = tested.with_columns(label.alias("label"))
    widgets.chart(
        figures.against_chance(labelled), key="pair_chance", name=f"{left}_{right}_scores",
        alt=f"Scores between {left} and {right} with their intervals, beside what chance gives; "
        "the table tells the numbers.",
    )  # fmt: skip
    st.caption(
        "Diamond: observed value. Line: 95 % interval of the population's value, which lies below the observed one "
        "by its sampling bias. Grey: what chance gives, where it can be told (not where the two share items); thin "
        "lines cut the random splits into twentieths, the thick one is their mean."
    )


def _report(dataset: str, left: str, right: str, scores: pl.DataFrame, command: list[str]) -> Report:
    with gateway.reading():
        ids = [
            gateway.rows("page_subset", dataset=dataset, name=one)["subset_id"][0] for one in (left, right)
        ]
        shares = gateway.rows("page_pair_terms", left_id=ids[0], right_id=ids[1])
        facts = {"Catalog": gateway.path(), "Generation": gateway.current().generation, "Dataset": dataset}
    drawn = figures.term_shares(shares, left, right, most=_OBJECTS) if len(shares) else None
    alt = f"Share of the items of {left} and of {right} that show each object or attribute."
    sections = [
        Section("Scores", table=scores, command=widgets.shell(command)),
        Section("What differs: what the items show", figure=drawn, alt=alt, table=shares),
    ]
    return Report(f"{left} and {right}", facts, sections)


def _objects(dataset: str, sides: list[dict[str, Any]]) -> None:
    left, right = sides[0]["name"], sides[1]["name"]
    st.header("What differs: what the items show", anchor=False)
    shares = gateway.rows("page_pair_terms", left_id=sides[0]["subset_id"], right_id=sides[1]["subset_id"])
    if shares.is_empty():
        st.info("The items of these two subsets show nothing but what defines them.", icon=":material/info:")
        return
    first, second = st.columns([1, 1], gap="large")
    name = f"{left}_{right}_objects"
    with first:
        widgets.chart(
            figures.term_shares(shares, left, right, most=_OBJECTS), key="pair_objects", name=name,
            alt=f"Share of the items of {left} and of {right} that show each object or attribute, the largest "
            "difference first; the table tells all.",
        )  # fmt: skip
    with second:
        st.caption(
            f"Drawn: the {min(_OBJECTS, len(shares))} largest differences of {len(shares)} objects and attributes. "
            "The classes and contexts that define the two subsets are left out."
        )
        titles = {"left_share": left, "right_share": right, "difference": "difference"}
        percent = {c: st.column_config.NumberColumn(title, format="percent") for c, title in titles.items()}
        alt = f"Objects and attributes in the items of {left} and {right}"
        both = f"s.dataset = {literal(dataset)} and s.name in ({literal(left)}, {literal(right)})"
        widgets.table(
            shares, key="pair_objects_table", name=name, columns=percent, height=430, alt=alt,
            sql="select s.name, t.kind, t.name as term, count(*) as items, count(*) / any_value(s.n) as share\n"
            "from subset s join membership using (subset_id)\n"
            "join item_term using (item_id) join term t using (term_id)\n"
            f"where {both}\ngroup by s.name, t.kind, t.name order by term, s.name",
        )  # fmt: skip


def _pictured(dataset: str, kind: str, found: pl.DataFrame) -> None:
    """The items of the table below, those that belong together side by side."""
    columns = _ITEMS_OF.get(kind)
    if columns is None:
        return
    names = found.select(columns).unpivot()["value"].unique().to_list()
    ids = dict(
        gateway.rows("page_items_by_name", dataset=dataset, items=names).select("item", "item_id").iter_rows()
    )
    number_of, group_of = _TOLD_OF[kind]
    groups = found.partition_by(group_of, as_dict=True, maintain_order=True) if group_of else {("",): found}
    for (title,), rows in groups.items():
        if title:
            st.markdown(f"**{plain(str(title))}**")
        tiles = [
            thumbnails.Tile(
                [ids[one[c]] for c in columns if one[c] in ids], one[columns[0]], number(one[number_of]),
                f"{' and '.join(f'item {one[c]}' for c in columns)}, {number_of} {number(one[number_of])}",
            )
            for one in rows.iter_rows(named=True)
        ]  # fmt: skip
        thumbnails.grid(
            dataset, tiles, key=f"why_{kind}_{title}_pictures", label=f"{kind} {title}", size=64, on_choose=_went,
        )  # fmt: skip
    if item := st.session_state.pop("_pair_item", None):
        st.switch_page(widgets.ITEMS, query_params={"dataset": dataset, "item": item})


def _went(item: str) -> None:
    st.session_state["_pair_item"] = item


def _why(dataset: str, left: str, right: str) -> None:
    """What makes the difference in a vector space, asked for by a click: it takes a second or two."""
    spaces = gateway.rows("page_spaces", dataset=dataset)["space"].unique().sort().to_list()
    st.header("What differs: in a vector space", anchor=False)
    if not spaces:
        st.info("This data set has no vectors.", icon=":material/info:")
        widgets.command(["ingest", "vectors", "vectors.npz", "--dataset", dataset, "--space", "embedding"])
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = address.select(
            "Show", "why", ["", *_WHY], shown=lambda one: one or "nothing yet", resets=("feature",)
        )
        space = address.select("Space", "space", spaces, resets=("feature",))
    if not kind:
        return
    st.caption(_WHY[kind])
    command = [
        "shift",
        "why",
        left,
        right,
        "--kind",
        kind,
        "--dataset",
        dataset,
        "--space",
        space,
        "--top",
        "20",
    ]
    try:
        found = jobs.rows(command).frame
    except jobs.CommandError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if kind == "flows":
        _flows(found, left, right)
    if thumbnails.there(dataset):
        _pictured(dataset, kind, found)
    key = f"why_{kind}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(feature=found["feature"][row])

    below = widgets.table(
        widgets.filled(found), key=key, name=f"{left}_{right}_{kind}", height=300,
        alt=f"What makes {left} differ from {right}: {kind}", on_select=clicked if kind == "features" else None,
    )  # fmt: skip
    options = f'"{kind}", dataset="{dataset}", space="{space}", top=20'
    with below:
        widgets.copy_as(
            cli=command,
            sql=_members(dataset, left, right, space),
            python="from shiftlab.shift.why import why\n\n"
            + f'why(cat.store, "{left}", "{right}", {options})',
        )
    if kind == "features":
        _distribution(dataset, left, right, space, found["feature"].to_list())


def _distribution(dataset: str, left: str, right: str, space: str, features: list[str]) -> None:
    """How one feature is distributed on both sides; the features come in the order of their shift."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        feature = address.select("Feature", "feature", features, width=200)
        how = address.select(
            "Drawn as", "drawn", list(_DRAWN), widget=st.segmented_control, shown=_DRAWN.__getitem__
        )
    values = _values(gateway.current().stamp, dataset, left, right, space, feature)
    title = f"{space} {feature}"
    key, name = f"distribution_{how}", f"{left}_{right}_{space}_{feature}"
    below = widgets.chart(
        figures.distribution(values, left, right, how, title), key=key, name=f"{name}_{how}",
        alt=f"{_DRAWN[how]} of feature {feature} of {space} in {left} and {right}; the table above tells how far apart "
        "they are, the table below every value.",
    )  # fmt: skip
    command = ["shift", "why", left, right, "--kind", "values", "--feature", feature, "--dataset", dataset,
               "--space", space]  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql=_members(dataset, left, right, space),
            python="from shiftlab.shift.why import why\n\n"
            f'why(cat.store, "{left}", "{right}", "values", dataset="{dataset}", space="{space}", feature={feature})',
        )
    with st.expander(f"The {len(values):,} values"):
        widgets.table(values, key=f"{key}_values", name=name, alt=f"Feature {feature} of every item")


def _members(dataset: str, left: str, right: str, space: str) -> str:
    """What there is in SQL of a result that is computed from vectors: the items, and where their vectors stand."""
    return (
        "-- Computed from vectors, which are files below the catalog's folder vectors, not rows. Each of `files` has\n"
        "-- the item_id of its rows in the one of `ids_files` at the same place; the command and Python do the rest.\n"
        "select s.name as subset, i.external_id as item, item_id, weight,\n"
        "    list(f.file order by f.file) as files, list(f.ids_file order by f.file) as ids_files\n"
        "from subset s join membership using (subset_id) join item i using (item_id)\n"
        f"join space p on p.dataset = s.dataset and p.space = {literal(space)} and p.stage = {literal(BASE_STAGE)}\n"
        "join vector_file f using (space_id)\n"
        f"where s.dataset = {literal(dataset)} and s.name in ({literal(left)}, {literal(right)})\n"
        "group by all order by subset, item"
    )


@st.cache_data(max_entries=30, show_spinner=False)
def _values(
    stamp: tuple[str, int, int], dataset: str, left: str, right: str, space: str, feature: str
) -> pl.DataFrame:
    store = gateway.current().store
    return why(store, left, right, "values", dataset=dataset, space=space, feature=int(feature))


def _flows(found: pl.DataFrame, left: str, right: str) -> None:
    staying = found.filter(pl.col("source") == pl.col("target"))["mass"].sum()
    widgets.chart(
        figures.flow(found) | {"height": 420}, key="why_flows_chart", name=f"{left}_{right}_flows",
        export=figures.flow_drawing(found),
        alt=f"How the mass of {left} (left) moves to that of {right} (right), in {len(found)} flows between groups of "
        "similar items; the table tells each.",
    )  # fmt: skip
    st.caption(f"{staying:.0%} of the mass stays within its group.")


main()
