"""All pairs of overlapping subsets: ShiftLab's designs against one call per pair of the usual libraries.

The peers' loops are run on sampled pairs and extrapolated, kindly: same directions or bandwidth, no p-values.
CPU seconds of one thread; both sides' values are compared on the sampled pairs.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.shift_pairs full
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from shiftlab import measures, shift
from shiftlab.measures.sliced import directions

SCALES = {
    "small": {"subsets": 60, "items": 4_000, "d": 64, "sampled": 10},
    "full": {"subsets": 500, "items": 20_000, "d": 512, "sampled": 24},
}
LATENT = 24


def workload(subsets: int, items: int, d: int, seed: int = 0) -> tuple[np.ndarray, csr_array]:
    """Rectified features of a Gaussian mixture in 24 dimensions, and exponentially tilted overlapping subsets."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(30, LATENT))[rng.integers(30, size=items)] * 1.5
    latent += rng.normal(size=(items, LATENT))
    features = latent @ rng.normal(size=(LATENT, d)) / np.sqrt(LATENT) + 0.3 * rng.normal(size=(items, d))
    rows, columns = [], []
    for s in range(subsets):
        size = int(rng.integers(200, 1001)) * min(items, 20_000) // 20_000 + 40 * (items < 20_000)
        tilt = rng.normal(size=LATENT)
        score = latent @ (tilt / np.linalg.norm(tilt)) + rng.gumbel(size=items)
        members = np.argpartition(-score, size)[:size]
        rows.append(np.full(size, s))
        columns.append(members)
    row, column = np.concatenate(rows), np.concatenate(columns)
    membership = csr_array((np.ones(len(row)), (row, column)), shape=(subsets, items))
    membership.sort_indices()
    return np.maximum(features, 0).astype(np.float32), membership


def clocked(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its CPU seconds."""
    start = time.process_time()
    found = function()
    return found, time.process_time() - start


def run(scale: str = "small") -> list[dict[str, Any]]:
    """One row per design: its seconds, the peer's extrapolated seconds, the ratio, the agreement of values."""
    sizes = dict(SCALES[scale])
    sampled = sizes.pop("sampled")
    x, w = workload(**sizes)
    left, right = np.triu_indices(w.shape[0], 1)
    chosen = np.random.default_rng(1).choice(len(left), sampled, replace=False)
    pairs = list(zip(left[chosen], right[chosen], strict=True))
    gamma = 1 / float(np.median(cdist(x[:500], x[500:900], "sqeuclidean")))
    found = []
    for name, design, extra, peer, call in contestants(x, w, gamma):
        if scale == "full" and name == "energy_distance":
            pairs_here = pairs[: sampled // 3]
        else:
            pairs_here = pairs
        truth, peer_seconds = clocked(
            lambda call=call, some=pairs_here: np.array([call(i, j) for i, j in some])
        )
        matrix, seconds = clocked(
            lambda name=name, design=design, extra=extra: shift.pairwise(
                x, w, name, design=design, debias=0, **extra
            )
        )
        if name == "gaussian_wasserstein":  # the peer is NaN where a subset has fewer items than dimensions
            truth = np.array([_nuclear_norm(x, w, i, j) for i, j in pairs_here])
        ours = np.array([matrix.value[i, j] for i, j in pairs_here])
        row = {
            "measure": name, "design": design, "pairs": len(left), "seconds": round(seconds, 2), "peer": peer,
            "peer_seconds": round(peer_seconds / len(pairs_here) * len(left), 1),
        }  # fmt: skip
        row["ratio"] = round(row["peer_seconds"] / seconds)
        row |= _agreement(ours, truth)
        if matrix.lower is not None and name != "gaussian_wasserstein":
            inside = [
                matrix.lower[p] * (1 - 1e-4) <= t <= matrix.upper[p] * (1 + 1e-4)
                for p, t in zip(pairs_here, truth, strict=True)
            ]
            row["inside_bounds"] = f"{sum(inside)}/{len(inside)}"
        found.append(row)
    found.append(_append(x, w))
    return found


def _agreement(ours: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    off = np.abs(ours / truth - 1)
    return {
        "mean_off": float(f"{off.mean():.2g}"),
        "max_off": float(f"{off.max():.2g}"),
        "spearman": round(float(spearmanr(ours, truth).statistic), 4),
    }


def contestants(x: np.ndarray, w: csr_array, gamma: float) -> list[tuple[str, str, dict, str, Callable]]:
    import ot

    theta = directions(x.shape[1], 128, 0)

    def side(s: int) -> np.ndarray:
        return x[w.indices[w.indptr[s] : w.indptr[s + 1]]]

    def pot_sliced(i: int, j: int) -> float:
        return ot.sliced_wasserstein_distance(
            side(i).astype("f8"), side(j).astype("f8"), projections=theta, p=2
        )

    def naive_mmd(i: int, j: int) -> float:
        pool = np.concatenate([side(i), side(j)])
        n, norms = len(side(i)), np.square(pool).sum(1)
        kernel = np.exp(-gamma * np.maximum(norms[:, None] + norms - 2 * pool @ pool.T, 0))
        means = kernel[:n, :n].mean(), kernel[n:, n:].mean(), kernel[:n, n:].mean(dtype="f8")
        return float(np.sqrt(max(means[0] + means[1] - 2 * means[2], 0)))

    def scipy_energy(i: int, j: int) -> float:
        a, b = side(i), side(j)
        return float(np.sqrt(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean()))

    def pot_gaussian(i: int, j: int) -> float:
        a, b = side(i).astype("f8"), side(j).astype("f8")
        moments = [np.cov(z.T) + 1e-9 * np.eye(x.shape[1]) for z in (a, b)]
        return float(ot.gaussian.bures_wasserstein_distance(a.mean(0), b.mean(0), *moments))

    def pot_exact(i: int, j: int) -> float:
        a, b = side(i).astype("f8"), side(j).astype("f8")
        return float(np.sqrt(ot.emd2([], [], ot.dist(a, b), numItermax=10_000_000)))

    return [
        ("sliced_wasserstein", "quantiles", {}, "POT loop, float64, same directions", pot_sliced),
        ("mmd", "fourier", {"gamma": gamma}, "numpy kernel per pair", naive_mmd),
        ("mmd", "tiles", {"gamma": gamma}, "numpy kernel per pair", naive_mmd),
        ("energy_distance", "tiles", {}, "scipy cdist per pair", scipy_energy),
        ("wasserstein", "codebook", {}, "POT emd2 loop", pot_exact),
        ("gaussian_wasserstein", "linearised", {}, "POT loop", pot_gaussian),
    ]


def _nuclear_norm(x: np.ndarray, w: csr_array, i: int, j: int) -> float:
    sides = (x[w.indices[w.indptr[s] : w.indptr[s + 1]]] for s in (i, j))
    return measures.gaussian_wasserstein(*sides)


def _append(x: np.ndarray, w: csr_array) -> dict[str, Any]:
    basis = shift.freeze(x, w)
    members = x[w.indices[: w.indptr[1]]]
    basis.compare(members)
    found, seconds = clocked(lambda: [basis.compare(members) for _ in range(10)][-1])
    rebuilt = shift.pairwise(x, w, debias=0).value[0, 1:]
    off = np.abs(found.value[1:] / rebuilt - 1).max()
    return {
        "measure": "sliced_wasserstein", "design": "append one", "pairs": w.shape[0] - 1,
        "seconds": round(seconds / 10, 4), "peer": "full rebuild, same basis", "max_off": float(f"{off:.2g}"),
    }  # fmt: skip


if __name__ == "__main__":
    for line in run(sys.argv[1] if len(sys.argv) > 1 else "small"):
        print(line)
