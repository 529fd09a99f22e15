"""Killed at random moments, a catalog opens, is whole, and a repeated run ends where an undisturbed one does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import shiftlab as sl
from shiftlab import integrity
from tests.conftest import ANNOTATIONS

KILLS = 12
TABLES = (
    "item", "label", "term", "item_term", "object", "object_attribute", "relation", "subset", "membership",
    "subset_overlap", "subset_distance", "community", "subset_position", "space", "vector_file",
)  # fmt: skip

WORK = """
    import sys
    import shiftlab as sl
    print("ready", flush=True)
    cat = sl.open(sys.argv[1])
    cat.ingest_images(sys.argv[2] + "/gqa_train_sceneGraphs.json", "gqa")
    cat.ingest_images(sys.argv[2], "vg", input="visual-genome")
    cat.ingest_vectors(sys.argv[3], "gqa", "space")
    cat.build_subsets("gqa", min_images=3, min_subsets=3)
    cat.build_subsets("vg", min_images=3, min_subsets=3)
    print("done", flush=True)
"""


def working(folder: Path, vectors: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WORK), str(folder), str(ANNOTATIONS), str(vectors)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def rows(catalog: sl.Catalog) -> dict[str, list]:
    """Everything that was derived, without the numbers of the runs, which count the attempts too."""
    return {
        table: catalog.sql(f"select * exclude (run_id) from {table} order by all").rows()
        if "run_id" in catalog.sql(f"describe {table}").pl()["column_name"].to_list()
        else catalog.sql(f"from {table} order by all").rows()
        for table in TABLES
    }


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    import json

    ids = list(json.loads((ANNOTATIONS / "gqa_train_sceneGraphs.json").read_text()))
    vectors = tmp_path / "v.npz"
    np.savez(vectors, image_id=ids, vectors=np.random.default_rng(0).normal(size=(len(ids), 8)))
    start = time.monotonic()
    whole = working(tmp_path / "whole", vectors)
    assert whole.communicate()[0] == "done\n"
    duration = time.monotonic() - start
    expected = rows(sl.open(tmp_path / "whole"))
    moments = random.Random(7)
    killed = 0
    for attempt in range(KILLS):
        process = working(tmp_path / "killed", vectors)
        # A run that goes on from earlier ones has less left to do: most kills should still strike in time.
        time.sleep(moments.uniform(0, duration * (0.9 if attempt < KILLS // 2 else 0.4)))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        if (tmp_path / "killed" / "catalog.duckdb").exists():
            catalog = sl.open(tmp_path / "killed")
            broken = {one.rule: one.example for one in integrity.check(catalog.store) if one.violations}
            broken.pop("no leftover files (--repair sweeps them)", None)
            assert broken == {}
    last = working(tmp_path / "killed", vectors)
    assert last.communicate()[0] == "done\n"
    catalog = sl.open(tmp_path / "killed")
    integrity.check(catalog.store, repair=True)
    assert not [one for one in integrity.check(catalog.store) if one.violations]
    assert rows(catalog) == expected
    assert killed >= KILLS // 3
    print(f"{killed} of {KILLS} runs were killed; the catalog was whole after each")


@pytest.mark.parametrize("space", [0, 100_000, 400_000, 1_500_000])
def test_a_full_disk_leaves_all_or_nothing(tmp_path: Path, space: int) -> None:
    """A file-size limit stands in for the disk: writes beyond it fail as on a full one.

    Either the work is refused in words and nothing is stored, or it is stored whole.
    """
    code = """
        import resource, signal, sys
        import shiftlab as sl, shiftlab.errors
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        cat = sl.open(sys.argv[1])
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            cat.ingest_images(sys.argv[2] + "/gqa_train_sceneGraphs.json", "gqa")
            print("stored")
        except sl.errors.ShiftLabError as error:
            print("refused:", error)
    """
    sl.open(tmp_path / "c")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "c"), str(ANNOTATIONS), str(space)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "stored" in done.stdout or "is full; nothing was changed" in done.stdout, done.stdout + done.stderr
    catalog = sl.open(tmp_path / "c")
    assert catalog.sql("select count(*) from item").rows() == [(100 if "stored" in done.stdout else 0,)]
    assert not [one for one in integrity.check(catalog.store) if one.violations]
    assert catalog.ingest_images(ANNOTATIONS / "gqa_train_sceneGraphs.json", "gqa").images == 100
