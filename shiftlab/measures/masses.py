"""Divergences of two category masses: pure functions of (k,) vectors, natural logarithm.

Every divergence is written once, for arrays (..., k) of probabilities; the public function checks and
calls it on one pair, a permutation test or a matrix of pairs calls it on many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import masses
from shiftlab.measures.registry import declare

Rows = NDArray[np.float64]


def kl_rows(p: Rows, q: Rows) -> Rows:
    """Kullback-Leibler divergence along the last axis: 0 log 0 = 0; inf where p > 0 = q."""
    with np.errstate(all="ignore"):
        terms = np.where(p > 0, p * np.log(p / q), 0.0)
    return np.maximum(terms.sum(-1), 0.0)


def symmetric_kl_rows(p: Rows, q: Rows) -> Rows:
    """KL(p, q) + KL(q, p) along the last axis."""
    return kl_rows(p, q) + kl_rows(q, p)


def jensen_shannon_rows(p: Rows, q: Rows) -> Rows:
    """Jensen-Shannon divergence along the last axis."""
    middle = (p + q) / 2
    return np.minimum((kl_rows(p, middle) + kl_rows(q, middle)) / 2, np.log(2))


def total_variation_rows(p: Rows, q: Rows) -> Rows:
    """Half the sum of absolute differences along the last axis."""
    return np.minimum(np.abs(p - q).sum(-1) / 2, 1.0)


def hellinger_rows(p: Rows, q: Rows) -> Rows:
    """Hellinger distance along the last axis; the sum of squares loses nothing near p = q."""
    return np.minimum(np.sqrt(np.square(np.sqrt(p) - np.sqrt(q)).sum(-1) / 2), 1.0)


def chi_squared_rows(p: Rows, q: Rows) -> Rows:
    """Pearson's divergence along the last axis; inf where p > 0 = q."""
    with np.errstate(all="ignore"):
        terms = np.where((p > 0) | (q > 0), np.square(p - q) / q, 0.0)
    return terms.sum(-1)


def psi_rows(p: Rows, q: Rows, floor: float = 1e-4) -> Rows:
    """Population stability index along the last axis, masses floored at ``floor``."""
    a, b = np.maximum(p, floor), np.maximum(q, floor)
    with np.errstate(all="ignore"):
        return np.where(a == b, 0.0, (a - b) * np.log(a / b)).sum(-1)


_SHARED: dict[str, Any] = {"kind": "mass", "what": "labels", "how": "divergence"}


@declare(
    **_SHARED,
    unit="nats",
    range="[0, inf]",
    zero_means="equal masses",
    symmetric=False,
    batched=kl_rows,
    debias_power=1,
    source="Kullback and Leibler 1951, eq. 2.1",
    use_when="q is a reference that has mass wherever p can have it",
    do_not_use_when="a category may be empty in q: the value is then infinite; use jensen_shannon",
)
def kl(p: ArrayLike, q: ArrayLike) -> float:
    """Kullback-Leibler divergence sum p ln(p/q) of masses p (k,) and q (k,), in nats, [0, inf].

    Zero means equal masses; inf where p has mass and q has none; 0 log 0 = 0. Inputs are divided by their
    sums. ValueError for negative, non-finite or all-zero masses or different lengths.
    Do not use it when a category may be empty in q. Source: Kullback and Leibler (1951), eq. 2.1.
    """
    return float(kl_rows(*masses(p, q)))


@declare(
    **_SHARED,
    unit="nats",
    range="[0, inf]",
    zero_means="equal masses",
    batched=symmetric_kl_rows,
    debias_power=1,
    source="Jeffreys 1946; the sum, without a half",
    use_when="comparing histograms that share their support, as in the drift of filters",
    do_not_use_when="a category may be empty on one side: the value is then infinite",
)
def symmetric_kl(p: ArrayLike, q: ArrayLike) -> float:
    """KL(p, q) + KL(q, p), the sum and not its half, of masses (k,), in nats, [0, inf].

    Zero means equal masses. ValueError as for `kl`. Do not use it when a category may be empty on one
    side. Source: Jeffreys (1946).
    """
    return float(symmetric_kl_rows(*masses(p, q)))


@declare(
    **_SHARED,
    unit="nats",
    range="[0, ln 2]",
    zero_means="equal masses",
    batched=jensen_shannon_rows,
    debias_power=1,
    source="Lin 1991, eq. 3.1 (the divergence, not its root)",
    use_when="a bounded, always finite divergence of category counts is wanted",
    do_not_use_when="categories are ordered (use wasserstein_1d), or samples are small and no null is shown",
)
def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon divergence (not its root) of masses (k,), in nats, [0, ln 2].

    Zero means equal masses, ln 2 disjoint ones. ValueError as for `kl`. Do not use it for ordered
    categories, where near and far moves should differ. Source: Lin (1991), eq. 3.1.
    """
    return float(jensen_shannon_rows(*masses(p, q)))


@declare(
    **_SHARED,
    unit="share of mass",
    range="[0, 1]",
    zero_means="equal masses",
    batched=total_variation_rows,
    source="sum |p - q| / 2",
    use_when="the share of items that must change category is the question",
    do_not_use_when="many rare categories: its plug-in value is biased upward",
)
def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Total variation distance sum |p - q| / 2 of masses (k,), [0, 1]: the share of mass that differs.

    Zero means equal, one disjoint masses. ValueError as for `kl`. Do not read it without a null when many
    categories are rare: the plug-in value is biased upward.
    """
    return float(total_variation_rows(*masses(p, q)))


@declare(
    **_SHARED,
    unit="1",
    range="[0, 1]",
    zero_means="equal masses",
    batched=hellinger_rows,
    debias_power=2,
    source="Hellinger 1909; sqrt(1 - sum sqrt(p q))",
    use_when="rare categories should count more than total variation lets them",
    do_not_use_when="categories are ordered",
)
def hellinger(p: ArrayLike, q: ArrayLike) -> float:
    """Hellinger distance sqrt(1 - sum sqrt(p q)) of masses (k,), [0, 1].

    Zero means equal, one disjoint masses; h^2 <= total variation <= h sqrt 2. ValueError as for `kl`.
    Do not use it for ordered categories. Source: Hellinger (1909).
    """
    return float(hellinger_rows(*masses(p, q)))


@declare(
    **_SHARED,
    unit="1",
    range="[0, inf]",
    zero_means="equal masses",
    symmetric=False,
    batched=chi_squared_rows,
    debias_power=1,
    source="Pearson 1900; n times this is the goodness-of-fit statistic",
    use_when="q is the expected mass and rare categories matter",
    do_not_use_when="a category may be empty in q: the value is then infinite",
)
def chi_squared(p: ArrayLike, q: ArrayLike) -> float:
    """Pearson's divergence sum (p - q)^2 / q of observed p (k,) and expected q (k,), [0, inf].

    Times n it is Pearson's goodness-of-fit statistic. Zero means equal masses, inf that p has mass where q
    has none. ValueError as for `kl`. Do not use it when a category may be empty in q. Source: Pearson (1900).
    """
    return float(chi_squared_rows(*masses(p, q)))


@declare(
    **_SHARED,
    unit="nats",
    range="[0, inf)",
    zero_means="equal masses (above the floor)",
    batched=psi_rows,
    debias_power=1,
    source="population stability index: symmetric KL with floored masses",
    use_when="a score must be read beside a monitoring tool that reports PSI",
    do_not_use_when="n is below about 1,000: the customary limit of 0.1 then fires without any shift",
)
def psi(p: ArrayLike, q: ArrayLike, floor: float = 1e-4) -> float:
    """Population stability index sum (p - q) ln(p / q) of masses (k,), each floored at ``floor``, in nats.

    Zero means equal masses above the floor; ``floor=0`` gives `symmetric_kl`. ValueError as for `kl`, or for
    a floor outside [0, 1). Do not compare it with a fixed limit: at n = 50 the customary 0.1 fires in 98 %
    of samples without shift.
    """
    if not 0 <= floor < 1:
        raise ValueError(f"floor must lie in [0, 1), not {floor!r}")
    return float(psi_rows(*masses(p, q), floor=floor))
