"""A scored dataset in Markdown: what the scores say, what they may be measuring instead, what to look at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shiftlab.catalog import Store
from shiftlab.episodes.confounds import keep_curve
from shiftlab.episodes.metrics import METRICS
from shiftlab.episodes.stored import rows, source_of
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

OUTCOMES = ("success", "episode_return")
_LONGEST = 30
_STRONG = 0.5


def report(store: Store, dataset: str) -> str:
    """Markdown about a dataset that was scored. Raises BadInputError if it was not."""
    source = source_of(store, dataset)
    run = rows(store, "scoring_run", dataset=dataset)
    if run.is_empty():
        raise BadInputError(f"'{dataset}' has no scores: run 'shiftlab episodes score {dataset}' first")
    params = json.loads(run["params"][0])
    length = "episodes are not graded: no metric here promises a better policy, and none is a total"
    parts = [
        f"# Demonstrations: {_plain(dataset)}",
        f"{source['n_episodes']:,} episodes, {source['n_steps']:,} steps, state {source['state_dim']}, action "
        f"{source['action_dim']}, actions {source['action_kind']}. Format {source['format']}. {length.capitalize()}.",
        f"Scored by ShiftLab {run['version'][0]} with {_plain(json.dumps(params))}. Reference for z-scores: the "
        f"pooled steps of {_plain(', '.join(params['datasets']))}.",
        "## Scores of the dataset",
        _table(_with_units(rows(store, "dataset_scores", dataset=dataset))),
        "## What the scores may be measuring instead",
        _table(_strong_confounds(store, dataset)),
        *_labelled(store, dataset),
        *_groups(store, dataset),
        "## To review",
        _table(_queue(store, dataset)),
        "## Near-duplicates",
        _table(rows(store, "episode_duplicates", dataset=dataset)),
        "## Integrity of the source",
        _table(rows(store, "episode_issues", dataset=dataset)),
    ]
    return "\n\n".join(parts) + "\n"


def outcomes(store: Store, dataset: str) -> pl.DataFrame | None:
    """dataset, episode_index, label: success, or the return where success is not known; None without both."""
    import polars as pl

    table = rows(store, "list_episodes", dataset=dataset)
    for name in OUTCOMES:
        known = table.select("dataset", "episode_index", label=pl.col(name).cast(pl.Float64)).drop_nulls()
        if known["label"].n_unique() > 1:
            return known
    return None


def _with_units(scores: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    units = {name: metric.unit for name, metric in METRICS.items()}
    worse = {name: metric.worse or "neither end" for name, metric in METRICS.items()}
    return scores.drop("dataset").with_columns(
        unit=pl.col("metric").replace_strict(units, default=None),
        worse=pl.col("metric").replace_strict(worse, default=None),
    )


def _strong_confounds(store: Store, dataset: str) -> pl.DataFrame:
    import polars as pl

    table = rows(store, "confounds", dataset=dataset).drop("dataset", "note").drop_nulls("spearman")
    return table.filter((pl.col("spearman").abs() >= _STRONG) | (pl.col("p") <= 0.01)).sort(
        pl.col("spearman").abs(), descending=True
    )


def _labelled(store: Store, dataset: str) -> list[str]:
    label = outcomes(store, dataset)
    if label is None:
        return []
    curve = keep_curve(rows(store, "episode_scores", dataset=dataset), label, keep=(0.25, 0.5, 0.75))
    wide = curve.pivot(on="keep", index="rule", values="mean")
    chance = curve.filter(curve["rule"] == "random")
    band = "; ".join(
        f"keep {k:g}: {low:.4g} to {high:.4g}" for k, low, high in chance.select("keep", "low", "high").rows()
    )
    return [
        "## Mean outcome of what each rule would keep",
        f"n = {label.height} labelled episodes. Random choices give, 95 % of the time, {band}: a rule inside that "
        "band did no better than chance. 'shortest' is the simplest rule to beat; 'oracle' sorts by the outcome.",
        _table(wide),
    ]


def _groups(store: Store, dataset: str) -> list[str]:
    import polars as pl

    table = rows(store, "group_scores", dataset=dataset).drop("dataset")
    if table.is_empty():
        return []
    return [
        "## Operators, sessions, tasks and labels against the rest",
        "Permutation of episodes; q controls the false discovery rate over all rows. Rows with q <= 0.1:",
        _table(table.filter(pl.col("q") <= 0.1)),
    ]


def _queue(store: Store, dataset: str) -> pl.DataFrame:
    import polars as pl

    table = rows(store, "list_episodes", dataset=dataset).filter(pl.col("verdict") == "review")
    return (
        table.with_columns(
            metrics=pl.col("review_by").list.len(), review_by=pl.col("review_by").list.join(", ")
        )
        .sort(["metrics", "episode_index"], descending=[True, False])
        .select("episode_index", "src_key", "operator", "task", "length", "review_by")
        .head(_LONGEST)
    )


def _table(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        return "None."
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * frame.width]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.head(200).rows()]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """Text of strangers (tasks, operators) cannot become markup."""
    for letter, harmless in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(letter, harmless)
    return text
