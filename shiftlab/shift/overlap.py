"""Items on both sides: they are not exchangeable, so the null must leave them out."""

from __future__ import annotations

import numpy as np

from shiftlab.shift.sides import Pair, shared_rows

FEWEST_DISTINCT = 30
# Of sides of equal size that share a part o, these values are (1 - o)^power times those of the rest.
# Transport with p > 1 has only an upper bound, (1 - o)^(1/p): shared mass may still move.
_POWER = {"mmd": 1.0, "energy_distance": 1.0, "total_variation": 1.0, "wasserstein_1d": 1.0}


def exchangeable(pair: Pair, paired: bool, notes: list[str]) -> Pair | None:
    """The part of the pair whose items may be exchanged between sides; None with a note if too few are."""
    left, right = shared_rows(pair)
    if paired or not len(left):
        return pair
    if shared_rows_differ(pair):
        notes.append("no p-value: the sides hold different rows of the same items; pass paired=True")
        return None
    only_left = np.setdiff1d(np.arange(len(pair.left)), left, assume_unique=True)
    only_right = np.setdiff1d(np.arange(len(pair.right)), right, assume_unique=True)
    fewest = min(len(only_left), len(only_right))
    if fewest < FEWEST_DISTINCT:
        notes.append(
            f"no p-value: items on both sides: {len(left)}, and only {fewest} on one of them alone "
            f"(at least {FEWEST_DISTINCT} are needed)"
        )
        return None
    notes.append(
        f"items on both sides: {len(left)}; the null compares the {len(only_left)} and {len(only_right)} others"
    )
    return pair.take(only_left, only_right)


def null_scale(pair: Pair, test: Pair) -> float | None:
    """What turns values of ``test`` (the distinct items) into values of ``pair``; else None."""
    if test is pair:
        return 1.0
    n = len(pair.left)
    if n != len(pair.right) or pair.left.per_row or not _equal_totals(pair):
        return None
    name, p = pair.spec.name, float(pair.params.get("p", 2))
    power = 1 / p if name in ("wasserstein", "sliced_wasserstein") else _POWER.get(name)
    if name in ("mmd_sq", "energy_distance_sq") and pair.params.get("estimator") == "v":
        power = 2.0
    return None if power is None else (len(test.left) / n) ** power


def _equal_totals(pair: Pair) -> bool:
    """Whether an item weighs the same on both sides; counts per item may not add up so."""
    if pair.spec.batched is None:
        return True
    rows = [np.asarray(side.rows.sum(axis=1)).ravel() for side in (pair.left, pair.right)]
    return all(bool((r == rows[0][0]).all()) for r in rows)


def shared_rows_differ(pair: Pair) -> bool:
    """Whether an item that is on both sides has different rows there: two stages, not an overlap."""
    left, right = shared_rows(pair)
    if not len(left):
        return False
    return bool(abs(pair.left.rows[left] - pair.right.rows[right]).max() > 0)
