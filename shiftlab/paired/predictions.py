"""What a model says about the same items at two stages: flips, and accuracy where the truth is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import UndefinedMeasureError, flip_rate, forget_ratio, prediction_consistency
from shiftlab.measures.registry import get
from shiftlab.names import nearest, require_dataset
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl


def compare_predictions(
    store: Store,
    dataset: str,
    model: str,
    *,
    before: str = "base",
    after: str,
    by: str | None = None,
    truth: str | None = None,
    chance: float | None = None,
) -> pl.DataFrame:
    """Share of items whose predicted label differs between two stages, for each label of ``by``.

    Columns grp, n, rate, ci_low, ci_high (Wilson, 95 %), and with ``truth``, a scheme of labels, accuracy_before,
    accuracy_after, lost (right, then wrong) and gained, and with the accuracy of ``chance`` forget_ratio: the share of
    what was above chance that is gone. Raises NotFoundError for what is not there.
    """
    import polars as pl

    require_dataset(store, dataset)
    if chance is not None and (truth is None or not 0 <= chance < 1):
        raise BadInputError(
            "chance is an accuracy from 0 to below 1, and needs truth: the labels that are right"
        )
    values = {"dataset": dataset, "model": model, "before": before, "after": after, "by": by, "truth": truth}
    with store.read() as con:
        known = con.sql(queries.sql("paired_models"), params={"dataset": dataset}).pl()
        pairs = con.sql(queries.sql("paired_predictions"), params=values).pl()
    require_model(known, dataset, model, (before, after))
    for scheme, column in ((by, "grp"), (truth, "truth")):
        if scheme is not None and pairs[column].null_count() == len(pairs):
            raise NotFoundError(
                f"the items predicted have no label '{scheme}': 'shiftlab ingest labels' brings some"
            )
    if pairs.is_empty():
        raise NotFoundError(f"no item was predicted by '{model}' at both '{before}' and '{after}'")
    rows, stored = [], []
    for (name,), mine in sorted(pairs.group_by("grp"), key=lambda one: str(one[0][0])):
        row = _row(name, mine, truth)
        numbers = {"value": row["rate"], "ci_low": row["ci_low"], "ci_high": row["ci_high"]}
        params: dict[str, Any] = {key: value for key, value in row.items() if key not in (*numbers, "grp")}
        sides = (f"{dataset}:{model}@{before}", f"{dataset}:{model}@{after}")
        found = numbers | {"n_left": len(mine), "n_right": len(mine), "params": params}
        stored.append(score_row(get("flip_rate"), "prediction", *sides, name and f"{by} {name}", found))
        if chance is not None:
            told = _forgotten(row, chance)
            stored.append(score_row(get("forget_ratio"), "prediction", *sides, name and f"{by} {name}", told))
            row |= {"forget_ratio": told["value"]}
        rows.append(row)
    store_scores(store, Run("shift predictions", values, dataset=dataset), stored)
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"grp": pl.String})


def _forgotten(row: dict[str, Any], chance: float) -> dict[str, Any]:
    value, note = None, None
    try:
        value = forget_ratio(float(row["accuracy_before"]), float(row["accuracy_after"]), chance)
    except UndefinedMeasureError as error:
        note = str(error)
    about = {
        "chance": chance,
        "accuracy_before": row["accuracy_before"],
        "accuracy_after": row["accuracy_after"],
    }
    return {
        "value": value,
        "note": note,
        "n_left": row["n_truth"],
        "n_right": row["n_truth"],
        "params": about,
    }


def consistency(store: Store, dataset: str, model: str) -> dict[str, Any]:
    """Agreement of all stages of a model over the items that have every stage: value, n, stages; stored as a score.

    NotFoundError for a model with fewer than two stages.
    """
    require_dataset(store, dataset)
    with store.read() as con:
        known = con.sql(queries.sql("paired_models"), params={"dataset": dataset}).pl()
        views = con.sql(queries.sql("paired_views"), params={"dataset": dataset, "model": model}).pl()
    require_model(known, dataset, model, ())
    table = views.pivot("stage", index="item_id", values="label").drop_nulls().drop("item_id")
    if table.width < 2 or table.is_empty():
        raise NotFoundError(
            f"'{model}' needs items with predictions at two stages or more; it has {table.width}"
        )
    value = prediction_consistency(table.to_numpy())
    about = {
        "value": value,
        "n_left": len(table),
        "n_right": len(table),
        "params": {"stages": sorted(table.columns)},
    }
    side = f"{dataset}:{model}"
    row = score_row(get("prediction_consistency"), "prediction", side, side, None, about)
    store_scores(store, Run("shift predictions", {"model": model, "all": True}, dataset=dataset), [row])
    return {"model": model, "stages": table.width, "n": len(table), "consistency": value}


def require_model(known: pl.DataFrame, dataset: str, model: str, stages: tuple[str, ...]) -> None:
    names = known["model"].unique().to_list()
    if model not in names:
        raise NotFoundError(
            f"'{dataset}' has no predictions of '{model}'"
            + (
                nearest(model, names)
                or f"; there are {', '.join(sorted(names)) or 'none: shiftlab ingest predictions'}"
            )
        )
    there = known.filter(known["model"] == model)["stage"].to_list()
    for stage in stages:
        if stage not in there:
            raise NotFoundError(f"'{model}' has no stage '{stage}'; it has {', '.join(there)}")


def _row(name: str | None, mine: pl.DataFrame, truth: str | None) -> dict[str, Any]:
    flips = flip_rate(mine["before"].to_numpy(), mine["after"].to_numpy())
    low, high = wilson(round(flips.rate * flips.n), flips.n)
    row: dict[str, Any] = {"grp": name, "n": flips.n, "rate": flips.rate, "ci_low": low, "ci_high": high}
    if truth is None:
        return row
    told = mine.drop_nulls("truth")
    was, is_ = (told[side] == told["truth"] for side in ("before", "after"))
    n = max(1, len(told))
    return row | {
        "n_truth": len(told),
        "accuracy_before": was.sum() / n,
        "accuracy_after": is_.sum() / n,
        "lost": (was & ~is_).sum() / n,
        "gained": (~was & is_).sum() / n,
    }


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); it stays within [0, 1] and never has width 0."""
    share, weight = successes / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)
