"""Two labellings of the same items in one vector space: how the boundary of the concept moves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import UndefinedMeasureError, boundary_shift, sliced_wasserstein
from shiftlab.measures.registry import get
from shiftlab.shift.inference import permutation_p
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl

_FOUND = ("cosine", "angle_deg", "offset_change", "rate", "lost", "gained", "lost_positive", "sliced_w1")
_DIRECTIONS = 128  # as the authors' code
_CHANCE = ("null_mean", "null_q95", "p")


def compare_labellings(
    store: Store,
    dataset: str,
    space: str | None = None,
    *,
    before: str,
    after: str,
    positive: str,
    stage: str = vectors.BASE_STAGE,
    permutations: int = 199,
    seed: int = 0,
) -> dict[str, Any]:
    """Movement of the boundary of label ``positive`` from scheme ``before`` to ``after``; stored as a score.

    cosine, angle_deg, offset_change, rate, lost, gained as in `measures.boundary_shift`; lost_positive the share
    of items positive in both labellings that the boundary then leaves out; sliced_w1 how far the cloud of the positive
    items moves, in standard deviations of a column; n, relabelled. null_mean, null_q95 and p say
    how far re-labelling as many random items of the same labels would turn it. Raises NotFoundError for a scheme that
    is not there, BadInputError for a labelling without both classes.
    """
    found = vectors.load(store, dataset, space, stage)
    ids, labels = _labels(store, dataset, (before, after))
    there = np.isin(ids, found.item_ids, assume_unique=True)
    if not there.any():
        raise BadInputError(f"no item has labels '{before}' and '{after}' and a vector in '{found.space}'")
    x = np.asarray(found.matrix[np.searchsorted(found.item_ids, ids[there])], dtype=np.float64)
    y0, y1 = ((side[there] == positive).astype(int) for side in labels)
    for name, side in ((before, y0), (after, y1)):
        if len(np.unique(side)) < 2:
            raise BadInputError(
                f"'{name}' says {'always' if side[0] else 'never'} '{positive}' of the {len(side):,} items with "
                "vectors: a boundary needs both"
            )
    told: dict[str, Any] = dict.fromkeys((*_FOUND, *_CHANCE))
    row: dict[str, Any] = told | {"n": len(x), "relabelled": int((y0 != y1).sum()), "note": None}
    try:
        value = boundary_shift(x, y0, y1)
        row |= asdict(value) | {"lost_positive": _lost(x, y0, y1), "sliced_w1": _clouds(x, y0, y1, seed)}
        row |= _null(x, y0, y1, value.angle_deg, permutations, seed)
    except UndefinedMeasureError as error:
        row["note"] = str(error)
    numbers = {key: row[key] for key in (*_CHANCE, "note")} | {"value": row["angle_deg"]}
    params = {key: row[key] for key in (*_FOUND, "relabelled") if key != "angle_deg"}
    about = {"n_left": len(x), "n_right": len(x), "seed": seed,
             "params": params | {"positive": positive, "permutations": permutations}}  # fmt: skip
    group = found.space if stage == vectors.BASE_STAGE else f"{found.space}@{stage}"
    sides = (f"{dataset}:{before}", f"{dataset}:{after}")
    stored = score_row(get("boundary_shift"), "labels", *sides, group, numbers | about)
    run = Run("shift boundary", {"space": found.space, "before": before, "after": after, "positive": positive},
              dataset=dataset, seed=seed)  # fmt: skip
    store_scores(store, run, [stored])
    return row


def _labels(store: Store, dataset: str, schemes: tuple[str, str]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Items with one label in both schemes, and the two labels of each."""
    tables: list[pl.DataFrame] = []
    for scheme in schemes:
        with store.read() as con:
            table = con.sql(queries.sql("paired_groups"), params={"dataset": dataset, "by": scheme}).pl()
        if table.is_empty():
            raise NotFoundError(
                f"the items of '{dataset}' have no label '{scheme}': 'shiftlab ingest labels' brings some"
            )
        tables.append(table)
    both = tables[0].join(tables[1], on="item_id").sort("item_id")
    if both.is_empty():
        raise BadInputError(f"no item of '{dataset}' has both labels '{schemes[0]}' and '{schemes[1]}'")
    return both["item_id"].to_numpy(), [both[column].to_numpy() for column in ("value", "value_right")]


def _probe(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    high, low = x[y == 1].mean(0), x[y == 0].mean(0)
    return high - low, float((high - low) @ (high + low) / 2)


def _lost(x: np.ndarray, y0: np.ndarray, y1: np.ndarray) -> float | None:
    """Share of the items positive in both labellings that were on the right side before and are not after."""
    always = (y0 == 1) & (y1 == 1)
    if not always.any():
        return None
    was, is_ = (x[always] @ w > cut for w, cut in (_probe(x, y0), _probe(x, y1)))
    return float((was & ~is_).mean())


def _clouds(x: np.ndarray, y0: np.ndarray, y1: np.ndarray, seed: int) -> float:
    """Sliced W1 between the items positive before and those positive after, columns standardised over all items."""
    spread = x.std(0, ddof=1)
    z = (x - x.mean(0)) / np.where(spread > 0, spread, 1)
    return sliced_wasserstein(z[y0 == 1], z[y1 == 1], p=1, n_projections=_DIRECTIONS, seed=seed)


def _null(
    x: np.ndarray, y0: np.ndarray, y1: np.ndarray, observed: float, permutations: int, seed: int
) -> dict[str, float | None]:
    """Angles when as many random items of either label are re-labelled."""
    if not permutations or not (y0 != y1).any():
        return {}
    w0, _ = _probe(x, y0)
    rng = np.random.default_rng([seed, 929])
    sums = np.stack([x[y0 == label].sum(0) for label in (0, 1)])
    counts = np.bincount(y0, minlength=2)
    mine = [np.flatnonzero(y0 == label) for label in (0, 1)]
    leaving = [int((y1[rows] != label).sum()) for label, rows in enumerate(mine)]
    n0, n1 = counts[0] - leaving[0] + leaving[1], counts[1] - leaving[1] + leaving[0]
    angles = np.empty(permutations)
    for draw in range(permutations):  # only the rows that change sides are read
        out = [x[rng.choice(rows, k, replace=False)].sum(0) for rows, k in zip(mine, leaving, strict=True)]
        w = (sums[1] - out[1] + out[0]) / n1 - (sums[0] - out[0] + out[1]) / n0
        length = np.linalg.norm(w) * np.linalg.norm(w0)
        angles[draw] = np.degrees(np.arccos(np.clip(w @ w0 / length, -1, 1))) if length > 0 else 180.0
    return {
        "null_mean": float(angles.mean()),
        "null_q95": float(np.quantile(angles, 0.95)),
        "p": permutation_p(observed, angles),
    }
