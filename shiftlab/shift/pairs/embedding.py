"""Embedded subsets: rows whose squared Euclidean distances are, or bound, the squared distances of subsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = 8


@dataclass(frozen=True)
class Squared:
    """Squared distances of all pairs (S, S): the estimate, certified bounds and a standard error where known."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64] | None = None
    upper: NDArray[np.float64] | None = None
    error: NDArray[np.float64] | None = None


def squared_gaps(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """|e_i - e_j|^2 of embeddings (S, k), as (S, S).

    Centring keeps float32 from cancelling; the product of a matrix with its own transpose costs half.
    """
    centred = rows - rows.mean(axis=0)
    gram = (centred @ centred.T).astype(np.float64)
    norm = np.diag(gram).copy()
    gram *= -2
    gram += norm[:, None]
    gram += norm
    np.maximum(gram, 0, out=gram)
    np.fill_diagonal(gram, 0)
    return gram


def blocked_gaps(
    rows: NDArray[np.float32], blocks: int = BLOCKS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over blocks of columns of the block's squared gaps times ``blocks``, and its standard error.

    Columns (S, k) must come in ``blocks`` equal runs of independent random features.
    """
    width = rows.shape[1] // blocks
    total = np.zeros((len(rows), len(rows)))
    squares = np.zeros_like(total)
    for b in range(blocks):
        gap = squared_gaps(rows[:, b * width : (b + 1) * width])
        total += gap
        squares += np.square(gap)
    mean = total / blocks
    variance = np.maximum(squares / blocks - np.square(mean), 0) * blocks / (blocks - 1)
    # Estimates of the whole are means of `blocks` block estimates, each `blocks` times its gap.
    return total, np.sqrt(variance / blocks) * blocks


def unbiased_gaps(
    means: NDArray[np.float64], shared: NDArray[np.float64], alike: float, estimator: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """m_ii + m_jj - 2 m_ij of mean kernels (S, S), by the estimator asked for and without any bias.

    ``shared`` (S, S) is the summed product of weights of an item with itself, ``alike`` the kernel there. The V
    form ("v") takes the means as they are, the U form ("u") leaves out an item with itself within a subset,
    and the unbiased one also between subsets that share it. NaN where one item is all there is.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        distinct = (means - alike * shared) / (1 - shared)
    own = np.diag(distinct if estimator == "u" else means)
    value = own[:, None] + own - 2 * means
    apart = np.diag(distinct)
    unbiased = apart[:, None] + apart - 2 * distinct
    for matrix in (value, unbiased):
        matrix[~np.isfinite(matrix)] = np.nan
        np.fill_diagonal(matrix, 0)
    return value, unbiased
