"""Episodes: demonstrations with their scores, one metric ranked with its doubt, and one episode step by step."""

from __future__ import annotations

import polars as pl
import streamlit as st

import address
import gateway
import jobs
import widgets
from shiftlab import figures
from widgets import literal, number, plain

_STEP_METRICS = (
    "action_variance",
    "action_residual",
    "neighbour_distance",
    "transition_residual",
    "mutual_information",
)


def main() -> None:
    widgets.heading(
        "Episodes",
        "Demonstrations for imitation learning: which to look at again, and why. No metric is a verdict.",
    )
    sets = gateway.rows("page_episode_sets")
    if sets.is_empty():
        widgets.empty_state(
            "No demonstrations yet",
            "Read them from LeRobot, robomimic or Minari, or from a plain table, then score them:",
            ["ingest", "episodes", "demonstrations", "--dataset", "mine"],
            ["episodes", "score", "mine"],
        )
        return
    dataset = address.select("Dataset", "dataset", sets["dataset"].to_list(), width=320)
    one = sets.filter(pl.col("dataset") == dataset).row(0, named=True)
    st.caption(
        f"{one['n_episodes']:,} episodes, {one['n_steps']:,} steps, {one['state_dim']} state and {one['action_dim']} "
        f"action dimensions, actions {plain(one['action_kind'] or 'unknown')}, read from {plain(one['format'])}."
    )
    if one["scores"] == 0:
        with st.container(border=True):
            st.markdown("**Not scored yet.** This command scores every episode:")
            widgets.job_button(["episodes", "score", dataset], "Score now", key="episodes")
        return
    episodes = gateway.rows("page_episodes", dataset=dataset)
    known = [str(one) for one in episodes["episode"]]
    chosen = address.choice("episode", ["", *known])
    _ranked(dataset, chosen)
    _keep_curve(dataset)
    _table(dataset, episodes)
    if chosen:
        _episode(dataset, int(chosen))


def _ranked(dataset: str, chosen: str) -> None:
    metrics = gateway.rows("page_episode_metrics", dataset=dataset)
    names = metrics["metric"].to_list()
    metric = address.select("Metric", "metric", names, shown=lambda one: one.replace("_", " "), width=320)
    scores = gateway.rows("page_episode_scores", dataset=dataset, metric=metric)
    key = f"ranked_{dataset}_{metric}"

    def clicked() -> None:
        for point in st.session_state[key]["selection"].get("episode") or []:
            address.write(episode=str(point["episode"]))

    title = metric.replace("_", " ")
    below = widgets.chart(
        figures.ranked(scores, title, selected=int(chosen) if chosen else None), key=key, name=f"{dataset}_{metric}",
        alt=f"{title} of {len(scores)} episodes of {dataset} with intervals, sorted; the table tells the numbers.",
        on_select=clicked,
    )  # fmt: skip
    query = (
        f"from episode_score where dataset = {literal(dataset)} and metric = {literal(metric)} order by value"
    )
    with below:
        widgets.copy_as(cli=["episodes", "list", dataset], sql=query, python=f'cat.sql("""{query}""").pl()')
        widgets.computed(int(metrics.filter(pl.col("metric") == metric)["run_id"][0]), {"Metric": title})
    row = metrics.filter(pl.col("metric") == metric).row(0, named=True)
    interval = f" [{number(row['ci_low'])}, {number(row['ci_high'])}]" if row["ci_low"] is not None else ""
    st.caption(
        f"Mean over episodes {number(row['mean'])}{interval}. Where intervals overlap, the order is not known."
    )


def _keep_curve(dataset: str) -> None:
    """What keeping the best by each metric would have brought, where the episodes have outcomes that differ."""
    st.header("What keeping fewer would bring", anchor=False)
    st.caption(
        "A metric as a rule of what to keep, judged by the recorded outcomes, beside its baselines: keep the shortest, "
        "keep at random, and hindsight."
    )
    metrics = gateway.rows("page_episode_metrics", dataset=dataset)["metric"].to_list()
    rule = address.select(
        "Rule", "rule", ["", *metrics], shown=lambda one: one.replace("_", " ") or "none yet", width=320
    )
    if not rule:
        return
    command = ["episodes", "report", dataset, "--keep-curve"]
    try:
        curve = jobs.rows(command).frame.drop("dataset")
        confounds = jobs.rows([*command[:-1], "--confounds"]).frame.drop("dataset")
    except jobs.CommandError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return
    if rule not in curve["rule"].to_list():
        st.info("This metric has no end that is worse, so it is no rule.", icon=":material/info:")
    below = widgets.chart(
        figures.keep_curve(curve, rule), key=f"keep_{dataset}_{rule}", name=f"{dataset}_keep_curve",
        alt=f"Mean outcome of the episodes of {dataset} that {rule} would keep, beside keeping the shortest, random "
        "choices and hindsight; the table tells the numbers.",
    )  # fmt: skip
    st.caption("Grey: 95 % of random choices. Inside it a rule did no better than chance.")
    with below:
        widgets.copy_as(
            cli=command,
            sql=f"from episode_score where dataset = {literal(dataset)} and metric = {literal(rule)} order by value",
            python=f'cat.sql("from episode_score where dataset = $d", {{"d": "{dataset}"}}).pl()',
        )
    widgets.table(
        curve, key="keep_table", name=f"{dataset}_keep_curve", alt="Mean outcome by rule and share kept"
    )
    st.caption("How far each metric only repeats length, idling or sparse neighbourhoods (Spearman):")
    widgets.table(
        widgets.filled(confounds),
        key="confounds_table",
        name=f"{dataset}_confounds",
        alt="Confounds of the metrics",
    )


def _table(dataset: str, episodes: pl.DataFrame) -> None:
    verdicts = episodes["verdict"].value_counts()
    counts = ", ".join(
        f"{n} {verdict or 'without a verdict'}" for verdict, n in verdicts.sort("verdict").iter_rows()
    )
    st.header("All episodes", anchor=False)
    st.caption(f"{counts}. Click a row to see the episode step by step.")
    key = f"episodes_table_{dataset}"

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(episode=str(episodes["episode"][row]))

    below = widgets.table(
        widgets.filled(episodes),
        key=key,
        name=f"{dataset}_episodes",
        on_select=clicked,
        alt=f"Episodes of {dataset}",
    )
    query = f"from episodes where dataset = {literal(dataset)}"
    with below:
        widgets.copy_as(cli=["episodes", "list", dataset], sql=query, python=f'cat.sql("{query}").pl()')


def _episode(dataset: str, episode: int) -> None:
    st.header(f"Episode {episode}", anchor=False)
    steps = gateway.rows("page_steps", dataset=dataset, episode=episode)
    left, right = st.columns([3, 2], gap="large")
    with left:
        there = [
            one for one in _STEP_METRICS if one in steps.columns and steps[one].null_count() < len(steps)
        ]
        if there:
            step = address.select(
                "Score of each step", "step", there, shown=lambda one: one.replace("_", " ")
            )
            drawn = figures.over_frames(steps.select("frame_index", "is_idle", step), step)
            alt = f"{step.replace('_', ' ')} over the {len(steps)} frames of episode {episode}."
            widgets.chart(drawn, key="steps", name=f"{dataset}_{episode}", alt=alt)
            idle = int(steps["is_idle"].sum())
            st.caption(f"{len(steps):,} frames, {idle:,} of them pauses (ticks below).")
        else:
            st.info("This episode has no scores of single steps.", icon=":material/info:")
    with right:
        scores = gateway.rows("page_one_episode", dataset=dataset, episode=episode)
        widgets.table(widgets.filled(scores), key="one_episode", name=f"{dataset}_{episode}_scores", height=480,
                      alt=f"Every metric of episode {episode}")  # fmt: skip


main()
