"""Episodes as a plain table, Parquet or CSV: one row per step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.readers.episodes_data import (
    MAX_BYTES,
    EpisodeData,
    Problem,
    chosen,
    finished,
    vectors,
    within_size,
)

if TYPE_CHECKING:
    import polars as pl

_PER_EPISODE = ("task", "operator", "session", "label", "success", "episode_return")
_SEPARATOR = {".csv": ",", ".tsv": "\t"}


def read(
    path: Path,
    *,
    state: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> EpisodeData:
    """The table ``path``: episode_index, frame_index, observation.state and action, one row per step.

    State and action are list columns, or in CSV numbered columns (observation.state.0, action_1, ...) or
    any columns named by ``state`` and ``action``. Optional: timestamp, reward, done, success, task, operator,
    session, label, episode_return (one value per episode). Raises BadInputError naming row and column.
    """
    import polars as pl

    schema = _schema(path)
    state_keys = _keys(schema, state, "observation.state", path.name)
    action_keys = _keys(schema, action, "action", path.name)
    if "episode_index" not in schema:
        raise BadInputError(f"{path.name} has no column 'episode_index'; it has {', '.join(schema)}")
    frame = _load(path, max_bytes, len(state_keys) + len(action_keys))
    problems: list[Problem] = []
    for name in ("episode_index", "frame_index"):
        if name in frame.columns:
            frame = frame.with_columns(_whole_numbers(frame, name, path.name))
    if "frame_index" not in frame.columns:
        frame = frame.with_columns(frame_index=pl.int_range(pl.len()).over("episode_index").cast(pl.Int64))
        problems.append(Problem("no frame_index", path.name, "rows are taken in the order of the file"))
    extra = [pl.col("timestamp").cast(pl.Float64, strict=False)] if "timestamp" in frame.columns else []
    steps = frame.select(
        "episode_index",
        "frame_index",
        *extra,
        vectors(frame, state_keys, "state", path.name),
        vectors(frame, action_keys, "action", path.name),
    )
    return finished(
        format="table",
        path=path,
        steps=steps,
        episodes=_episodes(frame, path, problems),
        state_keys=state_keys,
        action_keys=action_keys,
        problems=problems,
    )


def _schema(path: Path) -> dict[str, pl.DataType]:
    import polars as pl

    if path.suffix.lower() not in (".parquet", *_SEPARATOR):
        raise BadInputError(f"cannot tell what '{path.name}' is: give .parquet, .csv or .tsv")
    with frames.explained(path):
        if path.suffix.lower() == ".parquet":
            return dict(pl.read_parquet_schema(path))
        separator = _SEPARATOR[path.suffix.lower()]
        return dict(pl.scan_csv(path, separator=separator, infer_schema_length=None).collect_schema())


def _load(path: Path, max_bytes: int, width: int) -> pl.DataFrame:
    import polars as pl

    with frames.explained(path):
        if path.suffix.lower() == ".parquet":
            rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
            within_size(rows, width, path.name, max_bytes)
            return pl.read_parquet(path)
        within_size(path.stat().st_size // 4, 1, path.name, max_bytes)
        return pl.read_csv(path, separator=_SEPARATOR[path.suffix.lower()], infer_schema_length=None)


def _keys(schema: dict[str, pl.DataType], wanted: Sequence[str] | None, name: str, source: str) -> list[str]:
    numbered = sorted(
        (column for column in schema if re.fullmatch(re.escape(name) + r"[._\[]?\d+\]?", column)),
        key=lambda column: int(re.findall(r"\d+", column)[-1]),
    )
    usual = [name] if name in schema else numbered or [name]
    return chosen(wanted, usual, list(schema), "column", source)


def _whole_numbers(frame: pl.DataFrame, name: str, source: str) -> pl.Series:
    import polars as pl

    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean)):
        raise BadInputError(f"{source}: column '{name}' holds {column.dtype}, not whole numbers")
    numbers = column.cast(pl.Int64, strict=False)
    if column.dtype.is_float():
        numbers = pl.select(pl.when(column == column.round()).then(numbers)).to_series().alias(name)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0)
        raise BadInputError(f"{source} row {row + 1}: {name} is {column[row]!r}, not a whole number")
    return numbers


def _episodes(frame: pl.DataFrame, path: Path, problems: list[Problem]) -> pl.DataFrame:
    import polars as pl

    grouped = frame.group_by("episode_index")
    present = [name for name in _PER_EPISODE if name in frame.columns]
    several = grouped.agg(pl.col(name).drop_nulls().n_unique() for name in present if name != "success")
    for name in present:
        if name == "success":
            continue
        problems += [
            Problem(f"{name} differs within an episode", f"episode {episode}", "the first is used")
            for episode in several.filter(pl.col(name) > 1)["episode_index"].sort()
        ]
    kind = frame.schema.get("success", pl.Boolean())
    if not (kind.is_numeric() or kind == pl.Boolean or frame["success"].is_null().all()):
        raise BadInputError(f"{path.name}: column 'success' holds {kind}, not true and false, or 0 and 1")
    how = [
        pl.col(name).cast(pl.Boolean, strict=False).any()
        if name == "success"
        else pl.col(name).drop_nulls().first()
        for name in present
    ]
    if "episode_return" not in present and "reward" in frame.columns:
        how.append(pl.col("reward").cast(pl.Float64, strict=False).sum().alias("episode_return"))
    table = grouped.agg(how).sort("episode_index")
    return table.with_columns(src_key=pl.col("episode_index").cast(pl.String), src_file=pl.lit(path.name))
