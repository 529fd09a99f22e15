"""Subsets without annotations: a set of vectors split in two where it truly has two parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shiftlab import vectors
from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, matrix, parents_of, without_vector
from shiftlab.errors import BadInputError

THRESHOLD = 0.8  # 2 / pi = .637 for one Gaussian, .75 for a uniform one, in every dimension


def variance_share(values: np.ndarray) -> tuple[float, float]:
    """Share of the variance of values (n,) that lies between the sides of their best split in two, and the cut.

    [0, 1]; values without spread give 0. The published example: 0, 1 and 10, 11 give .990099.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    ordered = ordered - ordered.mean()
    total = float((ordered**2).sum())
    if len(ordered) < 2 or total <= 0:
        return 0.0, float(np.mean(values))
    n = np.arange(1, len(ordered))
    left = np.cumsum(ordered)[:-1]
    between = left**2 / n + left**2 / (len(ordered) - n)
    best = int(between.argmax())
    middle = (ordered[best] + ordered[best + 1]) / 2 + float(np.mean(values))
    return float(between[best] / total), middle


def split_axis(rows: np.ndarray, seed: int) -> np.ndarray:
    """Direction (d,) of length 1 between the two means of a 2-means clustering of rows (n, d), best of ten starts."""
    from scipy.cluster.vq import kmeans2

    best, axis = np.inf, np.zeros(rows.shape[1])
    for start in range(10):
        centres, label = kmeans2(rows, 2, minit="++", rng=np.random.default_rng([seed, 701, start]))
        spread = float(((rows - centres[label]) ** 2).sum())
        if spread < best and len(np.unique(label)) == 2:
            best, axis = spread, centres[1] - centres[0]
    length = float(np.linalg.norm(axis))
    return axis / length if length > 0 else axis


def cross_fitted_share(rows: np.ndarray, seed: int) -> float:
    """Variance share [0, 1] of one half of the rows along the 2-means axis of the other half, both ways averaged.

    About .637 for one Gaussian in any dimension, where the in-sample share rises to .85; two groups six standard
    deviations apart give .9. Groups are missed where there are far fewer rows than dimensions.
    """
    order = np.random.default_rng([seed, 709]).permutation(len(rows))
    halves = rows[order[::2]], rows[order[1::2]]
    return float(np.mean([variance_share(b @ split_axis(a, seed))[0] for a, b in (halves, halves[::-1])]))


def mine_subsets(
    store: Store,
    *,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    threshold: float = THRESHOLD,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    seed: int = 0,
) -> Plan:
    """Parts ``a`` (the larger) and ``b`` of items that fall into two groups in a vector space.

    The split is made only where the cross-fitted variance share exceeds ``threshold``; else BadInputError says
    that the items are one group.
    """
    import polars as pl

    if not 0 < threshold < 1:
        raise BadInputError(f"threshold must lie between 0 and 1, not {threshold:g}")
    dataset, refs = parents_of(store, subsets, dataset)
    pool, rows, without = matrix(store, dataset, items(store, dataset, refs), space, stage)
    if len(pool) < 20:
        raise BadInputError(
            f"{len(pool)} items with vectors are too few to look for groups: at least 20 are needed"
        )
    share = cross_fitted_share(rows, seed)
    if share <= threshold:
        raise BadInputError(
            f"the {len(pool):,} items are one group: the share of variance between two is {share:.3f}, not above "
            f"{threshold:g} (one Gaussian gives .637)"
        )
    value = rows @ split_axis(rows, seed)
    _, cut = variance_share(value)
    high = value > cut
    if high.mean() > 0.5:
        high = ~high
    told = pool.with_columns(
        part=pl.Series(np.where(high, "b", "a")),
        reason=pl.Series([f"{one:.4g} on the axis, the cut is {cut:.4g}" for one in value]),
    )
    lost = without_vector(without)
    members = told.sort("part", "item_id").select("part", "item_id", "weight")
    fates = pl.concat([told.select("item_id", "part", "reason"), lost])
    params = {"threshold": threshold, "space": space, "stage": stage}
    return Plan(
        "mine_subsets", dataset, params, refs, members, fates, seed=seed, facts={"variance_share": share}
    )
