"""Runs and jobs: what was done to the catalog, and what the explorer has running."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import streamlit as st

import address
import gateway
import jobs
import widgets
from widgets import number, plain

_RUNS = 1000
_ICONS = {"running": ":material/progress_activity:", "done": ":material/check_circle:", "failed": ":material/error:",
          "stopped": ":material/stop_circle:", "lost": ":material/help:"}  # fmt: skip


def main() -> None:
    widgets.heading("Runs and jobs", "What was done to this catalog, newest first, and what is running now.")
    _jobs()
    st.header("Runs", anchor=False)
    runs = gateway.rows("page_runs", limit=_RUNS)
    if runs.is_empty():
        widgets.empty_state("No run yet", "A run is one command's work. The first is an ingest:",
                            ["ingest", "images", "annotations.json", "--dataset", "mine"])  # fmt: skip
        return
    left, right = st.columns([3, 2], gap="large")
    with left, _table(runs):
        widgets.copy_as(cli=["runs"], sql="from runs", python='cat.sql("from runs").pl()')
    with right:
        wanted = address.choice("run", ["", *map(str, runs["run_id"])], noun="run")
        if wanted:
            _run(gateway.rows("page_run", run_id=int(wanted)).row(0, named=True))
        else:
            st.info(
                "Choose a run in the table to see its parameters and inputs.", icon=":material/ads_click:"
            )


def _table(runs: pl.DataFrame) -> Any:
    def clicked() -> None:
        for row in widgets.selected_rows("runs_table"):
            address.write(run=str(runs["run_id"][row]))

    columns: dict[str, Any] = dict.fromkeys(("params", "notes", "inputs"))
    columns["started_at"] = st.column_config.DatetimeColumn("started (UTC)", format="YYYY-MM-DD HH:mm:ss")
    return widgets.table(
        runs,
        key="runs_table",
        name="runs",
        columns=columns,
        on_select=clicked,
        height=520,
        alt="Runs, newest first",
    )


def _run(one: dict[str, Any]) -> None:
    with st.container(border=True):
        st.header(f"Run {one['run_id']}: {plain(one['command'])}", anchor=False)
        st.markdown(
            f"{one['started_at']:%Y-%m-%d %H:%M:%S} UTC, {number(one['seconds'])} s, ShiftLab {one['version']}, "
            f"seed {one['seed'] if one['seed'] is not None else 'none'}"
        )
        rows = [f"{one[name]:,} {name}" for name in ("scores", "subsets") if one[name]]
        st.caption(
            "In the catalog now: " + (", ".join(rows) if rows else "no score or subset names this run") + "."
        )
        for name in ("params", "notes", "inputs"):
            content = json.loads(one[name])
            if content:
                st.markdown(f"**{name.capitalize()}**")
                st.json(content, expanded=True)


@st.fragment(run_every="2s")
def _jobs() -> None:
    found = jobs.listed(8)
    running = {one.job_id for one in found if one.state == "running"}
    before = st.session_state.get("_running_jobs", set())
    st.session_state["_running_jobs"] = running
    if before - running:
        st.rerun(scope="app")
    st.header("Jobs", anchor=False)
    if not found:
        st.caption(
            "None yet. Pages start a job where something is not computed; it goes on when the page is left."
        )
        return
    for one in found:
        _job(one)


def _again(arguments: tuple[str, ...]) -> None:
    jobs.start(arguments)


def _job(one: jobs.Job) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        at = datetime.fromtimestamp(one.started, UTC)
        st.markdown(
            f"{_ICONS[one.state]} **{one.state}** `{jobs.shown(one.arguments)}`, {at:%H:%M} UTC, {one.seconds:.0f} s"
        )
        if one.state == "running":
            st.button(
                "Stop",
                key=f"stop_{one.job_id}",
                on_click=jobs.stop,
                args=(one.job_id,),
                icon=":material/stop:",
            )
        elif one.state != "done":
            again = f"again_{one.job_id}"
            st.button(
                "Run again", key=again, on_click=_again, args=(one.arguments,), icon=":material/replay:"
            )
    if one.state == "failed" and one.said:
        st.caption(plain(one.said.splitlines()[-1]))


main()
