"""Scores of the demonstrations in a catalog: computed outside of it, stored in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.episodes.confounds import confounds
from shiftlab.episodes.groups import compare_groups, dataset_scores
from shiftlab.episodes.scores import Assessment, Settings, assess
from shiftlab.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    import polars as pl

SCHEMES = ("operator", "session", "task", "label")


def rows(store: Store, query: str, /, **params: Any) -> pl.DataFrame:
    """What the named query says, as a frame."""
    with store.read() as con:
        return con.sql(queries.sql(query), params=params or None).pl()


def source_of(store: Store, dataset: str) -> dict[str, Any]:
    """The row of ``episode_source``; NotFoundError lists the datasets that have demonstrations."""
    found = rows(store, "episode_source", dataset=dataset)
    if found.is_empty():
        names = rows(store, "episode_sources")["dataset"].to_list()
        known = f"there are {', '.join(names)}" if names else "'shiftlab ingest episodes' brings some"
        raise NotFoundError(f"no demonstrations are called '{dataset}'; {known}")
    return found.row(0, named=True)


def read_steps(store: Store, dataset: str) -> pl.DataFrame:
    """Steps of a dataset: episode_index, frame_index, state, action (Float32 arrays) and maybe timestamp."""
    import polars as pl

    file = store.path / "steps" / str(source_of(store, dataset)["steps_file"])
    if not file.is_file():
        raise BadInputError(f"the steps of '{dataset}' are gone ({file.name} is missing): ingest it again")
    return pl.read_parquet(file)


def score_episodes(
    store: Store,
    datasets: str | Sequence[str],
    *,
    metrics: Sequence[str] | None = None,
    action_kind: str | None = None,
    quaternions: Sequence[int] = (),
    progress: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> Assessment:
    """Score one dataset, or several against their pooled steps; their earlier scores are replaced.

    ``settings`` are the fields of `Settings`. Raises BadInputError where widths or frame rates of the
    datasets differ.
    """
    names = [datasets] if isinstance(datasets, str) else list(datasets)
    sources = [source_of(store, name) for name in names]
    for what in ("state_dim", "action_dim"):
        widths = {source["dataset"]: source[what] for source in sources}
        if len(set(widths.values())) > 1:
            raise BadInputError(f"datasets scored together need one {what}: {widths}")
    progress("reading steps")
    tables = [read_steps(store, name) for name in names]
    run = Run(
        "episodes score",
        {"datasets": names, "metrics": metrics, "action_kind": action_kind} | asdict(Settings(**settings)),
        dataset=names[0] if len(names) == 1 else None,
        seed=Settings(**settings).seed,
    )
    progress("scoring")
    found = assess(
        np.concatenate([table["state"].to_numpy() for table in tables]),
        np.concatenate([table["action"].to_numpy() for table in tables]),
        np.concatenate([table["episode_index"].to_numpy() for table in tables]),
        dataset=np.repeat(names, [len(table) for table in tables]),
        frame=np.concatenate([table["frame_index"].to_numpy() for table in tables]),
        metrics=metrics,
        fps=sources[0]["fps"],
        quaternions=quaternions,
        action_kind=action_kind,
        settings=Settings(**settings),
    )
    progress("storing")
    run.notes = {"notes": list(found.notes), "action_kind": found.action_kind}
    _store(store, run, names, found)
    return found


def _store(store: Store, run: Run, names: list[str], found: Assessment) -> None:
    seed = found.settings.seed
    staged = {
        "episode_scores": found.episodes,
        "dataset_scores": dataset_scores(found.episodes, confidence=found.settings.confidence, seed=seed),
        "step_scores": found.steps,
        "confounds": confounds(found.episodes, seed=seed),
        "episode_duplicates": found.duplicates,
    }
    groups = _group_scores(store, names, found.episodes, seed)
    if groups is not None:
        staged["group_scores"] = groups
    with store.write(run) as con:
        for name in (*staged, *(["group_scores"] if groups is None else [])):
            con.execute(queries.sql(f"forget_{name}"), {"datasets": names}).fetchall()
        for name, frame in staged.items():
            con.register("staged", frame.to_arrow())
            con.execute(queries.sql(f"insert_{name}"), {"run_id": run.run_id}).fetchall()
            con.unregister("staged")
        con.execute(queries.sql("set_action_kind"), {"kind": found.action_kind, "datasets": names}).fetchall()


def _group_scores(store: Store, names: list[str], scores: pl.DataFrame, seed: int) -> pl.DataFrame | None:
    """Operators, sessions, tasks and labels against the rest, where there are two of them at least."""
    import polars as pl

    episodes = pl.concat(
        [rows(store, "list_episodes", dataset=name) for name in names], how="vertical_relaxed"
    )
    tables = []
    for scheme in SCHEMES:
        groups = episodes.select("dataset", "episode_index", grp=scheme).drop_nulls()
        sizes = groups.group_by("dataset", "grp").len().filter(pl.col("len") >= 2)
        if sizes.group_by("dataset").len().filter(pl.col("len") >= 2).height:
            table = compare_groups(scores, groups, seed=seed)
            tables.append(table.with_columns(scheme=pl.lit(scheme)))
    return pl.concat(tables) if tables else None
