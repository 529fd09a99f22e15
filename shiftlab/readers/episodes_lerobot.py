"""LeRobot datasets, codebase versions 2.0, 2.1 and 3.0: Parquet and JSON only, no video, no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.readers.episodes_data import (
    MAX_BYTES,
    EpisodeData,
    Problem,
    chosen,
    finished,
    inside,
    plain_text,
    strict_json,
    vectors,
    within_size,
)

if TYPE_CHECKING:
    import polars as pl

_PLACES = re.compile(r"\{(episode_chunk|episode_index|chunk_index|file_index)(:0?\d{0,2}d)?\}")
_VERSIONS = ("v2.0", "v2.1", "v3.0")


def read(
    path: Path,
    *,
    state: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> EpisodeData:
    """The dataset in folder ``path`` (the one that holds meta/info.json).

    ``state`` and ``action`` name features (default: observation.state, action). The steps' own
    episode_index is believed; where meta/ says otherwise, the problem is listed. Raises BadInputError for
    templates that leave the folder, widths that differ, missing features and sizes above ``max_bytes``.
    """
    info = _info(path)
    problems: list[Problem] = []
    files = _data_files(path, str(info.get("data_path", "")))
    schema = _schema(files[0])
    names = [name for name in schema if name == "action" or name.startswith("observation.")]
    state_keys = chosen(state, ["observation.state"], names, "feature", path.name)
    action_keys = chosen(action, ["action"], [*names, *schema], "feature", path.name)
    steps = _steps(files, schema, state_keys, action_keys, path, max_bytes)
    tasks = _tasks(path, problems)
    episodes = _episodes(path, problems)
    data = finished(
        format="lerobot",
        path=path,
        steps=steps.select("episode_index", "frame_index", *_optional(steps), "state", "action"),
        episodes=_joined(episodes, steps, tasks, problems),
        state_keys=state_keys,
        action_keys=action_keys,
        fps=_number(info.get("fps")),
        robot_type=str(info["robot_type"]) if info.get("robot_type") else None,
        problems=problems,
    )
    _compare_totals(info, data, problems)
    return data


def _info(path: Path) -> dict[str, Any]:
    file = inside(path, path / "meta" / "info.json")
    if not file.is_file():
        raise BadInputError(f"'{path.name}' has no meta/info.json: name the folder of a LeRobot dataset")
    info = strict_json(plain_text(file), "meta/info.json")
    if not isinstance(info, dict):
        raise BadInputError("meta/info.json must hold an object")
    version = info.get("codebase_version")
    if version not in _VERSIONS:
        raise BadInputError(
            f"meta/info.json: codebase_version {version!r} is not one of {', '.join(_VERSIONS)}"
        )
    return info


def _data_files(path: Path, template: str) -> list[Path]:
    if not template or template.startswith("/") or ".." in Path(template).parts or "\\" in template:
        raise BadInputError(f"meta/info.json: data_path {template!r} does not stay inside the dataset")
    pattern = _PLACES.sub("*", template)
    if "{" in pattern or "}" in pattern:
        raise BadInputError(
            f"meta/info.json: data_path {template!r} has other fields than episode_chunk, episode_index, "
            "chunk_index and file_index"
        )
    files = [inside(path, file) for file in sorted(path.glob(pattern))]
    if not files:
        raise BadInputError(f"'{path.name}' has no data file that fits data_path {template!r}")
    return files


def _schema(file: Path) -> dict[str, pl.DataType]:
    import polars as pl

    with frames.explained(file):
        return dict(pl.read_parquet_schema(file))


def _steps(
    files: list[Path],
    schema: dict[str, pl.DataType],
    state_keys: list[str],
    action_keys: list[str],
    path: Path,
    max_bytes: int,
) -> pl.DataFrame:
    import polars as pl

    missing = [name for name in ("episode_index", "frame_index") if name not in schema]
    if missing:
        raise BadInputError(f"{files[0].name} has no column '{missing[0]}'; it has {', '.join(schema)}")
    width = sum(_width(schema[key]) for key in [*state_keys, *action_keys])
    keys = list(dict.fromkeys([*state_keys, *action_keys]))
    extra = [name for name in ("timestamp", "task_index", "next.reward", "next.success") if name in schema]
    scan = pl.scan_parquet(files, include_file_paths="src_file")
    try:
        within_size(int(scan.select(pl.len()).collect().item()), width, path.name, max_bytes)
        frame = scan.select("episode_index", "frame_index", *extra, *keys, "src_file").collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise BadInputError(_why(files, [*keys, "episode_index", "frame_index"], error)) from error
    root = str(path)
    frame = _as_numbers(frame, files[0], "episode_index", "frame_index")
    return frame.with_columns(
        vectors(frame, state_keys, "state", path.name),
        vectors(frame, action_keys, "action", path.name),
        pl.col("src_file").str.strip_prefix(root).str.strip_chars_start("/"),
    )


def _width(kind: pl.DataType) -> int:
    import polars as pl

    width = 1
    while isinstance(kind, pl.Array):
        width *= kind.size
        kind = kind.inner  # type: ignore[assignment]
    return width


def _why(files: list[Path], keys: list[str], error: Exception) -> str:
    """Which file does not fit the others; polars' own words if none stands out."""
    first: dict[str, pl.DataType] = {}
    for file in files:
        schema = _schema(file)
        for key in keys:
            if key not in schema:
                return f"{file.name} has no column '{key}'; it has {', '.join(schema)}"
            if first.setdefault(key, schema[key]) != schema[key]:
                return f"{file.name}: '{key}' is {schema[key]}, but {first[key]} in {files[0].name}"
    return f"cannot read the data files: {' '.join(str(error).split())[:300]}"


def _optional(steps: pl.DataFrame) -> list[str]:
    return [name for name in ("timestamp",) if name in steps.columns]


def _tasks(path: Path, problems: list[Problem]) -> dict[int, str]:
    import polars as pl

    lines, table = path / "meta" / "tasks.jsonl", path / "meta" / "tasks.parquet"
    if lines.is_file():
        rows = _jsonl(inside(path, lines))
        told = [row for row in rows if "task" in row and "task_index" in row]
        _whole_numbers(told, "task_index", lines.name)
        return {row["task_index"]: str(row["task"]) for row in told}
    if table.is_file():
        frame = _metadata(inside(path, table))
        text = [name for name, kind in frame.schema.items() if kind == pl.String and name != "task_index"]
        if text and "task_index" in frame.columns:
            named = _as_numbers(frame, table, "task_index").select("task_index", text[0]).drop_nulls()
            return {int(at): str(task) for at, task in named.rows()}
    problems.append(Problem("no list of tasks", "meta/tasks", "episodes have no task text"))
    return {}


def _jsonl(file: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(plain_text(file).splitlines(), start=1):
        if line.strip():
            row = strict_json(line, f"{file.name} line {number}")
            if not isinstance(row, dict):
                raise BadInputError(f"{file.name} line {number} must hold an object")
            rows.append(row)
    return rows


def _episodes(path: Path, problems: list[Problem]) -> pl.DataFrame | None:
    import polars as pl

    lines = path / "meta" / "episodes.jsonl"
    schema = {"episode_index": pl.Int64, "length": pl.Int64, "stated_task": pl.String}
    if lines.is_file():
        stated = _jsonl(inside(path, lines))
        _whole_numbers(stated, "episode_index", lines.name)
        _whole_numbers([row for row in stated if row.get("length") is not None], "length", lines.name)
        rows = [(row["episode_index"], row.get("length"), _task_texts(row.get("tasks"))) for row in stated]
        return pl.DataFrame(rows, schema=schema, orient="row").unique("episode_index", maintain_order=True)
    files = sorted((path / "meta" / "episodes").glob("**/*.parquet"))
    if not files:
        problems.append(Problem("no list of episodes", "meta/episodes", "lengths cannot be compared"))
        return None
    wanted = ["episode_index", "tasks", "length"]
    parts = [
        _as_numbers(_metadata(inside(path, file), wanted), file, "episode_index", "length") for file in files
    ]
    try:
        frame = pl.concat(parts).with_columns(pl.col("tasks").cast(pl.List(pl.String)))
    except pl.exceptions.PolarsError as error:
        raise BadInputError(
            f"cannot read meta/episodes, column 'tasks': {' '.join(str(error).split())[:200]}"
        ) from error
    return frame.select(
        "episode_index",
        "length",
        stated_task=pl.col("tasks").list.join("; "),
    ).unique("episode_index", maintain_order=True)


def _whole_numbers(rows: list[dict[str, Any]], key: str, source: str) -> None:
    for row in rows:
        value = row.get(key)
        if type(value) is not int or abs(value) >= 1 << 63:
            raise BadInputError(f"{source}: {key} is {str(value)[:40]!r}; expected a whole number")


def _task_texts(tasks: Any) -> str | None:
    return "; ".join(map(str, tasks if isinstance(tasks, list) else [tasks])) if tasks else None


def _joined(
    episodes: pl.DataFrame | None, steps: pl.DataFrame, tasks: dict[int, str], problems: list[Problem]
) -> pl.DataFrame:
    """What is known of each episode from meta/ and from the steps."""
    import polars as pl

    known = [pl.col("src_file").first()]
    if "next.reward" in steps.columns:
        known.append(pl.col("next.reward").cast(pl.Float64).sum().alias("episode_return"))
    if "next.success" in steps.columns:
        known.append(pl.col("next.success").cast(pl.Boolean).any().alias("success"))
    if "task_index" in steps.columns:
        known.append(pl.col("task_index").first())
    table = steps.group_by("episode_index").agg(known).sort("episode_index")
    table = table.with_columns(src_key=pl.format("{}", pl.col("episode_index").cast(pl.String).str.zfill(6)))
    if episodes is not None:
        table = table.join(episodes, on="episode_index", how="full", coalesce=True)
    texts = pl.lit(None, pl.String)
    if "task_index" in table.columns and tasks:
        texts = pl.col("task_index").replace_strict(tasks, default=None, return_dtype=pl.String)
    stated = pl.col("stated_task") if "stated_task" in table.columns else pl.lit(None, pl.String)
    table = table.with_columns(task=pl.coalesce(stated, texts))
    problems += [
        Problem("episode without a task", f"episode {episode}", "no text for its task_index")
        for episode in table.filter(pl.col("task").is_null())["episode_index"]
    ]
    return table.drop("task_index", "stated_task", strict=False)


def _compare_totals(info: dict[str, Any], data: EpisodeData, problems: list[Problem]) -> None:
    found = {"total_episodes": data.steps["episode_index"].n_unique(), "total_frames": len(data.steps)}
    for name, count in found.items():
        if name in info and info[name] != count:
            problems.append(
                Problem(
                    "total differs", f"meta/info.json {name}", f"it says {info[name]}, the data have {count}"
                )
            )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _metadata(file: Path, columns: list[str] | None = None) -> pl.DataFrame:
    import polars as pl

    with frames.explained(file):
        return pl.read_parquet(file, columns=columns)


def _as_numbers(frame: pl.DataFrame, file: Path, *names: str) -> pl.DataFrame:
    import polars as pl

    odd = [name for name in names if frame.schema[name].is_nested()]  # which polars casts part by part
    if odd:
        raise BadInputError(f"{file.name}: {odd[0]} must be whole numbers, not {frame.schema[odd[0]]}")
    try:
        return frame.with_columns(pl.col(names).cast(pl.Int64))
    except pl.exceptions.PolarsError as error:
        raise BadInputError(
            f"{file.name}: {' and '.join(names)} must be whole numbers: {' '.join(str(error).split())[:200]}"
        ) from error
