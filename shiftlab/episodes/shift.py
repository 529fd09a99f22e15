"""How far apart two operators, sessions or datasets are: the shared measures, tested over episodes.

Steps of one episode are no independent draws, so the null re-assigns whole episodes, never steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.catalog import Run, Store
from shiftlab.episodes.prepare import standardise
from shiftlab.episodes.stored import SCHEMES, read_steps, rows, source_of
from shiftlab.episodes.transitions import transition_shift, transitions_of
from shiftlab.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

SIDES = ("states", "actions", "state-action")
TRANSITION_MEASURES = ("dynamics_error", "policy_kl")
FEWEST = 4  # episodes on both sides together below which there is nothing to re-assign


def episode_shift(
    x: Floats,
    y: Floats,
    episode_x: Ints,
    episode_y: Ints,
    *,
    measure: str = "energy_distance",
    permutations: int = 199,
    rows_per_side: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Value of a registered measure of clouds between steps x (n, d) and y (m, d), with its null over episodes.

    At most ``rows_per_side`` steps of each side are used, evenly spaced over its episodes. p is
    (1 + b) / (1 + B); value, null_mean, null_q95, p, n_left, n_right (steps used), note. 0 means alike.
    """
    from shiftlab.measures import registry

    try:
        spec = registry.get(measure)
    except ValueError as error:
        raise BadInputError(str(error)) from None
    if spec.kind != "cloud":
        raise BadInputError(
            f"{measure} does not compare two clouds of vectors by one number; for transitions there are "
            "dynamics_error and policy_kl"
        )
    started = time.perf_counter()
    both, whose = _thinned(x, y, episode_x, episode_y, rows_per_side)
    z, _ = standardise(both)
    names, at = np.unique(whose, return_inverse=True)
    left = np.array([name < 0 for name in names])
    fixed = spec.resolve(z[left[at]], z[~left[at]]) if spec.resolve else {}
    value = _number(spec.function(z[left[at]], z[~left[at]], **fixed))
    again = _by_episode(measure, z, at, fixed) or (
        lambda side: _number(spec.function(z[side[at]], z[~side[at]], **fixed))
    )
    rng = np.random.default_rng([seed, 41])
    enough = len(names) >= FEWEST and permutations
    null = [again(rng.permutation(left)) for _ in range(permutations)] if enough else []
    p = (1 + sum(v >= value - 1e-12 for v in null)) / (1 + len(null)) if null else None
    return {
        "value": value,
        "null_mean": float(np.mean(null)) if null else None,
        "null_q95": float(np.quantile(null, 0.95)) if null else None,
        "p": p,
        "n_left": int(left[at].sum()),
        "n_right": int((~left[at]).sum()),
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "note": None if null else "no p: too few episodes to re-assign",
        "params": {
            "permutations": permutations,
            "null": "episodes",
            "rows_per_side": rows_per_side,
            "episodes_left": int(left.sum()),
            "episodes_right": int((~left).sum()),
            "unit": "z-scored over both sides",
        },
    }


def _number(found: Any) -> float:
    return float(getattr(found, "value", found))


def _by_episode(
    measure: str, z: Floats, at: Ints, fixed: dict[str, Any]
) -> Callable[[NDArray[np.bool_]], float] | None:
    """The measure as a function of which episodes are on the left, where it is a sum over pairs of steps.

    Energy distance and MMD are: one matrix between steps, summed by episode once, serves every permutation.
    """
    from scipy.spatial.distance import cdist

    if measure == "energy_distance":
        cells = -cdist(z, z)
    elif measure == "mmd" and set(fixed) == {"gamma"}:
        cells = np.exp(-fixed["gamma"] * cdist(z, z, "sqeuclidean"))
    else:
        return None
    order = np.argsort(at, kind="stable")
    borders = np.searchsorted(at[order], np.arange(at.max() + 1))
    sums = np.add.reduceat(np.add.reduceat(cells[order][:, order], borders, axis=0), borders, axis=1)
    steps = np.bincount(at)

    def value(left: NDArray[np.bool_]) -> float:
        contrast = left / steps[left].sum() - ~left / steps[~left].sum()
        return float(np.sqrt(max(contrast @ sums @ contrast, 0)))

    return value


def _thinned(x: Floats, y: Floats, ex: Ints, ey: Ints, rows_per_side: int) -> tuple[Floats, Ints]:
    """Both sides evenly spaced; episodes of x get negative numbers, so that equal labels stay apart."""
    parts, names = [], []
    for values, episode, sign in ((x, ex, -1), (y, ey, 1)):
        if not len(values):
            raise BadInputError("a side of the comparison has no step")
        chosen = np.unique(np.linspace(0, len(values) - 1, min(rows_per_side, len(values))).astype(int))
        parts.append(np.asarray(values, dtype=np.float64)[chosen])
        names.append(sign * (np.unique(episode, return_inverse=True)[1][chosen] + 1))
    return np.concatenate(parts), np.concatenate(names)


def compare_stored(
    store: Store,
    dataset: str,
    by: str,
    left: str,
    right: str,
    *,
    side: str = "states",
    measure: str = "energy_distance",
    **options: Any,
) -> dict[str, Any]:
    """Two operators, sessions, tasks or labels of a dataset, or (``by="dataset"``) two datasets; stored as a score.

    ``dataset`` is ignored for ``by="dataset"``, where ``left`` and ``right`` name them. The measures dynamics_error and
    policy_kl compare transitions instead of a ``side``.
    """
    from shiftlab.measures import registry
    from shiftlab.shift.stored import score_row, store_scores

    if side not in SIDES:
        raise BadInputError(f"side must be one of {', '.join(SIDES)}, not {side!r}")
    of_transitions = measure in TRANSITION_MEASURES
    side = "transitions" if of_transitions else side
    clouds = [
        _cloud(store, dataset, by, name, "state-action" if of_transitions else side) for name in (left, right)
    ]
    if clouds[0][0].shape[1] != clouds[1][0].shape[1]:
        raise BadInputError(f"'{left}' and '{right}' differ in width: {[c[0].shape[1] for c in clouds]}")
    if of_transitions:
        width = int(source_of(store, left if by == "dataset" else dataset)["state_dim"])
        pairs = [transitions_of(rows[:, :width], rows[:, width:], episode) for rows, episode in clouds]
        found = transition_shift(pairs[0], pairs[1], measure, **options)
    else:
        found = episode_shift(
            clouds[0][0], clouds[1][0], clouds[0][1], clouds[1][1], measure=measure, **options
        )
    run = Run(
        "episodes shift",
        {"by": by, "left": left, "right": right, "side": side, "measure": measure} | options,
        dataset=None if by == "dataset" else dataset,
        seed=found["seed"],
    )
    # Operators of one name in two datasets are not the same operators.
    row = found | {"params": dict(found["params"]) | ({} if by == "dataset" else {"dataset": dataset})}
    store_scores(store, run, [score_row(registry.get(measure), by, left, right, side, row)])
    return found | {"measure": measure, "by": by, "left": left, "right": right, "side": side}


def _cloud(store: Store, dataset: str, by: str, name: str, side: str) -> tuple[Floats, Ints]:
    import polars as pl

    where = name if by == "dataset" else dataset
    source_of(store, where)
    steps: pl.DataFrame = read_steps(store, where)
    if by != "dataset":
        if by not in SCHEMES:
            raise BadInputError(f"compare by dataset, {', '.join(SCHEMES)}, not {by!r}")
        episodes = rows(store, "list_episodes", dataset=where)
        of_name = episodes.filter(pl.col(by) == name)
        if of_name.is_empty():
            there = episodes[by].drop_nulls().unique().sort().to_list()
            raise NotFoundError(f"'{where}' has no {by} '{name}'; there are {', '.join(there) or 'none'}")
        steps = steps.join(
            of_name.select("episode_index"), on="episode_index", how="semi", maintain_order="left"
        )
    parts = [steps[c].to_numpy() for c in (("state", "action") if side == "state-action" else (side[:-1],))]
    values = np.concatenate(parts, axis=1)
    finite = np.isfinite(values).all(axis=1)
    return values[finite], steps["episode_index"].to_numpy()[finite]
