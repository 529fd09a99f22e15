"""Signals of the same items at two stages, by their amplitude spectra: what a model puts out against its target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import signals
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.measures.one_dimensional import amplitude_shares
from shiftlab.measures.registry import get
from shiftlab.paired.stages import groups_of
from shiftlab.shift import compare
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl

_SHOWN = ("value", "debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p")


def compare_signals(
    store: Store,
    dataset: str,
    signal: str,
    *,
    before: str = "base",
    after: str,
    by: str | None = None,
    first: int | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> pl.DataFrame:
    """W1 between the mean amplitude spectra of the same items' signals at two stages, for each label of ``by``.

    In steps of frequency; every item counts alike, whatever its loudness. Columns grp, n, value, debiased,
    null_mean, null_q95, ci_low, ci_high, p, note: p by swapping the stages of single items. Constant signals have no
    spectrum and are left out with a note. Raises NotFoundError for what is not there.
    """
    import polars as pl

    if first is not None and first < 2:
        raise BadInputError(f"first must keep two frequencies or more, not {first}")
    sides = [signals.load(store, dataset, signal, stage) for stage in (before, after)]
    ids, *at = np.intersect1d(sides[0].item_ids, sides[1].item_ids, assume_unique=True, return_indices=True)
    if not len(ids):
        raise BadInputError(f"no item has a signal '{signal}' at both '{before}' and '{after}'")
    alone = sum(len(side.item_ids) for side in sides) - 2 * len(ids)
    spectra = [
        amplitude_shares(np.asarray(side.values[rows]), first) for side, rows in zip(sides, at, strict=True)
    ]
    varies = spectra[0][1] & spectra[1][1]
    rows, stored = [], []
    for name, mine in groups_of(store, dataset, ids, by).items():
        told = [f"items with one stage only: {alone:,}"] if alone else []
        constant = int((mine & ~varies).sum())
        told += [f"constant signals, without a spectrum: {constant:,}"] if constant else []
        row, found = _row(spectra, mine & varies, first, permutations, seed)
        note = "; ".join(filter(None, [row["note"], *told])) or None
        rows.append({"grp": name, **row, "note": note})
        side = (f"{dataset}@{before}", f"{dataset}@{after}")
        group = signal if name is None else f"{signal}, {by} {name}"
        stored.append(score_row(get("wasserstein_1d"), "signal", *side, group, found | {"note": note}))
    params = {"signal": signal, "before": before, "after": after, "by": by, "first": first}
    store_scores(store, Run("shift signals", params, dataset=dataset, seed=seed), stored)
    return pl.DataFrame(
        rows, infer_schema_length=None, schema_overrides={"grp": pl.String, "note": pl.String}
    )


def _row(
    spectra: list[tuple[np.ndarray, np.ndarray]],
    mine: np.ndarray,
    first: int | None,
    permutations: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    n = int(mine.sum())
    if n < 2:
        told = f"{n} items with a signal that varies at both stages; two are needed"
        row = dict.fromkeys(_SHOWN) | {"note": told}
        return {"n": n, **row}, row | {"n_left": n, "n_right": n, "seed": seed, "params": {"first": first}}
    score = compare(
        spectra[0][0][mine], spectra[1][0][mine], measure="wasserstein_1d", permutations=permutations, seed=seed,
        paired=True,
    )  # fmt: skip
    found = score.as_dict()
    row = {key: found[key] for key in (*_SHOWN, "note")}
    return {"n": n, **row}, found | {
        "params": found["params"] | {"first": first, "spectra": "each item sums to 1"}
    }
