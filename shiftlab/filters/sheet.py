"""Single filters of a layer, chosen to be looked at: at random, the strongest, or those most like one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from shiftlab import queries
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.filters.stored import require_model

if TYPE_CHECKING:
    import polars as pl

Pick = Literal["random", "norm", "nearest"]
PICKS: tuple[Pick, ...] = ("random", "norm", "nearest")
FILTERS = 64


def contact_sheet(
    store: Store,
    model: str,
    layer_id: int = 0,
    *,
    pick: Pick = "random",
    like: int | None = None,
    filters: int = FILTERS,
    seed: int = 0,
) -> pl.DataFrame:
    """3x3 filters of a stored layer as they are, for a contact sheet; they must have been kept.

    `layer_id` counts the 3x3 layers of the model from 0. `pick`: "random" (without replacement, in the layer's
    order), "norm" (largest Euclidean norm first), or "nearest" (largest cosine with filter `like` first, the
    strongest one if it is not given). Columns: place (on the sheet), filter (number in the layer, output channel by
    output channel), out_channel, in_channel, norm, cosine (with `like`; null without), weights (list of 9, row by row).
    Raises NotFoundError for a model or layer that is not there, BadInputError where the filters were not kept.
    """
    import polars as pl

    if pick not in PICKS:
        raise BadInputError(f"pick: expected {', '.join(PICKS)}, got {pick!r}")
    if filters < 1:
        raise BadInputError(f"filters must be 1 or more, not {filters}")
    weights, in_channels = _layer(store, model, layer_id)
    if like is not None and not 0 <= like < len(weights):
        raise BadInputError(
            f"like: layer {layer_id} of '{model}' has filters 0 to {len(weights) - 1}, not {like}"
        )
    norm = np.linalg.norm(weights, axis=1)
    cosine = None
    if pick == "random":
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(weights), min(filters, len(weights)), replace=False))
    elif pick == "norm":
        chosen = np.argsort(-norm, kind="stable")[:filters]
    else:
        to = int(norm.argmax()) if like is None else like
        cosine = weights @ weights[to] / np.maximum(norm * norm[to], 1e-300)
        cosine[to] = np.inf  # a filter of zeros is nearest to itself too
        chosen = np.argsort(-cosine, kind="stable")[:filters]
        cosine[to] = 1.0
    return pl.DataFrame(
        {
            "place": np.arange(len(chosen)),
            "filter": chosen,
            "out_channel": chosen // in_channels,
            "in_channel": chosen % in_channels,
            "norm": norm[chosen],
            "cosine": None if cosine is None else cosine[chosen],
            "weights": weights[chosen].tolist(),
        },
        schema_overrides={"cosine": pl.Float64},
    )


def _layer(store: Store, model: str, layer_id: int) -> tuple[np.ndarray, int]:
    """The filters [n, 9] of a layer, and how many each output channel has."""
    import pyarrow.parquet as pq

    require_model(store, model)
    with store.read() as con:
        layers = con.sql(queries.sql("kept_layers"), params={"model": model}).pl()
    of_id = layers.filter(layers["layer_id"] == layer_id)
    if of_id.is_empty():
        there = f"0 to {len(layers) - 1}" if len(layers) else "none"
        raise NotFoundError(f"'{model}' has no 3x3 layer {layer_id}; there are {there}")
    file = of_id["filters_file"][0]
    if file is None:
        raise BadInputError(
            f"the filters of '{model}' were not kept, only their statistics: ingest its weights again with "
            "--keep-filters"
        )
    path = store.path / "filters" / Path(str(file)).name
    if not path.is_file():
        raise BadInputError(
            f"the filters of '{model}' are gone ({path.name} is missing): ingest its weights again"
        )
    table = pq.read_table(path, filters=[("layer_id", "=", layer_id)])
    weights = np.column_stack([table[f"w{k}"].to_numpy() for k in range(9)]).astype(float)
    return weights, int(of_id["in_channels"][0])
