"""Sliced W2 of all pairs of very many subsets: blocks of pairs in Parquet, in bounded memory, resumable.

`pairwise` holds (S, S) matrices; at S = 10,000 each takes 800 MB. Here the items are projected once into a
memory-mapped file, subsets are embedded block by block into another, and every block of pairs is a task of its
own that leaves one Parquet file. Files that are there are not made again. The numbers are those of `pairwise`
(design "quantiles") up to float32.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftlab import parallel
from shiftlab.measures.sliced import directions
from shiftlab.shift.pairs.membership import Membership
from shiftlab.shift.pairs.sliced import quantile_rows
from shiftlab.shift.progress import fingerprint

if TYPE_CHECKING:
    import polars as pl

BLOCK = 1000
_CHUNK = 1 << 26  # numbers projected at a time: 256 MB in float32


@dataclass(frozen=True)
class Blocks:
    """A folder of blocks: files ``pairs-I-J.parquet`` with the columns left, right (rows of the membership,
    left < right), value, lower, upper."""

    folder: Path
    n_subsets: int
    n_pairs: int

    def scan(self) -> pl.LazyFrame:
        """All pairs, unread; filter before collecting."""
        import polars as pl

        return pl.scan_parquet(self.folder / "pairs-*.parquet")

    def matrix(self, subsets: Any) -> NDArray[np.float64]:
        """Values (k, k) of some subsets, in their order, with a zero diagonal."""
        import polars as pl

        wanted = np.asarray(subsets)
        place = np.full(self.n_subsets, -1)
        place[wanted] = np.arange(len(wanted))
        found = (
            self.scan()
            .filter(pl.col("left").is_in(wanted.tolist()), pl.col("right").is_in(wanted.tolist()))
            .select("left", "right", "value")
            .collect()
        )
        left, right = place[found["left"].to_numpy()], place[found["right"].to_numpy()]
        matrix = np.zeros((len(wanted), len(wanted)))
        matrix[left, right] = matrix[right, left] = found["value"].to_numpy()
        return matrix


def pairwise_blocks(
    vectors: Any,
    membership: Any,
    folder: str | os.PathLike[str],
    *,
    n_projections: int = 128,
    bins: int = 128,
    block: int = BLOCK,
    seed: int = 0,
    engine: parallel.Engine = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Blocks:
    """Sliced W2 with certified bounds of every two of S subsets, into ``folder``.

    ``vectors`` (N, d) may be memory-mapped: they are read twice, in order. ``membership`` (S, N) is sparse, as in
    `pairwise`. The folder takes 4 N P + 4 S P Q bytes while it works (P projections, Q bins) and about 15 S^2
    bytes of pairs at the end. ``engine`` says where blocks are worked on, see `parallel.run`; results do not
    depend on it. A call that was cut off goes on when it is repeated.

    Raises ValueError for bad arrays, non-finite vectors, and a folder that holds pairs of other data.
    """
    members = Membership.of(membership, len(vectors))
    target = Path(folder).resolve()
    about = {"n_projections": n_projections, "bins": bins, "block": block, "seed": seed}
    _claim(target, vectors, members, about)
    edges = [*range(0, members.n_subsets, block), members.n_subsets]
    jobs = [
        _Pairs(str(target), edges[i], edges[i + 1], edges[j], edges[j + 1], n_projections * bins)
        for i in range(len(edges) - 1)
        for j in range(i, len(edges) - 1)
    ]
    total = 2 * (len(edges) - 1) + len(jobs)
    if not all(job.file.exists() for job in jobs):
        _embed_all(vectors, members, target, edges, about, engine, lambda done: progress(done, total))
        parallel.run(
            _measure, jobs, engine, told=lambda done, _: progress(2 * (len(edges) - 1) + done, total)
        )
    shutil.rmtree(target / "work", ignore_errors=True)
    for part in target.glob("*.part"):  # of a call that was killed
        part.unlink(missing_ok=True)
    return Blocks(target, members.n_subsets, members.n_subsets * (members.n_subsets - 1) // 2)


def _claim(folder: Path, vectors: Any, members: Membership, about: dict[str, Any]) -> None:
    """The folder belongs to one set of subsets of one set of vectors; a sample of rows stands for these."""
    w = members.weights
    some = np.linspace(0, len(vectors) - 1, min(len(vectors), 1000)).astype(np.int64)
    key = fingerprint([np.asarray(vectors[some]), w.indptr, w.indices, w.data], about)
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "about.json"
    if note.exists():
        if json.loads(note.read_text(encoding="utf-8")).get("key") != key:
            raise ValueError(
                f"the folder '{folder}' holds pairs of other data or parameters: name another folder"
            )
        return
    if any(folder.glob("*.parquet")):
        raise ValueError(f"the folder '{folder}' holds other Parquet files: name an empty folder")
    _replace(note, lambda part: part.write_text(json.dumps(about | {"key": key}), encoding="utf-8"))


def _embed_all(
    vectors: Any,
    members: Membership,
    folder: Path,
    edges: list[int],
    about: dict[str, Any],
    engine: parallel.Engine,
    told: Callable[[int], None],
) -> None:
    """Files of the work folder: projected items, then one embedding a block of subsets, then their mean."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    w = members.weights
    projected = work / "projected.npy"
    if not projected.exists():
        _replace(projected, lambda part: _project(vectors, part, about["n_projections"], about["seed"]))
    jobs = []
    for start, stop in itertools.pairwise(edges):
        subsets = work / f"subsets-{start}.npz"
        rows = slice(int(w.indptr[start]), int(w.indptr[stop]))
        weights = np.empty(0) if members.uniform else w.data[rows]
        if not subsets.exists():
            local = w.indptr[start : stop + 1] - w.indptr[start]
            _replace(subsets, partial(_save_subsets, indptr=local, indices=w.indices[rows], weights=weights))
        jobs.append(_Embedding(str(work), start, about["bins"]))
    parallel.run(_embed, jobs, engine, told=lambda done, _: told(len(jobs) + done))
    mean = work / "mean.npy"
    if not mean.exists():
        total = sum(
            np.load(work / f"embedded-{job.start}.npy", mmap_mode="r").sum(axis=0, dtype=np.float64)
            for job in jobs
        )
        average = (np.asarray(total) / members.n_subsets).astype(np.float32)
        _replace(mean, lambda part: _save_array(part, average))


def _project(vectors: Any, part: Path, n_projections: int, seed: int) -> None:
    """Centred items on shared directions, (N, P) in float32, a chunk of rows at a time."""
    count, width = vectors.shape
    theta = directions(width, n_projections, seed).astype(np.float32)
    step = max(1, _CHUNK // max(width, n_projections))
    total = np.zeros(width)
    for start in range(0, count, step):
        chunk = np.asarray(vectors[start : start + step])
        if not np.isfinite(chunk).all():
            row = start + int(np.flatnonzero(~np.isfinite(chunk).all(axis=1))[0])
            raise ValueError(f"vectors must be finite; row {row} is not")
        total += chunk.sum(axis=0, dtype=np.float64)
    centre = (total / count).astype(np.float32)
    out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(count, n_projections))
    for start in range(0, count, step):
        rows = np.asarray(vectors[start : start + step], dtype=np.float32) - centre
        np.matmul(rows, theta, out=out[start : start + step])
    out.flush()


@dataclass(frozen=True)
class _Embedding:
    """Task: embed the subsets of one block."""

    work: str
    start: int
    bins: int


def _embed(job: _Embedding) -> None:
    work = Path(job.work)
    target, left_out = work / f"embedded-{job.start}.npy", work / f"within-{job.start}.npy"
    if target.exists() and left_out.exists():
        return
    projected = np.load(work / "projected.npy", mmap_mode="r")
    with np.load(work / f"subsets-{job.start}.npz") as subsets:
        indptr, indices, weights = subsets["indptr"], subsets["indices"], subsets["weights"]
    embedded = np.empty((len(indptr) - 1, projected.shape[1], job.bins), np.float32)
    within = np.empty(len(indptr) - 1)
    for s, (start, stop) in enumerate(itertools.pairwise(indptr)):
        values = np.ascontiguousarray(projected[indices[start:stop]].T)
        within[s] = quantile_rows(values, weights[start:stop] if len(weights) else None, embedded[s])
    _replace(left_out, lambda part: _save_array(part, within))
    _replace(target, lambda part: _save_array(part, embedded.reshape(len(embedded), -1)))


@dataclass(frozen=True)
class _Pairs:
    """Task: the pairs of two blocks of subsets."""

    folder: str
    left: int
    left_end: int
    right: int
    right_end: int
    cells: int

    @property
    def file(self) -> Path:
        return Path(self.folder) / f"pairs-{self.left:06d}-{self.right:06d}.parquet"


def _measure(job: _Pairs) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if job.file.exists():
        return
    work = Path(job.folder) / "work"
    mean = np.load(work / "mean.npy")
    one = np.load(work / f"embedded-{job.left}.npy") - mean
    two = one if job.left == job.right else np.load(work / f"embedded-{job.right}.npy") - mean
    lower = (one @ two.T).astype(np.float64)
    lower *= -2
    lower += np.einsum("ij,ij->i", one, one, dtype=np.float64)[:, None]
    lower += np.einsum("ij,ij->i", two, two, dtype=np.float64)
    np.maximum(lower, 0, out=lower)
    lower /= job.cells
    within = [np.load(work / f"within-{start}.npy") for start in (job.left, job.right)]
    upper = lower + (within[0][:, None] + within[1])
    above = (
        np.triu_indices(len(one), 1)
        if job.left == job.right
        else tuple(np.indices(lower.shape).reshape(2, -1))
    )
    rows, columns = above
    low, high = lower[above], upper[above]
    table = pa.table(
        {
            "left": pa.array((rows + job.left).astype(np.int32)),
            "right": pa.array((columns + job.right).astype(np.int32)),
            "value": pa.array(np.sqrt((low + high) / 2).astype(np.float32)),
            "lower": pa.array(np.sqrt(low).astype(np.float32)),
            "upper": pa.array(np.sqrt(high).astype(np.float32)),
        }
    )
    _replace(
        job.file,
        lambda part: pq.write_table(
            table, part, compression="zstd", use_dictionary=["left", "right"], row_group_size=1 << 20
        ),
    )


def _save_subsets(part: Path, indptr: NDArray[Any], indices: NDArray[Any], weights: NDArray[Any]) -> None:
    with part.open("wb") as file:
        np.savez(file, indptr=indptr, indices=indices, weights=weights)


def _save_array(part: Path, array: NDArray[Any]) -> None:
    with part.open("wb") as file:
        np.save(file, array)


def _replace(target: Path, write: Callable[[Path], Any]) -> None:
    """Under a name of its own first: a file that is there is whole."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
