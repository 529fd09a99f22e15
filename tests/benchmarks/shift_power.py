"""Which measure sees which shift: rejection rates at the 5 % level by permutation, as a table.

No measure wins everywhere, and none sees a small shift of correlation: that is why the explorer shows several.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.shift_power full
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from shiftlab import shift

SCALES = {"small": (20, 39), "full": (150, 199)}
N, D = 100, 16
MEASURES: dict[str, dict[str, Any]] = {
    "mmd": {},
    "energy_distance": {},
    "sliced_wasserstein": {"p": 1, "n_projections": 64},
    "gaussian_wasserstein": {},
    "classifier_two_sample": {},
}
SLOW = ("gaussian_wasserstein", "classifier_two_sample")  # called once per permutation


def _mixture(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    far = rng.random(len(z)) < 0.1
    return z + 2.0 * far[:, None]


def _correlated(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    turned = z.copy()
    for a in (0, 2, 4):
        turned[:, a + 1] = 0.4 * z[:, a] + np.sqrt(1 - 0.16) * z[:, a + 1]
    return turned


SHIFTS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": lambda z, rng: z,
    "mean .12, all columns": lambda z, rng: z + 0.12,
    "mean .6, one column": lambda z, rng: z + 0.6 * np.eye(D)[0],
    "scale x 1.15": lambda z, rng: 1.15 * z,
    "correlation .4, three pairs": _correlated,
    "10 % mixture": _mixture,
    "t3 tails": lambda z, rng: rng.standard_t(3, size=z.shape) / np.sqrt(3),
}


def run(scale: str = "small") -> list[dict[str, Any]]:
    """One row per shift: the share of trials in which each measure has p <= .05."""
    trials, permutations = SCALES[scale]
    rows = []
    for name, change in SHIFTS.items():
        row: dict[str, Any] = {"shift": name, "trials": trials}
        for measure, params in MEASURES.items():
            rng = np.random.default_rng(0)
            count = min(permutations, 39) if measure in SLOW else permutations
            seen = 0
            for trial in range(trials):
                x, y = rng.normal(size=(2, N, D))
                score = shift.compare(
                    x, change(y, rng), measure, permutations=count, confidence=0, seed=trial, **params
                )
                seen += score.p is not None and score.p <= 0.05
            row[measure] = round(seen / trials, 3)
        rows.append(row)
    return rows


if __name__ == "__main__":
    for line in run(sys.argv[1] if len(sys.argv) > 1 else "small"):
        print(line)
