"""What kind of command an action is: a position target, a step, a velocity, or a choice.

An absolute target restates the state, so consistency and mutual information would measure the robot's
tracking instead of the demonstrator. The kind is found from the data and reported, never assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftlab.errors import BadInputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Mask = NDArray[np.bool_]

KINDS = ("absolute", "delta", "velocity", "unknown")
_ABSOLUTE_CORRELATION = 0.95
_SMOOTH_STATE = 0.9  # a target is only one if the state it restates persists from step to step
_DELTA_CORRELATION = 0.8
_UNIT_SLOPE = 0.2  # a delta moves the state by what it says, within this much


@dataclass(frozen=True)
class ActionKind:
    """``kind`` of the action, the share of dimensions that show it, and how they match the state.

    ``matched`` holds the action dimensions, ``state_dim`` their state dimensions; for an absolute action
    ``offset`` + ``slope`` * state restates it. ``no_op`` (da,) is the action that moves nothing, for a delta
    or velocity, and ``scale`` the sd of the matched dimensions.
    """

    kind: str
    share: float
    matched: Ints
    state_dim: Ints
    slope: Floats
    offset: Floats
    scale: Floats
    no_op: Floats | None = None


def detect_action_kind(
    states: Floats,
    actions: Floats,
    use: Mask,
    segment: Ints,
    *,
    fps: float | None = None,
    kind: str | None = None,
) -> ActionKind:
    """Compare a_t with s_{t+1} and with s_{t+1} - s_t, per dimension; ``kind`` overrides the finding.

    Absolute: correlation with the next state at least 0.95 on a state that persists. Delta or velocity:
    correlation with the change at least 0.8; a delta has slope 1, a velocity any other (1/fps if known).
    At least half of the varying action dimensions must agree. Thresholds are ShiftLab's own.
    """
    if kind is not None and kind not in KINDS:
        raise BadInputError(f"action_kind must be one of {', '.join(KINDS)}, not {kind!r}")
    rows = np.flatnonzero(use)
    pair = segment[rows][1:] == segment[rows][:-1]
    now, then = states[rows[:-1][pair]], states[rows[1:][pair]]
    moves = actions[rows[:-1][pair]]
    if kind == "unknown" or len(now) < 8:
        return _unmatched()
    varies = moves.std(axis=0) > 0
    persists = _correlation(now, then, paired=True) >= _SMOOTH_STATE
    target = np.where(persists, _correlation(moves, then), 0)
    step = _correlation(moves, then - now)
    absolute = _matches(target, _ABSOLUTE_CORRELATION, varies)
    delta = _matches(step, _DELTA_CORRELATION, varies)
    share_absolute = absolute.sum() / max(1, varies.sum())
    share_delta = delta.sum() / max(1, varies.sum())
    if kind == "absolute" or (kind is None and share_absolute >= 0.5 and share_absolute >= share_delta):
        return _matched("absolute", share_absolute, absolute, target, moves, then)
    if kind in ("delta", "velocity") or (kind is None and share_delta >= 0.5):
        return _moving(kind, share_delta, delta, step, moves, then - now, fps)
    return _unmatched()


def relative_actions(states: Floats, actions: Floats, kind: ActionKind) -> Floats:
    """Actions (N, da) minus the state they restate, for absolute actions; otherwise the actions."""
    if kind.kind != "absolute" or not len(kind.matched):
        return actions
    relative = actions.copy()
    relative[:, kind.matched] -= kind.offset + kind.slope * states[:, kind.state_dim]
    return relative


def is_discrete(actions: Floats) -> bool:
    """True for whole-numbered actions with 2 to 32 distinct rows: a choice, not a command."""
    head = actions[:2000]
    if not (head == np.rint(head)).all() or not (actions == np.rint(actions)).all():
        return False
    return 2 <= len(np.unique(actions, axis=0)) <= 32


def one_hot(actions: Floats) -> Floats:
    """Each distinct action row as a column of zeros and ones: (N, number of distinct actions)."""
    _, which = np.unique(actions, axis=0, return_inverse=True)
    return np.eye(int(which.max()) + 1)[which.reshape(-1)]


def _correlation(x: Floats, y: Floats, paired: bool = False) -> Floats:
    """Correlation of the columns of x (N, p) with those of y (N, q): (p, q), or (p,) of equal columns."""
    zx, zy = (np.divide(v - v.mean(0), s := v.std(0), out=np.zeros_like(v), where=s > 0) for v in (x, y))
    return np.einsum("ij,ij->j", zx, zy) / len(x) if paired else zx.T @ zy / len(x)


def _matches(correlation: Floats, least: float, varies: Mask) -> Mask:
    return (correlation.max(axis=1) >= least) & varies


def _matched(
    kind: str, share: float, found: Mask, correlation: Floats, moves: Floats, partner: Floats
) -> ActionKind:
    matched = np.flatnonzero(found)
    state_dim = correlation[matched].argmax(axis=1)
    x, y = partner[:, state_dim], moves[:, matched]
    centred = x - x.mean(axis=0)
    slope = np.einsum("ij,ij->j", centred, y) / np.maximum(np.square(centred).sum(axis=0), 1e-300)
    offset = y.mean(axis=0) - slope * x.mean(axis=0)
    return ActionKind(kind, float(share), matched, state_dim, slope, offset, y.std(axis=0))


def _moving(
    kind: str | None,
    share: float,
    found: Mask,
    correlation: Floats,
    moves: Floats,
    change: Floats,
    fps: float | None,
) -> ActionKind:
    link = _matched("delta", share, found, correlation, moves, change)
    matched, state_dim = link.matched, link.state_dim
    x, y = moves[:, matched], change[:, state_dim]
    centred = x - x.mean(axis=0)
    slope = np.einsum("ij,ij->j", centred, y) / np.maximum(np.square(centred).sum(axis=0), 1e-300)
    if kind is None:
        typical = float(np.median(slope)) if len(slope) else 0.0
        by_rate = fps is not None and abs(typical * fps - 1) <= _UNIT_SLOPE
        kind = "delta" if abs(typical - 1) <= _UNIT_SLOPE and not by_rate else "velocity"
    no_op = np.zeros(moves.shape[1])
    no_op[matched] = x.mean(axis=0) - y.mean(axis=0) / np.where(slope == 0, 1, slope)
    return ActionKind(
        kind,
        float(share),
        matched,
        state_dim,
        slope,
        link.offset,
        x.std(axis=0),
        no_op if len(matched) else None,
    )


def _unmatched() -> ActionKind:
    nothing = np.zeros(0, dtype=np.int64)
    return ActionKind("unknown", 0.0, nothing, nothing, np.zeros(0), np.zeros(0), np.zeros(0))
