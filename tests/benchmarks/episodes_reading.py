"""Reading rates of demonstrations: a LeRobot v3.0 folder and a robomimic file, steps per second.

    python -m tests.benchmarks.episodes_reading [n_steps]

The comparison is what a loader that hands out one step at a time must do for the same columns: a row of
the table to a dictionary (pyarrow), measured on a sample of the same file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shiftlab.readers.episodes_open import read_episodes

STATE, ACTION, LENGTH, SAMPLE = 14, 7, 250, 5_000


def lerobot(root: Path, n_steps: int) -> Path:
    rng = np.random.default_rng(0)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    template = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    (root / "meta/info.json").write_text(
        json.dumps({"codebase_version": "v3.0", "fps": 30, "data_path": template})
    )
    pl.DataFrame({"task_index": [0], "__index_level_0__": ["lift"]}).write_parquet(
        root / "meta/tasks.parquet"
    )
    episode = np.arange(n_steps) // LENGTH
    frame = pl.DataFrame(
        {
            "observation.state": pl.Series(
                rng.normal(size=(n_steps, STATE)).astype("f4"), dtype=pl.Array(pl.Float32, STATE)
            ),
            "action": pl.Series(
                rng.normal(size=(n_steps, ACTION)).astype("f4"), dtype=pl.Array(pl.Float32, ACTION)
            ),
            "timestamp": (np.arange(n_steps) % LENGTH / 30).astype("f4"),
            "frame_index": np.arange(n_steps) % LENGTH,
            "episode_index": episode,
            "task_index": np.zeros(n_steps, dtype=int),
        }
    )
    for number, part in enumerate(frame.iter_slices(200 * LENGTH)):
        part.write_parquet(root / f"data/chunk-000/file-{number:03d}.parquet")
    frame.group_by("episode_index", maintain_order=True).agg(length=pl.len()).with_columns(
        tasks=pl.lit(["lift"], dtype=pl.List(pl.String))
    ).write_parquet(root / "meta/episodes/chunk-000/file-000.parquet")
    return root


def robomimic(path: Path, n_steps: int) -> Path:
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for number in range(n_steps // LENGTH):
            demo = file.create_group(f"data/demo_{number}")
            demo["actions"] = rng.normal(size=(LENGTH, ACTION))
            demo["states"] = rng.normal(size=(LENGTH, STATE))
    return path


def step_by_step(root: Path) -> float:
    """Steps per second of one row after another."""
    import pyarrow.parquet as pq

    table = pq.read_table(
        sorted(root.glob("data/**/*.parquet"))[0],
        columns=["episode_index", "frame_index", "timestamp", "observation.state", "action"],
    ).slice(0, SAMPLE)
    started = time.perf_counter()
    for row in range(len(table)):
        step = table.slice(row, 1).to_pylist()[0]
        np.asarray(step["observation.state"], dtype="f4"), np.asarray(step["action"], dtype="f4")
    return len(table) / (time.perf_counter() - started)


def run(n_steps: int = 1_000_000) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sources = {
            "lerobot v3.0": lerobot(Path(folder) / "lerobot", n_steps),
            "robomimic": robomimic(Path(folder) / "demo.hdf5", n_steps),
        }
        one_by_one = step_by_step(sources["lerobot v3.0"])
        for name, path in sources.items():
            started = time.perf_counter()
            data = read_episodes(path)
            seconds = time.perf_counter() - started
            rate = len(data.steps) / seconds
            rows.append({"source": name, "steps": len(data.steps), "seconds": seconds, "steps_per_s": rate})
            rows[-1]["ratio_to_step_by_step"] = rate / one_by_one
            print({k: round(v, 2) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    return rows


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
