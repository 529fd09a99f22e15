"""The Vendi score: an effective number of distinct items."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from shiftlab.measures.distances import median_gamma, squared_distances
from shiftlab.measures.inputs import UndefinedMeasureError, cloud
from shiftlab.measures.registry import declare


@declare(
    kind="one",
    what="inputs",
    how="geometry",
    unit="effective items",
    range="[1, n]",
    zero_means="never: one means that all items are alike",
    source="Friedman and Dieng 2023, definition 3.1",
    use_when="the diversity of one subset is asked for, before and after curation",
    do_not_use_when="subsets of different sizes or kernels would be compared",
)
def vendi_score(x: ArrayLike, kernel: str = "cosine", gamma: float | None = None) -> float:
    """exp of the entropy of the eigenvalues of K / n, K the "cosine" or "rbf" kernel of x (n, d); [1, n].

    One means that all items are alike, n that all are unlike. Do not compare subsets of different sizes or
    kernels. ``gamma`` as for `mmd`. ValueError for a bad cloud or kernel; UndefinedMeasureError for a row of
    zeros with "cosine". Source: Friedman and Dieng (2023), definition 3.1.
    """
    rows = cloud(x, "x").astype(np.float64)
    n = len(rows)
    if kernel == "cosine":
        norms = np.linalg.norm(rows, axis=1)
        if norms.min() == 0:
            raise UndefinedMeasureError("the cosine of a row of zeros does not exist")
        rows = rows / norms[:, None]
        table = rows.T @ rows if rows.shape[1] < n else rows @ rows.T
    elif kernel == "rbf":
        scale = gamma
        if scale is None:
            scale = median_gamma(rows) if n > 1 else 1.0
        table = np.exp(-scale * squared_distances(rows, rows))
    else:
        raise ValueError(f'kernel must be "cosine" or "rbf", not {kernel!r}')
    values = np.linalg.eigvalsh(table / n)
    values = values[values > 1e-15]
    return float(np.clip(np.exp(-(values * np.log(values)).sum()), 1.0, n))
