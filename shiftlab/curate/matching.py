"""Matched sets: pairs of items of two subsets with least total distance, and the items nearest to a target."""

from __future__ import annotations

from typing import Any

import numpy as np

from shiftlab import vectors
from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, labels, matrix, parents_of, without_vector
from shiftlab.curate.selecting import nearest_other
from shiftlab.errors import BadInputError

_MOST_CELLS = 64_000_000  # a cost matrix of half a gigabyte


def assignment(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of x (n, d) and y (m, d) matched 1:1 with least total Euclidean distance: left, right, distance.

    min(n, m) pairs, in the order of the left rows. ValueError beyond 64 million cells.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    if len(x) * len(y) > _MOST_CELLS:
        raise ValueError(
            f"{len(x):,} x {len(y):,} distances are too many for an exact matching: sample both first"
        )
    cost = cdist(x, y)
    left, right = linear_sum_assignment(cost)
    return left, right, cost[left, right]


def strata_pairs(left: list[str], right: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Positions matched 1:1 within equal values, first to first."""
    places: dict[str, list[int]] = {}
    for at, value in enumerate(right):
        places.setdefault(value, []).append(at)
    taken = dict.fromkeys(places, 0)
    found = []
    for at, value in enumerate(left):
        if taken.get(value, 0) < len(places.get(value, ())):
            found.append((at, places[value][taken[value]]))
            taken[value] += 1
    both = np.array(found, dtype=int).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def match_pairs(
    store: Store,
    *,
    left: str,
    right: str,
    on: str | None = None,
    most: float | None = None,
    dataset: str | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
) -> Plan:
    """Parts ``left`` and ``right``: as many items of each, matched 1:1.

    By exact equality of the label ``on``, or without it by least total distance in a vector space; ``most``
    drops pairs farther apart. Items of both subsets count for the left one.
    BadInputError for a label or vector space that is not there, or where nothing matches.
    """
    import polars as pl

    dataset, (a, b) = parents_of(store, [left, right], dataset)
    first = items(store, dataset, [a])
    second = items(store, dataset, [b]).filter(~pl.col("item_id").is_in(first["item_id"].implode()))
    if on is not None:
        sides = [
            one.join(labels(store, dataset, one, on), on="item_id", maintain_order="left")
            for one in (first, second)
        ]
        i, j = strata_pairs(sides[0]["value"].to_list(), sides[1]["value"].to_list())
        told = [f"{on} {value}" for value in sides[0]["value"].gather(i)]
        facts: dict[str, Any] = {"pairs": len(i)}
        missing = f"no partner with its {on}"
    else:
        (one, x, _), (two, y, _) = (matrix(store, dataset, side, space, stage) for side in (first, second))
        sides = [one, two]
        try:
            i, j, distance = assignment(x, y)
        except ValueError as error:
            raise BadInputError(str(error)) from error
        near = distance <= (np.inf if most is None else most)
        i, j, distance = i[near], j[near], distance[near]
        told = [f"distance {d:.4g}" for d in distance]
        facts = {"pairs": len(i), "mean_distance": float(distance.mean()) if len(i) else None}
        missing = "no partner" + ("" if most is None else f" within {most:g}")
    parts = []
    for name, side, at, other in (
        ("left", sides[0], i, sides[1]["item"].gather(j)),
        ("right", sides[1], j, sides[0]["item"].gather(i)),
    ):
        parts.append(
            pl.DataFrame({"item_id": side["item_id"].gather(at), "reason": [f"pair {k + 1}, with {partner}: {why}"
                          for k, (partner, why) in enumerate(zip(other, told, strict=True))]},
                         schema={"item_id": pl.Int64, "reason": pl.String}).with_columns(part=pl.lit(name))
        )  # fmt: skip
    chosen = pl.concat(parts).select("item_id", "part", "reason")
    pool = pl.concat([first, second])
    rest = pool.join(chosen, on="item_id", how="anti").select(
        "item_id", part=pl.lit(None, pl.String), reason=pl.lit(missing)
    )
    members = chosen.join(pool, on="item_id", maintain_order="left").select("part", "item_id", "weight")
    params = {"left": left, "right": right, "on": on, "most": most, "space": space, "stage": stage}
    return Plan("match_pairs", dataset, params, (a, b), members, pl.concat([chosen, rest]), facts=facts)


def select_nearest(
    store: Store,
    *,
    subsets: tuple[str, ...] = (),
    target: str,
    k: int,
    dataset: str | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
) -> Plan:
    """The ``k`` items nearest to any item of the ``target`` subset; ties by id.

    BadInputError for a ``k`` beyond the items with a vector.
    """
    import polars as pl

    dataset, refs = parents_of(store, subsets, dataset)
    _, (goal,) = parents_of(store, [target], dataset)
    pool, rows, without = matrix(store, dataset, items(store, dataset, refs), space, stage)
    known, known_rows, _ = matrix(store, dataset, items(store, dataset, [goal]), space, stage)
    if not 1 <= k <= len(pool):
        raise BadInputError(f"k must lie between 1 and the {len(pool):,} items with a vector, not {k}")
    distance = nearest_other(rows, pool["item_id"].to_numpy(), known_rows, known["item_id"].to_numpy())
    told = pool.with_columns(distance=pl.Series(distance)).sort("distance", "item").with_row_index("rank", 1)
    told = told.with_columns(
        part=pl.when(pl.col("rank") <= k).then(pl.lit("kept")),
        reason=pl.format("rank {} of {} by distance to {}", "rank", pl.lit(len(pool)), pl.lit(target)),
    )
    lost = without_vector(without)
    members = told.filter(pl.col("rank") <= k).sort("item_id").select("part", "item_id", "weight")
    fates = pl.concat([told.select("item_id", "part", "reason"), lost])
    params = {"target": target, "k": k, "space": space, "stage": stage}
    return Plan("select_nearest", dataset, params, (*refs, goal), members, fates)
