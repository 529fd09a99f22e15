"""The states of a dataset seen on a plane: where demonstrations go, and where few of them do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shiftlab.catalog import Store
from shiftlab.episodes.motion import cells_seen, state_cells
from shiftlab.episodes.prepare import principal, standardise
from shiftlab.episodes.stored import read_steps, rows
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

STEPS = 4000


def state_map(store: Store, dataset: str, *, steps: int = STEPS) -> pl.DataFrame:
    """Steps of a stored dataset on the first two principal axes of its standardised states, or as they are if 2-D.

    At most about ``steps`` of them, every k-th. Columns: episode_index, frame_index, x, y (sd of the pooled states),
    variance_share (of all variance that x and y show together, 0 to 1), cell (one of up to 256 of equal population,
    as in state_coverage), visited_by (episodes that were ever in that cell: 1 is a place nobody else vouches for),
    and the scores of the step where the dataset is scored. Steps that are not finite are left out. Two points that
    are near here may be far apart in the dimensions that are not shown; raises BadInputError where every dimension
    is constant.
    """
    import polars as pl

    if steps < 1:
        raise BadInputError(f"steps must be 1 or more, not {steps}")
    table = read_steps(store, dataset)
    finite = np.isfinite(table["state"].to_numpy()).all(axis=1)
    table = table.filter(finite)
    z, _ = standardise(table["state"].to_numpy().astype(float))
    if not len(table) or not z.shape[1]:
        raise BadInputError(f"every state dimension of '{dataset}' is constant: there is nothing to map")
    axes = principal(z, 2)
    if z.shape[1] > 2:  # else it might come out mirrored
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    cell = state_cells(z)
    labels, at = np.unique(table["episode_index"].to_numpy(), return_inverse=True)
    visited = cells_seen(cell, at, len(labels)).sum(axis=0)
    shown = table.select("episode_index", "frame_index").with_columns(
        x=axes[:, 0],
        y=axes[:, 1] if axes.shape[1] > 1 else np.zeros(len(axes)),
        variance_share=pl.lit(float(axes.var(axis=0).sum() / z.var(axis=0).sum())),
        cell=cell,
        visited_by=visited[cell],
    )
    scores = rows(store, "step_scores", dataset=dataset)
    thinned = shown.gather_every(max(1, -(-len(shown) // steps)))
    return thinned.join(scores, on=["episode_index", "frame_index"], how="left", maintain_order="left")
