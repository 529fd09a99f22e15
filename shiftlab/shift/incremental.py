"""One more subset against all stored ones, without touching them: the basis is frozen, the new row is one product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from shiftlab.measures.inputs import cloud, weights
from shiftlab.shift.pairs.fourier import FourierDesign
from shiftlab.shift.pairs.membership import Membership, compact
from shiftlab.shift.pairs.sliced import SlicedDesign
from shiftlab.shift.pairwise import design_settings


@dataclass(frozen=True)
class NewRow:
    """A new subset's values, lower and upper bounds against S stored subsets, (S,) each."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


@dataclass(frozen=True)
class FrozenBasis:
    """Embeddings of S subsets (S, k) around their mean, and all that is needed to embed one more.

    ``left_out`` (S,) is what an embedding leaves out of a subset's second moment; value^2 lies between the squared
    gap of two embeddings and that plus both. Subsets embedded in different bases must not be compared: when the
    pool has drifted, freeze a new basis from all subsets.
    """

    design: SlicedDesign | FourierDesign
    centre: NDArray[np.float32]
    middle: NDArray[np.float32]
    rows: NDArray[np.float32]
    norms: NDArray[np.float64]
    left_out: NDArray[np.float64]
    params: dict[str, Any]

    def compare(self, vectors: ArrayLike, member_weights: ArrayLike | None = None) -> NewRow:
        """A new subset's members (n, d) against all stored subsets, as a rebuild with this basis would give it."""
        row, left_out = self._embed(vectors, member_weights)
        cells = self._cells()
        gap = self.norms + float(row @ row) - 2 * (self.rows @ row).astype(np.float64)
        lower = np.maximum(gap, 0) / cells
        upper = lower + (self.left_out + left_out)
        return NewRow(np.sqrt((lower + upper) / 2), np.sqrt(lower), np.sqrt(upper))

    def append(self, vectors: ArrayLike, member_weights: ArrayLike | None = None) -> FrozenBasis:
        """The basis with the new subset's embedding stored."""
        row, left_out = self._embed(vectors, member_weights)
        return replace(
            self,
            rows=np.vstack([self.rows, row]),
            norms=np.append(self.norms, float(row @ row)),
            left_out=np.append(self.left_out, left_out),
        )

    def _cells(self) -> int:
        return self.rows.shape[1] if isinstance(self.design, SlicedDesign) else 1

    def _embed(
        self, vectors: ArrayLike, member_weights: ArrayLike | None
    ) -> tuple[NDArray[np.float32], float]:
        given = cloud(vectors, "vectors")
        if given.shape[1] != len(self.centre):
            raise ValueError(f"vectors must have {len(self.centre)} columns, not {given.shape[1]}")
        share = weights(member_weights, len(given), "member_weights")
        rows = given.astype(np.float32) - self.centre
        alone = Membership(csr_array(share[None]))
        row, left_out = _embedded(self.design.on(rows), alone)
        return row[0] - self.middle, float(left_out[0])


def freeze(
    vectors: ArrayLike, membership: Any, measure: str = "sliced_wasserstein", *, seed: int = 0, **params: Any
) -> FrozenBasis:
    """Embed S subsets of N items once, so that more can be compared with them in milliseconds each.

    ``measure`` is "sliced_wasserstein" or "mmd" (by random features); ``vectors``, ``membership`` and ``params`` as
    for `pairwise`. ValueError as there.
    """
    name = {"sliced_wasserstein": "quantiles", "mmd": "fourier"}.get(measure)
    if name is None:
        raise ValueError(f'measure must be "sliced_wasserstein" or "mmd", not {measure!r}')
    table = cloud(vectors, "vectors")
    members = Membership.of(membership, len(table))
    used = np.unique(members.weights.indices)
    centre = table[used].astype(np.float32).mean(axis=0, dtype=np.float64).astype(np.float32)
    rows, members = compact(table, members)
    settings = design_settings(measure, name, params, rows)
    design: SlicedDesign | FourierDesign
    if name == "quantiles":
        design = SlicedDesign.fit(rows, settings["n_projections"], settings["bins"], seed)
    else:
        design = FourierDesign.fit(rows, settings["gamma"], settings["features"], seed)
    embedded, left_out = _embedded(design, members)
    middle = embedded.mean(axis=0)
    embedded -= middle
    norms = np.einsum("ij,ij->i", embedded, embedded).astype(np.float64)
    about = settings | {"measure": measure, "design": name, "seed": seed}
    return FrozenBasis(design, centre, middle, embedded, norms, left_out, about)


def _embedded(
    design: SlicedDesign | FourierDesign, members: Membership
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    if isinstance(design, SlicedDesign):
        return design.embed(members)
    return design.embed(members), np.zeros(members.n_subsets)
