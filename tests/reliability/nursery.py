"""A process that has imported everything and forks a child for each task, which can be killed at any moment.

Orders come as lines of JSON on stdin, ``[task, folder, seconds until the kill or null, limits]``; for each, a line
tells how the child ended: the number of its signal (negative), its exit code, and what it said.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shiftlab as sl
from shiftlab.errors import ShiftLabError, told
from tests.conftest import ANNOTATIONS

_CAPABILITIES_3 = 0x20080522  # the version of the structures of capset(2)


def ingest(folder: Path) -> None:
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "table.csv", "table")
    catalog.ingest_images(ANNOTATIONS / "vg_objects.json", "vg", on_bad="skip")
    catalog.ingest_vectors(folder / "vectors.npz", "table", "space")
    catalog.ingest_episodes(folder / "steps.parquet", "steps")


def build(folder: Path) -> None:
    catalog = sl.open(folder / "catalog")
    catalog.build_subsets("table", "all", min_images=3, min_subsets=2)
    catalog.build_subsets("vg", min_images=3, min_subsets=2)


def pairwise(folder: Path) -> None:
    catalog = sl.open(folder / "catalog")
    catalog.matrix("sliced_wasserstein", subject="cat", dataset="table")
    catalog.matrix("jensen_shannon", subject="cat", dataset="table")
    catalog.blocks(folder / "pairs", where="n > 5", dataset="table")


def migrate(folder: Path) -> None:
    sl.open(folder / "catalog")


def export(folder: Path) -> None:
    from shiftlab import backup
    from shiftlab.curate import stored

    store = sl.open(folder / "catalog").store
    for to, name in (("parquet", "kept.parquet"), ("weights", "kept.csv"), ("huggingface", "kept")):
        if not (folder / name).is_dir():
            stored.export(store, "cat(bed)", to, folder / name, dataset="table")
    if not (folder / "backup").exists():
        backup.export(store, folder / "backup")
    if not (folder / "again").exists():
        backup.restore(folder / "backup", folder / "again")


TASKS: dict[str, Callable[[Path], None]] = {
    "ingest": ingest, "build": build, "pairwise": pairwise, "migrate": migrate, "export": export,
}  # fmt: skip


def _without_privileges() -> None:
    """Root may write into any folder; without its capabilities it may what an owner may, and still reads its own
    libraries, which another user might not."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _limited(limits: dict[str, int]) -> None:
    if "bytes of a file" in limits:  # writes beyond it fail as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        most = limits["bytes of a file"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    if "as owner" in limits:
        _without_privileges()


def _child(task: str, folder: Path, limits: dict[str, int], said: int) -> None:
    code, words = 0, ""
    try:
        _limited(limits)
        TASKS[task](folder)
    except ShiftLabError as error:
        code, words = error.exit_code, str(error)
    except OSError as error:
        code, words = 1, told(error)
    except BaseException as error:
        code, words = 70, f"{type(error).__name__}: {error}"
    os.write(said, words.encode()[:4000])
    os._exit(code)


def main() -> None:
    import duckdb  # noqa: F401  (imported once here, for all children)
    import h5py  # noqa: F401
    import ijson  # noqa: F401
    import ot  # noqa: F401
    import polars  # noqa: F401
    import scipy.stats  # noqa: F401

    from shiftlab import backup, integrity, vectors  # noqa: F401
    from shiftlab.curate import stored  # noqa: F401
    from shiftlab.episodes import ingest as _episodes  # noqa: F401
    from shiftlab.shift import blocks, pairwise, subsets  # noqa: F401
    from shiftlab.subsets import build as _build  # noqa: F401
    from shiftlab.subsets import ingest as _ingest  # noqa: F401

    for line in sys.stdin:
        task, folder, kill_after, limits = json.loads(line)
        hear, say = os.pipe()
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(hear)
            _child(task, Path(folder), limits, say)
        os.close(say)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        with os.fdopen(hear, "rb") as words:
            told = words.read().decode(errors="replace")
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), told, time.monotonic() - start]), flush=True)


class Nursery:
    """The process, from the side of a test."""

    def __init__(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1",
                                    "PYTHONPATH": str(Path(__file__).parents[2])}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def run(
        self, task: str, folder: Path, kill_after: float | None = None, **limits: int
    ) -> tuple[int, str, float]:
        """Exit code (negative: the signal it died of), the words of its refusal, seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        named = {name.replace("_", " "): value for name, value in limits.items()}
        self.process.stdin.write(json.dumps([task, str(folder), kill_after, named]) + "\n")
        self.process.stdin.flush()
        answer: list[Any] = json.loads(self.process.stdout.readline())
        return answer[0], answer[1], answer[2]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


if __name__ == "__main__":
    main()
