"""Mean kernels within and between two sides of a pool, for one split and for many at once.

Everything that MMD and the energy distance need is in three numbers per split: the mean kernel inside x,
inside y, and between them. One pass over tiles of the pool's kernel gives them for the observed split in
float64 and, by one matrix product per tile, for every permuted split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.inputs import Floats

TILE_ROWS = 384  # a tile and its float32 copy stay in a core's cache
# A permutation test of so many rows makes its tiles in float32, at half the cost: mean kernels then agree to 1e-8.
SINGLE_PRECISION_ROWS = 2048
_LARGEST_SINGLE_EXPONENT = 32.0  # float32 holds exponents up to here to 4e-6


@dataclass(frozen=True)
class Kernel:
    """A kernel by tiles of a pool.

    ``factors`` lays rows (n, d) out once as two matrices (n, k), so that one product of their rows already adds
    the norms; ``tile`` makes kernel values (a, b) of rows (a, k) of the first and (b, k) of the second;
    ``diagonal`` is the kernel of each row with itself, (n,); ``smooth`` tells whether factors of these rows may
    be rounded to float32, because no kernel value hangs on digits that they would lose.
    """

    factors: Callable[[Floats], tuple[Floats, Floats]]
    tile: Callable[[Floats, Floats], Floats]
    diagonal: Callable[[Floats], NDArray[np.float64]]
    smooth: Callable[[Floats], bool] = lambda x: False


@dataclass(frozen=True)
class PairMeans:
    """Mean kernels of splits: ``xx``, ``yy``, ``xy`` (r,), and what U-statistics leave out.

    ``self_xx`` and ``self_yy`` are the diagonal's share of ``xx`` and ``yy``; ``w2_x`` and ``w2_y`` the sums
    of squared weights (1/n when uniform). ``degree`` (2, N) is the observed split's kernel sum of every row
    with each side, weights not normalised.
    """

    xx: NDArray[np.float64]
    yy: NDArray[np.float64]
    xy: NDArray[np.float64]
    self_xx: NDArray[np.float64]
    self_yy: NDArray[np.float64]
    w2_x: NDArray[np.float64]
    w2_y: NDArray[np.float64]
    degree: NDArray[np.float64]

    def first(self) -> PairMeans:
        """The observed split alone."""
        means = self.xx[:1], self.yy[:1], self.xy[:1]
        return PairMeans(
            *means, self.self_xx[:1], self.self_yy[:1], self.w2_x[:1], self.w2_y[:1], self.degree
        )

    def v_statistic(self) -> NDArray[np.float64]:
        """xx + yy - 2 xy, all pairs counted."""
        return self.xx + self.yy - 2 * self.xy

    def u_statistic(self) -> NDArray[np.float64]:
        """The same without the pairs of an item with itself: unbiased, and negative at times."""
        within_x = (self.xx - self.self_xx) / (1 - self.w2_x)
        within_y = (self.yy - self.self_yy) / (1 - self.w2_y)
        return within_x + within_y - 2 * self.xy


def rbf(gamma: float) -> Kernel:
    """exp(-gamma |x - y|^2)."""

    def tile(a: Floats, b: Floats) -> Floats:
        exponent = a @ b.T
        np.minimum(exponent, 0, out=exponent)
        return np.exp(exponent, out=exponent)

    def smooth(x: Floats) -> bool:
        return bool(gamma * np.einsum("ij,ij->i", x, x).max() <= _LARGEST_SINGLE_EXPONENT)

    return Kernel(lambda x: squared_gap_factors(x, -gamma), tile, lambda x: np.ones(len(x)), smooth)


def distance() -> Kernel:
    """|x - y|. Products lose half the digits next to zero, so what rounding leaves there becomes zero."""

    def tile(a: Floats, b: Floats) -> Floats:
        table = a @ b.T
        table *= table > 64 * np.finfo(np.float64).eps * (a[:, -2:-1] + b[:, -1])
        return np.sqrt(table, out=table)

    return Kernel(lambda x: squared_gap_factors(x, 1.0), tile, lambda x: np.zeros(len(x)))


def cubic(scale: float, offset: float) -> Kernel:
    """(scale x.y + offset)^3."""

    def tile(a: Floats, b: Floats) -> Floats:
        base = a @ b.T
        base += offset
        return base * base * base

    return Kernel(
        lambda x: (scale * x, x), tile, lambda x: (scale * np.einsum("ij,ij->i", x, x) + offset) ** 3
    )


def squared_gap_factors(x: Floats, factor: float) -> tuple[Floats, Floats]:
    """Matrices (n, d + 2) whose rows multiply to ``factor`` |x - y|^2; the norms are their last two columns."""
    norm = factor * np.einsum("ij,ij->i", x, x)[:, None]
    one = np.ones_like(norm)
    return np.hstack([-2 * factor * x, norm, one]), np.hstack([x, one, norm])


def observed(pool: Floats, weight: NDArray[np.float64], left: NDArray[np.bool_], kernel: Kernel) -> PairMeans:
    """Mean kernels of one split of ``pool`` (N, d): rows in ``left`` (N,) against the others."""
    return splits(pool, weight, left[None], kernel)


def splits(pool: Floats, weight: NDArray[np.float64], left: NDArray[np.bool_], kernel: Kernel) -> PairMeans:
    """Mean kernels of ``left`` (r, N) splits at once; row 0 summed in float64, the others in float32.

    ``weight`` (N,) is positive and need not be normalised: each side's weights are divided by their sum.
    With v = x-side weights minus y-side weights, v' K v (one product per tile), K weight (one vector for all
    splits) and the total give the three means without ever storing K (N, N).
    """
    n = len(pool)
    x = np.asarray(pool, dtype=np.float64)
    first, second = kernel.factors(x)
    if len(left) > 1 and n >= SINGLE_PRECISION_ROWS and kernel.smooth(x):
        first, second = first.astype(np.float32), second.astype(np.float32)
    sums = left @ weight
    alpha, beta = 1 / sums, 1 / (weight.sum() - sums)
    many = np.where(left[1:], alpha[1:, None] * weight, -beta[1:, None] * weight).astype(np.float32)
    sides = np.stack([left[0] * weight, ~left[0] * weight]).astype(first.dtype)
    degree, forms = np.zeros((2, n)), np.zeros(len(many))
    for a in range(0, n, TILE_ROWS):
        rows = slice(a, a + TILE_ROWS)
        for b in range(a, n, TILE_ROWS):
            columns = slice(b, b + TILE_ROWS)
            tile = kernel.tile(first[rows], second[columns])
            if a == b:
                np.fill_diagonal(tile, kernel.diagonal(x[rows]))
            else:
                degree[:, rows] += sides[:, columns] @ tile.T
            degree[:, columns] += sides[:, rows] @ tile
            if len(many):
                product = many[:, rows] @ tile.astype(np.float32, copy=False)
                product *= many[:, columns]
                forms += (1 if a == b else 2) * product.sum(1, dtype=np.float64)
    own = np.square(weight) * kernel.diagonal(x)
    return _means(weight, left, alpha, beta, forms, degree, own)


def _means(
    weight: NDArray[np.float64],
    left: NDArray[np.bool_],
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
    forms: NDArray[np.float64],
    degree: NDArray[np.float64],
    own: NDArray[np.float64],
) -> PairMeans:
    """Solve the forms v' K v of the permuted splits for their three sums; the observed ones are given."""
    both = alpha[1:] + beta[1:]
    towards = left @ (weight * degree.sum(0))
    total = weight @ degree.sum(0)
    inside = np.empty(len(left))
    inside[0] = left[0] @ (weight * degree[0])
    inside[1:] = (forms + 2 * beta[1:] * both * towards[1:] - beta[1:] ** 2 * total) / both**2
    between = towards - inside
    between[0] = left[0] @ (weight * degree[1])
    outside = total - inside - 2 * between
    outside[0] = ~left[0] @ (weight * degree[1])
    squares = np.square(weight)
    return PairMeans(
        xx=alpha**2 * inside,
        yy=beta**2 * outside,
        xy=alpha * beta * between,
        self_xx=alpha**2 * (left @ own),
        self_yy=beta**2 * (own.sum() - left @ own),
        w2_x=alpha**2 * (left @ squares),
        w2_y=beta**2 * (squares.sum() - left @ squares),
        degree=degree,
    )
