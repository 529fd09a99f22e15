"""Two stages of a vector space, item by item: paired shift, stored as scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import PairedShift, paired_shift
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
    permutations: int = 999,
    seed: int = 0,
) -> pl.DataFrame:
    """How the items of ``dataset`` moved in ``space`` from stage ``before`` to ``after``, for each label of ``by``.

    Columns grp, n, moved, magnitude, mean_norm, relative, consistency, coherence, p, note. p tests that the shifts
    have no common direction: the sign of each item's shift is flipped at random. Items with one stage only are left
    out and counted in the note. Raises NotFoundError for a stage, space or scheme that is not there.
    """
    import polars as pl

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
    groups = _groups(store, dataset, ids, by)
    rows, stored = [], []
    run = Run("shift stages", {"space": first.space, "before": before, "after": after, "by": by,
                               "permutations": permutations}, dataset=dataset, seed=seed)  # fmt: skip
    for name, mine in groups.items():
        found = paired_shift(x[mine], y[mine])
        assert isinstance(found, PairedShift)
        p, low = _sign_test(y[mine] - x[mine], found.magnitude, permutations, seed)
        told = {key: value for key, value in asdict(found).items() if key in _PARTS}
        said = "; ".join(filter(None, [note, *(f"{k}: {v}" for k, v in found.reasons.items())])) or None
        rows.append({"grp": name, **told, "p": p, "note": said})
        params: dict[str, Any] = told | {"null_magnitude_q95": low, "permutations": permutations}
        numbers = {"value": found.value, "p": p, "n_left": found.n, "n_right": found.n, "seed": seed}
        group = first.space if name is None else f"{first.space}, {by} {name}"
        sides = (f"{dataset}@{before}", f"{dataset}@{after}")
        stored.append(
            score_row(get("paired_shift"), "stage", *sides, group, numbers | {"params": params, "note": said})
        )
    store_scores(store, run, stored)
    return pl.DataFrame(
        rows, infer_schema_length=None, schema_overrides={"grp": pl.String, "note": pl.String}
    )


def _groups(store: Store, dataset: str, ids: np.ndarray, by: str | None) -> dict[str | None, np.ndarray]:
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
