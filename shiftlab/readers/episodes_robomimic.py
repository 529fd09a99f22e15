"""robomimic and raw robosuite files: one HDF5 with /data/demo_i and, in /mask, filter keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers import episodes_hdf5 as hdf5
from shiftlab.readers.episodes_data import (
    MAX_BYTES,
    EpisodeData,
    Problem,
    chosen,
    finished,
    same_widths,
    stacked,
    strict_json,
)

if TYPE_CHECKING:
    import h5py
    import polars as pl

USUAL_STATE = ("robot0_eef_pos", "robot0_eef_quat", "object")  # the paper's choice for Square and Can
_SKILL = ("better", "okay", "worse")


def read(
    path: Path,
    *,
    state: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> EpisodeData:
    """The file ``path``. ``state`` names datasets below obs/ (or ``states``); by default end effector pose
    and object where they are there, else every low-dimensional observation, else the simulator's states.

    env_args and model_file are never evaluated. Filter keys better, okay, worse become the label, keys that
    name an operator the operator. Raises BadInputError naming the demonstration and the dataset at fault.
    """
    with hdf5.opened(path) as file:
        data = hdf5.subgroup(file, "data")
        keys = [name for name in hdf5.names(data) if name.startswith("demo")]
        if not keys:
            raise BadInputError(f"{path.name}: /data holds no demo_0, demo_1, ...")
        problems: list[Problem] = []
        state_keys = _state_keys(hdf5.subgroup(data, keys[0]), state, path.name)
        action_keys = list(action or ["actions"])
        parts = [
            _demo(hdf5.subgroup(data, key), key, state_keys, action_keys, problems, max_bytes) for key in keys
        ]
        same_widths(parts, keys, path.name)
        if sum(part["state"].nbytes + part["action"].nbytes for part in parts) > max_bytes:
            raise BadInputError(f"{path.name} holds more than {max_bytes >> 20:,} MiB: raise max_bytes")
        episodes = _episodes(file, keys, parts, path, problems)
        fps, robot = _environment(data, problems)
    return finished(
        format="robomimic",
        path=path,
        steps=stacked(parts),
        episodes=episodes,
        state_keys=state_keys,
        action_keys=action_keys,
        fps=fps,
        robot_type=robot,
        problems=problems,
    )


def _state_keys(demo: h5py.Group, wanted: Sequence[str] | None, source: str) -> list[str]:
    present = ["states"] if hdf5.member(demo, "states") is not None else []
    low: list[str] = []
    if hdf5.member(demo, "obs") is not None:
        obs = hdf5.subgroup(demo, "obs")
        low = [
            name
            for name in hdf5.names(obs)
            if getattr(obs[name], "ndim", 9) <= 2 and getattr(obs[name], "dtype", np.dtype("O")).kind in "fiu"
        ]
    usual = [key for key in USUAL_STATE if key in low]
    if len(usual) < len(USUAL_STATE):
        usual = low or present
    return chosen(wanted, usual or ["states"], [*low, *present], "observation", source)


def _demo(
    demo: h5py.Group,
    key: str,
    state_keys: list[str],
    action_keys: list[str],
    problems: list[Problem],
    max_bytes: int,
) -> dict[str, Any]:
    def columns(names: list[str], observed: bool) -> np.ndarray[Any, Any]:
        found = []
        for name in names:
            plain = not observed or name == "states"
            values = hdf5.matrix(demo if plain else hdf5.subgroup(demo, "obs"), name, max_bytes=max_bytes)
            found.append(values.reshape(len(values), -1).astype(np.float32))
        if len({len(values) for values in found}) > 1:
            lengths = {name: len(values) for name, values in zip(names, found, strict=True)}
            raise BadInputError(f"{key}: datasets differ in length: {lengths}")
        return np.concatenate(found, axis=1)

    state, action = columns(state_keys, True), columns(action_keys, False)
    if len(state) != len(action):
        raise BadInputError(
            f"{key}: {len(state)} states but {len(action)} actions; both need one row per step"
        )
    stated = demo.attrs.get("num_samples")
    if stated is not None and int(stated) != len(action):
        problems.append(
            Problem(
                "stated length differs", key, f"num_samples says {int(stated)}, the data have {len(action)}"
            )
        )
    reward = None
    if hdf5.member(demo, "rewards") is not None:
        reward = hdf5.matrix(demo, "rewards", max_bytes=max_bytes).astype(float)
    return {"state": state, "action": action, "reward": reward}


def _episodes(
    file: h5py.File, keys: list[str], parts: list[dict[str, Any]], path: Path, problems: list[Problem]
) -> pl.DataFrame:
    import polars as pl

    label, operator = _from_masks(file, keys, problems)
    rewards = [part["reward"] for part in parts]
    return pl.DataFrame(
        {
            "episode_index": range(len(keys)),
            "src_key": keys,
            "operator": [operator.get(key) for key in keys],
            "label": [label.get(key) for key in keys],
            "episode_return": [None if r is None else float(r.sum()) for r in rewards],
            # robomimic rewards are sparse: 1 at the end of a success.
            "success": [
                None if r is None or not np.isin(r, (0, 1)).all() else bool(r.any()) for r in rewards
            ],
            "src_file": path.name,
        },
        schema_overrides={
            "episode_index": pl.Int64,
            "operator": pl.String,
            "label": pl.String,
            "episode_return": pl.Float64,
            "success": pl.Boolean,
        },
    )


def _from_masks(
    file: h5py.File, keys: list[str], problems: list[Problem]
) -> tuple[dict[str, str], dict[str, str]]:
    label: dict[str, str] = {}
    operator: dict[str, str] = {}
    if hdf5.member(file, "mask") is None:
        return label, operator
    mask = hdf5.subgroup(file, "mask")
    known = set(keys)
    for name in hdf5.names(mask):
        members = hdf5.keys_of(mask, name)
        if strangers := sorted(set(members) - known):
            problems.append(
                Problem(
                    "filter key names no episode",
                    f"mask/{name}",
                    f"{strangers[0]} and {len(strangers) - 1} more",
                )
            )
        if name in _SKILL:
            label |= dict.fromkeys(members, name)
        elif "operator" in name:
            operator |= dict.fromkeys(members, name)
    return label, operator


def _environment(data: h5py.Group, problems: list[Problem]) -> tuple[float | None, str | None]:
    text = hdf5.text_of(data, "env_args")
    if not text:
        return None, None
    try:
        found = strict_json(text, "env_args")
    except BadInputError as error:
        problems.append(Problem("env_args cannot be read", "/data", str(error)))
        return None, None
    arguments = found.get("env_kwargs") if isinstance(found, dict) else None
    if not isinstance(arguments, dict):
        return None, None
    rate = arguments.get("control_freq")
    robots = arguments.get("robots")
    robot = (
        robots
        if isinstance(robots, str)
        else ", ".join(map(str, robots))
        if isinstance(robots, list)
        else None
    )
    return (float(rate) if isinstance(rate, int | float) and rate > 0 else None), robot
