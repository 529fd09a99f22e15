"""Two checkpoints of one network, block by block: how far weights moved, which are sensitive, which tasks agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, cloud
from shiftlab.measures.registry import declare

Blocks = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class BlockShift:
    """One block of weights before and after; ``relative`` and ``cosine`` are None where a side is all zeros.

    ``l1_mean`` mean absolute change, ``l2`` its Euclidean length, ``relative`` = l2 / length before, ``cosine`` of
    the weights before and after, ``sign_flip`` share of weights that changed sign (zero has none), ``zeros_before``
    and ``zeros_after`` shares of exact zeros.
    """

    block: str
    n: int
    l1_mean: float
    l2: float
    relative: float | None
    cosine: float | None
    sign_flip: float
    zeros_before: float
    zeros_after: float
    reason: str | None = None

    @property
    def value(self) -> float:
        """Euclidean length of the change."""
        return self.l2


@declare(
    kind="blocks",
    what="weights",
    how="geometry",
    unit="units of the weights; shares",
    range="[0, inf); cosine [-1, 1]; shares [0, 1]",
    zero_means="the block did not change",
    source="task vectors: Ilharco et al. 2023; per block: Zhang et al. 2024 (aTLAS)",
    use_when="two checkpoints of one architecture are at hand: what did tuning change, and where",
    do_not_use_when="the networks were trained apart: units are permuted and differences mean nothing",
    symmetric=False,
)
def weight_shift(t0: Blocks, t1: Blocks) -> list[BlockShift]:
    """Change of every block of weights from t0 to t1, in the order of t0; arrays of any but equal shape per name.

    Zero means that the block did not change. ValueError naming a block that one side lacks, of another shape, or
    not finite. Source: task vectors (Ilharco et al. 2023) per block (Zhang et al. 2024).
    """
    _same_names(t0, t1)
    return [_one(name, *_flat(name, t0[name], t1[name])) for name in t0]


@declare(
    kind="blocks",
    what="weights",
    how="geometry",
    unit="ratio",
    range="[0, inf)",
    zero_means="the block does not change between tasks",
    source="Zhao et al. 2023 (forgetting prioritised finetuning): change between tasks over change within; our ratio",
    use_when="checkpoints after several tasks and epochs are at hand: which blocks follow the task",
    do_not_use_when="there is one task only, or epochs differ in length",
)
def block_sensitivity(
    between: Sequence[tuple[Blocks, Blocks]], within: Sequence[tuple[Blocks, Blocks]]
) -> dict[str, float | None]:
    """Mean absolute change of each block between tasks over that between consecutive epochs of one task.

    Pairs of checkpoints (before, after). Above 1 a block follows the task; None where it never changed within a
    task. ValueError for no pair, or blocks that differ. Source: after Zhao et al. (2023).
    """
    if not between or not within:
        raise ValueError(f"{'between' if not between else 'within'} needs a pair of checkpoints")
    means = []
    for pairs in (between, within):
        found = [{one.block: one.l1_mean for one in weight_shift(*pair)} for pair in pairs]
        for one in found:
            _same_names(found[0], one)
        means.append({name: float(np.mean([one[name] for one in found])) for name in found[0]})
    _same_names(*means)
    return {name: means[0][name] / means[1][name] if means[1][name] > 0 else None for name in means[0]}


@declare(
    kind="one",
    what="weights",
    how="geometry",
    unit="cosine",
    range="[-1, 1]",
    zero_means="two tasks change weights in unrelated directions",
    source="aTLAS (Zhang et al. 2024), which takes absolute values; the sign is kept here",
    use_when="flattened task vectors or gradients of several tasks: do they pull together or apart",
    do_not_use_when="vectors come from differently initialised networks",
)
def task_similarity(vectors: ArrayLike) -> NDArray[np.float64]:
    """Cosines (m, m) of task vectors (m, D), sign kept, ones on the diagonal.

    ValueError for a bad matrix; UndefinedMeasureError naming a vector of zeros. Source: Zhang et al. (2024).
    """
    rows = cloud(vectors, "vectors").astype(np.float64)
    scale = np.abs(rows).max(1)
    if (scale == 0).any():
        raise UndefinedMeasureError(
            f"task {int(np.argmin(scale))} has a vector of zeros, which has no direction"
        )
    rows = rows / scale[:, None]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = np.clip(rows @ rows.T, -1, 1)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def _same_names(t0: Mapping[str, object], t1: Mapping[str, object]) -> None:
    if not t0:
        raise ValueError("t0 has no block")
    for name in [*t0, *t1]:
        if name not in t0 or name not in t1:
            raise ValueError(f"block '{name}' is missing in {'t0' if name not in t0 else 't1'}")


def _flat(name: str, before: ArrayLike, after: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(before), np.asarray(after)
    if a.shape != b.shape:
        raise ValueError(f"block '{name}' has shape {a.shape} in t0 and {b.shape} in t1")
    if a.size == 0:
        raise ValueError(f"block '{name}' is empty")
    sides = []
    for side, array in (("t0", a), ("t1", b)):
        try:
            flat = array.astype(np.float64).ravel()
        except (TypeError, ValueError):
            raise ValueError(f"block '{name}' of {side} must hold numbers only") from None
        if not np.isfinite(flat).all():
            raise ValueError(f"block '{name}' of {side} must be finite")
        sides.append(flat)
    return sides[0], sides[1]


def _one(name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> BlockShift:
    change = np.abs(b - a)
    scale = max(np.abs(a).max(), np.abs(b).max())
    relative = cosine = reason = None
    l2 = float(scale * np.linalg.norm((b - a) / scale)) if scale > 0 else 0.0
    if not a.any() or not b.any():
        reason = f"the block is all zeros {'before' if not a.any() else 'after'}"
    else:
        u, v = a / np.abs(a).max(), b / np.abs(b).max()
        cosine = float(np.clip(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)), -1, 1))
    if a.any():
        relative = l2 / float(np.abs(a).max() * np.linalg.norm(a / np.abs(a).max()))
    flips = float(np.mean(np.sign(a) * np.sign(b) < 0))
    return BlockShift(
        name, a.size, float(change.mean()), l2, relative, cosine, flips,
        float(np.mean(a == 0)), float(np.mean(b == 0)), reason,
    )  # fmt: skip
