"""Shift of labels and concepts in tables of counts: chain-rule parts, label-shift weights, precision and priors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, mass
from shiftlab.measures.masses import kl_rows
from shiftlab.measures.registry import declare


@dataclass(frozen=True)
class ShiftParts:
    """Parts of a shift of (cell, label) counts.

    Bounded and for display: ``covariate_tv``, ``label_tv``, ``concept_tv`` over the cells that both sides have
    (None with ``concept_reason`` if there are none), ``support_overlap`` the mean mass of these cells. In nats:
    ``covariate`` + ``concept`` = ``total`` = ``label`` + ``conditional``; infinite where one side lacks a cell.
    """

    covariate_tv: float
    label_tv: float
    concept_tv: float | None
    support_overlap: float
    covariate: float
    concept: float
    label: float
    conditional: float
    total: float
    concept_reason: str | None = None


@declare(
    kind="counts",
    what="concept",
    how="divergence",
    unit="share of mass; nats",
    range="[0, 1]; [0, inf]",
    zero_means="equal tables in that part",
    symmetric=False,
    source="chain rule of KL (Cover and Thomas 2006, theorem 2.5.3)",
    use_when="it should be told apart whether inputs, labels, or labels given inputs have moved",
    do_not_use_when="cells are many and sparse: plug-in parts are biased upward; permute within cells",
)
def decompose_shift(c0: ArrayLike, c1: ArrayLike) -> ShiftParts:
    """Split the shift from counts c0 to c1, both (cells, labels), into covariate, label and concept parts.

    The bounded set is the default for display: KL is infinite for one-hot labels. Zero means that this part is
    equal. ValueError for negative, non-finite or empty tables or different shapes. Do not use it with sparse
    cells without a null. Source: chain rule of KL (Cover and Thomas 2006, theorem 2.5.3).
    """
    p, q = _table(c0, "c0"), _table(c1, "c1")
    if p.shape != q.shape:
        raise ValueError(f"c0 and c1 must have the same shape: {p.shape} and {q.shape}")
    cell_p, cell_q, label_p, label_q = p.sum(1), q.sum(1), p.sum(0), q.sum(0)
    shared = (cell_p > 0) & (cell_q > 0)
    weight = (cell_p[shared] + cell_q[shared]) / 2
    overlap = float(weight.sum())
    concept_tv = None
    if overlap > 0:
        given_p, given_q = p[shared] / cell_p[shared, None], q[shared] / cell_q[shared, None]
        concept_tv = float(weight @ np.abs(given_p - given_q).sum(1) / 2 / overlap)
    covariate, label = float(kl_rows(cell_p, cell_q)), float(kl_rows(label_p, label_q))
    return ShiftParts(
        covariate_tv=float(np.abs(cell_p - cell_q).sum() / 2),
        label_tv=float(np.abs(label_p - label_q).sum() / 2),
        concept_tv=concept_tv,
        support_overlap=overlap,
        covariate=covariate,
        concept=_conditional(p, q),
        label=label,
        conditional=_conditional(p.T, q.T),
        total=float(kl_rows(p.ravel(), q.ravel())),
        concept_reason=None if overlap > 0 else "no cell has items on both sides",
    )


def _table(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers only: {error}") from None
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (cells, labels), not {array.shape}")
    return mass(array.ravel(), name).reshape(array.shape)


def _conditional(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """sum_c p(c) KL(p(y|c), q(y|c)); infinite where p has a cell that q lacks."""
    rows_p, rows_q = p.sum(1), q.sum(1)
    used = rows_p > 0
    if (rows_q[used] == 0).any():
        return float("inf")
    return float(rows_p[used] @ kl_rows(p[used] / rows_p[used, None], q[used] / rows_q[used, None]))


@dataclass(frozen=True)
class LabelShift:
    """Estimated target over source share of every label (k,), the implied target prior (k,), and how it went.

    ``condition`` is the condition number of the confusion matrix: large means that labels are confused alike and
    weights are uncertain.
    """

    weights: NDArray[np.float64]
    prior: NDArray[np.float64]
    condition: float


@declare(
    kind="counts",
    what="labels",
    how="association",
    unit="ratio",
    range="[0, inf) per label",
    zero_means="a label that the target does not have",
    symmetric=False,
    source="Lipton et al. 2018, eq. 4 (BBSE); Azizzadenesheli et al. 2019 (regularised)",
    use_when="labels of the target are unknown but a classifier's predictions are not",
    do_not_use_when="inputs given a label have moved too: the weights then explain the wrong thing",
)
def label_shift_weights(confusion: ArrayLike, predicted: ArrayLike, ridge: float = 0.0) -> LabelShift:
    """Label-shift weights from source counts confusion (k, k), rows predicted, columns true, and target
    prediction counts (k,).

    Least squares of C w = mu with w >= 0 and sum p(y) w(y) = 1; ``ridge`` pulls w towards 1 (RLLS). A weight of
    zero means a label that the target does not have. ValueError for bad counts, shapes or ridge;
    UndefinedMeasureError for a label without source items. Do not use it when P(x given y) has moved as well.
    Sources: Lipton et al. (2018), eq. 4; Azizzadenesheli et al. (2019).
    """
    joint = _table(confusion, "confusion")
    if joint.shape[0] != joint.shape[1]:
        raise ValueError(f"confusion must be square, not {joint.shape}")
    target = mass(predicted, "predicted")
    if len(target) != len(joint):
        raise ValueError(f"predicted must have one count per label: {len(target)} for {len(joint)}")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge must be a number of at least 0, not {ridge!r}")
    source = joint.sum(0)
    if source.min() <= 0:
        raise UndefinedMeasureError(f"label {int(source.argmin())} has no items in the source")
    from scipy.optimize import nnls

    heavy = 1e4  # the constraint that weights average to one, as a heavy row
    rows = np.vstack([joint, np.sqrt(ridge) * np.eye(len(joint)), heavy * source])
    goal = np.concatenate([target, np.full(len(joint), np.sqrt(ridge)), [heavy]])
    found = nnls(rows, goal)[0]
    return LabelShift(found, found * source / (found @ source), float(np.linalg.cond(joint / source)))


@declare(
    kind="scalar",
    what="labels",
    how="probe",
    unit="share",
    range="[0, 1]",
    zero_means="no alarm is right",
    source="Bayes' rule: tpr pi / (tpr pi + fpr (1 - pi))",
    use_when="a detector tested on balanced data will meet a rare class",
    do_not_use_when="tpr and fpr come from another distribution than the one to be met",
)
def precision_under_prior(tpr: float, fpr: float, prior: float) -> float:
    """Precision of a detector with rates tpr, fpr when the positive class has share ``prior``; [0, 1].

    Zero means that no alarm is right. Prior 0 gives 0, 1 gives 1, tpr = fpr gives the prior.
    ValueError outside [0, 1]; UndefinedMeasureError where there are no alarms at all. Source: Bayes' rule.
    Do not use it with rates from another distribution than the one to be met.
    """
    for name, rate in (("tpr", tpr), ("fpr", fpr), ("prior", prior)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name} must lie in [0, 1], not {rate!r}")
    alarms = tpr * prior + fpr * (1 - prior)
    if alarms == 0:
        raise UndefinedMeasureError("there are no alarms, so their precision does not exist")
    return tpr * prior / alarms


@declare(
    kind="set",
    what="inputs",
    how="association",
    unit="share of items",
    range="[0, 1]",
    zero_means="no shared item",
    source="overlap coefficient (Szymkiewicz-Simpson); Jaccard 1912",
    use_when="two subsets may hold the same items",
    do_not_use_when="items have weights",
)
def overlap(a: Collection[Any], b: Collection[Any], kind: str = "min") -> float:
    """Shared items of two sets over the smaller one ("min"), their union ("jaccard") or a itself ("left"); [0, 1].

    Zero means no shared item. UndefinedMeasureError for an empty set; ValueError for an unknown kind.
    Do not use it where items have weights.
    """
    left, right = set(_plain(a)), set(_plain(b))
    sizes = {"min": min(len(left), len(right)), "jaccard": len(left | right), "left": len(left)}
    if kind not in sizes:
        raise ValueError(f'kind must be "min", "jaccard" or "left", not {kind!r}')
    if not left or not right:
        raise UndefinedMeasureError("the overlap with an empty set does not exist")
    return len(left & right) / sizes[kind]


def _plain(items: Collection[Any]) -> Collection[Any]:
    return items.tolist() if isinstance(items, np.ndarray) else items
