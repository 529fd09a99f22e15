"""A selection beside the two simplest ones: the shortest episodes, and chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shiftlab.catalog import Store
from shiftlab.episodes.curate import Selection
from shiftlab.episodes.report import outcomes
from shiftlab.episodes.stored import rows

if TYPE_CHECKING:
    import polars as pl

_DRAWS = 1000


def compare(store: Store, selection: Selection, *, seed: int = 0) -> pl.DataFrame:
    """rule, n_kept, steps, mean_length, shared (share of the selection it also keeps), outcome, low, high.

    The rules are the selection, ``shortest`` and ``random`` at the same number of episodes, and ``all``.
    ``outcome`` is the mean success or return (null without one); low and high bound random choices (95 %).
    """
    import polars as pl

    table = rows(store, "list_episodes", dataset=selection.dataset).sort("episode_index")
    known = outcomes(store, selection.dataset)
    label = (
        table["episode_index"]
        .to_frame()
        .join(
            known.select("episode_index", "label")
            if known is not None
            else pl.DataFrame(schema={"episode_index": pl.Int64, "label": pl.Float64}),
            on="episode_index",
            how="left",
            maintain_order="left",
        )["label"]
    )
    outcome = label.fill_null(float("nan")).to_numpy()
    length = table["length"].to_numpy()
    kept = selection.members.sort("episode_index")["kept"].to_numpy()
    n = int(kept.sum())
    shortest = np.zeros(len(kept), dtype=bool)
    shortest[np.argsort(length, kind="stable")[:n]] = True
    found = [
        _row(name, mask, length, outcome, kept)
        for name, mask in ((selection.name, kept), ("shortest", shortest), ("all", np.ones(len(kept), bool)))
    ]
    draws = np.random.default_rng([seed, 51]).random((_DRAWS, len(kept))).argsort(axis=1)[:, :n]
    chance = _mean(outcome[draws])
    band = np.nanquantile(chance, [0.025, 0.975]) if np.isfinite(chance).any() else (None, None)
    random = {
        "rule": "random",
        "n_kept": n,
        "steps": float(length[draws].sum(axis=1).mean()),
        "mean_length": float(length.mean()),
        "shared": n / len(kept),
        "outcome": None if band[0] is None else float(np.nanmean(chance)),
        "low": band[0],
        "high": band[1],
    }
    numbers = dict.fromkeys(("steps", "mean_length", "shared", "outcome", "low", "high"), pl.Float64)
    return pl.DataFrame(
        [*found[:2], random, found[2]], schema={"rule": pl.String, "n_kept": pl.Int64, **numbers}
    )


def _row(
    name: str, mask: np.ndarray, length: np.ndarray, outcome: np.ndarray, kept: np.ndarray
) -> dict[str, object]:
    mean = float(_mean(outcome[mask][None])[0])
    return {
        "rule": name,
        "n_kept": int(mask.sum()),
        "steps": float(length[mask].sum()),
        "mean_length": float(length[mask].mean()),
        "shared": float((mask & kept).sum() / kept.sum()),
        "outcome": mean if np.isfinite(mean) else None,
        "low": None,
        "high": None,
    }


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)
