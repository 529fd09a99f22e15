"""Two lists of effects out of a table, one row a thing: bias per occupation, gain per task, before and after."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.measures import UndefinedMeasureError, effect_correlation
from shiftlab.measures.registry import get
from shiftlab.names import nearest
from shiftlab.paired.ingest import read_table
from shiftlab.shift.inference import permutation_p
from shiftlab.shift.stored import score_row, store_scores
from shiftlab.sources import content_hash

if TYPE_CHECKING:
    import polars as pl


def compare_effects(
    store: Store, path: str | Path, *, before: str, after: str, permutations: int = 999, seed: int = 0
) -> dict[str, Any]:
    """Correlation of the columns ``before`` and ``after`` of a CSV, TSV or Parquet table; stored as a score.

    pearson (its 95 % interval by Fisher's z), spearman, mean_abs_before and mean_abs_after (correlation is blind to
    size), n, p of no relation (rows of one column shuffled, two-sided). Rows with an empty cell are left out and
    counted in the note. Raises BadInputError naming file, column and row.
    """
    path = Path(path)
    table = read_table(path)
    sides = [_numbers(table, path, name) for name in (before, after)]
    known = np.isfinite(sides[0]) & np.isfinite(sides[1])
    a, b = (side[known] for side in sides)
    missing = int((~known).sum())
    note = f"rows left out for an empty cell: {missing:,}" if missing else None
    found: dict[str, Any] = {"pearson": None, "spearman": None, "mean_abs_before": None, "mean_abs_after": None,
                             "ci_low": None, "ci_high": None, "p": None, "n": len(a), "note": note}  # fmt: skip
    try:
        if not len(a):
            raise UndefinedMeasureError(f"no row has a number in both '{before}' and '{after}'")
        value = effect_correlation(a, b)
        found |= {"pearson": value.pearson, "spearman": value.spearman, "mean_abs_before": value.mean_abs[0],
                  "mean_abs_after": value.mean_abs[1]}  # fmt: skip
        found["ci_low"], found["ci_high"] = _fisher(value.pearson, len(a))
        found["p"] = _shuffled_p(a, b, abs(value.pearson), permutations, seed)
    except UndefinedMeasureError as error:
        found["note"] = "; ".join(filter(None, [str(error), note]))
    params = {key: found[key] for key in ("spearman", "mean_abs_before", "mean_abs_after")}
    row = {"value": found["pearson"], "n_left": len(a), "n_right": len(a), "seed": seed,
           "params": params | {"permutations": permutations, "interval": "Fisher z, 95 %"}}  # fmt: skip
    row |= {key: found[key] for key in ("ci_low", "ci_high", "p", "note")}
    stored = score_row(get("effect_correlation"), "column", before, after, path.name, row)
    run = Run(
        "shift effects",
        {"before": before, "after": after},
        seed=seed,
        inputs={path.name: content_hash([path])},
    )
    store_scores(store, run, [stored])
    return found


def _numbers(table: pl.DataFrame, path: Path, name: str) -> np.ndarray:
    import polars as pl

    if name not in table.columns:
        raise BadInputError(f"{path.name} has no column '{name}'{nearest(name, table.columns)}")
    column = table[name]
    numbers = column.cast(pl.Float64, strict=False)
    bad = (
        numbers.is_null() & column.is_not_null()
        | numbers.is_nan().fill_null(False)
        | numbers.is_infinite().fill_null(False)
    )
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise BadInputError(f"{path.name}, row {row + 2}: {name} is no number: {column[row]!r}")
    return numbers.fill_null(float("nan")).to_numpy()


def _fisher(r: float, n: int) -> tuple[float | None, float | None]:
    if n < 4 or abs(r) >= 1:
        return None, None
    reach = 1.959964 / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)


def _shuffled_p(a: np.ndarray, b: np.ndarray, observed: float, permutations: int, seed: int) -> float | None:
    if not permutations:
        return None
    u, v = ((side - side.mean()) / np.linalg.norm(side - side.mean()) for side in (a, b))
    rng = np.random.default_rng([seed, 919])
    null = np.empty(permutations)
    step = max(1, 4_000_000 // len(u))
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        null[start : start + step] = np.abs(rng.permuted(np.tile(v, (count, 1)), axis=1) @ u)
    return permutation_p(observed, null)
