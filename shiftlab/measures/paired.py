"""Two representations of the same items: how far and how alike they moved, and what known vectors explain of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, clouds
from shiftlab.measures.registry import declare


@dataclass(frozen=True)
class PairedShift:
    """Movement of n items from one representation to another; ratios are None, with a reason, where undefined.

    ``vector`` (d,) mean shift, ``magnitude`` its length, ``mean_norm`` mean length of the single shifts,
    ``relative`` mean length over that of the item before, ``consistency`` mean cosine of two items' shifts in
    [-1/(m-1), 1] over the m items that moved, ``coherence`` = magnitude / mean_norm in [0, 1].
    ``value`` is mean_norm.
    """

    n: int
    moved: int
    vector: NDArray[np.float64]
    magnitude: float
    mean_norm: float
    relative: float | None
    consistency: float | None
    coherence: float | None
    reasons: dict[str, str]

    @property
    def value(self) -> float:
        """Mean length of the shifts."""
        return self.mean_norm


@declare(
    kind="paired",
    what="representation",
    how="geometry",
    unit="units of the vectors; shares",
    range="[0, inf); consistency [-1/(n-1), 1]; coherence [0, 1]",
    zero_means="no item moved",
    source="Khayatan et al. 2025 (concept shift vectors); RESTORE 2024; the mean cosine in closed form",
    use_when="the same items have two representations: before and after tuning, two prompts, clean and distracted",
    do_not_use_when="the two spaces are rotated against each other: align them first, or use gromov_wasserstein",
    symmetric=False,
)
def paired_shift(
    z0: ArrayLike, z1: ArrayLike, groups: Sequence[Hashable] | NDArray[Any] | None = None
) -> PairedShift | dict[Any, PairedShift]:
    """Shift from z0 (n, d) to z1 (n, d), row i of both being item i; with ``groups`` (n,), that of every group.

    A modality gap is the difference of two groups' mean_norm. Zero means that no item moved; ratios are then None.
    The mean cosine keeps orthogonal pairs and costs O(nd). ValueError for bad clouds or unequal numbers of rows.
    Source: Khayatan et al. (2025), concept shift.
    """
    a, b = _paired(z0, z1)
    if groups is None:
        return _one_group(a, b)
    names = np.asarray(groups)
    if names.shape != (len(a),):
        raise ValueError(f"groups must have one entry per row: {names.shape} for {len(a)} rows")
    return {name: _one_group(a[names == name], b[names == name]) for name in np.unique(names).tolist()}


def _one_group(a: NDArray[np.float64], b: NDArray[np.float64]) -> PairedShift:
    shift = b - a
    norm = _lengths(shift)
    before = _lengths(a)
    moved = norm > 0
    m = int(moved.sum())
    vector = shift.mean(0)
    magnitude, mean_norm = float(_lengths(vector[None])[0]), float(norm.mean())
    reasons: dict[str, str] = {}
    relative = consistency = coherence = None
    if m == 0:
        reasons = dict.fromkeys(("relative", "consistency", "coherence"), "no item moved")
    else:
        coherence = min(magnitude / mean_norm, 1.0)
        if (before == 0).any():
            reasons["relative"] = f"{int((before == 0).sum())} rows of z0 are zero"
        else:
            relative = float((norm / before).mean())
        if m < 2:
            reasons["consistency"] = "fewer than two items moved"
        else:
            total = (shift[moved] / norm[moved, None]).sum(0)
            consistency = float(np.clip((total @ total - m) / (m * (m - 1)), -1 / (m - 1), 1))
    return PairedShift(len(a), m, vector, magnitude, mean_norm, relative, consistency, coherence, reasons)


@dataclass(frozen=True)
class ShiftRecovery:
    """``match`` (k,): each concept's partner. ``recovery`` (k,) in (-inf, 1], None where undefined."""

    match: NDArray[np.int64]
    recovery: list[float | None]

    @property
    def value(self) -> float:
        """Mean recovery over the concepts that moved; UndefinedMeasureError if none did."""
        known = [one for one in self.recovery if one is not None]
        if not known:
            raise UndefinedMeasureError("no concept moved: there is no shift to recover")
        return float(np.mean(known))


@declare(
    kind="paired",
    what="representation",
    how="geometry",
    unit="share of the shift",
    range="(-inf, 1]",
    zero_means="the vectors explain nothing of the shift",
    source="Khayatan et al. 2025: recovery of fine-tuned concepts by shift vectors",
    use_when="concepts before and after tuning are known, and whether given shift vectors explain the change",
    do_not_use_when="concepts have no natural partner: the matching by cosine then pairs at random",
    symmetric=False,
)
def shift_recovery(c0: ArrayLike, c1: ArrayLike, vectors: ArrayLike) -> ShiftRecovery:
    """Share of the way from concepts c0 (k, d) to their partners in c1 (k, d) that ``vectors`` (k, d) go.

    Partners by Hungarian matching of cosines; 1 - |c1 - (c0 + v)| / |c1 - c0|. Zero where v = 0, 1 where v is the
    shift; None where c0 equals its partner. ValueError for bad or unequal shapes; UndefinedMeasureError for a
    concept of zeros, which has no cosine. Source: Khayatan et al. (2025).
    """
    from scipy.optimize import linear_sum_assignment

    a, b = _paired(c0, c1)
    _, v = _paired(c0, vectors)
    lengths = _lengths(a), _lengths(b)
    if min(one.min() for one in lengths) == 0:
        raise UndefinedMeasureError("the cosine of a concept of zeros does not exist")
    cosine = (a / lengths[0][:, None]) @ (b / lengths[1][:, None]).T
    _, match = linear_sum_assignment(-cosine)
    gap = _lengths(b[match] - a)
    rest = _lengths(b[match] - (a + v))
    recovery = [
        None if g == 0 else float(1 - r / g) for g, r in zip(gap.tolist(), rest.tolist(), strict=True)
    ]
    return ShiftRecovery(match.astype(np.int64), recovery)


def _paired(z0: ArrayLike, z1: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = (side.astype(np.float64) for side in clouds(z0, z1))
    if len(a) != len(b):
        raise ValueError(f"paired rows must be equally many: {len(a)} and {len(b)}")
    return a, b


def _lengths(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean length (n,) of each row, without overflow of squares."""
    scale = np.abs(rows).max(axis=1)
    safe = np.where(scale > 0, scale, 1)
    return np.asarray(scale * np.sqrt(np.square(rows / safe[:, None]).sum(1)))
