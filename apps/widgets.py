"""What several pages show the same way: tables and charts with their exports, commands to copy, provenance,
empty states, and the button that starts a job."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import jobs
from shiftlab import __version__, figures, matrix_figures, report
from shiftlab.cli import output
from shiftlab.errors import CatalogBusyError, NotFoundError, ShiftLabError

PAIR, SHIFT, SUBSETS, SQL = "views/pair.py", "views/shift.py", "views/subsets.py", "views/sql.py"
MEASURES, RUNS, ITEMS = "views/measures.py", "views/runs.py", "views/items.py"
_ROW_PIXELS = 35
_MOST_ROWS = 10_000


def heading(title: str, what: str) -> None:
    """Title of a page and one line that says what it is for."""
    st.title(title, anchor=False)
    st.caption(what)


def number(value: float | int | None, digits: int = 3) -> str:
    """A number as people read it: counts whole, measurements to three significant digits."""
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def plain(markdown: str) -> str:
    """A name of the catalog as it is, where Streamlit would read Markdown."""
    return "".join("\\" + one if one in "\\`*_{}[]<>#$~:|!" else one for one in markdown)


def command(words: Sequence[str]) -> None:
    """A command over this catalog, to be copied; `words` are those after ``shiftlab``."""
    st.code(shell(words), language="bash")


def empty_state(title: str, why: str, *commands: Sequence[str]) -> None:
    """What is not there, why, and the commands that mend it (the words after ``shiftlab``)."""
    with st.container(border=True):
        st.header(title, anchor=False)
        st.markdown(why)
        for words in commands:
            command(words)


def no_catalog(error: ShiftLabError) -> None:
    """The whole page when the catalog cannot be opened."""
    if isinstance(error, NotFoundError):
        with st.container(border=True):
            st.header("No catalog here", anchor=False)
            st.markdown(f"There is no catalog in `{gateway.path()}`. Build one from the bundled data:")
            st.code("shiftlab demo", language="bash")
            st.markdown("or from your own annotations:")
            command(["ingest", "images", "annotations.json", "--dataset", "mine"])
    elif isinstance(error, CatalogBusyError):
        empty_state("The catalog is being written", plain(str(error)))
        st.button("Try again", icon=":material/refresh:")
    else:
        empty_state("This catalog cannot be opened", plain(str(error)))


def no_dataset() -> None:
    """The page of a catalog that holds nothing yet."""
    empty_state(
        "This catalog is empty",
        "It holds no data set yet. Read annotations into it, then build the subsets:",
        ["ingest", "images", "annotations.json", "--dataset", "mine"],
        ["subsets", "build", "mine"],
    )


def pick_dataset(resets: Sequence[str] = ()) -> str | None:
    """The data set of the page, from the URL; None with an empty state where there is none.

    Another one takes the names in `resets` out of the URL.
    """
    datasets = gateway.rows("page_datasets")
    if datasets.is_empty():
        no_dataset()
        return None
    richest = datasets.sort("subsets", "items", descending=True)["dataset"][0]
    return address.select("Dataset", "dataset", datasets["dataset"].to_list(), default=richest, resets=resets)


def pick_class(dataset: str) -> str | None:
    """The class of the page, from the URL; None with an empty state where the data set has no subsets."""
    classes = gateway.rows("page_classes", dataset=dataset)
    if classes.is_empty():
        empty_state(
            f"No subsets in {plain(dataset)}",
            "Subsets such as `cat(sofa)` are built from the annotations of a data set:",
            ["subsets", "build", dataset],
        )
        return None
    counts = dict(classes.select("class", "subsets").iter_rows())
    return address.select(
        "Class", "class", sorted(counts), default=classes["class"][0], shown=lambda c: f"{c} ({counts[c]} subsets)",
        resets=("subset", "left", "right", "chosen", "community"),
    )  # fmt: skip


def predicate(dataset: str, subject: str) -> tuple[str, list[str] | None]:
    """A filter of the subsets of a class by SQL, from the URL, and the names that fit; None without a filter."""
    words = ["subsets", "list", "--dataset", dataset, "--class", subject]
    where, found = narrowed(words, "name", view="subsets", example="n > 100 and degree > 2")
    return where, None if found is None else found["name"].to_list()


def narrowed(
    words: Sequence[str], *columns: str, view: str, example: str, resets: Sequence[str] = ()
) -> tuple[str, pl.DataFrame | None]:
    """A filter by SQL over a view, from the URL, of what a command lists (its `words`), and columns of what fits.

    The command line takes the same words. A filter that is refused says why, and then nothing fits.
    """
    listed = f"{words[0]} {words[1]}"
    where = address.typed(
        "Filter by a SQL predicate", "where", placeholder=example, resets=resets,
        help=f"Over the columns of the view {view}; the command line takes the same: shiftlab {listed} --where",
    ).strip()  # fmt: skip
    if not where:
        return "", None
    try:
        return where, jobs.rows([*words, f"--where={where}"]).frame.select(columns)
    except jobs.CommandError as error:
        st.error(f"**The filter was refused.** {plain(str(error))}", icon=":material/error:")
        return where, pl.DataFrame(schema=dict.fromkeys(columns, pl.String))


def chart(
    drawn: Any,
    *,
    key: str,
    alt: str,
    name: str,
    export: Any = None,
    on_select: Callable[[], None] | None = None,
) -> Any:
    """An Altair chart or an ECharts option; returns the row below it, for more than its exports.

    `export`: the Altair chart to export, where an ECharts option is shown. `on_select` is called after a
    selection.
    """
    reacts: dict[str, Any] = {"on_select": on_select} if on_select else {}
    if isinstance(drawn, dict):
        option = {name: value for name, value in drawn.items() if name != "height"}
        st.echarts_chart(option, key=key, alt=alt, height=drawn.get("height", 620), **reacts)
    else:
        st.altair_chart(drawn, key=key, alt=alt, width="stretch", **reacts)
        export = drawn
    below = st.container(horizontal=True, gap="small")
    with below.popover("Export figure", icon=":material/image:", type="tertiary"):
        if not figures.can_draw():
            st.caption("PNG and SVG need the extra: `pip install 'shiftlab[figures]'`")
        for kind in ("png", "svg", "json") if figures.can_draw() else ("json",):
            st.download_button(
                kind.upper() if kind != "json" else "Vega-Lite JSON", data=partial(figures.image, export, kind),
                file_name=f"{name}.{kind}", on_click="ignore", key=f"{key}_{kind}", width="stretch",
            )  # fmt: skip
    return below


def table(
    frame: pl.DataFrame,
    *,
    key: str,
    name: str,
    alt: str,
    columns: Mapping[str, Any] | None = None,
    on_select: Callable[[], None] | None = None,
    height: int = 400,
    sql: str = "",
    selected: Sequence[int] | None = None,
) -> Any:
    """A table, at most `height` pixels high; returns the row below it, for more than its downloads.

    `on_select` is called after a click on a row; see `selected_rows`. With `selected`, the rows that are selected
    now, several may be. `sql` gives the same rows to who copies it. Of very many rows the first are shown, with a
    notice; downloads hold all.
    """
    reacts: dict[str, Any] = {"on_select": on_select, "selection_mode": "single-row"} if on_select else {}
    if selected is not None:
        reacts["selection_mode"] = "multi-row"
        st.session_state[key] = {"selection": {"rows": list(selected)}}
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    config: dict[str, Any] = {c: st.column_config.NumberColumn(format="%.3g") for c in floats}
    st.dataframe(
        frame.head(_MOST_ROWS), key=key, hide_index=True, alt=alt,
        height=min(height, _ROW_PIXELS * (len(frame) + 1) + 3),
        column_config={**config, **(columns or {})}, **reacts,
    )  # fmt: skip
    if len(frame) > _MOST_ROWS:
        st.caption(f"The first {_MOST_ROWS:,} of {len(frame):,} rows; downloads hold all.")
    below = st.container(horizontal=True, gap="small")
    for kind, content in (("csv", _csv), ("parquet", _parquet)):
        below.download_button(
            kind.upper() if kind == "csv" else "Parquet", data=partial(content, frame),
            file_name=f"{name}.{kind}", icon=":material/download:", on_click="ignore", key=f"{key}_{kind}",
            type="tertiary",
        )  # fmt: skip
    if sql:
        with below:
            copy_as(cli=["sql", sql], sql=sql, python=f'cat.sql("""{sql}""").pl()')
    return below


def matrix(
    pairs: pl.DataFrame,
    order: Sequence[str],
    title: str,
    *,
    key: str,
    name: str,
    alt: str,
    on_choose: Callable[[str, str], None],
    chosen: Sequence[str] = (),
    tree: matrix_figures.Tree | None = None,
    upper: str = "",
) -> tuple[Any, Any]:
    """The heat map of all pairs; a click on a cell calls `on_choose` with both names.

    Above `matrix_figures.ALTAIR_CELLS` subsets it is drawn by ECharts. `upper`: what the upper triangle shows in the
    place of the value. Returns the row below it and what is exported.
    """
    drawn: Any = matrix_figures.matrix(pairs, order, title, selected=chosen, upper=upper)
    if tree:
        drawn = matrix_figures.with_tree(drawn, tree, title)
    key = "_".join(filter(None, [key, "tree" if tree else "", upper]))
    large = len(order) > matrix_figures.ALTAIR_CELLS
    cells = matrix_figures.halves(pairs, order, upper) if large else []

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        before = st.session_state.get(f"{key}_before", [])  # each triangle keeps a selection of its own
        found = [(one["left_name"], one["right_name"]) for one in selection.get("cell") or []]
        for part in selection.get("selected", []) if large else []:
            names = cells[part["series_index"]].select("left_name", "right_name")
            found += [names.row(at) for at in part.get("data_indices") or []]
        st.session_state[f"{key}_before"] = found
        for left, right in found:
            if (left, right) not in before:
                on_choose(left, right)

    shown = drawn
    if large:
        shown = matrix_figures.large_matrix(pairs, order, title, tree=tree, upper=upper) | {"height": 820}
    return chart(shown, key=key, alt=alt, name=name, export=drawn, on_select=clicked), drawn


def report_button(make: Callable[[], report.Report], *, key: str, name: str) -> None:
    """The result as one HTML file; `make` is called when the button is pressed."""
    st.download_button(
        "HTML report", data=lambda: make().html(), file_name=f"{name}.html", mime="text/html", key=f"{key}_html",
        icon=":material/article:", on_click="ignore", type="tertiary",
    )  # fmt: skip


def shell(words: Sequence[str]) -> str:
    """A command over this catalog as one types it."""
    return jobs.shown(["--catalog", str(gateway.path()), *words])


def filled(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that hold something."""
    return frame.select(column.name for column in frame if column.null_count() < len(frame))


def selected_rows(key: str) -> list[int]:
    """Row numbers that are selected in a table."""
    return list(st.session_state.get(key, {}).get("selection", {}).get("rows", []))


def _csv(frame: pl.DataFrame) -> bytes:
    return output.text(frame, "csv").encode()


def _parquet(frame: pl.DataFrame) -> bytes:
    out = BytesIO()
    output.write(frame, "parquet", out)
    return out.getvalue()


def copy_as(*, cli: Sequence[str], sql: str, python: str) -> None:
    """The same result by the command line, by SQL and by Python; `cli` are the words after shiftlab."""
    with st.popover("Copy as CLI / SQL / Python", icon=":material/content_copy:", type="tertiary"):
        st.caption("Command line")
        command(cli)
        st.caption("SQL")
        st.code(sql, language="sql")
        st.page_link(
            SQL, label="Open in the SQL console", icon=":material/terminal:", query_params={"q": sql}
        )
        st.caption("Python")
        st.code(f'import shiftlab as sl\n\ncat = sl.open("{gateway.path()}")\n{python}', language="python")


def computed(run_id: int | None, facts: Mapping[str, Any]) -> None:
    """How a result came about: its run with parameters, seed, versions and inputs, and what `facts` adds."""
    with st.popover("How was this computed?", icon=":material/info:", type="tertiary"):
        for name, value in facts.items():
            st.markdown(f"**{name}**  {value}")
        if run_id is None:
            return
        run = gateway.rows("page_run", run_id=run_id)
        if run.is_empty():
            st.caption(f"Run {run_id} is not in the catalog any more.")
            return
        one = run.row(0, named=True)
        st.markdown(
            f"**Run** {run_id}: `{one['command']}`, {one['started_at']:%Y-%m-%d %H:%M} UTC, "
            f"{number(one['seconds'])} s, ShiftLab {one['version']}, "
            f"seed {'none' if one['seed'] is None else one['seed']}"
        )
        st.json(json.loads(one["params"]), expanded=True)
        if inputs := json.loads(one["inputs"]):
            st.markdown("**Inputs**, by sha256")
            st.json(inputs, expanded=True)
        st.page_link(RUNS, label="See the run", icon=":material/history:", query_params={"run": str(run_id)})


def job_button(arguments: Sequence[str], label: str, *, key: str) -> None:
    """The command that computes what is missing, a button that starts it, and its progress."""
    command(arguments)
    job = jobs.find(arguments)
    if job is None or job.state != "running":
        if job is not None and job.state in ("failed", "lost"):
            why = plain(job.said.splitlines()[-1]) if job.said else "It ended before it was done."
            st.error(f"The last attempt did not end well. {why}", icon=":material/error:")
        st.button(
            label,
            key=f"{key}_start",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start,
            args=(arguments,),
        )
        return
    _progress(job.job_id, key)


def _start(arguments: Sequence[str]) -> None:
    try:
        jobs.start(arguments)
    except OSError as error:
        st.toast(f"The job could not be started: {error}", icon=":material/error:")


@st.fragment(run_every="1s")
def _progress(job_id: str, key: str) -> None:
    """A running job, looked at every second; the page runs again when it ends."""
    job = next((one for one in jobs.listed() if one.job_id == job_id), None)
    if job is None or job.state != "running":
        st.rerun(scope="app")
    last = job.said.splitlines()[-1] if job.said else "working"
    st.info(f"{plain(last)}, {job.seconds:.0f} s", icon="spinner")
    st.button("Stop", key=f"{key}_stop", icon=":material/stop:", on_click=jobs.stop, args=(job_id,))


def footer() -> Any:
    """Version, state of the catalog, and the link to what is shown; returns the row of the link, for more."""
    st.divider()
    left, right = st.columns([3, 2])
    try:
        stand = f"generation {gateway.current().generation:,} of `{gateway.path()}`"
    except LookupError:
        stand = f"`{gateway.path()}`"
    left.caption(f"ShiftLab {__version__}, {stand}. Everything stays on this machine.")
    row = right.container(horizontal=True, gap="small")
    with row.popover("Link to this view", icon=":material/link:", type="tertiary"):
        origin = (st.context.url or "").split("/")[:3]
        st.code("/".join(origin) + address.link(), language=None)
    return row


def page_of(n: int, per_page: int) -> int:
    """Which page of `n` rows the URL names."""
    pages = max(1, -(-n // per_page))
    return int(address.choice("page", [str(one) for one in range(1, pages + 1)]))


def pages_of(n: int, per_page: int, page: int) -> None:
    """The way to the other pages of `n` rows, and which rows are shown."""
    key = f"{st.session_state['_page']}_page"
    st.pagination(
        max(1, -(-n // per_page)), default=page, key=f"{key}_{page}_{per_page}",
        on_change=lambda: address.write(page=str(st.session_state[f"{key}_{page}_{per_page}"])),
    )  # fmt: skip
    st.caption(f"{(page - 1) * per_page + 1:,} to {min(n, page * per_page):,} of {n:,}.")


def literal(text: str) -> str:
    """A text as SQL writes it; for statements that people copy, not for those that pages run."""
    return "'" + text.replace("'", "''") + "'"
