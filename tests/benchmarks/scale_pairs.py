"""Sliced W2 of all pairs of growing numbers of subsets, as blocks in Parquet; the peer is a loop over POT.

At the largest size there are as many subsets as in MetaShift (12,868: 82.8 million pairs). The loop is timed on
some pairs and extrapolated; it gets the same directions. Peak memory is that of the whole process.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SCALES = {"small": (500, 1_000), "full": (1_000, 4_000, 12_868)}
ITEMS, WIDTH, PER_SUBSET, P = 60_000, 128, 200, 128
LOOPED = 40


def run(scale: str = "full") -> list[dict[str, Any]]:
    import ot
    from scipy.sparse import csr_array

    from shiftlab.measures.sliced import directions
    from shiftlab.shift.blocks import pairwise_blocks

    rng = np.random.default_rng(0)
    vectors = np.maximum(rng.normal(size=(ITEMS, 24)) @ rng.normal(size=(24, WIDTH)), 0).astype(np.float32)
    theta = directions(WIDTH, P, 0)
    rows = []
    for count in SCALES[scale]:
        indices = np.concatenate([rng.choice(ITEMS, PER_SUBSET, replace=False) for _ in range(count)])
        members = csr_array(
            (np.ones(len(indices)), indices, np.arange(count + 1) * PER_SUBSET), shape=(count, ITEMS)
        )
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            found = pairwise_blocks(vectors, members, folder)
            ours = time.process_time() - start
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
            left, right = rng.integers(0, count, (2, LOOPED))
            start = time.process_time()
            theirs = [
                ot.sliced_wasserstein_distance(
                    vectors[members.indices[members.indptr[i] : members.indptr[i + 1]]],
                    vectors[members.indices[members.indptr[j] : members.indptr[j + 1]]],
                    projections=theta.astype(np.float32),
                )
                for i, j in zip(left, right, strict=True)
            ]
            loop = (time.process_time() - start) / LOOPED * found.n_pairs
            some = [found.matrix([i, j])[0, 1] for i, j in zip(left[:10], right[:10], strict=True)]
        error = np.max(np.abs(np.array(some) / np.array(theirs[:10]) - 1))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rows.append(
            {
                "what": f"sliced W2 of {found.n_pairs:,} pairs into Parquet",
                "size": f"S {count:,}, N {ITEMS:,}, d {WIDTH}, {size / 1e6:.0f} MB, peak {peak:.2f} GB, "
                f"largest error {error:.2%} of 10 pairs",
                "ours": ours,
                "peer": loop,
                "ratio": loop / ours,
            }
        )
    return rows


if __name__ == "__main__":
    import sys

    for row in run(sys.argv[1] if len(sys.argv) > 1 else "full"):
        print(row)
