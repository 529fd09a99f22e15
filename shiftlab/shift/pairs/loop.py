"""All pairs of any other measure: one call per pair, or per row of pairs where the measure takes many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.measures.registry import Measure
from shiftlab.shift.pairs.membership import Membership


@dataclass(frozen=True)
class LoopDesign:
    """Vectors (N, d) of a cloud measure, called once per pair; undefined pairs are NaN with a reason."""

    spec: Measure
    rows: NDArray[Any]
    params: Mapping[str, Any]

    def row(self, membership: Membership, i: int, reasons: dict[tuple[int, int], str]) -> NDArray[np.float64]:
        """Values (S,) of subset i against all; only the later ones where the measure is symmetric."""
        values = np.zeros(membership.n_subsets)
        first = i + 1 if self.spec.symmetric else 0
        mine = self.rows[membership.members(i)]
        for j in range(first, membership.n_subsets):
            if j == i:
                continue
            weights: dict[str, Any] = {}
            if not membership.uniform:
                weights = {"weights_x": membership.weights_of(i), "weights_y": membership.weights_of(j)}
            try:
                found = self.spec.function(mine, self.rows[membership.members(j)], **weights, **self.params)
                values[j] = float(getattr(found, "value", found))
            except UndefinedMeasureError as error:
                values[j] = np.nan
                reasons[i, j] = error.reason
        return values


@dataclass(frozen=True)
class MassDesign:
    """Counts of categories per item (N, k), dense or sparse; a subset's mass is the weighted sum of its items'."""

    spec: Measure
    counts: Any
    params: Mapping[str, Any]

    def masses(self, membership: Membership) -> NDArray[np.float64]:
        """Masses of all subsets (S, k), each summing to one; ValueError for a subset without any count."""
        found = membership.weights @ self.counts
        table = np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64)
        total = table.sum(axis=1)
        if (total <= 0).any():
            raise ValueError(f"subset {int(np.argmin(total))} has no counts in any category")
        return table / total[:, None]

    def matrix(self, membership: Membership, tick: Callable[[], None]) -> NDArray[np.float64]:
        """Values of all pairs (S, S), one row of pairs per call of the batched measure."""
        masses = self.masses(membership)
        result = np.zeros((len(masses), len(masses)))
        step = max(1, 4_000_000 // masses.size)
        for i in range(0, len(masses), step):
            result[i : i + step] = self.spec.batched(masses[i : i + step, None], masses, **self.params)  # type: ignore[misc]
            tick()
        np.fill_diagonal(result, 0)
        return result
