"""What every reader of demonstrations returns, and the checks that all formats share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

MAX_BYTES = 16 << 30  # decoded size of states and actions above which a source is refused
EPISODE_COLUMNS = ("src_key", "task", "operator", "session", "success", "episode_return", "label", "src_file")
_MAX_NESTING = 64


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be, in words of the source: which record, and what."""

    problem: str
    record: str
    detail: str


@dataclass(frozen=True)
class EpisodeData:
    """Demonstrations as read, nothing dropped.

    ``steps``: episode_index, frame_index (Int64), timestamp (Float64 or absent), state and action
    (``pl.Array`` of Float32), sorted by episode and frame. ``episodes``: episode_index, length and the
    columns of EPISODE_COLUMNS, null where the source does not say. ``problems`` is the integrity table.
    """

    format: str
    source: str
    steps: pl.DataFrame
    episodes: pl.DataFrame
    state_keys: tuple[str, ...]
    action_keys: tuple[str, ...]
    fps: float | None = None
    robot_type: str | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def state_dim(self) -> int:
        return int(self.steps.schema["state"].shape[0])  # type: ignore[attr-defined]

    @property
    def action_dim(self) -> int:
        return int(self.steps.schema["action"].shape[0])  # type: ignore[attr-defined]


def finished(
    *,
    format: str,
    path: Path,
    steps: pl.DataFrame,
    episodes: pl.DataFrame | None,
    state_keys: Sequence[str],
    action_keys: Sequence[str],
    fps: float | None = None,
    robot_type: str | None = None,
    problems: list[Problem],
) -> EpisodeData:
    """Sort, count, join what is known of the episodes, and report what the steps contradict."""
    import polars as pl

    if steps.is_empty():
        raise BadInputError(f"{path.name} holds no step")
    steps = steps.sort("episode_index", "frame_index", maintain_order=True)
    counted = steps.group_by("episode_index").agg(length=pl.len().cast(pl.Int64)).sort("episode_index")
    if episodes is None:
        episodes = counted.select("episode_index")
    stated = episodes.rename({"length": "stated_length"}) if "length" in episodes.columns else episodes
    table = counted.join(stated, on="episode_index", how="full", coalesce=True, maintain_order="left_right")
    table = table.with_columns(pl.col("length").fill_null(0)).sort("episode_index")
    if "stated_length" in table.columns:
        problems += _contradictions(table)
    missing = {name: pl.lit(None) for name in EPISODE_COLUMNS if name not in table.columns}
    kinds = dict.fromkeys(EPISODE_COLUMNS, pl.String) | {
        "success": pl.Boolean,
        "episode_return": pl.Float64,
    }
    table = table.with_columns(**missing).with_columns(
        pl.col(name).cast(kind, strict=False) for name, kind in kinds.items()
    )
    problems += _step_problems(steps)
    if (empty := table.filter(pl.col("length") == 0)).height:
        problems += [
            Problem("episode without steps", f"episode {e}", "it is listed, but has no data")
            for e in empty["episode_index"]
        ]
    return EpisodeData(
        format,
        path.name,
        steps,
        table.select("episode_index", "length", *EPISODE_COLUMNS),
        tuple(state_keys),
        tuple(action_keys),
        fps,
        robot_type,
        problems,
    )


def _contradictions(table: pl.DataFrame) -> list[Problem]:
    import polars as pl

    wrong = table.filter((pl.col("stated_length") != pl.col("length")) & (pl.col("length") > 0))
    unlisted = table.filter(pl.col("stated_length").is_null())
    return [
        Problem("stated length differs", f"episode {e}", f"metadata says {stated} steps, the data have {n}")
        for e, stated, n in wrong.select("episode_index", "stated_length", "length").rows()
    ] + [
        Problem("episode not in the metadata", f"episode {e}", "its steps are used")
        for e in unlisted["episode_index"]
    ]


def _step_problems(steps: pl.DataFrame) -> list[Problem]:
    """Steps that are not finite, frames that repeat, gaps: reported here, handled by the scores."""
    import polars as pl

    where = steps.select("episode_index", "frame_index")
    finite = np.ones(len(steps), dtype=bool)
    for name in ("state", "action"):
        finite &= np.isfinite(steps[name].to_numpy()).all(axis=1)
    jump = pl.col("frame_index").diff().over("episode_index")
    found = []
    for problem, rows in (
        ("value that is not finite", where.filter(pl.Series(~finite))),
        ("frame number repeats", where.filter(jump == 0)),
        ("frames are missing before", where.filter(jump > 1)),
    ):
        per = (
            rows.group_by("episode_index")
            .agg(pl.col("frame_index").first(), n=pl.len())
            .sort("episode_index")
        )
        found += [
            Problem(problem, f"episode {e} frame {frame}", f"{n} such steps in this episode")
            for e, frame, n in per.rows()
        ]
    return found


def vectors(frame: pl.DataFrame, keys: Sequence[str], name: str, source: str) -> pl.Series:
    """The columns ``keys`` (numbers, fixed or variable lists) side by side as one Array column of Float32.

    Raises BadInputError naming the column, the episode and the widths where they differ.
    """
    import polars as pl

    parts = [_matrix(frame, key, source) for key in keys]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    whole = np.ascontiguousarray(whole, dtype=np.float32)
    return pl.Series(name, whole, dtype=pl.Array(pl.Float32, whole.shape[1]))


def _matrix(frame: pl.DataFrame, key: str, source: str) -> Any:
    import polars as pl

    if frame.is_empty():
        raise BadInputError(f"{source} holds no step")
    kind = frame.schema[key]
    column = frame[key]
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise BadInputError(
            f"{source}: {_place(frame, row)} has no '{key}': fill it in or leave the step out"
        )
    if isinstance(kind, pl.List):
        widths = column.list.len()
        usual = int(widths[0])
        if (other := (widths != usual).arg_max()) is not None and int(widths[other]) != usual:
            raise BadInputError(
                f"{source}: '{key}' has {usual} values in {_place(frame, 0)} but {widths[other]} in "
                f"{_place(frame, other)}: all steps of a dataset need one width"
            )
        column = column.list.to_array(usual)
        kind = column.dtype
    inner: Any = kind
    while isinstance(inner, pl.Array):
        inner = inner.inner
    if not (inner.is_numeric() or inner == pl.Boolean):
        raise BadInputError(f"{source}: column '{key}' holds {inner}, not numbers")
    if isinstance(kind, pl.Array):
        values = column.to_numpy()
        if values.dtype == object:
            flat = column
            while isinstance(flat.dtype, pl.Array):
                flat = flat.explode()
            values = flat.to_numpy()
        return values.reshape(len(frame), -1).astype(np.float32, copy=False)
    return column.cast(pl.Float32).to_numpy()[:, None]


def _place(frame: pl.DataFrame, row: int) -> str:
    if "episode_index" not in frame.columns:
        return f"row {row}"
    place = f"episode {frame['episode_index'][row]}"
    return f"{place} frame {frame['frame_index'][row]}" if "frame_index" in frame.columns else place


def strict_json(text: str, source: str) -> Any:
    """JSON without NaN, repeated keys or deep nesting, all of which other parsers read differently."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise BadInputError(f"{source}: the key '{twice}' appears twice in one object")
        return found

    def no_constant(word: str) -> Any:
        raise BadInputError(f"{source}: {word} is not JSON")

    depth = deepest = 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
        if deepest > _MAX_NESTING:
            raise BadInputError(f"{source} nests deeper than {_MAX_NESTING} levels")
    try:
        content = json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
        if "\\u" in text:  # an escape may name half a character, which is no text that can be stored
            json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise BadInputError(f"{source} line {error.lineno}: not JSON ({error.msg})") from None
    except ValueError as error:  # also a number of thousands of digits
        raise BadInputError(f"{source}: {error}") from None
    return content


def plain_text(file: Path) -> str:
    """The text of a small file; BadInputError where it is no UTF-8 or cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read {file.name} as UTF-8 text: {error}") from error


def inside(root: Path, file: Path) -> Path:
    """``file`` if it lies in ``root`` after links are followed; otherwise BadInputError."""
    if not file.resolve().is_relative_to(root.resolve()):
        raise BadInputError(
            f"'{file.name}' lies outside of '{root.name}': links and paths out of it are refused"
        )
    return file


def within_size(n_rows: int, width: int, source: str, max_bytes: int) -> None:
    if n_rows * width * 4 > max_bytes:
        raise BadInputError(
            f"{source} claims {n_rows:,} steps of {width:,} values, more than {max_bytes >> 20:,} MiB: "
            "raise max_bytes if that is right"
        )


def chosen(
    wanted: Sequence[str] | None, usual: Sequence[str], present: Sequence[str], what: str, source: str
) -> list[str]:
    """The keys asked for, or the usual ones; BadInputError lists what is there."""
    keys = list(wanted) if wanted else [key for key in usual if key in present]
    missing = [key for key in keys if key not in present]
    if missing or not keys:
        asked = f"'{missing[0]}'" if missing else " or ".join(f"'{key}'" for key in usual)
        raise BadInputError(f"{source} has no {what} {asked}; it has {', '.join(sorted(present)) or 'none'}")
    return keys


def same_widths(parts: list[dict[str, Any]], keys: list[str], source: str) -> None:
    """BadInputError naming the first episode whose state or action is not as wide as the first one's."""
    for name in ("state", "action"):
        width = parts[0][name].shape[1]
        for key, part in zip(keys, parts, strict=True):
            if part[name].shape[1] != width:
                raise BadInputError(
                    f"{source}: {name} has {width} values in {keys[0]} but {part[name].shape[1]} in {key}: "
                    "all steps of a dataset need one width"
                )


def stacked(parts: list[dict[str, Any]]) -> pl.DataFrame:
    """Steps of episodes that came as arrays: ``state`` and ``action`` (T, d) each, numbered in order."""
    import polars as pl

    length = [len(part["action"]) for part in parts]
    columns = {}
    for name in ("state", "action"):
        values = np.concatenate([part[name] for part in parts])
        columns[name] = pl.Series(name, values, dtype=pl.Array(pl.Float32, values.shape[1]))
    return pl.DataFrame(
        {
            "episode_index": np.repeat(np.arange(len(parts)), length),
            "frame_index": np.concatenate([np.arange(n) for n in length]) if length else np.zeros(0, int),
            **columns,
        },
        schema_overrides={"episode_index": pl.Int64, "frame_index": pl.Int64},
    )
