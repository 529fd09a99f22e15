"""Scores of a dataset, an operator or a session: means over episodes, tested over episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.metrics import METRICS
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.floating]

_PER_STEP = {"action_variance", "state_similarity", "mutual_information"}  # the published mean is over steps


def dataset_scores(
    scores: pl.DataFrame, *, confidence: float = 0.95, replicates: int = 1000, seed: int = 0
) -> pl.DataFrame:
    """dataset, metric, value, ci_low, ci_high, n (episodes), note: the mean over episodes, bootstrapped.

    ``scores`` is the frame of `score`. Action variance, state similarity and mutual information weigh the
    episodes by their steps, so that the value is the dataset's; the others count every episode once.
    """
    import polars as pl

    rows = []
    for (dataset, metric), part in sorted(scores.group_by("dataset", "metric")):
        known = part.drop_nulls("value").sort("episode_index")
        row = {"dataset": dataset, "metric": metric, "n": len(known)}
        row |= {"value": None, "ci_low": None, "ci_high": None, "note": None}
        if not len(known):
            rows.append(row | {"note": part["note"].drop_nulls().first() if "note" in part.columns else None})
            continue
        value = known["value"].to_numpy()
        weight = known["n"].to_numpy().astype(float) if metric in _PER_STEP else np.ones(len(value))
        rng = np.random.default_rng([seed, 12])
        drawn = rng.multinomial(len(value), np.full(len(value), 1 / len(value)), size=replicates) * weight
        means = drawn @ value / np.maximum(drawn.sum(axis=1), 1e-300)
        row["value"] = float(np.average(value, weights=weight))
        if len(value) >= 2:
            tail = (1 - confidence) / 2
            row["ci_low"], row["ci_high"] = (float(q) for q in np.quantile(means, [tail, 1 - tail]))
        rows.append(row)
    schema = {"dataset": pl.String, "metric": pl.String, "value": pl.Float64, "ci_low": pl.Float64}
    schema |= {"ci_high": pl.Float64, "n": pl.Int64, "note": pl.String}
    return pl.DataFrame(rows, schema=schema)


def compare_groups(
    scores: pl.DataFrame, groups: pl.DataFrame, *, permutations: int = 1999, seed: int = 0
) -> pl.DataFrame:
    """Each operator (session, label) against all other episodes, by a permutation test over *episodes*.

    ``scores`` is the frame of `score`; ``groups`` has dataset, episode_index and grp. Columns: dataset,
    metric, grp, n, n_rest, mean, rest, difference, p (two-sided, never 0), q (Benjamini-Hochberg over the
    groups and metrics of a dataset), after_length (the difference that remains in a linear fit on length).
    BadInputError for missing columns and where no two groups have two scored episodes.
    """
    import polars as pl

    missing = [c for c in ("dataset", "episode_index", "grp") if c not in groups.columns]
    if missing:
        raise BadInputError(f"groups has no column {', '.join(missing)}")
    length = scores.filter(pl.col("metric") == "horizon").select("dataset", "episode_index", length="value")
    joined = (
        scores.drop_nulls("value")
        .join(groups.select("dataset", "episode_index", "grp").drop_nulls(), on=["dataset", "episode_index"])
        .join(length, on=["dataset", "episode_index"], how="left")
    )
    rows: list[dict[str, object]] = []
    for (dataset,), of_dataset in sorted(joined.group_by("dataset")):
        tests = [
            {"dataset": dataset, "metric": metric, **row}
            for metric in METRICS
            for row in _against_rest(of_dataset.filter(pl.col("metric") == metric), permutations, seed)
        ]
        for row, q in zip(tests, _benjamini_hochberg([float(t["p"]) for t in tests]), strict=True):
            rows.append(row | {"q": q})
    if not rows:
        raise BadInputError("no metric has two groups of at least two scored episodes each")
    return pl.DataFrame(rows, infer_schema_length=None)


def _against_rest(part: pl.DataFrame, permutations: int, seed: int) -> list[dict[str, object]]:
    part = part.sort("episode_index")
    value = part["value"].to_numpy()
    names = part["grp"].cast(str).to_numpy()
    rows: list[dict[str, object]] = []
    if not len(part):
        return rows
    length = part["length"].fill_null(0).to_numpy()
    order = np.random.default_rng([seed, 13]).random((permutations, len(value))).argsort(axis=1)
    for name in np.unique(names):
        inside = names == name
        n, rest = int(inside.sum()), int((~inside).sum())
        if n < 2 or rest < 2:
            continue
        contrast = np.where(inside, 1 / n, -1 / rest)
        difference = float(contrast @ value)
        spread = np.abs(value).max() * 1e-12
        p = float(
            (1 + (np.abs(contrast[order] @ value) >= abs(difference) - spread).sum()) / (permutations + 1)
        )
        rows.append(
            {
                "grp": str(name),
                "n": n,
                "n_rest": rest,
                "mean": float(value[inside].mean()),
                **_interval(value[inside], seed),
                "rest": float(value[~inside].mean()),
                "difference": difference,
                "p": p,
                "after_length": float(contrast @ _without(value, length)),
            }
        )
    return rows


def _interval(value: Floats, seed: int, replicates: int = 1000) -> dict[str, float]:
    """The bootstrap interval (95 %) of a mean over episodes."""
    rng = np.random.default_rng([seed, 14])
    drawn = rng.multinomial(len(value), np.full(len(value), 1 / len(value)), size=replicates)
    low, high = np.quantile(drawn @ value / len(value), [0.025, 0.975])
    return {"ci_low": float(low), "ci_high": float(high)}


def _without(value: Floats, length: Floats) -> Floats:
    centred = length - length.mean()
    power = float(centred @ centred)
    return value - centred * float(centred @ value) / power if power > 0 else value


def _benjamini_hochberg(p: list[float]) -> list[float]:
    if not p:
        return []
    from scipy.stats import false_discovery_control

    return [float(q) for q in false_discovery_control(p)]
