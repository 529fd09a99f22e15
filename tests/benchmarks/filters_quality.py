"""Quality of layers of growing size: ShiftLab against the formulas of torchconvquality, restated in numpy.

The peer's steps are those its authors publish: the largest absolute weight of each filter, singular values of the
centred filters, and the whole matrix of cosines of the output filters. It gives three numbers; ShiftLab gives the
same three, where the peer's are right, and the reasons, the rank and the clean entropy too. CPU seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.shift_one_pair import contest

SCALES = {"small": (32,), "full": (64, 256, 512)}


def run(scale: str = "small") -> list[dict[str, Any]]:
    """One row per width of the layer, (width, width, 3, 3)."""
    from shiftlab.filters import layer_quality

    rows = []
    for width in SCALES[scale]:
        weight = np.random.default_rng(width).standard_normal((width, width, 3, 3)).astype(np.float32)
        ours, theirs = layer_quality(weight), formulas(weight)
        found = (ours.sparsity, ours.variance_entropy, ours.orthogonality)
        row = contest(
            f"{width}x{width}x3x3, {width * width:,} filters",
            "torchconvquality's formulas",
            lambda weight=weight: layer_quality(weight).n,
            lambda weight=weight: len(formulas(weight)),
        )
        del row["value"], row["peer_value"]
        rows.append(row | {"largest_difference": float(np.abs(np.array(found) - theirs).max())})
    return rows


def formulas(weight: np.ndarray) -> tuple[float, float, float]:
    """Sparsity, variance entropy and orthogonality of a layer without zero filters."""
    filters = weight.reshape(-1, 9).astype(np.float64)
    peak = np.abs(filters).max(axis=1)
    sparsity = float((peak < 0.01 * peak.max()).mean())
    variance = np.linalg.svd(filters - filters.mean(axis=0), full_matrices=False)[1] ** 2 / (len(filters) - 1)
    share = variance / variance.sum()
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    apart = np.abs(rows @ rows.T - np.eye(len(rows))).sum() / (len(rows) * (len(rows) - 1))
    return sparsity, float(-(share * np.log10(share)).sum()), float(1 - apart)


if __name__ == "__main__":
    import sys

    for row in run(sys.argv[1] if len(sys.argv) > 1 else "small"):
        print(row)
