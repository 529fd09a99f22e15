"""A small real file of every format that ShiftLab reads, and a process that tries files at the catalog's doors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shiftlab.resources import data
from tests.conftest import ANNOTATIONS, SMALL
from tests.readers.test_episodes_readers import lerobot21, lerobot30, minari, robomimic, steps_frame
from tests.readers.test_weights_arrays import tfjs
from tests.readers.test_weights_onnx import W, node, save

WEIGHTS = Path(__file__).parents[1] / "data" / "weights"


@dataclass(frozen=True)
class Sample:
    """`make` writes the sample into a folder: what is given to the door, and the file of it to damage.

    `prefix_may_be_valid`: a cut file of this format can be a whole, shorter one (lines of text).
    """

    door: str
    make: Callable[[Path], tuple[Path, Path]]
    options: tuple[tuple[str, Any], ...] = ()
    prefix_may_be_valid: bool = False


def _copied(source: Path) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        path = folder / source.name
        shutil.copyfile(source, path)
        return path, path

    return make


def _visual_genome(part: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        for file in ANNOTATIONS.glob("vg_*.json"):
            shutil.copyfile(file, folder / file.name.removeprefix("vg_"))
        return folder, folder / f"{part}.json"

    return make


def _table(suffix: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        path = folder / f"table.{suffix}"
        path.write_text(SMALL, encoding="utf-8")
        if suffix == "parquet":
            pl.read_csv(path, infer_schema=False).write_parquet(path)
        return path, path

    return make


def _vectors(suffix: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        matrix, ids = np.arange(24.0).reshape(6, 4), [str(i) for i in range(6)]
        path = folder / f"vectors.{suffix}"
        if suffix == "npz":
            np.savez(path, image_id=np.array(ids), v=matrix)
        else:
            pl.DataFrame({"image_id": ids, "v": matrix}).write_parquet(path)
        return path, path

    return make


def npy(folder: Path) -> tuple[Path, Path]:
    """Vectors whose ids lie in a file beside them."""
    np.save(folder / "vectors.npy", np.arange(24.0).reshape(6, 4))
    np.save(folder / "ids.npy", np.arange(6))
    return folder / "vectors.npy", folder / "vectors.npy"


def _arrays(suffix: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        path = folder / f"model.{suffix}"
        if suffix == "npz":
            np.savez(path, w=W, v=W)
        else:
            np.save(path, W)
        return path, path

    return make


def _onnx(folder: Path) -> tuple[Path, Path]:
    path = save(folder / "model.onnx", [node("Conv", "x w", "a")], {"w": W})
    return path, path


def _tfjs(file: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        path = tfjs(folder, {"conv/kernel": np.ones((3, 3, 2, 4), "f4")})
        return path, folder / file

    return make


def _lerobot(version: Callable[..., Path], file: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        root = version(folder / "data_set", steps_frame())
        return root, root / file

    return make


def _robomimic(folder: Path) -> tuple[Path, Path]:
    robomimic(folder / "demo.hdf5")
    return folder / "demo.hdf5", folder / "demo.hdf5"


def _minari(file: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        root = minari(folder / "door-v1")
        return root, root / "data" / file

    return make


def _steps(suffix: str) -> Callable[[Path], tuple[Path, Path]]:
    def make(folder: Path) -> tuple[Path, Path]:
        path = folder / f"steps.{suffix}"
        if suffix == "parquet":
            steps_frame().write_parquet(path)
        else:
            rows = [f"{e},{f},{e + f / 7},{f * 0.5}" for e in range(3) for f in range(6)]
            path.write_text("\n".join(["episode_index,frame_index,observation.state.0,action.0", *rows]))
        return path, path

    return make


SAMPLES: dict[str, Sample] = {
    "coco": Sample("images", _copied(ANNOTATIONS / "coco_instances_val2014.json"), (("on_bad", "skip"),)),
    "gqa": Sample("images", _copied(ANNOTATIONS / "gqa_train_sceneGraphs.json")),
    **{
        f"visual genome {part}": Sample("images", _visual_genome(part))
        for part in ("objects", "attributes", "relationships", "image_data")
    },
    "table csv": Sample("images", _table("csv"), prefix_may_be_valid=True),
    "table parquet": Sample("images", _table("parquet")),
    "vectors npy": Sample("vectors", npy),
    "vectors npz": Sample("vectors", _vectors("npz")),
    "vectors parquet": Sample("vectors", _vectors("parquet")),
    **{
        f"weights {name}": Sample("models", _copied(WEIGHTS / name))
        for name in ("small.safetensors", "checkpoint_zip.pt", "checkpoint_legacy.pth", "pnet.pt",
                     "small.h5", "small.keras", "fer_int8.tflite")
    },
    "weights npz": Sample("models", _arrays("npz")),
    "weights npy": Sample("models", _arrays("npy")),
    "weights onnx": Sample("models", _onnx),
    "weights tfjs manifest": Sample("models", _tfjs("model.json")),
    "weights tfjs shard": Sample("models", _tfjs("shard.bin")),
    "weights sketches": Sample("models", _copied(data("cnn_filters") / "sketches.parquet")),
    "lerobot 2 info": Sample("episodes", _lerobot(lerobot21, "meta/info.json")),
    "lerobot 2 episodes": Sample("episodes", _lerobot(lerobot21, "meta/episodes.jsonl"), prefix_may_be_valid=True),
    "lerobot 2 tasks": Sample("episodes", _lerobot(lerobot21, "meta/tasks.jsonl"), prefix_may_be_valid=True),
    "lerobot 2 steps": Sample("episodes", _lerobot(lerobot21, "data/chunk-000/episode_000001.parquet")),
    "lerobot 3 steps": Sample("episodes", _lerobot(lerobot30, "data/chunk-000/file-001.parquet")),
    "lerobot 3 episodes": Sample("episodes", _lerobot(lerobot30, "meta/episodes/chunk-000/file-000.parquet")),
    "lerobot 3 tasks": Sample("episodes", _lerobot(lerobot30, "meta/tasks.parquet")),
    "robomimic": Sample("episodes", _robomimic),
    "minari metadata": Sample("episodes", _minari("metadata.json")),
    "minari hdf5": Sample("episodes", _minari("main_data.hdf5")),
    "steps parquet": Sample("episodes", _steps("parquet")),
    "steps csv": Sample("episodes", _steps("csv"), prefix_may_be_valid=True),
}  # fmt: skip

# A last bound on what the process maps (threads map much that they never touch); what it has is measured.
HEADROOM_MB = 8000

DOORS = """
    import json, resource, sys, time
    from pathlib import Path
    import numpy, polars, duckdb, h5py, onnx, pyarrow, ijson, scipy.stats
    import shiftlab as sl
    from shiftlab.catalog import Store
    from shiftlab.errors import ShiftLabError

    page = resource.getpagesize()
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * page
    limit = mapped + (int(sys.argv[1]) << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    doors = {
        "images": lambda path, **o: catalog.ingest_images(path, f"hostile {number}", **o),
        "vectors": lambda path, **o: catalog.ingest_vectors(path, "small", f"hostile {number}", **o),
        "models": lambda path, **o: catalog.ingest_models(path, **o),
        "episodes": lambda path, **o: catalog.ingest_episodes(path, f"hostile {number}", **o),
    }
    for number, line in enumerate(sys.stdin):
        folder, door, path, options = json.loads(line)
        catalog = sl.Catalog(Store(folder))
        start = time.monotonic()
        try:
            doors[door](path, **options)
            outcome = "stored", ""
        except ShiftLabError as error:
            outcome = "refused", str(error)
        except BaseException as error:
            outcome = "crashed", f"{type(error).__name__}: {error}"
        print(json.dumps([*outcome, time.monotonic() - start]), flush=True)
    # Not ru_maxrss, which begins at what the process had that started this one.
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""


@dataclass(frozen=True)
class Outcome:
    """What a door did with a file: 'stored', 'refused' (with its words) or 'crashed' (with the exception)."""

    what: str
    words: str
    seconds: float


def knock(
    catalog: Path, files: Sequence[tuple[str, Path, dict[str, Any]]], within: float = 240
) -> tuple[list[Outcome], int]:
    """Each file at its door (images, vectors, models, episodes) of the catalog, in one process of bounded memory.

    Returns the outcomes and the MB of memory that the process had at most. A process that dies stops the test
    and names the file.
    """
    tasks = [[str(catalog), door, str(path), options] for door, path, options in files]
    lines = "".join(json.dumps(task) + "\n" for task in tasks)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DOORS), str(HEADROOM_MB)],
        input=lines, capture_output=True, text=True, timeout=within, check=False,
    )  # fmt: skip
    outcomes = [Outcome(*json.loads(line)) for line in done.stdout.splitlines() if line.startswith("[")]
    assert done.returncode == 0, f"died at {files[len(outcomes)]}: {done.stderr[-500:]}"
    return outcomes, int(done.stderr.split()[-1]) >> 10
