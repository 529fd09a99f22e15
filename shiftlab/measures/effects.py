"""Two lists of effects, one number for each thing: do they rank alike, and are they as large?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, sample
from shiftlab.measures.registry import declare


@dataclass(frozen=True)
class EffectCorrelation:
    """``pearson``, ``spearman`` in [-1, 1]; ``mean_abs``, the mean size of both lists: correlation is blind to it."""

    pearson: float
    spearman: float
    mean_abs: tuple[float, float]

    @property
    def value(self) -> float:
        """Pearson correlation."""
        return self.pearson


@declare(
    kind="paired",
    what="behaviour",
    how="association",
    unit="correlation; units of the effects",
    range="[-1, 1]",
    zero_means="no linear relation",
    source="Pearson 1895; Spearman 1904",
    use_when="bias, attribution or gain per occupation, word or task was measured before and after",
    do_not_use_when="sizes matter: effects may double while the correlation stays 1, so read mean_abs",
)
def effect_correlation(e0: ArrayLike, e1: ArrayLike) -> EffectCorrelation:
    """Correlation of effects e0 (k,) and e1 (k,) of the same k things, ties by mean rank.

    ValueError for unequal lengths; UndefinedMeasureError for fewer than two things or a constant list.
    Sources: Pearson (1895); Spearman (1904).
    """
    a, b = sample(e0, "e0"), sample(e1, "e1")
    if len(a) != len(b):
        raise ValueError(f"e0 and e1 must be equally long: {len(a)} and {len(b)}")
    if len(a) < 2:
        raise UndefinedMeasureError("one thing has no correlation")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise UndefinedMeasureError(f"all effects of {'e0' if np.ptp(a) == 0 else 'e1'} are equal")
    from scipy.stats import rankdata

    sizes = float(np.abs(a).mean()), float(np.abs(b).mean())
    return EffectCorrelation(_pearson(a, b), _pearson(rankdata(a), rankdata(b)), sizes)


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    u, v = (side / np.abs(side).max() for side in (a, b))
    u, v = u - u.mean(), v - v.mean()
    return float(np.clip(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)), -1, 1))
