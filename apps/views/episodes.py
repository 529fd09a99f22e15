"""Episodes: demonstrations ranked with their doubt, the plane of their states, groups, what to keep, and one of them
step by step."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import streamlit as st

import address
import gateway
import jobs
import widgets
from shiftlab import episode_figures, figures
from shiftlab.catalog import Store
from shiftlab.episodes import METRICS, curate, export
from widgets import literal, number, plain

_VIEWS = {
    "ranked": "Ranked",
    "states": "States",
    "groups": "Operators and other groups",
    "keep": "What to keep",
}
_STEP_METRICS = (
    "action_residual",
    "neighbour_distance",
    "action_variance",
    "transition_residual",
    "mutual_information",
)
_SCHEMES = ("operator", "session", "task", "label")
_SIDES = ("states", "actions", "state-action")
_SHARES = ("0.25", "0.5", "0.75", "0.9")
_MOST_TRACES = 6


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
    dataset = address.select(
        "Dataset", "dataset", sets["dataset"].to_list(), width=320,
        resets=("episode", "selection", "left", "right", "scheme"),
    )  # fmt: skip
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
    chosen = address.choice("episode", ["", *(str(one) for one in episodes["episode"])])
    order = episodes["episode"].to_list()
    # A link that names a rule is one to what to keep.
    view = address.select(
        "View", "view", list(_VIEWS), default="keep" if st.query_params.get("rule") else "ranked",
        widget=st.segmented_control, shown=_VIEWS.__getitem__,
    )  # fmt: skip
    if view == "ranked":
        order = _listed(dataset, episodes, chosen)
    elif view == "states":
        _states(dataset, chosen)
    elif view == "groups":
        _groups(dataset, episodes)
    else:
        _keep_curve(dataset)
        _choose(dataset)
    if chosen:
        _episode(dataset, int(chosen), order)


def _listed(dataset: str, episodes: pl.DataFrame, chosen: str) -> list[int]:
    """The episodes that fit the filter, by the metric of the link; returns them in that order."""
    metric = _metric(dataset)
    where, fitting = widgets.narrowed(
        ["episodes", "list", dataset],
        "episode_index",
        view="episodes",
        example="verdict = 'review' and length > 50",
    )
    scores = gateway.rows("page_episode_scores", dataset=dataset, metric=metric)
    if fitting is not None:
        fits = fitting.cast({"episode_index": scores.schema["episode"]})
        scores = scores.join(
            fits, left_on="episode", right_on="episode_index", how="semi", maintain_order="left"
        )
    if scores.is_empty():
        widgets.empty_state("No episode fits", "Change the predicate above to see more.")
        return []
    shown = _Shown(dataset, metric, scores, where)
    _ranked(shown, chosen)
    _table(shown, episodes)
    return scores["episode"].to_list()


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _metric(dataset: str) -> str:
    """The metric that the URL names."""
    names = gateway.rows("page_episode_metrics", dataset=dataset)["metric"].to_list()
    return address.select("Metric", "metric", names, shown=_spaced, width=320)


def _explain(metric: str) -> None:
    known = METRICS[metric]
    end = f"{known.worse} is worse" if known.worse else "neither end is bad by itself"
    st.caption(f"Unit: {known.unit}; {end}. 0: {known.zero}. Source: {known.source}.")


@dataclass(frozen=True)
class _Shown:
    """The `scores` of a metric for the episodes that fit the predicate `where`, in the order of their values."""

    dataset: str
    metric: str
    scores: pl.DataFrame
    where: str

    def command(self) -> list[str]:
        return ["episodes", "list", self.dataset, *([f"--where={self.where}"] if self.where else [])]

    def sql(self, view: str) -> str:
        """The rows of a view for these episodes."""
        place = f"from {view} where dataset = {literal(self.dataset)}"
        if not self.where:
            return place
        fitting = f"select episode_index from episodes where dataset = {literal(self.dataset)} and (\n{self.where}\n)"
        return f"{place}\nand episode_index in ({fitting})"


def _ranked(shown: _Shown, chosen: str) -> None:
    """The figure of one metric."""
    dataset, metric, scores = shown.dataset, shown.metric, shown.scores
    _explain(metric)
    metrics = gateway.rows("page_episode_metrics", dataset=dataset)
    key = f"ranked_{dataset}_{metric}"

    def clicked() -> None:
        for point in st.session_state[key]["selection"].get("episode") or []:
            address.write(episode=str(point["episode"]))

    title = _spaced(metric)
    below = widgets.chart(
        figures.ranked(scores, title, selected=int(chosen) if chosen else None), key=key, name=f"{dataset}_{metric}",
        alt=f"{title} of {len(scores)} episodes of {dataset} with intervals, sorted; the table tells the numbers.",
        on_select=clicked,
    )  # fmt: skip
    query = f"{shown.sql('episode_score')}\nand metric = {literal(metric)} order by value"
    with below:
        widgets.copy_as(cli=shown.command(), sql=query, python=f'cat.sql("""{query}""").pl()')
        widgets.computed(int(metrics.filter(pl.col("metric") == metric)["run_id"][0]), {"Metric": title})
    row = metrics.filter(pl.col("metric") == metric).row(0, named=True)
    interval = f" [{number(row['ci_low'])}, {number(row['ci_high'])}]" if row["ci_low"] is not None else ""
    st.caption(
        f"Mean over all episodes {number(row['mean'])}{interval}. Where intervals overlap, the order is not known."
    )


def _table(shown: _Shown, episodes: pl.DataFrame) -> None:
    """The episodes in the order of the metric above, with their places there."""
    dataset, scores = shown.dataset, shown.scores
    verdicts = scores.select("episode").join(episodes, on="episode")["verdict"].value_counts()
    counts = ", ".join(
        f"{n} {verdict or 'without a verdict'}" for verdict, n in verdicts.sort("verdict").iter_rows()
    )
    told = "All episodes" if len(scores) == len(episodes) else f"{len(scores)} of {len(episodes)} episodes"
    st.header(told, anchor=False)
    st.caption(
        f"In the order of the metric above; ranks from 1, the smallest value. {counts}. Click a row to see the episode "
        "step by step."
    )
    key = f"episodes_table_{dataset}"
    places = pl.when(pl.col("rank_low").is_not_null()).then(pl.format("{} to {}", "rank_low", "rank_high"))
    ordered = scores.select("episode", places.alias("rank")).join(
        episodes, on="episode", how="left", maintain_order="left"
    )

    def clicked() -> None:
        for row in widgets.selected_rows(key):
            address.write(episode=str(ordered["episode"][row]))

    below = widgets.table(
        widgets.filled(ordered),
        key=key,
        name=f"{dataset}_episodes",
        on_select=clicked,
        alt=f"Episodes of {dataset}",
    )
    query = shown.sql("episodes")
    with below:
        widgets.copy_as(cli=shown.command(), sql=query, python=f'cat.sql("""{query}""").pl()')


def _states(dataset: str, chosen: str) -> None:
    command = ["episodes", "states", dataset]
    try:
        points = jobs.rows(command).frame
    except jobs.CommandError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return
    there = [one for one in _STEP_METRICS if points[one].null_count() < len(points)]
    colour = address.select(
        "Colour", "colour", [episode_figures.COVERAGE, *there], width=320,
        shown=lambda one: "coverage" if one == episode_figures.COVERAGE else _spaced(one),
    )  # fmt: skip
    cells = points.unique("cell")
    alone = int((cells["visited_by"] == 1).sum())
    st.caption(
        f"Each point is a step. The plane shows {points['variance_share'][0]:.0%} of the variance of the states, so "
        f"points that are near here may be far apart. Of {len(cells)} cells that hold equally many steps, those that "
        f"one episode alone visited: {alone}. There nothing can vouch for its actions. Click a step to see its episode."
    )
    key = f"states_{dataset}_{colour}"

    def clicked() -> None:
        for point in st.session_state[key]["selection"].get("episode") or []:
            address.write(episode=str(point["episode_index"]))

    below = widgets.chart(
        episode_figures.state_plane(points, colour, selected=int(chosen) if chosen else None), key=key,
        name=f"{dataset}_states", on_select=clicked,
        alt=f"{len(points):,} steps of {dataset} on the plane of their states, coloured by {_spaced(colour)}; the "
        "table tells how far the episodes of each cell cover it.",
    )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql=f"select episode_index, frame_index, state from step where dataset = {literal(dataset)}",
            python=f'cat.sql("select * from step where dataset = $d", {{"d": "{dataset}"}}).pl()',
        )
    covered = cells.group_by("visited_by").agg(cells=pl.len()).sort("visited_by")
    widgets.table(
        covered.rename({"visited_by": "episodes_that_were_there"}), key="coverage_table", name=f"{dataset}_coverage",
        alt="How many cells of the states how many episodes visited", height=250,
    )  # fmt: skip


def _groups(dataset: str, episodes: pl.DataFrame) -> None:
    schemes = [one for one in _SCHEMES if episodes[one].n_unique() - episodes[one].has_nulls() >= 2]
    if not schemes:
        with st.container(border=True):
            st.markdown(
                "**One group.** These episodes tell of no two operators, sessions, tasks or labels. They come with "
                "the data: a column `operator`, `session`, `task` or `label` of a table, filter keys of robomimic, "
                "tasks of LeRobot. Two data sets compare as a whole:"
            )
            widgets.command(
                ["episodes", "shift", dataset, dataset, "another", "--by", "dataset", "--side", "actions"]
            )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scheme = address.select("Groups by", "scheme", schemes, resets=("left", "right"))
        metric = _metric(dataset)
    _explain(metric)
    found = gateway.rows("group_scores", dataset=dataset).filter(scheme=scheme, metric=metric)
    below = widgets.chart(
        episode_figures.groups(_with_metric(dataset, episodes, metric), found, scheme, metric),
        key=f"groups_{scheme}_{metric}", name=f"{dataset}_{metric}_by_{scheme}",
        alt=f"{_spaced(metric)} of the episodes of each {scheme} of {dataset}; the table tells the means.",
    )  # fmt: skip
    query = f"from group_score where dataset = {literal(dataset)} and scheme = {literal(scheme)} order by q"
    with below:
        widgets.copy_as(cli=["episodes", "report", dataset], sql=query, python=f'cat.sql("""{query}""").pl()')
    st.caption(
        f"Red: the mean and its interval. Each {scheme} against all others, by shuffling whole episodes; "
        "q counts in that many are compared. after_length is the difference that remains when length is taken out."
    )
    widgets.table(
        found.drop("dataset", "scheme", "metric"), key="groups_table", name=f"{dataset}_{metric}_by_{scheme}",
        alt=f"{_spaced(metric)} of each {scheme} against all others",
    )  # fmt: skip
    _shift(dataset, scheme, episodes[scheme].drop_nulls().unique().sort().to_list())


def _with_metric(dataset: str, episodes: pl.DataFrame, metric: str) -> pl.DataFrame:
    scores = gateway.rows("page_episode_scores", dataset=dataset, metric=metric)
    named = scores.select("episode", pl.col("value").alias(metric))
    return episodes.select("episode", *_SCHEMES).join(named, on="episode")


def _shift(dataset: str, scheme: str, names: list[str]) -> None:
    st.header("How far two of them are apart", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        left = address.select("One", "left", names)
        right = address.select("Other", "right", [one for one in names if one != left])
        side = address.select("Of their", "side", _SIDES)
    command = ["episodes", "shift", dataset, left, right, "--by", scheme, "--side", side]
    stored = gateway.rows("shifts_between_groups", dataset=dataset, scheme=scheme)
    pair = pl.col("left_name").is_in([left, right]) & pl.col("right_name").is_in([left, right])
    if stored.filter(pair & (pl.col("side") == side)).is_empty():
        widgets.job_button(command, "Compute now", key="episode_shift")
    if not stored.is_empty():
        st.caption("Beyond null_q95: farther apart than 95 % of shuffles of whole episodes.")
        below = widgets.table(
            widgets.filled(stored.drop("run_id")), key="episode_shift_table", name=f"{dataset}_shift_by_{scheme}",
            alt=f"Shift between two of the {scheme}s of {dataset}",
        )  # fmt: skip
        with below:
            widgets.copy_as(
                cli=command, sql=f"from scores where left_kind = {literal(scheme)}",
                python=f"cat.sql(\"from scores where left_kind = '{scheme}'\").pl()",
            )  # fmt: skip


def _keep_curve(dataset: str) -> None:
    """What keeping the best by each metric would have brought, where the episodes have outcomes that differ."""
    st.header("What keeping fewer would bring", anchor=False)
    st.caption(
        "A metric as a rule of what to keep, judged by the recorded outcomes, beside its baselines: keep the shortest, "
        "keep at random, and hindsight."
    )
    rule = address.select(
        "Rule", "rule", ["", *_rules(dataset)], shown=lambda one: _spaced(one) or "none yet", width=320
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


def _rules(dataset: str) -> list[str]:
    """Metrics that have a bad end; horizon goes by the name of its baseline."""
    names = gateway.rows("page_episode_metrics", dataset=dataset)["metric"].to_list()
    return [one for one in names if METRICS[one].worse and one != "horizon"]


def _choose(dataset: str) -> None:
    """A budget by a rule as a stored selection, and the files of the selections there are."""
    st.header("Choose and export", anchor=False)
    st.caption(
        "The data are not changed: a selection is a list of what to keep, with a reason for every episode."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = address.select("Keep by", "by", [*_rules(dataset), *curate.BASELINES], shown=_spaced)
        share = address.select(
            "Share", "share", _SHARES, default="0.5", shown=lambda one: f"{float(one):.0%}"
        )
    name = f"{by}-{share}"
    words = ["episodes", "curate", dataset, "--keep", share, "--by", by, "--name", name]
    stored = gateway.rows("selections", dataset=dataset)
    if name not in stored["name"].to_list():
        widgets.job_button(words, "Keep these", key="curate")
    if stored.is_empty():
        return
    widgets.table(
        widgets.filled(stored.drop("run_id")), key="selections_table", name=f"{dataset}_selections", height=220,
        alt=f"Selections of episodes of {dataset}",
    )  # fmt: skip
    names = stored["name"].to_list()
    selection = address.select(
        "Selection", "selection", names, default=name if name in names else names[0], width=320
    )
    _selection(dataset, selection)


def _selection(dataset: str, name: str) -> None:
    command = ["episodes", "selection", name, "--dataset", dataset]
    st.caption("Beside what length and chance would have kept, and with what outcome, where there is one:")
    below = widgets.table(
        widgets.filled(jobs.rows(command).frame), key="selection_table", name=f"{name}_compared",
        alt=f"{name} beside keeping the shortest, random ones and all",
    )  # fmt: skip
    with below:
        widgets.copy_as(
            cli=command,
            sql=f"from episode_selection_member where dataset = {literal(dataset)} and name = {literal(name)}",
            python=f'sl.episodes.curate.load(cat.store, "{name}", "{dataset}")',
        )
    members = gateway.rows("selection_members", name=name, dataset=dataset)
    widgets.table(
        members, key="members_table", name=f"{name}_members", alt=f"Kept and dropped episodes of {name}"
    )
    came_from = gateway.rows("episode_source", dataset=dataset)["format"][0]
    with st.container(horizontal=True, gap="small"):
        for kind, suffix in _files(came_from):
            st.download_button(
                f"Export: {kind}", data=partial(_file, dataset, name, kind), file_name=f"{name}.{suffix}",
                icon=":material/download:", on_click="ignore", key=f"export_{kind}", type="tertiary",
            )  # fmt: skip
    if came_from == "robomimic":
        st.caption("A filter key goes into a copy of the source, which the explorer does not have:")
        widgets.command(
            ["episodes", "export", name, "--dataset", dataset, "--to", "robomimic", "--source", "SOURCE.hdf5",
             "-o", f"{name}.hdf5"]
        )  # fmt: skip


def _files(came_from: str) -> list[tuple[str, str]]:
    own = [(came_from, "json")] if came_from in ("lerobot", "minari") else []
    return [*own, ("weights", "csv"), ("parquet", "parquet"), ("recipe", "json")]


def _file(dataset: str, name: str, kind: str) -> bytes:
    """The content of an export; made when the button is pressed."""
    store = Store(gateway.path())
    with tempfile.TemporaryDirectory() as folder:
        wanted = "weights" if kind == "recipe" else kind
        path = export.export(store, curate.load(store, name, dataset), wanted, Path(folder) / "selection")
        return (Path(f"{path}.recipe.json") if kind == "recipe" else path).read_bytes()


def _episode(dataset: str, episode: int, order: list[int]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(f"Episode {episode}", anchor=False)
        _neighbours(episode, order)
    steps = gateway.rows("page_steps", dataset=dataset, episode=episode)
    left, right = st.columns([3, 2], gap="large")
    with left:
        there = [
            one for one in _STEP_METRICS if one in steps.columns and steps[one].null_count() < len(steps)
        ]
        if there:
            step = address.select("Score of each step", "step", there, shown=_spaced)
            drawn = figures.over_frames(steps.select("frame_index", "is_idle", step), step)
            alt = f"{_spaced(step)} over the {len(steps)} frames of episode {episode}."
            widgets.chart(drawn, key="steps", name=f"{dataset}_{episode}", alt=alt)
            idle = int(steps["is_idle"].sum())
            st.caption(f"{len(steps):,} frames, {idle:,} of them pauses (ticks below).")
        else:
            st.info("This episode has no scores of single steps.", icon=":material/info:")
    with right:
        scores = gateway.rows("page_one_episode", dataset=dataset, episode=episode)
        widgets.table(widgets.filled(scores), key="one_episode", name=f"{dataset}_{episode}_scores", height=480,
                      alt=f"Every metric of episode {episode}")  # fmt: skip
    _traces(dataset, episode)


def _neighbours(episode: int, order: list[int]) -> None:
    """The way to the episodes before and after this one, as they are listed above."""
    at = order.index(episode) if episode in order else None
    before, after = ([], []) if at is None else (order[:at][-1:], order[at + 1 : at + 2])
    for label, key, there in (("Previous", "P", before), ("Next", "N", after)):
        st.button(
            label, key=f"episode_{label.lower()}", shortcut=key, disabled=not there, on_click=_go, args=there
        )


def _go(episode: int) -> None:
    address.write(episode=str(episode))


def _traces(dataset: str, episode: int) -> None:
    side = address.select("Traces of", "traces", ("states", "actions"), width=320)
    found = gateway.rows("traces", dataset=dataset, episode=episode, side=side, most=_MOST_TRACES)
    if found.is_empty():
        st.info(f"The {side} of this episode do not change.", icon=":material/info:")
        return
    alone = found["middle"].null_count() == len(found)
    st.caption(
        "There is no other episode to compare with."
        if alone
        else f"The {found['dimension'].n_unique()} dimensions in which it departs most from other episodes. Grey: the "
        "middle 80 % of up to 100 others at the same share of the way; dashed: their median."
    )
    below = widgets.chart(
        episode_figures.traces(found, side), key=f"traces_{side}", name=f"{dataset}_{episode}_{side}",
        alt=f"{side} of episode {episode} over its frames beside those of other episodes.",
    )  # fmt: skip
    query = (
        f"select frame_index, state, action from step\n"
        f"where dataset = {literal(dataset)} and episode_index = {episode} order by frame_index"
    )
    with below:
        widgets.copy_as(cli=["sql", query], sql=query, python=f'cat.sql("""{query}""").pl()')


main()
