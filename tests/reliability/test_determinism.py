"""The same input, seed and version give byte-equal exports: on one thread, on two, and in worker processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.reliability.conftest import Tally
from tests.reliability.test_engines import cluster

WORK = """
    import json, sys
    import numpy as np
    import shiftlab as sl
    from shiftlab import instances
    from shiftlab.curate import stored
    from shiftlab.resources import data

    folder, threads, engine = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
    connect = instances.connect
    def limited(*arguments, **options):
        con = connect(*arguments, **options)
        con.execute(f"set threads = {threads}").fetchall()
        return con
    instances.connect = limited
    cat = sl.open(folder + "/catalog")
    rng = np.random.default_rng(0)
    with open(folder + "/t.csv", "w") as table:
        table.write("image_id,object,attribute\\n")
        for i in range(2000):
            for name in rng.choice(["cat", "dog", "sofa", "bed", "tree", "car", "cup"], 3, replace=False):
                table.write(f"{i},{name},{['red', 'blue', ''][i % 3]}\\n")
    cat.ingest_images(folder + "/t.csv", "small")
    np.savez(folder + "/v.npz", image_id=np.arange(2000).astype(str), v=rng.normal(size=(2000, 16)))
    cat.ingest_vectors(folder + "/v.npz", "small", "space")
    cat.build_subsets("small", "all", min_images=5, min_subsets=2, engine=engine)
    cat.matrix("sliced_wasserstein", subject="cat", dataset="small")
    cat.matrix("jensen_shannon", subject="cat", dataset="small")
    cat.blocks(folder + "/pairs", where="n > 5", dataset="small", engine=engine)
    names = [row[0] for row in cat.sql("select name from subset where class = 'cat' and n < 900 order by n desc, name limit 2").rows()]
    cat.compare(*names, space="space", measure=["mmd", "energy_distance", "wasserstein"], permutations=99, dataset="small")
    cat.ingest_episodes(data("adroit_door_human") / "episodes.parquet", "door")
    cat.curate("mixture", "mix", subsets=names, weights=(3, 1), total=100, seed=1)
    for to, name in (("ids", "mix.txt"), ("csv", "mix.csv"), ("parquet", "mix.parquet"), ("weights", "weights.csv"), ("huggingface", "mix")):
        stored.export(cat.store, "mix", to, folder + "/exports/" + name)
"""
# Left out is what tells of the run itself: its moment, its time, the folder of its inputs.
EXPORT = """
    import sys
    import shiftlab as sl
    cat = sl.open(sys.argv[1] + "/catalog")
    with cat.store.read() as con:
        for (table,) in con.sql("select table_name from duckdb_tables() order by 1").fetchall():
            columns = [c for (c,) in con.sql(f"select column_name from duckdb_columns() where table_name = '{table}' order by column_index").fetchall()
                       if c not in ("seconds", "started_at", "created_at", "applied_at", "params", "notes", "inputs", "ingested_at", "path")]
            frame = con.sql(f"select {', '.join(columns)} from {table} order by all").pl()
            frame.write_parquet(sys.argv[1] + f"/{table}.parquet") if frame.height else None
"""


def made(folder: Path, threads: int, engine: str = "") -> dict[str, str]:
    """Tables exported as Parquet and the catalog's vector and step files: names and hashes of their bytes."""
    (folder / "exports").mkdir(parents=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads),
                                "POLARS_MAX_THREADS": str(threads)}  # fmt: skip
    script = folder / "work.py"
    body = textwrap.dedent(WORK).replace("\n", "\n    ").strip()
    script.write_text(f"if __name__ == '__main__':\n    {body}\n", encoding="utf-8")
    for command in (
        [str(script), str(folder), str(threads), engine],
        ["-c", textwrap.dedent(EXPORT), str(folder)],
    ):
        done = subprocess.run(
            [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-1500:]
    files = [
        *folder.glob("*.parquet"),
        *(path for name in ("exports", "pairs") for path in (folder / name).rglob("*") if path.is_file()),
        *(path for name in ("vectors", "steps") for path in (folder / "catalog" / name).iterdir()),
    ]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)
    }


@pytest.mark.slow
def test_exports_are_byte_equal(tmp_path: Path, tally: Tally) -> None:
    one = made(tmp_path / "one", 1)
    assert len(one) > 15
    ways = {"two threads": made(tmp_path / "two", 2), "two processes": made(tmp_path / "engine", 1, "2")}
    for way, found in ways.items():
        assert {name for name in one if found.get(name) != one[name]} == set(), way
        assert set(found) == set(one), way
    tally("determinism", files_byte_equal=len(one), ways=1 + len(ways))


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(tmp_path: Path, tally: Tally) -> None:
    one = made(tmp_path / "one", 1)
    with cluster(tmp_path) as (address, workers):
        assert len(workers) == 2
        assert made(tmp_path / "cluster", 2, address) == one
    tally("determinism", files_byte_equal_from_a_cluster=len(one))


@pytest.mark.slow
def test_exports_are_byte_equal_again_and_again(tmp_path: Path, tally: Tally) -> None:
    first = made(tmp_path / "first", 2)
    for number in range(4):
        assert made(tmp_path / f"again{number}", 2) == first
    tally("determinism", repetitions=5)
