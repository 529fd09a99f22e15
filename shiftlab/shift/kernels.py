"""MMD, KID and energy distance of one pair: one pass gives value, unbiased value, spread, null."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures import pair_means
from shiftlab.measures.kernel import kid_kernel, kid_pool, pair_gamma, pooled, refuse_single_rows
from shiftlab.measures.pair_means import PairMeans
from shiftlab.shift.sides import Pair, shared_rows

FLOAT32_RESOLUTION = 2e-7
KERNEL_MEASURES = ("mmd", "mmd_sq", "energy_distance", "energy_distance_sq", "kid")


def kernel_means(pair: Pair, splits: NDArray[np.bool_] | None) -> PairMeans:
    """Mean kernels of every split (B + 1, N), row 0 as observed; of the observed one alone when None."""
    x, y, call = pair.left.rows, pair.right.rows, pair.arguments()
    if pair.spec.name == "kid":
        pool, weight, left = kid_pool(x, y)
        kernel = kid_kernel(x.shape[1])
    else:
        pool, weight, left = pooled(x, y, call.get("weights_x"), call.get("weights_y"))
        energy = pair.spec.name.startswith("energy")
        kernel = pair_means.distance() if energy else pair_means.rbf(pair_gamma(x, y, call.get("gamma")))
    return pair_means.splits(pool, weight, left[None] if splits is None else splits, kernel)


def kernel_statistics(pair: Pair, means: PairMeans) -> NDArray[np.float64]:
    """The measure for every split, (B + 1,)."""
    sign = -1 if pair.spec.name.startswith("energy") else 1
    squared = pair.spec.name in ("mmd_sq", "energy_distance_sq")
    if pair.spec.name == "kid" or (squared and pair.params.get("estimator", "u") == "u"):
        refuse_single_rows(means)
        return sign * means.u_statistic()
    plug_in = np.maximum(sign * means.v_statistic(), 0)
    if len(plug_in) > 1:
        # The permuted splits were summed in float32: what is below its resolution is zero, for all alike.
        plug_in[plug_in < FLOAT32_RESOLUTION * (np.abs(means.xx) + np.abs(means.yy))] = 0.0
    return plug_in if squared else np.sqrt(plug_in)


def unbiased(pair: Pair, means: PairMeans) -> tuple[float, float | None]:
    """The U-statistic of the observed split and its standard error: delete-one jackknife, closed form.

    Leaving out row i takes its kernel sums out of the means, which the pass has already collected. Next to
    zero, where the statistic is degenerate, the jackknife is too large on average, never too small.
    Source: Arvesen 1969. Items on both sides are compared with none of themselves; deleting one then changes
    both sides, so the error is None.
    """
    refuse_single_rows(means)
    n, m = len(pair.left), len(pair.right)
    sign = -1 if pair.spec.name.startswith("energy") else 1
    value = float(sign * means.u_statistic()[0])
    if shared := len(shared_rows(pair)[0]):
        alike = 0.0 if sign < 0 else 1.0
        share = shared / (n * m)
        distinct = (means.xy[0] - alike * share) / (1 - share)
        return value + sign * 2 * float(means.xy[0] - distinct), None
    variance = _deletion_variance(means.degree[:, :n], n, m, means, 0)
    variance += _deletion_variance(means.degree[::-1, n:], m, n, means, 1)
    return value, float(np.sqrt(variance))


def _deletion_variance(sums: NDArray[Any], n: int, m: int, means: PairMeans, side: int) -> float:
    """Jackknife variance over the rows of one side: ``sums`` (2, n) towards its own and the other."""
    if n < 3:
        return float("inf")
    mean_in = (means.xx, means.yy)[side][0] - (means.self_xx, means.self_yy)[side][0]
    own = (means.self_xx, means.self_yy)[side][
        0
    ] * n  # mean of the kernel's diagonal, exact if it is constant
    inside = (mean_in * n * n - 2 * (sums[0] - own)) / ((n - 1) * (n - 2))
    between = (means.xy[0] * n * m - sums[1]) / ((n - 1) * m)
    deleted = inside - 2 * between
    return float((n - 1) / n * np.square(deleted - deleted.mean()).sum())
