"""Squared distances by matrix multiplication, the shared bandwidth, and an order of rows by value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import Floats, UndefinedMeasureError, cloud


def squared_distances(x: Floats, y: Floats) -> Floats:
    """|x_i - y_j|^2 as (n, m), never negative, in the type of the inputs.

    Both clouds are first moved by the mean of ``x``: far from the origin the product form cancels.
    """
    centre = x.mean(0)
    a, b = x - centre, y - centre
    table = a @ b.T
    table *= -2
    table += np.einsum("ij,ij->i", a, a)[:, None]
    table += np.einsum("ij,ij->i", b, b)
    return np.maximum(table, 0, out=table)


def canonical_order(x: Any, seed: int = 0) -> NDArray[np.intp]:
    """A permutation of the rows of ``x`` (n, d) that depends on their values only.

    Rows are sorted by one seeded projection, so whatever is sampled or permuted afterwards does not depend
    on the order in which rows arrived (equal rows are interchangeable anyway).
    """
    direction = np.random.default_rng([seed, 7]).normal(size=x.shape[1])
    return np.argsort(np.asarray(x @ direction).ravel(), kind="stable")


def median_gamma(pool: ArrayLike, rows: int = 2000, seed: int = 0) -> float:
    """RBF parameter 1 / median |x - y|^2 over at most ``rows`` seeded rows of ``pool`` (n, d).

    Fix it once per catalog and space: values with different bandwidths cannot be compared. If more than
    half of the pairs coincide, the mean takes its place; UndefinedMeasureError if all rows are equal.
    """
    x = cloud(pool, "pool")
    if len(x) > rows:
        order = canonical_order(x, seed)
        x = x[order[np.sort(np.random.default_rng([seed, 11]).choice(len(x), rows, replace=False))]]
    table = squared_distances(x.astype(np.float64), x.astype(np.float64))
    pairs = table[np.triu_indices(len(x), 1)]
    noise = 1e-13 * max(float(np.square(x, dtype=np.float64).sum(1).max()), 1e-300)
    scale = float(np.median(pairs)) if len(pairs) else 0.0
    if scale <= noise:
        scale = float(pairs.mean()) if len(pairs) else 0.0
    if scale <= noise:
        raise UndefinedMeasureError("all rows are equal: the kernel has no bandwidth; pass gamma yourself")
    return 1.0 / scale
