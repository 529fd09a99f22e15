"""Blocks of pairs in Parquet: the numbers of `pairwise`, in any number of blocks, on any engine, resumable."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array, random_array

import shiftlab as sl
from shiftlab.errors import BadInputError
from shiftlab.shift import blocks
from shiftlab.shift.blocks import pairwise_blocks
from shiftlab.shift.pairwise import pairwise

S, N, D = 37, 800, 12
SMALL = {"n_projections": 16, "bins": 32}


@pytest.fixture(scope="module")
def given() -> tuple[NDArray[np.float32], csr_array]:
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(N, D)) * np.linspace(0.3, 3, D) + 4).astype(np.float32)
    members = random_array((S, N), density=0.08, rng=rng, format="csr")
    members.data[:] = 1
    return vectors, csr_array(members)


@pytest.mark.parametrize(("block", "weighted"), [(1000, False), (10, False), (7, True)])
def test_equals_the_matrix(
    tmp_path: Path, given: tuple[NDArray[np.float32], csr_array], block: int, weighted: bool
) -> None:
    vectors, members = given
    if weighted:
        members = members.copy()
        members.data = np.random.default_rng(1).uniform(0.5, 2, len(members.data))
    whole = pairwise(vectors, members, "sliced_wasserstein", debias=0, **SMALL)
    parts = pairwise_blocks(vectors, members, tmp_path, block=block, **SMALL)
    frame = parts.scan().sort("left", "right").collect()
    assert len(frame) == parts.n_pairs == S * (S - 1) // 2
    pairs = frame["left"].to_numpy(), frame["right"].to_numpy()
    assert (pairs[0] < pairs[1]).all()
    assert whole.lower is not None
    assert whole.upper is not None
    for name, matrix in (("value", whole.value), ("lower", whole.lower), ("upper", whole.upper)):
        np.testing.assert_allclose(frame[name], matrix[pairs], rtol=2e-3, atol=2e-3)
    some = [30, 2, 11]
    np.testing.assert_allclose(parts.matrix(some), whole.value[np.ix_(some, some)], atol=2e-3)
    assert not (tmp_path / "work").exists()


def test_memory_mapped_vectors_and_processes(
    tmp_path: Path, given: tuple[NDArray[np.float32], csr_array], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, members = given
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    here = pairwise_blocks(vectors, members, tmp_path / "here", block=13, **SMALL)
    monkeypatch.setattr(blocks, "_CHUNK", 16 * 100)  # many chunks of rows
    there = pairwise_blocks(mapped, members, tmp_path / "there", block=13, engine="2", **SMALL)
    one, two = (each.scan().sort("left", "right").collect() for each in (here, there))
    np.testing.assert_allclose(one["value"], two["value"], rtol=1e-5, atol=1e-5)


def test_goes_on_where_it_was_cut_off(
    tmp_path: Path, given: tuple[NDArray[np.float32], csr_array], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, members = given
    measure, done = blocks._measure, []

    def dying(job: blocks._Pairs) -> None:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(job.file)
        measure(job)

    monkeypatch.setattr(blocks, "_measure", dying)
    with pytest.raises(KeyboardInterrupt):
        pairwise_blocks(vectors, members, tmp_path, block=10, **SMALL)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("pairs-*.parquet")}
    assert sorted(before) == sorted(done)
    monkeypatch.setattr(blocks, "_measure", measure)
    (tmp_path / "pairs-000010-000020.parquet.123.part").write_bytes(b"half")  # as a killed call leaves it
    parts = pairwise_blocks(vectors, members, tmp_path, block=10, **SMALL)
    assert not list(tmp_path.glob("*.part"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole = pairwise(vectors, members, "sliced_wasserstein", debias=0, **SMALL)
    np.testing.assert_allclose(parts.matrix(range(S)), whole.value, atol=2e-3)


def test_a_folder_belongs_to_one_computation(
    tmp_path: Path, given: tuple[NDArray[np.float32], csr_array]
) -> None:
    vectors, members = given
    pairwise_blocks(vectors, members, tmp_path / "a", **SMALL)
    with pytest.raises(ValueError, match="other data or parameters"):
        pairwise_blocks(vectors + 1, members, tmp_path / "a", **SMALL)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match="name an empty folder"):
        pairwise_blocks(vectors, members, tmp_path / "b", **SMALL)
    broken = vectors.copy()
    broken[17, 3] = np.nan
    with pytest.raises(ValueError, match="row 17 is not"):
        pairwise_blocks(broken, members, tmp_path / "c", **SMALL)


def test_subsets_of_a_catalog(tmp_path: Path, coco: sl.Catalog) -> None:
    shutil.copytree(coco.store.path, tmp_path / "catalog")
    coco = sl.open(tmp_path / "catalog")
    chosen = {"where": "class = 'cat'", "dataset": "coco"}
    found = coco.blocks(tmp_path / "pairs", **chosen)
    names = pl.read_parquet(found.folder / "subsets.parquet")
    matrix = coco.matrix("sliced_wasserstein", **chosen)
    assert set(names["name"]) <= set(matrix.names)
    order = [matrix.names.index(name) for name in names["name"]]
    np.testing.assert_allclose(
        found.matrix(range(len(names))), matrix.value[np.ix_(order, order)], rtol=1e-3, atol=1e-5
    )
    with pytest.raises(BadInputError, match="holds pairs of other data"):
        coco.blocks(tmp_path / "pairs", where="class = 'dog'", dataset="coco")
