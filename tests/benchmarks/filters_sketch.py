"""Ten million filters: principal components and histograms, ShiftLab against the notebook way.

The notebook way is the usual analysis of CNN Filter DB, restated: the whole float64 array into memory,
scaling, scikit-learn's PCA, lists of filter numbers, then numpy.histogram per group and component. Two
variants: today's solver in float64, and the cast to float16 with the full SVD that scikit-learn took by
default when the data set was published. All read the same filters from disk; CPU seconds, one thread.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.filters_sketch
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FILTERS, LAYERS, GROUPS, BINS = 10_000_000, 2_000, 16, 70


def run(filters: int = FILTERS) -> list[dict[str, Any]]:
    """One row per way, each in its own process: CPU seconds, peak memory in GB, CPU ratios."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), filters)
        rows = []
        for way in WAYS:
            call = [sys.executable, "-m", "tests.benchmarks.filters_sketch", way, folder]
            answer = subprocess.run(call, capture_output=True, text=True, check=True).stdout.split()
            rows.append(
                {"way": way, "filters": filters, "cpu_s": float(answer[0]), "peak_gb": float(answer[1])}
            )
    for row in rows:
        row["original_over_this"] = round(rows[0]["cpu_s"] / row["cpu_s"], 1)
        row["notebook_over_this"] = round(rows[1]["cpu_s"] / row["cpu_s"], 1)
    return rows


def _write(folder: Path, filters: int) -> None:
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(folder / "filters.h5", "w") as file:
        target = file.create_dataset("filters", (filters, 3, 3), "f8")
        columns = np.lib.format.open_memmap(folder / "columns.npy", "w+", np.float32, (9, filters))
        for start in range(0, filters, 500_000):
            stop = min(start + 500_000, filters)
            block = rng.standard_normal((stop - start, 9), np.float32) * rng.uniform(0.1, 2, 9).astype(
                np.float32
            )
            target[start:stop] = block.reshape(-1, 3, 3)
            columns[:, start:stop] = block.T


def _notebook(folder: Path, dtype: type = np.float64, solver: str = "auto") -> None:
    import h5py
    from sklearn.decomposition import PCA

    with h5py.File(folder / "filters.h5") as file:
        filters = file["filters"][()].reshape(-1, 9).astype(dtype)
    filters = filters / np.abs(filters).max(axis=1, keepdims=True)
    basis = PCA(svd_solver=solver).fit(filters)
    coefficients = basis.transform(filters)
    low, high = coefficients.min(), coefficients.max()
    for group in range(GROUPS):
        ids: list[int] = []
        for layer in range(group, LAYERS, GROUPS):
            ids.extend(range(layer * len(filters) // LAYERS, (layer + 1) * len(filters) // LAYERS))
        chosen = coefficients[ids]
        for component in range(9):
            np.histogram(chosen[:, component], BINS, (low, high))


def _original(folder: Path) -> None:
    _notebook(folder, np.float16, "full")


def _one_pass(folder: Path) -> None:
    """Basis and histograms of 16 groups, from nine columns of float32 as a catalog keeps raw filters."""
    from shiftlab.filters.basis import principal_components
    from shiftlab.filters.sketch import scaled_statistics

    columns = np.load(folder / "columns.npy", mmap_mode="r")
    size = columns.shape[1] // LAYERS
    total, gram, counts = np.zeros(9), np.zeros((9, 9)), np.zeros((GROUPS, 9, BINS), np.int64)
    for layer in range(LAYERS):
        part = scaled_statistics(columns[:, layer * size : (layer + 1) * size], (3, 3))
        total += part.sum
        gram += part.gram
        counts[layer % GROUPS] += part.counts
    principal_components(size * LAYERS, total, gram)


def _sketches(folder: Path) -> None:
    """Whole sketches (also raw moments and sparse counts) from the HDF5 file as it is: rows of float64."""
    import h5py

    from shiftlab.filters.sketch import sketch

    with h5py.File(folder / "filters.h5") as file:
        source = file["filters"]
        size = len(source) // LAYERS
        parts = [sketch(source[k * size : (k + 1) * size]) for k in range(LAYERS)]
    groups = [sum(parts[g + GROUPS :: GROUPS], start=parts[g]) for g in range(GROUPS)]
    sum(groups[1:], start=groups[0]).basis()


WAYS = {"original": _original, "notebook": _notebook, "sketches": _sketches, "one_pass": _one_pass}

if __name__ == "__main__":
    if len(sys.argv) == 3:
        start = time.process_time()
        WAYS[sys.argv[1]](Path(sys.argv[2]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(round(time.process_time() - start, 3), round(peak, 3))
    else:
        for row in run(int(float(sys.argv[1])) if len(sys.argv) > 1 else FILTERS):
            print(row)
