"""Two stages of a vector space, item by item: paired shift, stored as scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import PairedShift, ShiftRecovery, UndefinedMeasureError, paired_shift, shift_recovery
from shiftlab.measures.registry import get
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl

_PARTS = ("n", "moved", "magnitude", "mean_norm", "relative", "consistency", "coherence")


def compare_stages(
    store: Store,
    dataset: str,
    space: str | None = None,
    *,
    before: str = "base",
    after: str,
    by: str | None = None,
    concepts: int | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> pl.DataFrame:
    """How the items of ``dataset`` moved in ``space`` from stage ``before`` to ``after``, for each label of ``by``.

    Columns grp, n, moved, magnitude, mean_norm, relative, consistency, coherence, p, note. p tests that the shifts
    have no common direction: the sign of each item's shift is flipped at random. Items with one stage only are left
    out and counted in the note. ``concepts`` groups instead by that many k-means clusters of the first stage, and adds
    recovery: how much of the way from a cluster's centre to its partner, a cluster of the second stage, its mean shift
    goes. Raises NotFoundError for a stage, space or scheme that is not there.
    """
    import polars as pl

    if concepts is not None and (by is not None or concepts < 2):
        raise BadInputError(
            "concepts are two clusters or more in the place of the labels of 'by': give one of the two"
        )

    first, second = (vectors.load(store, dataset, space, stage) for stage in (before, after))
    if first.matrix.shape[1] != second.matrix.shape[1]:
        raise BadInputError(
            f"space '{first.space}' has {first.matrix.shape[1]} dimensions at '{before}' and "
            f"{second.matrix.shape[1]} at '{after}': paired items need the same"
        )
    ids, a, b = np.intersect1d(first.item_ids, second.item_ids, assume_unique=True, return_indices=True)
    if not len(ids):
        raise BadInputError(f"no item has a vector at both '{before}' and '{after}'")
    alone = len(first.item_ids) + len(second.item_ids) - 2 * len(ids)
    note = f"{alone:,} items have one stage only" if alone else None
    x, y = (np.asarray(side.matrix[at], dtype=np.float64) for side, at in ((first, a), (second, b)))
    if concepts is None:
        groups, recovery = groups_of(store, dataset, ids, by), None
    else:
        by, (groups, recovery) = "concept", concepts_of(x, y, concepts, seed)
    rows: list[dict[str, Any]] = []
    stored = []
    run = Run("shift stages", {"space": first.space, "before": before, "after": after, "by": by, "concepts": concepts,
                               "permutations": permutations}, dataset=dataset, seed=seed)  # fmt: skip
    for name, mine in groups.items():
        found = paired_shift(x[mine], y[mine])
        assert isinstance(found, PairedShift)
        p, low = _sign_test(y[mine] - x[mine], found.magnitude, permutations, seed)
        told = {key: value for key, value in asdict(found).items() if key in _PARTS}
        said = "; ".join(filter(None, [note, *(f"{k}: {v}" for k, v in found.reasons.items())])) or None
        row = {"grp": name, **told, "p": p, "note": said}
        rows.append(row if recovery is None else row | {"recovery": recovery.recovery[len(rows)]})
        params: dict[str, Any] = told | {"null_magnitude_q95": low, "permutations": permutations}
        numbers = {"value": found.value, "p": p, "n_left": found.n, "n_right": found.n, "seed": seed}
        group = first.space if name is None else f"{first.space}, {by} {name}"
        sides = (f"{dataset}@{before}", f"{dataset}@{after}")
        stored.append(
            score_row(get("paired_shift"), "stage", *sides, group, numbers | {"params": params, "note": said})
        )
    if recovery is not None:
        known = [one for one in recovery.recovery if one is not None]
        about = {"value": float(np.mean(known)) if known else None, "n_left": len(ids), "n_right": len(ids),
                 "seed": seed, "note": None if known else "no concept moved",
                 "params": {"concepts": concepts, "recovery": recovery.recovery,
                            "match": recovery.match.tolist()}}  # fmt: skip
        stored.append(score_row(get("shift_recovery"), "stage", *sides, first.space, about))
    store_scores(store, run, stored)
    return pl.DataFrame(
        rows, infer_schema_length=None, schema_overrides={"grp": pl.String, "note": pl.String}
    )


def concepts_of(
    x: np.ndarray, y: np.ndarray, concepts: int, seed: int
) -> tuple[dict[str | None, np.ndarray], ShiftRecovery]:
    """Masks of the k-means clusters of x, and the recovery of those of y by each cluster's mean shift."""
    from scipy.cluster.vq import ClusterError, kmeans2

    if len(np.unique(x, axis=0)) < concepts or len(np.unique(y, axis=0)) < concepts:
        raise BadInputError(f"{len(x):,} items cannot form {concepts} concepts: ask for fewer")
    found = []
    for rows, part in ((x, 0), (y, 1)):
        runs = []
        for start in range(10):
            try:
                rng = np.random.default_rng([seed, 937, part, start])
                runs.append(kmeans2(rows, concepts, minit="++", missing="raise", rng=rng))
            except ClusterError:
                continue
        if not runs:
            raise BadInputError(f"the items do not fall into {concepts} concepts: ask for fewer")
        found.append(min(runs, key=lambda run: float(((rows - run[0][run[1]]) ** 2).sum())))
    (centres, which), (later, _) = found
    shifts = np.stack([(y[which == k] - x[which == k]).mean(0) for k in range(concepts)])
    try:
        recovery = shift_recovery(centres, later, shifts)
    except UndefinedMeasureError as error:
        raise BadInputError(f"concepts cannot be matched: {error}") from error
    return {f"{k + 1}": which == k for k in range(concepts)}, recovery


def groups_of(store: Store, dataset: str, ids: np.ndarray, by: str | None) -> dict[str | None, np.ndarray]:
    """Masks of the items by label; items without the label are in no group."""
    if by is None:
        return {None: np.ones(len(ids), dtype=bool)}
    with store.read() as con:
        known = con.sql(queries.sql("paired_groups"), params={"dataset": dataset, "by": by}).pl()
    if known.is_empty():
        raise NotFoundError(
            f"the items of '{dataset}' have no label '{by}': 'shiftlab ingest labels' brings some"
        )
    value = dict(known.iter_rows())
    names = np.array([value.get(one) for one in ids.tolist()], dtype=object)
    return {name: names == name for name in sorted({one for one in names if one is not None})}


def _sign_test(
    shift: np.ndarray, observed: float, permutations: int, seed: int
) -> tuple[float | None, float | None]:
    """p of the length of the mean shift when signs are random, and what 95 % of sign flips stay below."""
    if not permutations or len(shift) < 2 or observed == 0:
        return None, None
    rng = np.random.default_rng([seed, 907])
    null = np.empty(permutations)
    step = max(1, 8_000_000 // len(shift))
    for start in range(0, permutations, step):
        signs = (
            rng.integers(0, 2, size=(min(step, permutations - start), len(shift)), dtype=np.int8) * 2.0 - 1
        )
        null[start : start + step] = np.linalg.norm(signs @ shift / len(shift), axis=1)
    reach = observed * (1 - 1e-9)
    return float((1 + (null >= reach).sum()) / (1 + permutations)), float(np.quantile(null, 0.95))
