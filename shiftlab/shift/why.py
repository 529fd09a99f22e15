"""What makes two subsets of a catalog different: their features, the mass that moves, the items at the extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from shiftlab import queries, vectors
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError
from shiftlab.names import require_subset
from shiftlab.shift import carriers, explain

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["features", "values", "flows", "moves", "nearest", "witness"]
KINDS: tuple[str, ...] = get_args(Kind)
MOST_MOVED = 1000  # items a side of a transport plan: its cost grows with their square and more


def why(
    store: Store,
    left: str,
    right: str,
    kind: Kind = "features",
    *,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    dataset: str | None = None,
    top: int = 10,
    feature: int = 0,
    seed: int = 0,
) -> pl.DataFrame:
    """What makes subset `left` differ from `right` in a vector space.

    features: columns of the vectors by their own shift (`explain.features`, with q-values). values: what every item
    has in column `feature` (from 0), sorted. flows and moves: the optimal transport plan, between groups of similar
    items (`explain.flows`) and its costliest moves from item to item (`explain.moves`); of at most 1,000 seeded items
    a side, ``n_left`` and ``n_right`` tell how many. nearest: items of `left` nearest to and farthest from `right`
    (`explain.nearest_and_farthest`). witness: items where one side is dense and the other is not
    (`explain.witness`). At most `top` rows a list, but all of values and flows. Raises NotFoundError for unknown
    names, BadInputError for a side without two vectors or a column that is not there.
    """
    import polars as pl

    refs = require_subset(store, left, dataset), require_subset(store, right, dataset)
    picked = pl.DataFrame(
        {"subset_id": [one.subset_id for one in refs], "dataset": [one.dataset for one in refs]}
    )
    carrier = carriers.cloud(store, picked, space, stage)
    (x, ids_x), (y, ids_y) = carrier.side(0), carrier.side(1)
    for ref, ids in zip(refs, (ids_x, ids_y), strict=True):
        if len(ids) < 2:
            raise BadInputError(
                f"{len(ids)} of {ref.n:,} items of '{ref.name}' have a vector in space '{carrier.group}'; "
                "two are needed: 'shiftlab ingest vectors' adds more"
            )
    if kind == "features":
        return explain.features(x, y, seed=seed).head(top)
    names_x, names_y = _external_ids(store, ids_x), _external_ids(store, ids_y)
    if kind == "values":
        return _values({left: (x, names_x), right: (y, names_y)}, feature)
    if kind == "nearest":
        return explain.nearest_and_farthest(x, y, names_x, names_y, top=top)
    if kind == "witness":
        found = explain.witness(x, y, names_x, names_y, top=top)
        return found.with_columns(pl.col("side").replace_strict({"x": left, "y": right}))
    some_x, some_y = _sample(len(ids_x), 0, seed), _sample(len(ids_y), 1, seed)
    sides = x[some_x], y[some_y], names_x[some_x], names_y[some_y]
    found = explain.flows(*sides, seed=seed) if kind == "flows" else explain.moves(*sides, top=top)
    return found.with_columns(n_left=pl.lit(len(some_x)), n_right=pl.lit(len(some_y)))


def _values(sides: dict[str, tuple[np.ndarray, np.ndarray]], feature: int) -> pl.DataFrame:
    import polars as pl

    width = next(iter(sides.values()))[0].shape[1]
    if not 0 <= feature < width:
        raise BadInputError(f"there is no feature {feature}; the space has the features 0 to {width - 1}")
    frames = [
        pl.DataFrame({"side": [name] * len(ids), "item": ids, "value": rows[:, feature].astype(np.float64)})
        for name, (rows, ids) in sides.items()
    ]
    return pl.concat([one.sort("value", "item") for one in frames])


def _sample(n: int, side: int, seed: int) -> np.ndarray:
    if n <= MOST_MOVED:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, 907, side]).choice(n, MOST_MOVED, replace=False))


def _external_ids(store: Store, item_ids: np.ndarray) -> np.ndarray:
    import pyarrow as pa

    with store.read() as con:
        con.register("wanted", pa.table({"item_id": item_ids}))
        frame = con.sql(queries.sql("external_ids")).pl()
    return frame["external_id"].to_numpy()
