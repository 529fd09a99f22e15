"""A build by shards equals the build in one go: here, in processes, and on a cluster that loses a worker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab.errors import BadInputError
from shiftlab.subsets import counting

TABLES = ("subset", "membership", "subset_overlap", "subset_distance", "community", "subset_position")
IMAGES = 3_000


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of images with objects and attributes, popular names more often."""
    rng = np.random.default_rng(3)
    image = np.sort(rng.integers(0, IMAGES, 12 * IMAGES))
    name = np.minimum((rng.pareto(1.0, len(image)) * 4).astype(int), 60)
    colour = rng.choice(["red", "blue", "wooden"], len(image))
    path = tmp_path_factory.mktemp("given") / "given.parquet"
    frame = pl.DataFrame({"image_id": image, "object": name, "attribute": colour})
    frame.select(
        pl.format("i{}", "image_id").alias("image_id"),
        pl.format("thing {}", "object").alias("object"),
        "attribute",
    ).write_parquet(path)
    return path


def catalog(folder: Path, annotations: Path) -> sl.Catalog:
    opened = sl.open(folder)
    opened.ingest_images(annotations, "given")
    return opened


def built(opened: sl.Catalog) -> dict[str, list]:
    return {
        table: opened.sql(f"select * exclude (run_id) from {table} order by all").rows()
        if table == "subset"
        else opened.sql(f"from {table} order by all").rows()
        for table in TABLES
    }


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory: pytest.TempPathFactory, annotations: Path) -> dict[str, list]:
    opened = catalog(tmp_path_factory.mktemp("whole") / "catalog", annotations)
    opened.build_subsets("given", "all")
    rows = built(opened)
    assert len(rows["subset"]) > 100
    assert len(rows["subset_overlap"]) > 1_000
    return rows


def test_shards_add_up(
    tmp_path: Path, annotations: Path, in_one_go: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "ROWS_PER_SHARD", 1_777)
    opened = catalog(tmp_path / "catalog", annotations)
    opened.build_subsets("given", "all")
    assert built(opened) == in_one_go
    assert not list((tmp_path / "catalog" / "jobs").iterdir())


def test_processes(tmp_path: Path, annotations: Path, in_one_go: dict[str, list]) -> None:
    opened = catalog(tmp_path / "catalog", annotations)
    command = [sys.executable, "-m", "shiftlab", "--catalog", str(tmp_path / "catalog"), "subsets", "build"]
    done = subprocess.run(
        [*command, "given", "--contexts", "all", "--engine", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert built(opened) == in_one_go


def test_a_build_goes_on_where_it_was_cut_off(
    tmp_path: Path, annotations: Path, in_one_go: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "ROWS_PER_SHARD", 4_000)
    opened = catalog(tmp_path / "catalog", annotations)
    run, counted = counting.count_shard, []

    def dying(shard: counting.Shard) -> None:
        if len(counted) == 5:
            raise KeyboardInterrupt
        counted.append(shard.outputs)
        run(shard)

    monkeypatch.setattr(counting, "count_shard", dying)
    with pytest.raises(KeyboardInterrupt):
        opened.build_subsets("given")
    left = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "catalog" / "jobs").rglob("pair_count*")
    }
    assert len(left) == 5
    assert not opened.sql("from subset").rows()

    seen: dict[str, int] = {}

    def watching(shard: counting.Shard) -> None:
        run(shard)
        seen.update({Path(f).name: Path(f).stat().st_mtime_ns for _, f in shard.outputs})

    monkeypatch.setattr(counting, "count_shard", watching)
    opened.build_subsets("given", "all")
    assert {name: seen[name] for name in left} == left
    assert built(opened) == in_one_go


def test_models_read_in_processes(tmp_path: Path) -> None:
    """The same sketches as in one process; a bad file stops the run after the ones before it are stored."""
    rng = np.random.default_rng(0)
    for k in range(11):
        np.savez(tmp_path / f"m{k:02d}.npz", **{f"l{j}": rng.normal(size=(8, 4, 3, 3)) for j in range(3)})
    files = sorted(tmp_path.glob("*.npz"))
    here, there = sl.open(tmp_path / "here"), sl.open(tmp_path / "there")
    here.ingest_models(files, keep_filters=True)
    done = there.ingest_models(files, keep_filters=True, engine="2")
    assert [model.file for model in done] == [path.name for path in files]
    for table in ("model", "conv_layer", "layer_sketch", "layer_histogram", "layer_quality"):
        rows = "select * exclude (run_id) from " + table if table == "model" else "from " + table
        assert here.sql(rows + " order by all").rows() == there.sql(rows + " order by all").rows(), table
    kept = [{p.name: p.read_bytes() for p in (tmp_path / c / "filters").iterdir()} for c in ("here", "there")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 11

    files[4].write_bytes(b"PK no zip")
    partly = sl.open(tmp_path / "partly")
    with pytest.raises(BadInputError, match=r"m04\.npz"):
        partly.ingest_models(files, engine="2")
    assert partly.sql("select file from model order by file").rows() == [(f"m{k:02d}.npz",) for k in range(4)]


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A Dask scheduler and workers, each a process of its own on this machine."""
    environment = os.environ | {"DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h"}
    scheduler = subprocess.Popen(
        [
            sys.executable, "-m", "distributed.cli.dask_scheduler",
            "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter",
        ],
        stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    running = [scheduler]
    try:
        address = ""
        assert scheduler.stderr is not None
        for line in scheduler.stderr:
            found = re.search(r"tcp://127\.0\.0\.1:\d+", line)
            if found:
                address = found[0]
                break
        threading.Thread(target=scheduler.stderr.read, daemon=True).start()
        running += [
            subprocess.Popen(
                [
                    sys.executable, "-m", "distributed.cli.dask_worker", address,
                    "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder / f"w{k}"),
                ],
                stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True, env=environment,
            )
            for k in range(workers)
        ]  # fmt: skip
        from distributed import Client

        with Client(address, timeout="30s", set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address, running[1:]
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker(
    tmp_path: Path, annotations: Path, in_one_go: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "ROWS_PER_SHARD", 400)  # about ninety shards a step: time enough to kill
    opened = catalog(tmp_path / "catalog", annotations)
    with cluster(tmp_path) as (address, workers):
        killed = threading.Event()

        def kill_once(stage: str) -> None:
            if "counting overlaps: 5 of" in stage:
                workers[0].send_signal(signal.SIGKILL)
                killed.set()

        start = time.monotonic()
        opened.build_subsets("given", "all", engine=address, progress=kill_once)
        print(f"one of two workers killed; built in {time.monotonic() - start:.1f} s")
        assert killed.is_set()
        assert workers[0].wait() == -signal.SIGKILL
    assert built(opened) == in_one_go
