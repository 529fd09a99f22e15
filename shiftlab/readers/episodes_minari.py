"""Minari datasets, data formats hdf5 and arrow: the folder that holds metadata.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.readers import episodes_hdf5 as hdf5
from shiftlab.readers.episodes_data import (
    MAX_BYTES,
    EpisodeData,
    Problem,
    chosen,
    finished,
    inside,
    plain_text,
    same_widths,
    stacked,
    strict_json,
    within_size,
)

if TYPE_CHECKING:
    import h5py

Columns = dict[str, "np.ndarray[Any, Any]"]


def read(
    path: Path,
    *,
    state: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> EpisodeData:
    """The dataset in folder ``path``: `<name>-vK`, its ``data`` folder, or the file main_data.hdf5.

    ``state`` and ``action`` name leaves of Dict and Tuple spaces (``observation``, ``desired_goal``,
    ``_index_0``); by default all numeric leaves side by side. Observations have one row more than actions:
    the last is left out. Raises BadInputError naming the episode and the leaf at fault.
    """
    folder = _folder(path)
    meta = strict_json(plain_text(inside(folder, folder / "metadata.json")), "metadata.json")
    if not isinstance(meta, dict):
        raise BadInputError("metadata.json must hold an object")
    problems: list[Problem] = []
    kind = str(meta.get("data_format", "hdf5"))
    if kind not in ("hdf5", "arrow"):
        raise BadInputError(f"metadata.json: data_format {kind!r} is not hdf5 or arrow")
    read_all = _from_hdf5 if kind == "hdf5" else _from_arrow
    keys, raw = read_all(folder, max_bytes)
    parts, state_keys, action_keys = [], [], []  # type: ignore[var-annotated]
    for key, episode in zip(keys, raw, strict=True):
        part, state_keys, action_keys = _part(key, episode, state, action)
        parts.append(part)
    same_widths(parts, keys, path.name)
    data = finished(
        format="minari",
        path=path,
        steps=stacked(parts),
        episodes=_table(keys, parts, folder, kind),
        state_keys=state_keys,
        action_keys=action_keys,
        problems=problems,
    )
    for name, count in (("total_episodes", len(keys)), ("total_steps", len(data.steps))):
        if name in meta and meta[name] != count:
            problems.append(
                Problem(
                    "total differs", f"metadata.json {name}", f"it says {meta[name]}, the data have {count}"
                )
            )
    return data


def _folder(path: Path) -> Path:
    here = path.parent if path.is_file() else path
    for folder in (here, here / "data"):
        if (folder / "metadata.json").is_file():
            return folder
    raise BadInputError(f"'{path.name}' has no metadata.json: name the folder of a Minari dataset")


def _from_hdf5(folder: Path, max_bytes: int) -> tuple[list[str], list[dict[str, Columns]]]:
    file = inside(folder, folder / "main_data.hdf5")
    if not file.is_file():
        raise BadInputError(f"'{folder.parent.name}' has no main_data.hdf5")
    with hdf5.opened(file) as content:
        keys = [name for name in hdf5.names(content) if name.startswith("episode_")]
        if not keys:
            raise BadInputError(f"{file.name} holds no episode_0, episode_1, ...")
        episodes = []
        budget = max_bytes
        for key in keys:
            group = hdf5.subgroup(content, key)
            episode = {name: _leaves(group, name, budget) for name in ("observations", "actions", "rewards")}
            budget -= sum(leaf.nbytes for columns in episode.values() for leaf in columns.values())
            episodes.append(episode)
        return keys, episodes


def _leaves(group: h5py.Group, name: str, max_bytes: int) -> Columns:
    """Numeric datasets below ``name`` by their path; a plain dataset has the path ''."""
    import h5py

    found = hdf5.member(group, name)
    if found is None:
        return {}
    if isinstance(found, h5py.Dataset):
        return {name: hdf5.matrix(group, name, max_bytes=max_bytes)}
    leaves: Columns = {}
    for inner in hdf5.names(found):
        below = found[inner]
        if isinstance(below, h5py.Dataset) and below.dtype.kind not in "biuf":
            continue
        for path, values in _leaves(found, inner, max_bytes).items():
            leaves[path if path == inner else f"{inner}/{path}"] = values
    return leaves


def _from_arrow(folder: Path, max_bytes: int) -> tuple[list[str], list[dict[str, Columns]]]:
    import polars as pl

    places = sorted(
        (p for p in folder.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name)
    )
    if not places:
        raise BadInputError(f"'{folder.parent.name}' has no episode folders 0, 1, ...")
    episodes = []
    for place in places:
        files = [inside(folder, file) for file in sorted(place.glob("*.parquet"))]
        if not files:
            raise BadInputError(f"episode folder {place.name} holds no Parquet file")
        with frames.explained(place):
            frame = pl.read_parquet(files)
        within_size(len(frame), 1, f"episode {place.name}", max_bytes)
        episodes.append(
            {
                name: _unnested(frame[name], name, place.name) if name in frame.columns else {}
                for name in ("observations", "actions", "rewards")
            }
        )
    return [f"episode_{place.name}" for place in places], episodes


def _unnested(column: Any, name: str, episode: str) -> Columns:
    import polars as pl

    if isinstance(column.dtype, pl.Struct):
        leaves: Columns = {}
        for inner in column.struct.fields:
            for path, values in _unnested(column.struct.field(inner), inner, episode).items():
                leaves[path if path == inner else f"{inner}/{path}"] = values
        return leaves
    column = column.drop_nulls()
    if isinstance(column.dtype, pl.List):
        widths = column.list.len().unique()
        if len(widths) != 1:
            raise BadInputError(f"episode {episode}: '{name}' has rows of {sorted(widths)} values")
        column = column.list.to_array(int(widths[0]))
    inner_kind: Any = column.dtype
    while isinstance(inner_kind, pl.Array):
        inner_kind = inner_kind.inner
    return (
        {name: np.asarray(column.to_numpy())} if inner_kind.is_numeric() or inner_kind == pl.Boolean else {}
    )


def _part(
    key: str, episode: dict[str, Columns], state: Sequence[str] | None, action: Sequence[str] | None
) -> tuple[dict[str, Any], list[str], list[str]]:
    sides: dict[str, Any] = {}
    chosen_keys = {}
    for side, name, wanted in (("state", "observations", state), ("action", "actions", action)):
        leaves = episode[name]
        keys = chosen(wanted, list(leaves) or [name], list(leaves), "leaf", key)
        columns = [leaves[leaf].reshape(len(leaves[leaf]), -1).astype(np.float32) for leaf in keys]
        if len({len(column) for column in columns}) > 1:
            raise BadInputError(f"{key}: the leaves of {name} differ in length")
        sides[side], chosen_keys[side] = np.concatenate(columns, axis=1), keys
    n = len(sides["action"])
    if len(sides["state"]) not in (n, n + 1):
        raise BadInputError(f"{key}: {len(sides['state'])} observations for {n} actions; expected {n + 1}")
    sides["state"] = sides["state"][:n]
    rewards = episode["rewards"].get("rewards")
    sides["reward"] = None if rewards is None else np.asarray(rewards, dtype=float)
    return sides, chosen_keys["state"], chosen_keys["action"]


def _table(keys: list[str], parts: list[dict[str, Any]], folder: Path, kind: str) -> Any:
    import polars as pl

    return pl.DataFrame(
        {
            "episode_index": range(len(keys)),
            "src_key": [key.removeprefix("episode_") for key in keys],
            "episode_return": [None if p["reward"] is None else float(p["reward"].sum()) for p in parts],
            "src_file": [
                "main_data.hdf5" if kind == "hdf5" else key.removeprefix("episode_") for key in keys
            ],
        },
        schema_overrides={"episode_index": pl.Int64, "episode_return": pl.Float64},
    )
