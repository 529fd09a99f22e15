"""Filters as vectors: scaling, the cosine (DCT-II) basis and principal components from summed Grams.

Source: CNN Filter DB (Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331), section 3. The principal components of
trained 3x3 filters are the 3x3 DCT-II basis up to rotations of equal frequencies, hence a fixed basis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shiftlab.errors import BadInputError


@dataclass(frozen=True, eq=False)
class Basis:
    """An orthonormal basis of filters.

    `components` [d, d] holds one eigenfilter a row, by falling variance, its largest entry positive;
    `mean` [d] is subtracted before projecting; `variance_share` [d] sums to 1 (all 0 when nothing varies);
    `n` filters were used.
    """

    components: np.ndarray
    mean: np.ndarray
    variance_share: np.ndarray
    n: int

    def coefficients(self, filters: np.ndarray) -> np.ndarray:
        """Project scaled filters [n, d] -> [n, d]."""
        return (filters - self.mean) @ self.components.T


def as_filters(weight: np.ndarray, name: str = "weight") -> np.ndarray:
    """A weight (O, I, kh, kw), filters (n, kh, kw) or rows (n, d) as rows [n, d] of finite numbers."""
    array = np.asarray(weight)
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise BadInputError(
            f"{name}: expected numbers of shape (O, I, kh, kw), (n, kh, kw) or (n, kh*kw) with at "
            f"least one filter, got {array.dtype} of shape {array.shape}"
        )
    if array.ndim > 2:
        array = array.reshape(-1, array.shape[-2] * array.shape[-1])
    if not np.isfinite(array).all():
        raise BadInputError(f"{name}: {int((~np.isfinite(array)).sum())} weights are NaN or infinite")
    return array


def scale(filters: np.ndarray) -> np.ndarray:
    """Divide each filter [n, d] by its largest absolute weight, in float64; zero filters stay zero."""
    rows = as_filters(filters, "filters").astype(np.float64)
    peak = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    return rows / np.where(peak > 0, peak, 1)[:, None]


def dct_basis(height: int = 3, width: int = 3) -> np.ndarray:
    """The orthonormal 2-D DCT-II basis [height*width, height*width], one row per pair of frequencies.

    Row u * width + v varies u half-waves down and v across; row 0 is the mean of the filter.
    """
    return np.kron(_dct_matrix(height), _dct_matrix(width))


def _dct_matrix(size: int) -> np.ndarray:
    frequency, place = np.mgrid[:size, :size]
    matrix = np.cos(np.pi * (place + 0.5) * frequency / size) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix


def principal_components(n: int, total: np.ndarray, gram: np.ndarray) -> Basis:
    """PCA of n filters from their sum [d] and Gram matrix [d, d]; both merge by addition over layers.

    Raises BadInputError below two filters.
    """
    if n < 2:
        raise BadInputError(f"principal components need at least 2 filters, got {n}")
    mean = total / n
    variance, vectors = np.linalg.eigh((gram - n * np.outer(mean, mean)) / (n - 1))
    variance, components = np.clip(variance[::-1], 0, None), vectors.T[::-1]
    rows = np.arange(len(components))
    signs = np.sign(components[rows, np.abs(components).argmax(axis=1)])
    whole = variance.sum()
    share = variance / whole if whole > 0 else np.zeros_like(variance)
    return Basis(components * signs[:, None], mean, share, n)


def axis_variance_share(n: int, total: np.ndarray, gram: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Share of the variance of n filters along each row of `axes` [d, d]; equal if nothing varies."""
    mean = total / max(n, 1)
    spread = np.einsum("ij,jk,ik->i", axes, gram - n * np.outer(mean, mean), axes).clip(0)
    whole = spread.sum()
    return spread / whole if whole > 0 else np.full(len(axes), 1 / len(axes))
