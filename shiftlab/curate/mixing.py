"""A mixture of subsets in given shares, with a share of old data replayed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, parents_of
from shiftlab.errors import BadInputError


def quotas(weights: Sequence[float], sizes: Sequence[int], total: int) -> list[int]:
    """Whole quotas that sum to ``total``: shares by largest remainder (ties: given order), capped by the sizes.

    What a capped source cannot give goes to the others by their weights. ValueError where all sources together
    have too few, and for weights that are negative or sum to 0.
    """
    if min(weights) < 0 or not sum(weights) > 0:
        raise ValueError("weights must be at least 0 and sum to more than 0")
    usable = sum(size for size, weight in zip(sizes, weights, strict=True) if weight > 0)
    if total > usable:
        raise ValueError(f"{total:,} items are asked for, but the sources with a weight have {usable:,}")
    found = [0] * len(weights)
    while (left := total - sum(found)) > 0:
        open_ = [k for k in range(len(weights)) if weights[k] > 0 and found[k] < sizes[k]]
        share = sum(weights[k] for k in open_)
        exact = {k: left * weights[k] / share for k in open_}
        whole = {k: int(exact[k] + 1e-9) for k in open_}
        rest = left - sum(whole.values())
        for k in sorted(open_, key=lambda k: (-(exact[k] - whole[k]), k))[:rest]:
            whole[k] += 1
        for k in open_:
            found[k] = min(sizes[k], found[k] + whole[k])
    return found


def mixture(
    store: Store,
    *,
    subsets: Sequence[str],
    weights: Sequence[float] = (),
    total: int,
    replay: float = 0.0,
    old: str | None = None,
    dataset: str | None = None,
    seed: int = 0,
) -> Plan:
    """``total`` items drawn at random from the subsets in the shares ``weights`` (equal by default).

    ``replay`` is the share of the total that comes from the subset ``old``. An item of several subsets is drawn
    for the first that draws it.
    BadInputError for weights that do not fit the subsets, a replay without ``old``, and a total that they cannot fill.
    """
    import polars as pl

    dataset, refs = parents_of(store, [*subsets, *([old] if old else [])], dataset)
    if (replay > 0) != (old is not None) or not 0 <= replay < 1:
        raise BadInputError(
            "replay is a share below 1 of the total and needs the subset it comes from: --replay 0.1 --old NAME"
        )
    shares = list(weights) or [1.0] * len(subsets)
    if len(shares) != len(subsets):
        raise BadInputError(f"{len(subsets)} subsets need as many weights, not {len(shares)}")
    if total < 1:
        raise BadInputError(f"total must be at least 1, not {total}")
    if old is not None:
        shares = [(1 - replay) * one / (sum(shares) or 1) for one in shares] + [replay]
    pools, seen = [], pl.Series([], dtype=pl.Int64)
    for ref in refs:  # one loop over sources, not over items
        own = items(store, dataset, [ref])
        pools.append(own.filter(~pl.col("item_id").is_in(seen.implode())))
        seen = pl.concat([seen, own["item_id"]])
    try:
        counts = quotas(shares, [len(one) for one in pools], total)
    except ValueError as error:
        raise BadInputError(f"mixture: {error}") from error
    told = []
    for number, (ref, pool, count) in enumerate(zip(refs, pools, counts, strict=True)):
        drawn = np.zeros(len(pool), dtype=bool)
        drawn[np.random.default_rng([seed, 607, number]).choice(len(pool), count, replace=False)] = True
        why = [
            f"drawn from {ref.name}" if one else f"not drawn from {ref.name} (quota {count})" for one in drawn
        ]
        told.append(pool.with_columns(drawn=pl.Series(drawn), reason=pl.Series(why, dtype=pl.String)))
    fates = pl.concat(told).with_columns(part=pl.when("drawn").then(pl.lit("kept")))
    members = fates.filter("drawn").sort("item_id").select("part", "item_id", "weight")
    params = {
        "subsets": list(subsets),
        "weights": list(weights),
        "total": total,
        "replay": replay,
        "old": old,
    }
    facts = {f"from {ref.name}": count for ref, count in zip(refs, counts, strict=True)}
    return Plan(
        "mixture",
        dataset,
        params,
        refs,
        members,
        fates.select("item_id", "part", "reason"),
        seed=seed,
        facts=facts,
    )
