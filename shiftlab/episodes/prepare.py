"""Steps made ready for scoring: checked, ordered, standardised, with pauses and repeats marked.

Every score reads a `Steps`; what is left out of a score is decided here, once, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.episodes.actions import ActionKind, detect_action_kind, is_discrete, relative_actions
from shiftlab.errors import BadInputError

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Mask = NDArray[np.bool_]

MAX_NOT_FINITE = 0.10  # share of an episode's steps above which it is not scored
IDLE_RUN = 3  # steps that hardly move in a row before we call it a pause
IDLE_TOLERANCE = 0.05  # of the motion that three quarters of the moving steps stay under


@dataclass(frozen=True)
class Steps:
    """Steps in canonical order (episodes by content, frames ascending), N of them from E episodes.

    ``states`` (N, ds) and ``actions`` (N, da) are finite float64 in the units given; ``given`` are the states
    before quaternion signs were made continuous, as the published estimators take them; ``episode`` (N,) is
    the position in ``labels`` (E,). ``segment`` (N,) changes where frames are missing, so no transition
    crosses it. ``duplicate`` marks a step equal to the one before, ``idle`` a pause. ``length`` (E,) counts
    the steps as given. ``reasons`` says, per position, why an episode is not scored.
    """

    states: Floats
    given: Floats
    actions: Floats
    episode: Ints
    frame: Ints
    segment: Ints
    labels: NDArray[Any]
    length: Ints
    duplicate: Mask
    idle: Mask
    action_kind: ActionKind
    discrete: bool
    reasons: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n_episodes(self) -> int:
        return len(self.labels)

    @property
    def scored(self) -> Mask:
        """(E,) which episodes can be scored at all."""
        usable = np.ones(self.n_episodes, dtype=bool)
        usable[list(self.reasons)] = False
        return usable

    @property
    def kept(self) -> Mask:
        """(N,) steps that conditional scores use: neither pauses nor exact repeats."""
        return ~(self.idle | self.duplicate)

    @property
    def relative(self) -> Floats:
        """Actions with the part that merely restates the state taken out, when they are absolute."""
        return relative_actions(self.states, self.actions, self.action_kind)


def standardise(values: Floats, reference: Floats | None = None) -> tuple[Floats, Mask]:
    """z-scores of (N, d) by the reference's mean and sd, constant columns dropped; and their mask (d,)."""
    basis = values if reference is None else reference
    centre, scale = basis.mean(axis=0), basis.std(axis=0)
    varies = scale > 1e-9 * np.maximum(1e-3, np.abs(centre))
    return (values[:, varies] - centre[varies]) / scale[varies], varies


def principal(values: Floats, max_dims: int, reference: Mask | None = None) -> Floats:
    """z-scored values on their leading ``max_dims`` principal axes, or as they are if there are no more."""
    if values.shape[1] <= max_dims:
        return values
    basis = values if reference is None else values[reference]
    _, axes = np.linalg.eigh(basis.T @ basis)
    return values @ axes[:, ::-1][:, :max_dims]


def prepare(
    states: ArrayLike,
    actions: ArrayLike,
    episode: ArrayLike,
    *,
    frame: ArrayLike | None = None,
    fps: float | None = None,
    quaternions: Sequence[int] = (),
    action_kind: str | None = None,
) -> Steps:
    """Check and order steps: states (N, ds), actions (N, da), episode labels (N,), optional frames (N,).

    Without ``frame`` the rows of an episode are consecutive. ``quaternions`` names the first column of each
    unit quaternion in the state; q and -q are one rotation, so their signs are made continuous. A step that
    holds NaN or infinity is left out; an episode that has more than 10 % of them is not scored.

    Raises BadInputError for arrays whose shapes disagree, and for no step at all.
    """
    raw_states, raw_actions, label = _as_columns(states, actions, episode)
    frames = _frames(frame, label)
    labels, position = np.unique(label, return_inverse=True)
    ordered = np.lexsort((frames, position))
    raw_states, raw_actions = raw_states[ordered], raw_actions[ordered]
    position, frames = position[ordered], frames[ordered]
    length = np.bincount(position, minlength=len(labels))
    finite = np.asarray(np.isfinite(raw_states).all(axis=1) & np.isfinite(raw_actions).all(axis=1))
    repeated = np.zeros(len(frames), dtype=bool)
    repeated[1:] = (position[1:] == position[:-1]) & (frames[1:] == frames[:-1])
    notes = _notes_on_rows(finite, repeated)
    reasons = _unscored(position, finite, length, labels)
    use = finite & ~repeated
    if not use.any():
        raise BadInputError("no step is left: every state or action holds NaN or infinity")
    content = _content_order(raw_states[use], position[use], len(labels))
    rank = np.empty(len(labels), dtype=np.int64)
    rank[content] = np.arange(len(labels))
    order = np.lexsort((frames[use], rank[position[use]]))
    s, a, frames, at = (
        raw_states[use][order],
        raw_actions[use][order],
        frames[use][order],
        rank[position[use]],
    )
    return _mark(
        given=s,
        s=_continuous_signs(s, at[order], quaternions),
        a=a,
        at=at[order],
        frames=frames,
        labels=labels[content],
        length=length[content],
        reasons={int(rank[where]): why for where, why in reasons.items()},
        notes=notes,
        fps=fps,
        kind=action_kind,
    )


def _mark(
    *,
    given: Floats,
    s: Floats,
    a: Floats,
    at: Ints,
    frames: Ints,
    labels: NDArray[Any],
    length: Ints,
    reasons: dict[int, str],
    notes: list[str],
    fps: float | None,
    kind: str | None,
) -> Steps:
    """Segments, repeats, pauses and the kind of action."""
    follows = np.zeros(len(at), dtype=bool)
    follows[1:] = (at[1:] == at[:-1]) & (np.diff(frames) == 1)
    segment = np.cumsum(~follows) - 1
    duplicate = np.zeros(len(at), dtype=bool)
    same = (s[1:] == s[:-1]).all(axis=1) & (a[1:] == a[:-1]).all(axis=1)
    duplicate[1:] = same & (at[1:] == at[:-1])
    detected = detect_action_kind(s, a, ~duplicate, segment, fps=fps, kind=kind)
    idle = _pauses(s, a, segment, duplicate, detected)
    gaps = int((~follows[1:] & (at[1:] == at[:-1])).sum())
    if gaps:
        notes = [*notes, f"{gaps} gaps in the frame numbers: no transition is formed across them"]
    constant = [int(d) for d in np.flatnonzero(~standardise(s)[1])]
    if constant:
        notes = [*notes, f"constant state dimensions {constant} carry no information and are dropped"]
    if detected.kind == "absolute":
        notes = [*notes, "absolute actions: scores use the action relative to the state it restates"]
    return Steps(
        states=s,
        given=given,
        actions=a,
        episode=at,
        frame=frames,
        segment=segment,
        labels=labels,
        length=length,
        duplicate=duplicate,
        idle=idle,
        action_kind=detected,
        discrete=is_discrete(a),
        reasons=reasons,
        notes=tuple(notes),
    )


def _as_columns(
    states: ArrayLike, actions: ArrayLike, episode: ArrayLike
) -> tuple[Floats, Floats, NDArray[Any]]:
    label = np.asarray(episode)
    if label.ndim != 1 or not len(label):
        raise BadInputError(f"episode must be one label per step, not an array of shape {label.shape}")
    if label.dtype.kind == "f":
        if not np.isfinite(label).all():
            raise BadInputError(f"episode of step {int(np.argmin(np.isfinite(label)))} is not a number")
        label = label.astype(np.int64) if (label == np.rint(label)).all() else label
    columns = []
    for name, given in (("states", states), ("actions", actions)):
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as problem:
            raise BadInputError(f"{name} must be numbers of one width per step: {problem}") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(label):
            raise BadInputError(
                f"{name} must be (steps, dimensions) with {len(label)} rows like episode, not {values.shape}"
            )
        if not values.shape[1]:
            raise BadInputError(f"{name} has no dimension: choose at least one column")
        columns.append(values)
    return columns[0], columns[1], label


def _frames(frame: ArrayLike | None, label: NDArray[Any]) -> Ints:
    if frame is None:
        by_label = np.argsort(label, kind="stable")
        first = np.concatenate([[True], label[by_label][1:] != label[by_label][:-1]])
        starts = np.flatnonzero(first)
        within = np.arange(len(label)) - np.repeat(starts, np.diff([*starts, len(label)]))
        frames = np.empty(len(label), dtype=np.int64)
        frames[by_label] = within
        return frames
    frames = np.asarray(frame)
    if frames.shape != label.shape or frames.dtype.kind not in "iu":
        raise BadInputError(f"frame must be one integer per step, not {frames.dtype} of shape {frames.shape}")
    return frames.astype(np.int64)


def _notes_on_rows(finite: Mask, repeated: Mask) -> list[str]:
    notes = []
    if not finite.all():
        notes.append(f"{int((~finite).sum())} steps hold NaN or infinity and are left out")
    if repeated.any():
        notes.append(f"{int(repeated.sum())} repeated frame numbers: the first of each is used")
    return notes


def _unscored(position: Ints, finite: Mask, length: Ints, labels: NDArray[Any]) -> dict[int, str]:
    bad = np.bincount(position, weights=~finite, minlength=len(labels))
    reasons = {}
    for where in np.flatnonzero((bad > MAX_NOT_FINITE * length) | (length - bad < 2)):
        if bad[where] > MAX_NOT_FINITE * length[where]:
            reasons[int(where)] = f"{int(bad[where])} of {length[where]} steps hold NaN or infinity"
        else:
            reasons[int(where)] = f"only {int(length[where] - bad[where])} step: a score needs two"
    return reasons


def _content_order(states: Floats, position: Ints, n_episodes: int) -> Ints:
    """Episodes by what they hold, not by how they are called, so that seeded draws ignore the numbering.

    First and last states, as a share of each dimension's range: pauses and units do not change the order.
    """
    reach = np.ptp(states, axis=0)
    where, first = np.unique(position, return_index=True)
    last = np.concatenate([first[1:], [len(position)]]) - 1
    ends = np.zeros((n_episodes, states.shape[1]))
    ends[where] = (states[first] + 2 * states[last] - 3 * states.min(axis=0)) / np.where(reach > 0, reach, 1)
    return np.lexsort(np.round(ends, 6).T)


def _continuous_signs(states: Floats, at: Ints, quaternions: Sequence[int]) -> Floats:
    if not quaternions:
        return states
    states = states.copy()
    for start in quaternions:
        if not 0 <= start <= states.shape[1] - 4:
            raise BadInputError(
                f"quaternion at column {start} does not fit into {states.shape[1]} state columns"
            )
        q = states[:, start : start + 4]
        flips = np.zeros(len(q), dtype=np.int64)
        flips[1:] = np.einsum("ij,ij->i", q[1:], q[:-1]) < 0
        first = np.concatenate([[0], np.flatnonzero(np.diff(at)) + 1])
        flips[first] = q[first] @ q[0] < 0
        odd = np.cumsum(flips)
        odd -= np.repeat(odd[first] - flips[first], np.diff([*first, len(q)]))
        states[:, start : start + 4] = q * np.where(odd % 2, -1.0, 1.0)[:, None]
    return states


def _pauses(s: Floats, a: Floats, segment: Ints, duplicate: Mask, kind: ActionKind) -> Mask:
    """Steps of a run of at least three in which the state hardly moves or the action is the no-op.

    Exact repeats are skipped first, so that inserting repeats changes nothing for the steps around them.
    """
    idle = np.zeros(len(s), dtype=bool)
    rows = np.flatnonzero(~duplicate)
    z, _ = standardise(s[rows])
    follows = segment[rows][1:] == segment[rows][:-1]
    motion = np.full(len(rows), np.inf)
    motion[:-1] = np.where(follows, np.linalg.norm(np.diff(z, axis=0), axis=1), np.inf)
    still = _hardly(motion)
    if kind.no_op is not None:
        effort = np.linalg.norm((a[rows] - kind.no_op)[:, kind.matched] / kind.scale, axis=1)
        still |= _hardly(effort)
    idle[rows] = _in_long_runs(still, segment[rows])
    return idle


def _hardly(amount: Floats) -> Mask:
    moving = amount[np.isfinite(amount) & (amount > 0)]
    if not len(moving):
        return np.zeros(len(amount), dtype=bool)
    return amount <= IDLE_TOLERANCE * np.quantile(moving, 0.75)


def _in_long_runs(flag: Mask, segment: Ints) -> Mask:
    if not len(flag):
        return flag
    starts = np.concatenate([[True], (flag[1:] != flag[:-1]) | (segment[1:] != segment[:-1])])
    run = np.cumsum(starts) - 1
    return flag & (np.bincount(run) >= IDLE_RUN)[run]
