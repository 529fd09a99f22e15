"""What a model gets right: forgetting of earlier tasks over its stages, and the precision that a rare class leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shiftlab import measures, queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import UndefinedMeasureError
from shiftlab.measures.registry import get
from shiftlab.names import require_dataset
from shiftlab.paired.predictions import require_model, wilson
from shiftlab.shift.stored import score_row, store_scores


def forgetting(
    store: Store, dataset: str, model: str, *, learned: Sequence[tuple[str, str]], tasks: str, truth: str
) -> dict[str, Any]:
    """Forgetting of earlier tasks, from predictions at the stages of a model; stored as a score.

    ``learned``: in order, each stage and the task that it was the first to learn; ``tasks`` is the scheme of labels
    that says which task an item belongs to, ``truth`` what is right. Returns forgetting, bwt, final, n, and accuracy,
    rows of the table R that `measures.forgetting` takes. Raises NotFoundError naming the stage, task or scheme that has
    no predictions.
    """
    require_dataset(store, dataset)
    if len(learned) < 2:
        raise BadInputError("forgetting needs two stages or more, each with the task it learned")
    values = {"dataset": dataset, "model": model, "tasks": tasks, "truth": truth}
    with store.read() as con:
        known = con.sql(queries.sql("paired_models"), params={"dataset": dataset}).pl()
        rows = con.sql(queries.sql("paired_accuracy_by_task"), params=values).fetchall()
    require_model(known, dataset, model, tuple(stage for stage, _ in learned))
    accuracy = {(stage, task): (right / n, n) for stage, task, n, right in rows}
    there = sorted({task for _, task in accuracy})
    if not there:
        raise NotFoundError(f"no item predicted by '{model}' has both labels '{tasks}' and '{truth}'")
    table = np.zeros((len(learned), len(learned)))
    for i, (stage, _) in enumerate(learned):
        for j, (_, task) in enumerate(learned[: i + 1]):
            if (stage, task) not in accuracy:
                raise NotFoundError(
                    f"'{model}' has no prediction at '{stage}' of items with {tasks} '{task}'; "
                    f"there are {', '.join(there)}"
                )
            table[i, j] = accuracy[stage, task][0]
    found = measures.forgetting(table)
    n = sum(accuracy[learned[-1][0], task][1] for _, task in learned)
    lower = [[float(one) for one in row[: i + 1]] for i, row in enumerate(table)]
    params = {"learned": [f"{a}={b}" for a, b in learned], "tasks": tasks, "truth": truth, "accuracy": lower,
              "bwt": found.bwt, "final": found.final}  # fmt: skip
    sides = (f"{dataset}:{model}@{learned[0][0]}", f"{dataset}:{model}@{learned[-1][0]}")
    row = {"value": found.forgetting, "n_left": n, "n_right": n, "params": params}
    stored = score_row(get("forgetting"), "prediction", *sides, tasks, row)
    store_scores(store, Run("shift forgetting", values, dataset=dataset), [stored])
    return {"forgetting": found.forgetting, "bwt": found.bwt, "final": found.final, "n": n, "accuracy": lower}


def precision_under_prior(
    store: Store, dataset: str, model: str, *, truth: str, positive: str, prior: float, stage: str = "base"
) -> dict[str, Any]:
    """Precision to be expected where label ``positive`` has share ``prior``; stored as a score.

    tpr and fpr come from the predictions at ``stage`` against the labels ``truth``. The interval takes both rates at
    the far ends of their 95 % Wilson intervals, so it covers more often than 95 %. Columns precision, ci_low, ci_high,
    tpr, fpr, precision_here, share_here, n, note. Raises BadInputError where a class has no item.
    """
    require_dataset(store, dataset)
    if not 0 <= prior <= 1:
        raise BadInputError(f"prior is the share of '{positive}', between 0 and 1, not {prior:g}")
    values = {"dataset": dataset, "model": model, "stage": stage, "truth": truth, "positive": positive}
    with store.read() as con:
        known = con.sql(queries.sql("paired_models"), params={"dataset": dataset}).pl()
        ((tp, fn, fp, tn),) = con.sql(queries.sql("paired_confusion"), params=values).fetchall()
    require_model(known, dataset, model, (stage,))
    if not tp + fn + fp + tn:
        raise NotFoundError(f"no item predicted by '{model}' has a label '{truth}'")
    if not tp + fn or not fp + tn:
        raise BadInputError(
            f"{'no' if not tp + fn else 'every'} item predicted has {truth} '{positive}': rates need both classes"
        )
    rates = tp / (tp + fn), fp / (fp + tn)
    ends = wilson(tp, tp + fn), wilson(fp, fp + tn)
    row: dict[str, Any] = {"precision": None, "ci_low": None, "ci_high": None, "note": None}
    try:
        row["precision"] = measures.precision_under_prior(*rates, prior)
        row["ci_low"] = measures.precision_under_prior(ends[0][0], ends[1][1], prior)
        row["ci_high"] = measures.precision_under_prior(ends[0][1], ends[1][0], prior)
    except UndefinedMeasureError as error:
        row["note"] = str(error)
    about = {"tpr": rates[0], "fpr": rates[1], "precision_here": tp / (tp + fp) if tp + fp else None,
             "share_here": (tp + fn) / (tp + fn + fp + tn)}  # fmt: skip
    side = f"{dataset}:{model}@{stage}"
    numbers = {"value": row["precision"], "n_left": tp + fn, "n_right": fp + tn,
               "params": about | {"prior": prior, "positive": positive, "truth": truth}}  # fmt: skip
    numbers |= {key: row[key] for key in ("ci_low", "ci_high", "note")}
    stored = score_row(get("precision_under_prior"), "prediction", side, side, f"{truth} {positive}", numbers)
    store_scores(store, Run("shift precision", values | {"prior": prior}, dataset=dataset), [stored])
    note = row.pop("note")
    return row | about | {"n": tp + fn + fp + tn, "note": note}
