"""What a score may be measuring instead of quality, and whether it beats the two simplest rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.metrics import METRICS
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.floating]

AGAINST = {"length": "horizon", "idle_fraction": "idle_fraction", "sparse_fraction": "sparse_fraction"}
FEWEST = 5
_RANDOM_DRAWS = 1000


def confounds(scores: pl.DataFrame, *, permutations: int = 999, seed: int = 0) -> pl.DataFrame:
    """Rank correlation of every metric with length, idle fraction and sparsity, per dataset.

    ``scores`` is the frame of `score`. Columns: dataset, metric, against, spearman (-1..1, 0 = unrelated),
    p (two-sided, from ``permutations`` of the episodes), partial (Spearman after length is held fixed; null
    against length itself), n (episodes), note (why a value is null).
    """
    import polars as pl

    _needs(scores, "dataset", "episode_index", "metric", "value")
    rows = []
    for (dataset,), part in sorted(scores.group_by("dataset")):
        wide = part.pivot(on="metric", index="episode_index", values="value").sort("episode_index")
        for against, column in AGAINST.items():
            if column not in wide.columns:
                continue
            for metric in [m for m in METRICS if m in wide.columns and m != column]:
                found = _association(wide, metric, column, permutations, seed)
                rows.append({"dataset": dataset, "metric": metric, "against": against, **found})
    schema = {"dataset": pl.String, "metric": pl.String, "against": pl.String, "spearman": pl.Float64}
    schema |= {"p": pl.Float64, "partial": pl.Float64, "n": pl.Int64, "note": pl.String}
    return pl.DataFrame(rows, schema=schema)


def _association(
    wide: pl.DataFrame, metric: str, column: str, permutations: int, seed: int
) -> dict[str, float | int | str | None]:
    names = list(dict.fromkeys([metric, column, *(["horizon"] if "horizon" in wide.columns else [])]))
    known = wide.select(names).drop_nulls()
    result: dict[str, float | int | str | None] = {"n": len(known), "spearman": None, "p": None}
    result |= {"partial": None, "note": None}
    if len(known) < FEWEST:
        return result | {"note": f"needs {FEWEST} episodes with both values"}
    x, y = known[metric].to_numpy(), known[column].to_numpy()
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return result | {"note": f"{metric if np.ptp(x) == 0 else column} is the same in every episode"}
    value, p = rank_correlation(x, y, permutations=permutations, seed=seed)
    partial = None
    if column != "horizon" and metric != "horizon" and "horizon" in names:
        partial = _partial(x, y, known["horizon"].to_numpy())
    return result | {"spearman": value, "p": p, "partial": partial}


def rank_correlation(x: Floats, y: Floats, *, permutations: int, seed: int) -> tuple[float, float]:
    """Spearman correlation of x and y (n,) and its two-sided permutation p, never 0."""
    from scipy.stats import rankdata

    rx, ry = (_unit(rankdata(v)) for v in (x, y))
    value = float(rx @ ry)
    order = np.random.default_rng([seed, 10]).random((permutations, len(x))).argsort(axis=1)
    extreme = np.abs(rx[order] @ ry) >= abs(value) - 1e-12
    return value, float((1 + extreme.sum()) / (permutations + 1))


def _unit(ranks: Floats) -> Floats:
    centred = ranks - ranks.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-300)


def _partial(x: Floats, y: Floats, given: Floats) -> float | None:
    from scipy.stats import rankdata

    rx, ry, rg = (_unit(rankdata(v)) for v in (x, y, given))
    left, right = rx - (rx @ rg) * rg, ry - (ry @ rg) * rg
    spread = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right / spread) if spread > 1e-9 else None


def keep_curve(
    scores: pl.DataFrame,
    label: pl.DataFrame,
    *,
    keep: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9),
    seed: int = 0,
) -> pl.DataFrame:
    """Mean outcome of the episodes that each rule would keep, beside length, chance and hindsight.

    ``scores`` is the frame of `score`, ``label`` has dataset, episode_index and label (success 0/1, return,
    human grade; higher is better). Columns: dataset, rule, keep (share), n_kept, n, mean, low, high. Rules:
    each metric that has a bad end, ``shortest`` and ``random`` (the baselines: low and high are the 2.5 and
    97.5 % points of random choices) and ``oracle`` (sorted by the label itself). A rule whose mean lies
    inside the random band did no better than chance. BadInputError for too few labels.
    """
    import polars as pl

    _needs(label, "dataset", "episode_index", "label")
    _needs(scores, "dataset", "episode_index", "metric", "value")
    rows: list[dict[str, object]] = []
    for (dataset,), part in sorted(scores.group_by("dataset")):
        wide = part.pivot(on="metric", index="episode_index", values="value")
        known = label.filter(pl.col("dataset") == dataset).select("episode_index", "label").drop_nulls()
        table = wide.join(known, on="episode_index").sort("episode_index")
        if len(table) >= FEWEST:
            rows += [{"dataset": dataset, **row} for row in _curve(table, keep, seed)]
    if not rows:
        raise BadInputError(f"fewer than {FEWEST} scored episodes have a label: nothing to compare with")
    return pl.DataFrame(rows, infer_schema_length=None)


def _curve(table: pl.DataFrame, keep: tuple[float, ...], seed: int) -> list[dict[str, object]]:
    outcome = table["label"].cast(float).to_numpy()
    goodness = {"oracle": outcome}
    for name, metric in METRICS.items():
        if name in table.columns and metric.worse is not None and table[name].null_count() < len(table):
            sign = -1.0 if metric.worse == "high" else 1.0
            values = table[name].to_numpy().astype(float) * sign
            goodness[name if name != "horizon" else "shortest"] = np.where(
                np.isfinite(values), values, -np.inf
            )
    draws = np.random.default_rng([seed, 11]).random((_RANDOM_DRAWS, len(outcome))).argsort(axis=1)
    rows: list[dict[str, object]] = []
    for share in keep:
        kept = max(1, round(share * len(outcome)))
        common = {"keep": share, "n_kept": kept, "n": len(outcome)}
        chance = outcome[draws[:, :kept]].mean(axis=1)
        low, high = np.quantile(chance, [0.025, 0.975])
        rows.append({"rule": "random", **common, "mean": float(outcome.mean()), "low": low, "high": high})
        for rule, good in goodness.items():
            order = np.argsort(-good, kind="stable")
            mean = float(outcome[order[:kept]].mean())
            rows.append({"rule": rule, **common, "mean": mean, "low": None, "high": None})
    return rows


def _needs(frame: pl.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise BadInputError(
            f"the table has no column {', '.join(missing)}; it has {', '.join(frame.columns)}"
        )
