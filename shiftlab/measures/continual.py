"""Learning one task after another: what is forgotten, and whether new data are unlike all that was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, cloud, positive_integer
from shiftlab.measures.registry import declare


@dataclass(frozen=True)
class Forgetting:
    """``final`` mean accuracy at the end; ``bwt`` backward transfer and ``forgetting``, None with one task."""

    final: float
    bwt: float | None
    forgetting: float | None
    reason: str | None = None

    @property
    def value(self) -> float:
        """Forgetting; UndefinedMeasureError with one task."""
        if self.forgetting is None:
            raise UndefinedMeasureError(str(self.reason))
        return self.forgetting


@declare(
    kind="outcomes",
    what="behaviour",
    how="association",
    unit="accuracy",
    range="[-1, 1]",
    zero_means="no task lost accuracy after its best",
    source="Lopez-Paz and Ranzato 2017 (backward transfer); Chaudhry et al. 2018 (forgetting)",
    use_when="accuracies on all earlier tasks were measured after each task",
    do_not_use_when="tasks differ in difficulty or chance level: compare within a task",
)
def forgetting(accuracy: ArrayLike) -> Forgetting:
    """Forgetting from R (T, T): R[i, j] the accuracy on task j after training task i; the upper triangle is ignored.

    ``forgetting`` is the mean over earlier tasks of the best accuracy so far less the last one; negative where
    tasks improved. ValueError for another shape or values outside [0, 1]. Sources: Lopez-Paz and Ranzato (2017);
    Chaudhry et al. (2018), eq. 3.
    """
    table = np.array(accuracy, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise ValueError(f"accuracy must have shape (T, T), not {table.shape}")
    lower = np.tril(np.ones_like(table, dtype=bool))
    if not ((table[lower] >= 0) & (table[lower] <= 1)).all():
        raise ValueError("accuracy must lie in [0, 1] on and below the diagonal")
    final = float(table[-1].mean())
    if len(table) == 1:
        return Forgetting(final, None, None, "one task cannot be forgotten for another")
    earlier = np.where(lower, table, -np.inf)[:-1, :-1]
    last = table[-1, :-1]
    return Forgetting(
        final, float((last - np.diag(table)[:-1]).mean()), float((earlier.max(0) - last).mean())
    )


@declare(
    kind="scalar",
    what="behaviour",
    how="association",
    unit="share of what was above chance",
    range="(-inf, inf); 1 is all forgotten",
    zero_means="nothing forgotten",
    source="after Zhang et al. 2024 (unforgettable generalization)",
    use_when="training on random labels should have removed a skill",
    do_not_use_when="the skill was near chance before: the ratio explodes",
    symmetric=False,
)
def forget_ratio(before: float, after: float, chance: float) -> float:
    """(before - after) / (before - chance) of accuracies in [0, 1], not clipped.

    Zero means nothing was forgotten, 1 that accuracy fell to chance. ValueError outside [0, 1];
    UndefinedMeasureError where the skill was at chance before. Source: after Zhang et al. (2024).
    """
    for name, number in (("before", before), ("after", after), ("chance", chance)):
        if not 0 <= number <= 1:
            raise ValueError(f"{name} must lie in [0, 1], not {number!r}")
    if before == chance:
        raise UndefinedMeasureError("the skill was at chance before: there was nothing to forget")
    return float((before - after) / (before - chance))


@dataclass(frozen=True)
class Novelty:
    """Of every new row: ``err`` (n,) mean squared residual, ``z`` (n,) against the calibration rows, both signs.

    ``score`` is the published mean of |z|, about .8 without any shift; ``mean_z`` keeps the sign: decide by it.
    """

    err: NDArray[np.float64]
    z: NDArray[np.float64]
    score: float
    mean_z: float

    @property
    def value(self) -> float:
        """Mean z of the rows, sign kept."""
        return self.mean_z


@declare(
    kind="cloud",
    what="inputs",
    how="geometry",
    unit="standard deviations of the calibration errors",
    range="(-inf, inf)",
    zero_means="new rows fit the reference's subspace as well as held-out rows of it",
    source="SEMA (Wang et al. 2024) with the optimal linear autoencoder; calibration rows are held out here",
    use_when="a new batch may be unlike all that was seen, and the reference lies near a subspace",
    do_not_use_when="calibration rows were used in the fit: z then rises without any shift",
    symmetric=False,
)
def subspace_novelty(
    x: ArrayLike, y: ArrayLike, rank: int = 8, calibration: ArrayLike | None = None
) -> Novelty:
    """How badly new rows y (m, d) fit the principal subspace of rank ``rank`` of the reference x (n, d).

    ``calibration`` (k, d), by default every second row of x, left out of the fit, says what errors are usual.
    Where these have no spread, z is 0 for equal errors; UndefinedMeasureError otherwise. Zero means a usual fit,
    large positive values novelty, negative ones a suspiciously good fit. ValueError for bad clouds or rank.
    Source: SEMA (Wang et al. 2024).
    """
    ref, new = cloud(x, "x").astype(np.float64), cloud(y, "y").astype(np.float64)
    held = ref[1::2] if calibration is None else cloud(calibration, "calibration").astype(np.float64)
    fit = ref[::2] if calibration is None else ref
    rank = positive_integer(rank, "rank")
    for name, side in (("y", new), ("calibration", held)):
        if side.shape[1] != fit.shape[1]:
            raise ValueError(f"{name} must have the columns of x: {side.shape[1]} and {fit.shape[1]}")
    if rank >= min(len(fit), fit.shape[1]) or len(held) < 2:
        raise ValueError(
            f"rank must be below the {fit.shape[1]} columns and {len(fit)} rows of the fit, with two rows to calibrate"
        )
    centre = fit.mean(0)
    axes = np.linalg.svd(fit - centre, full_matrices=False)[2][:rank]
    err, usual = (_residual(side - centre, axes) for side in (new, held))
    spread = float(usual.std(ddof=1))
    gap = err - usual.mean()
    tiny = 1e-12 * float(np.square(fit - centre).mean() or 1.0)
    if spread <= tiny:
        if (np.abs(gap) > tiny).any():
            raise UndefinedMeasureError(
                "the calibration errors have no spread: every row fits the subspace exactly"
            )
        z = np.zeros(len(err))
    else:
        z = gap / spread
    return Novelty(err, z, float(np.abs(z).mean()), float(z.mean()))


def _residual(rows: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.square(rows - (rows @ axes.T) @ axes).mean(1))
