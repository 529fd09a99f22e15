"""SQL console: one SELECT over the catalog, in a process of its own, within limits."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import jobs
import widgets
from shiftlab import figures
from widgets import number, plain

_LIMITS = ("100", "1000", "10000", "100000")
_TIMEOUTS = ("5", "30", "120")
_FIRST = "from subsets where kept order by n desc"
SNIPPETS = {
    "Largest subsets": _FIRST,
    "Subsets of a class": (
        "select name, n, community, degree\nfrom subsets\nwhere class = 'cat' and kept\norder by n desc"
    ),
    "Pairs that share most": (
        "select left_name, right_name, n_both, overlap, jaccard\nfrom subset_pairs\norder by jaccard desc"
    ),
    "Scores with their p-values": (
        "select measure, left_name, right_name, value, ci_low, ci_high, p, n_left, n_right\n"
        "from scores\nwhere p is not null\norder by measure, value desc"
    ),
    "Scores that could not be computed": "select measure, left_name, right_name, note\nfrom scores where value is null",
    "Objects by frequency": "select dataset, term, count(*) as items\nfrom presence group by all order by items desc",
    "What was run, and how long it took": "select run_id, command, dataset, seconds, started_at, params from runs",
}


def main() -> None:
    widgets.heading(
        "SQL console", "One SELECT over the catalog: read-only, without files or network, within limits."
    )
    left, right = st.columns([3, 1], gap="large")
    with right:
        _schema()
    with left:
        query = _editor()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            limit = address.select(
                "Row limit", "limit", _LIMITS, default="1000", shown=lambda n: f"{int(n):,} rows", width=160
            )
            timeout = address.select(
                "Time limit", "timeout", _TIMEOUTS, default="30", shown=lambda s: f"{s} s", width=160
            )
            st.button("Run", type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter")
        if query.strip():
            _result(query, int(limit), float(timeout))
        else:
            widgets.empty_state(
                "No query yet", "Write one SELECT, or choose an example, and run it with Ctrl+Enter."
            )


def _editor() -> str:
    st.session_state.setdefault("sql_snippet", None)
    st.selectbox(
        "Examples",
        list(SNIPPETS),
        key="sql_snippet",
        index=None,
        placeholder="Choose an example",
        on_change=_use_snippet,
    )
    return address.typed(
        "SQL",
        "q",
        widget=st.text_area,
        height=190,
        help="Ctrl+Enter runs it.",
        placeholder=_FIRST,
    )


def _use_snippet() -> None:
    if name := st.session_state["sql_snippet"]:
        address.write(q=SNIPPETS[name])


def _result(query: str, limit: int, timeout: float) -> None:
    words = ["sql", "-", "--limit", str(limit), "--timeout", f"{timeout:g}"]
    try:
        found = jobs.rows(words, stdin=query, timeout=timeout)
    except jobs.CommandError as error:
        label = (
            "Time limit"
            if error.exit_code == 124
            else "The query was refused"
            if error.exit_code == 2
            else "The query failed"
        )
        st.error(f"**{label}.** {plain(str(error))}", icon=":material/error:")
        return
    frame = found.frame
    view = address.select(
        "View", "view", ["table", "chart"], widget=st.segmented_control, label_visibility="collapsed"
    )
    if view == "chart":
        below = _chart(frame)
    else:
        below = widgets.table(
            _displayed(frame), key="sql_rows", name="query", alt="Rows of the query", height=560
        )
    with below:
        widgets.copy_as(cli=["sql", query], sql=query, python=f'cat.sql("""{query}""").pl()')
        with st.popover("DuckDB client", icon=":material/database:", type="tertiary"):
            st.code(f"duckdb -readonly {gateway.path()}/catalog.duckdb", language="bash")
    more = f" There are more: raise the row limit above {limit:,}." if found.said else ""
    st.caption(
        f"{len(frame):,} rows, {frame.width} columns, {number(found.seconds)} s with the start of the process.{more}"
    )


def _chart(frame: pl.DataFrame) -> Any:
    drawn = figures.of_rows(frame)
    if drawn is None:
        st.info("Nothing to draw: a chart needs a column of numbers and two rows.", icon=":material/info:")
        return st.container(horizontal=True)
    alt = f"Chart of the query's {len(frame)} rows; the table tells the numbers."
    return widgets.chart(drawn, key="sql_chart", name="query", alt=alt)


def _displayed(frame: pl.DataFrame) -> pl.DataFrame:
    """Integers beyond 64 bits as text: a browser's table cannot hold them."""
    huge = [name for name, kind in frame.schema.items() if kind in (pl.Int128, pl.UInt128)]
    return frame.with_columns(pl.col(huge).cast(pl.String)) if huge else frame


def _schema() -> None:
    st.markdown("**Tables and views**")
    tables = gateway.tables()
    wanted = address.typed("Find", "find", placeholder="subset", label_visibility="collapsed")
    text = pl.concat_str(pl.col("name", "columns", "holds").fill_null(""), separator=" ")
    found = tables.filter(text.str.to_lowercase().str.contains(wanted.lower(), literal=True))
    if found.is_empty():
        st.caption("No table, view or column has this in its name.")
    with st.container(height=620, border=False):
        for one in found.iter_rows(named=True):
            rows = f", {one['rows']:,} rows" if one["rows"] is not None else ""
            with st.expander(f"{plain(one['name'])} ({one['kind']}{rows})"):
                st.caption(plain(one["holds"] or ""))
                st.markdown("  \n".join(f"`{column}`" for column in (one["columns"] or "").split(", ")))


main()
