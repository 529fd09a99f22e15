"""Worlds with known answers: a point mass that must go round an obstacle, and a linear-Gaussian policy.

The point mass is the illustrative world of *Data Quality in Imitation Learning* (Belkhale, Cui, Sadigh,
NeurIPS 2023): noise of the system and noise of the demonstrator move it alike, and only one of them is in
the recorded action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

STEP = 0.04
MOST_STEPS = 200
START, GOAL, OBSTACLE = np.array([0.1, 0.1]), np.array([0.9, 0.9]), np.array([0.5, 0.5])
RADIUS = 0.1
REACHED = 0.02  # half a step: a smaller disc could be jumped over
MIDPOINTS = np.array([[0.25, 0.75], [0.75, 0.25]])


@dataclass(frozen=True)
class Demonstrations:
    """states (N, d), actions (N, da), episode (N,), frame (N,), and success (E,) per episode."""

    states: Floats
    actions: Floats
    episode: Ints
    frame: Ints
    success: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True)
class Operator:
    """How a demonstrator departs from the expert.

    ``system`` sd of the position noise that the world adds (not recorded), ``policy`` sd of the position
    noise that the action brings (recorded), ``angle`` sd of the heading in degrees, ``slow`` sd of the
    slow-down, ``stops`` chance per step of a pause of 2 to 8 steps, ``sides`` 1 (always above) or 2.
    """

    system: float = 0.0
    policy: float = 0.0
    angle: float = 0.0
    slow: float = 0.0
    stops: float = 0.0
    sides: int = 1


def point_mass(
    n_episodes: int, operator: Operator | None = None, *, seed: int = 0, obstacle: bool = True
) -> Demonstrations:
    """``n_episodes`` successful demonstrations, positions as states (N, 2), unit velocities as actions (N, 2).

    x' = x + 0.04 a + N(0, system^2 I). Failed attempts are not kept. The same seed draws the same noise for
    system and policy noise, so at equal scale both visit the same states.
    Raises BadInputError when the noise is so strong that attempts do not succeed.
    """
    operator = operator or Operator()
    if operator.sides not in (1, 2):
        raise BadInputError(f"sides must be 1 or 2, not {operator.sides}")
    kept: list[tuple[Floats, Floats]] = []
    for attempt in range(50):
        rng = np.random.default_rng([seed, attempt])
        kept += _attempts(n_episodes, operator, rng, obstacle)
        if len(kept) >= n_episodes:
            return _joined(kept[:n_episodes])
    raise BadInputError(f"only {len(kept)} of {50 * n_episodes} attempts reached the goal: use less noise")


def _attempts(
    n: int, operator: Operator, rng: np.random.Generator, obstacle: bool
) -> list[tuple[Floats, Floats]]:
    x = np.repeat(START[None], n, axis=0)
    target = MIDPOINTS[rng.integers(0, operator.sides, n)] if obstacle else np.repeat(GOAL[None], n, axis=0)
    passed = np.zeros(n, dtype=bool)
    pause = np.zeros(n, dtype=np.int64)
    states, actions = np.zeros((MOST_STEPS, n, 2)), np.zeros((MOST_STEPS, n, 2))
    end, success = np.full(n, MOST_STEPS), np.zeros(n, dtype=bool)
    alive = np.ones(n, dtype=bool)
    for t in range(MOST_STEPS):
        passed |= np.linalg.norm(target - x, axis=1) <= STEP / 2
        heading = np.where(passed[:, None], GOAL, target) - x
        a = heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-12)
        push = rng.normal(size=(n, 2))
        a = _departed(a, operator, push, rng)
        starts = (pause == 0) & (rng.random(n) < operator.stops)
        pause = np.where(starts, rng.integers(2, 9, n), np.maximum(pause - 1, 0))
        still = pause > 0
        a[still] = 0
        states[t], actions[t] = x, a
        x = np.clip(x + STEP * a + np.where(still[:, None], 0, operator.system * push), 0, 1)
        now, hit = _outcome(x, obstacle)
        ended = alive & (now | hit)
        end[ended], success[ended] = t + 1, now[ended]
        alive &= ~ended
    return [(states[: end[e], e], actions[: end[e], e]) for e in np.flatnonzero(success)]


def _departed(a: Floats, operator: Operator, push: Floats, rng: np.random.Generator) -> Floats:
    a = a + operator.policy * push / STEP
    if operator.angle:
        turn = np.deg2rad(operator.angle) * rng.normal(size=len(a))
        cos, sin = np.cos(turn), np.sin(turn)
        a = np.stack([cos * a[:, 0] - sin * a[:, 1], sin * a[:, 0] + cos * a[:, 1]], axis=1)
    if operator.slow:
        a = a * np.maximum(0.1, 1 - np.abs(operator.slow * rng.normal(size=len(a))))[:, None]
    return a


def _outcome(x: Floats, obstacle: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    reached = np.asarray(np.linalg.norm(x - GOAL, axis=1) <= REACHED)
    hit = np.asarray(np.linalg.norm(x - OBSTACLE, axis=1) <= RADIUS) & obstacle
    return reached & ~hit, hit


def _joined(kept: list[tuple[Floats, Floats]]) -> Demonstrations:
    length = [len(states) for states, _ in kept]
    return Demonstrations(
        np.concatenate([states for states, _ in kept]),
        np.concatenate([actions for _, actions in kept]),
        np.repeat(np.arange(len(kept)), length),
        np.concatenate([np.arange(n) for n in length]),
        np.ones(len(kept), dtype=bool),
    )


def as_table(worlds: Mapping[str, Demonstrations]) -> pl.DataFrame:
    """The steps of several operators by name, as 'ingest episodes' reads them; episodes are numbered through."""
    import polars as pl

    parts, first = [], 0
    for name, world in worlds.items():
        columns = {
            "episode_index": world.episode + first,
            "frame_index": world.frame,
            "observation.state": world.states,
            "action": world.actions,
        }
        parts.append(pl.DataFrame(columns).with_columns(operator=pl.lit(name)))
        first += len(world.success)
    return pl.concat(parts)


def success_rate(
    policy: Callable[[Floats], Floats],
    *,
    system: float,
    n_rollouts: int = 100,
    seed: int = 0,
    obstacle: bool = True,
) -> float:
    """Share of rollouts of ``policy`` (states (n, 2) -> actions (n, 2)) that reach the goal under noise."""
    rng = np.random.default_rng([seed, 99])
    x = np.repeat(START[None], n_rollouts, axis=0)
    alive, success = np.ones(n_rollouts, dtype=bool), np.zeros(n_rollouts, dtype=bool)
    for _ in range(MOST_STEPS):
        x = np.clip(x + STEP * policy(x) + system * rng.normal(size=x.shape), 0, 1)
        now, hit = _outcome(x, obstacle)
        success |= alive & now
        alive &= ~(now | hit)
    return float(success.mean())


def linear_gaussian(
    n_episodes: int, n_steps: int, *, gain: float = 1.0, noise: float = 0.5, seed: int = 0
) -> Demonstrations:
    """s ~ N(0, 1), a = gain s + N(0, noise^2): I(S; A) = ln(1 + (gain / noise)^2) / 2 nats, Var(a|s) = noise^2."""
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(n_episodes * n_steps, 1))
    return Demonstrations(
        s,
        gain * s + noise * rng.normal(size=s.shape),
        np.repeat(np.arange(n_episodes), n_steps),
        np.tile(np.arange(n_steps), n_episodes),
        np.ones(n_episodes, dtype=bool),
    )
