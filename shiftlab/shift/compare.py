"""One pair: a measure's value, what sampling adds to it, its interval and null, rules for shared items."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.measures.registry import Measure, get
from shiftlab.shift.debias import debiased_value, sampling_interval
from shiftlab.shift.inference import Null, affordable, null_of, random_splits, seconds_per_split, statistics
from shiftlab.shift.kernels import KERNEL_MEASURES, kernel_means, kernel_statistics, unbiased
from shiftlab.shift.overlap import exchangeable, null_scale, shared_rows_differ
from shiftlab.shift.score import Score
from shiftlab.shift.sides import Pair, make_pair, shared_rows

CLOUD_KINDS = ("cloud", "sample", "labelled")
NOISY_SHARE = 0.5


def compare(
    x: Any,
    y: Any,
    measure: str = "mmd",
    *,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
    ids_x: Sequence[Any] | NDArray[Any] | None = None,
    ids_y: Sequence[Any] | NDArray[Any] | None = None,
    paired: bool = False,
    rows: int | None = None,
    **params: Any,
) -> Score:
    """Compare two sides by a registered measure; ``params`` go to the measure (``p=1``, ``gamma=0.1``, ...).

    Clouds are vectors x (n, d), y (m, d). Masses are either masses (k,), which have no p-value, or counts of
    categories per item (n, k), (m, k), dense or scipy sparse, whose column sums are the masses.

    ``permutations`` reassign items to sides of the same sizes, p = (1 + b) / (1 + B); 0 skips the null.
    ``confidence`` is the level of the interval; 0 skips the interval and the debiased value. ``ids_x`` and
    ``ids_y`` name the items: those on both sides are not exchangeable, so the null compares the items of x
    only with those of y only, and p is None with a note where fewer than 30 remain on a side. ``paired=True``
    says that row i of x and of y are one item: sides are then swapped within pairs. ``rows`` compares seeded
    samples of that many rows per side, so that plug-in values of subsets of different sizes can be ranked.

    ValueError for unknown measures, bad arrays, ids or parameters. What cannot be computed is None, and the
    note says why.
    """
    spec = get(measure)
    _check(spec, permutations, confidence, seed, params)
    started = time.perf_counter()
    if spec.batched is not None and np.ndim(x) == 1 and np.ndim(y) == 1:
        found = _plain_masses(spec, x, y, params)
    elif spec.batched is not None or spec.kind in CLOUD_KINDS:
        pair = _sample(make_pair(spec, x, y, ids_x, ids_y, paired, params), rows, seed)
        found = _scored(pair, permutations, confidence, seed, paired)
    else:
        raise ValueError(f"{measure} does not compare two sets of items: call shiftlab.measures.{measure}")
    return Score(measure=measure, q=None, seed=seed, seconds=time.perf_counter() - started, **found)


def _check(spec: Measure, permutations: int, confidence: float, seed: int, params: dict[str, Any]) -> None:
    for name, number in (("permutations", permutations), ("seed", seed)):
        if int(number) != number or number < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, not {number!r}")
    if not 0 <= confidence < 1:
        raise ValueError(f"confidence must lie in [0, 1), not {confidence!r}")
    known = list(inspect.signature(spec.function).parameters)[2:]
    if unknown := sorted(set(params) - set(known)):
        raise ValueError(
            f"{spec.name} has no parameter {unknown[0]!r}; it takes {', '.join(known) or 'none'}"
        )


def _plain_masses(spec: Measure, x: Any, y: Any, params: dict[str, Any]) -> dict[str, Any]:
    note = "no null, interval or debiased value: masses alone do not say how many items they come from"
    empty = dict.fromkeys(("debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p"))
    sizes = {"n_left": len(x), "n_right": len(y)}
    return (
        empty
        | sizes
        | {"value": spec.function(x, y, **params), "note": note, "params": _stated(spec, params)}
    )


def _stated(spec: Measure, params: dict[str, Any]) -> dict[str, Any]:
    """Every plain parameter of the measure, defaults included, so that a score says how it was made."""
    signature = list(inspect.signature(spec.function).parameters.values())[2:]
    defaults = {p.name: p.default for p in signature if isinstance(p.default, (bool, int, float, str))}
    return defaults | {k: v for k, v in params.items() if isinstance(v, (bool, int, float, str))}


def _sample(pair: Pair, rows: int | None, seed: int) -> Pair:
    if rows is None:
        return pair
    smaller = min(len(pair.left), len(pair.right))
    if not 1 <= rows <= smaller:
        raise ValueError(f"rows must lie between 1 and the smaller side's {smaller}, not {rows}")
    rng = np.random.default_rng([seed, 307])
    left, right = (np.sort(rng.choice(len(s), rows, replace=False)) for s in (pair.left, pair.right))
    return pair.take(left, right)


def _scored(pair: Pair, permutations: int, confidence: float, seed: int, paired: bool) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p"))
    found |= {"n_left": len(pair.left), "n_right": len(pair.right)}
    notes: list[str] = []
    try:
        pair = _resolved(pair)
        found |= _value_and_null(pair, permutations, confidence, seed, paired, notes)
        if np.isinf(found["value"]):
            raise UndefinedMeasureError("infinite: a side has mass where the other has none")
    except UndefinedMeasureError as error:
        found |= dict.fromkeys(("value", "debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p"))
        notes = [error.reason]
    found["params"] = _stated(pair.spec, dict(pair.params)) | found.get("params", {})
    return found | {"note": "; ".join(notes) or None}


def _resolved(pair: Pair) -> Pair:
    """Parameters that follow the data are fixed once from both sides, so that halves and nulls share them."""
    if pair.spec.resolve is None:
        return pair
    given = {k: v for k, v in pair.params.items() if v is not None}
    return Pair(pair.spec, pair.left, pair.right, pair.spec.resolve(pair.left.rows, pair.right.rows, **given))


def _value_and_null(
    pair: Pair, permutations: int, confidence: float, seed: int, paired: bool, notes: list[str]
) -> dict[str, Any]:
    test = exchangeable(pair, paired, notes) if permutations else None
    splits = None
    if test is not None:
        count, note = affordable(permutations, seconds_per_split(test))
        notes += [note] if note else []
        if count:
            splits = random_splits(len(test.left), len(test.right), count, seed, paired)
    found, null, centre = _evaluated(pair, splits if test is pair else None)
    if splits is not None and test is not None and test is not pair:
        null = _evaluated(test, splits)[1]
    if null is not None and test is not None:
        summary, scale = null_of(null[0], null[1:]), null_scale(pair, test)
        noisy = pair.spec.debias_power is not None  # else there is no debiased value to read instead
        found |= _null_columns(summary, scale, found["value"], notes, noisy)
        found["params"] = {"permutations": len(null) - 1} | _strip(summary, scale)
        if scale is None:
            # What the test itself compared, so that its null can be read beside a value.
            about = {
                "distinct_value": float(null[0]) if np.isfinite(null[0]) else None,
                "distinct_null_mean": summary.mean,
                "distinct_null_q95": summary.q95,
            }
            found["params"] |= about
    if confidence:
        population = _population_columns(pair, centre, confidence, seed, notes)
        found |= population | {"params": found.get("params", {}) | population.get("params", {})}
    return found


def _evaluated(
    pair: Pair, splits: NDArray[np.bool_] | None
) -> tuple[dict[str, Any], NDArray[np.float64] | None, tuple[float, float | None] | None]:
    """Value and parts; statistics of all splits; an unbiased value and its spread if one pass gives them."""
    if pair.spec.name in KERNEL_MEASURES:
        means = kernel_means(pair, splits)
        values = kernel_statistics(pair, means)
        centre = unbiased(pair, means) if _unbiased_in_one_pass(pair) else None
        exact = kernel_statistics(pair, means.first())[0]
        return {"value": float(exact)}, None if splits is None else values, centre
    result = pair.result(parts=True)
    null = None if splits is None else statistics(pair, splits)
    if isinstance(result, float):
        return {"value": result}, null, None
    numbers = {k: float(v) for k, v in asdict(result).items() if isinstance(v, (int, float)) and k != "value"}
    return {"value": float(result.value), "parts": numbers}, null, None


def _unbiased_in_one_pass(pair: Pair) -> bool:
    """Unweighted rows, enough of them, and the same kernel of every shared item with itself."""
    enough = min(len(pair.left), len(pair.right)) > 2 and not pair.left.per_row
    if not len(shared_rows(pair)[0]):
        return enough
    return enough and pair.spec.name != "kid" and not shared_rows_differ(pair)


def _strip(null: Null, scale: float | None) -> dict[str, Any]:
    """The null as 21 quantiles (0, 5, ... 100 %), to be drawn beside the value."""
    if scale is None or null.quantiles is None:
        return {}
    return {"null_quantiles": [one * scale for one in null.quantiles]}


def _null_columns(
    null: Null, scale: float | None, value: float, notes: list[str], debiased: bool
) -> dict[str, Any]:
    if scale is None:
        notes.append("their value and null are in the parameters (distinct_value, distinct_null_mean)")
        return {"p": null.p, "null_mean": None, "null_q95": None}
    mean, q95 = (None if v is None else v * scale for v in (null.mean, null.q95))
    if debiased and mean is not None and mean > NOISY_SHARE * value > 0 and null.p < 0.05:
        notes.append("most of the value is what sampling alone gives: read the debiased value")
    return {"p": null.p, "null_mean": mean, "null_q95": q95}


def _population_columns(
    pair: Pair, centre: tuple[float, float | None] | None, confidence: float, seed: int, notes: list[str]
) -> dict[str, Any]:
    """The debiased value, and an interval of the population value on the scale of the value."""
    power = pair.spec.debias_power
    try:
        value, spread = centre if centre else (debiased_value(pair, seed), None)
        low, high = sampling_interval(pair, value, spread, confidence, seed)
    except UndefinedMeasureError as error:
        notes.append(f"no interval: {error.reason}")
        return {}
    if power == 2 or (pair.spec.range.startswith("[0") and not pair.spec.squared):
        low, high = max(low, 0.0), max(high, 0.0)
    if power == 2:
        low, high = float(np.sqrt(low)), float(np.sqrt(high))
    about = {"debiased_power": power, "confidence": confidence}
    return {"debiased": value, "ci_low": low, "ci_high": high, "params": about}
