"""Transitions of two groups of episodes: does a model of the one predict the other, do they act alike in a state?

Both models are linear, so that every re-dealing of whole episodes is a sum of the episodes' products.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.episodes.prepare import standardise
from shiftlab.errors import BadInputError
from shiftlab.measures import dynamics_error, policy_kl
from shiftlab.shift.inference import permutation_p

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

FEWEST = 4


@dataclass(frozen=True)
class Transitions:
    """State, action, next state and episode of every step but an episode's last: (n, d), (n, a), (n, d), (n,)."""

    states: Floats
    actions: Floats
    following: Floats
    episode: Ints

    def __len__(self) -> int:
        return len(self.states)


def transitions_of(states: Floats, actions: Floats, episode: Ints) -> Transitions:
    """Transitions between consecutive rows of one episode; steps that are not finite have none."""
    moves = np.diff(episode) == 0
    finite = np.asarray(np.isfinite(np.hstack([states, actions])).all(axis=1))
    rows = np.flatnonzero(moves & finite[1:] & finite[:-1])
    return Transitions(states[rows], actions[rows], states[rows + 1], episode[rows])


def transition_shift(
    left: Transitions, right: Transitions, measure: str, *, permutations: int = 199, seed: int = 0
) -> dict[str, Any]:
    """Value of "dynamics_error" or "policy_kl" between two groups, with its null over episodes.

    dynamics_error: mean squared error of the next state of ``right`` under least squares on ``left``; policy_kl: KL in
    nats from the linear Gaussian policy fitted to ``left`` to that of ``right``, mean over the states of ``left``.
    States and actions are z-scored over both sides. p is (1 + b) / (1 + B) over re-dealings of whole episodes.
    """
    started = time.perf_counter()
    for side in (left, right):
        if not len(side):
            raise BadInputError("a side of the comparison has no transition: its episodes have one step each")
    one, two = _standardised(left, right)
    n = len(one)
    numbers = [np.unique(side.episode, return_inverse=True)[1] for side in (one, two)]
    whose = np.concatenate([-1 - numbers[0], 1 + numbers[1]])  # equal names on two sides stay apart
    names, at = np.unique(whose, return_inverse=True)
    found: dict[str, Any] = dict.fromkeys(("value", "null_mean", "null_q95", "p"))
    note = None
    try:
        value = _dynamics(one, two) if measure == "dynamics_error" else _policies(one, two)
    except ValueError as error:
        note = f"undefined: {error}"
    else:
        found["value"] = value
        if len(names) >= FEWEST and permutations:
            again = _by_episode(one, two, at, measure)
            rng = np.random.default_rng([seed, 43])
            null = np.array([again(rng.permutation(names < 0)) for _ in range(permutations)])
            found |= {"null_mean": float(null.mean()), "null_q95": float(np.quantile(null, 0.95)),
                      "p": permutation_p(value, null)}  # fmt: skip
        else:
            note = "no p: too few episodes to re-assign"
    params = {"permutations": permutations, "null": "episodes", "model": "linear", "unit": "z-scored over both sides",
              "episodes_left": int((names < 0).sum()), "episodes_right": int((names > 0).sum())}  # fmt: skip
    about = {"n_left": n, "n_right": len(two), "seed": seed, "seconds": time.perf_counter() - started}
    return found | about | {"note": note, "params": params}


def _standardised(left: Transitions, right: Transitions) -> tuple[Transitions, Transitions]:
    """Both sides z-scored by the states and actions of both; columns that never change are dropped."""
    n = len(left)
    states = np.concatenate([left.states, right.states]).astype(np.float64)
    actions = np.concatenate([left.actions, right.actions]).astype(np.float64)
    following = np.concatenate([left.following, right.following]).astype(np.float64)
    moving = states.std(axis=0) > 0
    if not moving.any():
        raise BadInputError("the states never change: there is no transition to compare")
    centre, scale = states[:, moving].mean(0), states[:, moving].std(0, ddof=1)
    z, z2 = (states[:, moving] - centre) / scale, (following[:, moving] - centre) / scale
    a, _ = standardise(actions)
    return (
        Transitions(z[:n], a[:n], z2[:n], left.episode),
        Transitions(z[n:], a[n:], z2[n:], right.episode),
    )


def _dynamics(left: Transitions, right: Transitions) -> float:
    sides = [(one.states, one.actions, one.following) for one in (left, right)]
    return float(dynamics_error(sides[0], sides[1]).mean())


def _policies(left: Transitions, right: Transitions) -> float:
    fitted = [_policy(one) for one in (left, right)]
    design = np.column_stack([left.states, np.ones(len(left))])
    (w0, sd0), (w1, sd1) = fitted
    return float(policy_kl(design @ w0, sd0, design @ w1, sd1).mean())


def _policy(side: Transitions) -> tuple[Floats, Floats]:
    """Least squares of actions on [states, 1], and the spread (a,) of what it leaves."""
    design = np.column_stack([side.states, np.ones(len(side))])
    weights = np.linalg.lstsq(design, side.actions, rcond=None)[0]
    return weights, np.sqrt(np.square(side.actions - design @ weights).mean(0))


def _by_episode(
    left: Transitions, right: Transitions, at: Ints, measure: str
) -> Callable[[NDArray[np.bool_]], float]:
    """The measure as a function of which episodes are on the left, from each episode's sums of products."""
    states, actions, following = (
        np.concatenate([getattr(one, name) for one in (left, right)])
        for name in ("states", "actions", "following")
    )
    ones = np.ones((len(states), 1))
    dynamics = measure == "dynamics_error"
    x = np.hstack([states, actions, ones]) if dynamics else np.hstack([states, ones])
    y = following if dynamics else actions
    order = np.argsort(at, kind="stable")
    parts = np.split(order, np.searchsorted(at[order], np.arange(1, at.max() + 1)))
    xx, xy = (np.stack([x[p].T @ other[p] for p in parts]) for other in (x, y))
    yy = np.stack([np.square(y[p]).sum(0) for p in parts])
    counts = np.array([len(p) for p in parts])

    def fit(mine: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, int]:
        gram, cross = xx[mine].sum(0), xy[mine].sum(0)
        return np.linalg.lstsq(gram, cross, rcond=None)[0], gram, cross, int(counts[mine].sum())

    def error(w: Floats, mine: NDArray[np.bool_]) -> Floats:
        gram, cross, n = xx[mine].sum(0), xy[mine].sum(0), counts[mine].sum()
        squares = yy[mine].sum(0) - 2 * (w * cross).sum(0) + (w * (gram @ w)).sum(0)
        return np.asarray(np.maximum(squares, 0) / n)

    def of_dynamics(mine: NDArray[np.bool_]) -> float:
        return float(error(fit(mine)[0], ~mine).mean())

    def of_policies(mine: NDArray[np.bool_]) -> float:
        (w0, gram, _, n), (w1, *_) = fit(mine), fit(~mine)
        v0, v1 = error(w0, mine), error(w1, ~mine)
        gap = ((w0 - w1) * (gram @ (w0 - w1))).sum(0) / n
        return float((np.log(v1 / v0) / 2 + (v0 + gap) / (2 * v1) - 0.5).sum())

    return of_dynamics if dynamics else of_policies
