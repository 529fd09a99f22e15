"""Demonstrations into the catalog: rows for the episodes, one Parquet file for the steps.

One source is one transaction; the steps' file is named by the hash of the content and put in place before
the row that names it. A source that is already there is left alone, so a run that was cut off can simply be
repeated.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.readers.episodes_data import EpisodeData
from shiftlab.readers.episodes_open import detect, read_episodes
from shiftlab.sources import check_dataset_name, content_hash

_BELONGS = {
    "lerobot": ("meta/**/*", "data/**/*.parquet"),
    "minari": ("**/metadata.json", "**/*.hdf5", "**/*.parquet"),
}


@dataclass(frozen=True)
class Ingested:
    """What one source brought; ``problems`` counts what was found to be wrong with it, by kind."""

    dataset: str
    source: str
    format: str
    episodes: int
    steps: int
    state_dim: int
    action_dim: int
    problems: dict[str, int]
    already_there: bool


def ingest_episodes(
    store: Store,
    path: str | Path,
    dataset: str,
    *,
    input: str = "auto",
    state: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    licence: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Ingested:
    """Read the demonstrations at ``path`` into ``dataset``; ``state`` and ``action`` name features.

    Raises BadInputError naming file, episode, frame or feature; the catalog then stays as it was. A dataset
    holds one source: another one needs another name.
    """
    path = Path(path)
    check_dataset_name(dataset)
    kind = detect(path) if input == "auto" else input
    content = _content(path, kind)
    choice = f"episodes/{dataset}/{kind}/{list(state or [])}/{list(action or [])}/{content}"
    key = hashlib.blake2b(choice.encode(), digest_size=16).hexdigest()
    if there := _known(store, key, dataset, path.name):
        return there
    progress(f"reading {path.name}")
    data = read_episodes(path, input=kind, state=state, action=action)
    progress("storing")
    file = f"{key}.parquet"
    _write_steps(store.path / "steps" / file, data)
    params = {
        "input": kind,
        "state": list(data.state_keys),
        "action": list(data.action_keys),
        "path": path.name,
    }
    run = Run("ingest episodes", params, dataset=dataset, inputs={path.name: content})
    problems = _counts(data)
    run.notes = {"problems": problems}
    _commit(store, run, data, key, file, licence)
    return Ingested(
        dataset,
        path.name,
        data.format,
        data.episodes.height,
        data.steps.height,
        data.state_dim,
        data.action_dim,
        problems,
        already_there=False,
    )


def _known(store: Store, key: str, dataset: str, source: str) -> Ingested | None:
    with store.read() as con:
        done = con.execute("select 1 from batch where batch_key = $1", [key]).fetchall()
        rows = con.sql(queries.sql("episode_source"), params={"dataset": dataset}).pl().rows(named=True)
        kinds = con.execute("select kind from dataset where dataset = $1", [dataset]).fetchall()
    if done and rows:
        row = rows[0]
        size = row["n_episodes"], row["n_steps"], row["state_dim"], row["action_dim"]
        return Ingested(dataset, source, row["format"], *size, {}, already_there=True)
    if rows or kinds:
        holds = "other demonstrations" if rows else f"{kinds[0][0]}"
        raise BadInputError(f"dataset '{dataset}' holds {holds} already: choose another --dataset name")
    return None


def _content(path: Path, kind: str) -> str:
    """sha256 over the names and bytes of the files that belong to a source."""
    if not path.exists():
        raise BadInputError(f"there is no file or folder '{path}'")
    files = [path]
    if path.is_dir():
        found = {f for pattern in _BELONGS.get(kind, ("**/*",)) for f in path.glob(pattern) if f.is_file()}
        files = sorted(found)
    return content_hash(files, path.parent)


def _write_steps(target: Path, data: EpisodeData) -> None:
    part = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        data.steps.write_parquet(part, compression="zstd", compression_level=1)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _counts(data: EpisodeData) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in data.problems:
        counts[one.problem] = counts.get(one.problem, 0) + 1
    return dict(sorted(counts.items()))


def _commit(store: Store, run: Run, data: EpisodeData, key: str, file: str, licence: str | None) -> None:
    import polars as pl

    source = pl.DataFrame(
        {
            "dataset": [run.dataset],
            "format": [data.format],
            "robot_type": [data.robot_type],
            "fps": [data.fps],
            "action_kind": [None],
            "state_keys": [list(data.state_keys)],
            "action_keys": [list(data.action_keys)],
            "state_dim": [data.state_dim],
            "action_dim": [data.action_dim],
            "n_episodes": [data.episodes.height],
            "n_steps": [data.steps.height],
            "steps_file": [file],
        },
        schema_overrides={"robot_type": pl.String, "fps": pl.Float64, "action_kind": pl.String},
    )
    episodes = data.episodes.with_columns(dataset=pl.lit(run.dataset))
    issues = pl.DataFrame(
        [asdict(one) for one in data.problems],
        schema={"problem": pl.String, "record": pl.String, "detail": pl.String},
    )
    with store.write(run) as con:
        con.execute("insert into batch values ($1, $2, $3, $4, $5)",
                    [key, run.run_id, run.dataset, data.source, data.steps.height]).fetchall()  # fmt: skip
        con.execute("insert into dataset values ($1, 'episodes', $2, $3, $4, $5)",
                    [run.dataset, licence, data.source, key, run.run_id]).fetchall()  # fmt: skip
        staged = {"staged_source": source, "staged_episodes": episodes, "staged_issues": issues}
        for name, frame in staged.items():
            con.register(name, frame.to_arrow())
        own = {"run_id": run.run_id}
        con.execute(queries.sql("insert_episode_source"), own).fetchall()
        con.execute(queries.sql("insert_episodes"), own).fetchall()
        con.execute(queries.sql("insert_episode_issues"), own | {"source": data.source}).fetchall()
        for name in staged:
            con.unregister(name)
