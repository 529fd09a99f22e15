"""How the cost of all pairs grows with the number of subsets S, of items N and of dimensions d: three sizes each.

Each size runs in a process of its own, whose peak memory is given. The peer is a loop over POT with the same
directions (sliced) or over numpy's kernel of each pair (MMD), timed on some pairs and extrapolated. For exact MMD
`gemm_share` is the rate of its distances alone, N^2 d operations, over the machine's own rate of matrix products.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from typing import Any

import numpy as np

from tests.benchmarks.shift_pairs import clocked, contestants, workload

BASE = {
    "small": {"subsets": 60, "items": 4_000, "d": 64},
    "full": {"subsets": 500, "items": 20_000, "d": 512},
}
SAMPLED = 6
DESIGNS = (("sliced_wasserstein", "quantiles"), ("mmd", "fourier"), ("mmd", "tiles"))


def run(scale: str = "small") -> list[dict[str, Any]]:
    """One row per size and design."""
    base = BASE[scale]
    sizes = [base] + [base | {name: base[name] // part} for name in base for part in (2, 4)]
    rows = []
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows += pool.apply(_measured, (size,))
    return rows


def _measured(size: dict[str, int]) -> list[dict[str, Any]]:
    from shiftlab import shift

    x, w = workload(**size)
    pairs = w.shape[0] * (w.shape[0] - 1) // 2
    left, right = np.random.default_rng(1).integers(0, w.shape[0], (2, SAMPLED))
    rows = []
    for name, design, extra, _, call in contestants(x, w, 1 / 300):
        if (name, design) not in DESIGNS:
            continue
        _, seconds = clocked(
            lambda name=name, design=design, extra=extra: shift.pairwise(
                x, w, name, design=design, debias=0, **extra
            )
        )
        _, peer = clocked(lambda call=call: [call(i, j) for i, j in zip(left, right, strict=True)])
        row = {"S": w.shape[0], "N": w.shape[1], "d": x.shape[1], "measure": name, "design": design}
        row |= {"seconds": seconds, "peer_seconds": peer / SAMPLED * pairs}
        row |= {"ratio": round(row["peer_seconds"] / seconds)}
        share = w.shape[1] ** 2 * x.shape[1] / seconds / _gemm_rate() if design == "tiles" else None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rows.append(row | {"gemm_share": share, "peak_gb": peak})
    return rows


def _gemm_rate() -> float:
    """Operations per second of products of float32 matrices here and now."""
    a = np.random.default_rng(0).random((2048, 2048), np.float32)
    a @ a
    start = time.process_time()
    for _ in range(3):
        a @ a
    return 3 * 2 * len(a) ** 3 / (time.process_time() - start)


if __name__ == "__main__":
    import sys

    for row in run(sys.argv[1] if len(sys.argv) > 1 else "small"):
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
