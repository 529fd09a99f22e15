"""Drift between two groups of filters, with its bias, its null and a verdict.

Source: CNN Filter DB (arXiv:2203.15331) for the published form; the fixed basis, the correction and the nulls
are ShiftLab's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.filters import divergence, null
from shiftlab.filters.basis import as_filters, principal_components, scale
from shiftlab.filters.null import NullInterval, Units
from shiftlab.filters.sketch import BINS, Sketch, histogram_range, sketch

Mode = Literal["published", "fixed", "uniform"]
Group = np.ndarray | Sequence[np.ndarray]
RESAMPLES = 200
SMALL_GROUP = 1000  # filters; below it the floor of empty bins dominates the value
_CHUNK = 65_536


@dataclass(frozen=True)
class Drift:
    """Drift D between groups P and Q: 0 = equal histograms, no upper bound, nats.

    `corrected` is D minus the mean of the filter null (it may be negative: less than chance). `null_low` and
    `null_high` are the 2.5 and 97.5 % quantiles of D under the main null (models, else layers, else filters:
    `nulls` lists all). `distinguishable` is True only if D lies above every null; otherwise D is no finding.
    `components` [d] is the symmetric KL of each component, `weights` [d] their weights (sum 1):
    value = sum(weights * components). `jensen_shannon` is weighted the same, `wasserstein` [d] is in units of
    scaled coefficients. `ci_low`, `ci_high` is a bootstrap interval (95 %) for D free of bias, so it may lie
    below the raw value. None comes with a `note`.
    """

    value: float
    corrected: float
    null_low: float
    null_high: float
    distinguishable: bool
    components: tuple[float, ...]
    weights: tuple[float, ...]
    jensen_shannon: float
    wasserstein: tuple[float, ...]
    ci_low: float | None
    ci_high: float | None
    nulls: tuple[NullInterval, ...]
    n_p: int
    n_q: int
    layers_p: int
    layers_q: int
    mode: Mode
    low: float
    high: float
    bins: int
    seed: int
    note: str


def drift(
    p: Group,
    q: Group,
    mode: Mode = "published",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bins: int = BINS,
) -> Drift:
    """Drift between two groups of filters.

    Each group is one array of filters, (n, 3, 3), (n, 9) or (O, I, 3, 3), or a list of such arrays, one per
    layer, which lets whole layers be shuffled for the null. Filters are scaled to a largest weight of 1.

    mode "published": principal components of both groups together, one range over all coefficients,
    weighted by explained variance, exactly as in arXiv:2203.15331. "fixed": DCT-II basis, range [-3, 3],
    weighted by the pooled variance on each axis; values of different calls share their bins. "uniform": the
    same with weights 1/9.

    Do not compare values of different bin numbers or modes. Do not use D alone below about 1,000 filters a
    group: it is then mostly sampling bias; look at `corrected` and `distinguishable`. Raises BadInputError
    for empty groups, NaN, and kernels of different shapes.
    """
    if mode not in ("published", "fixed", "uniform"):
        raise BadInputError(f"mode: expected 'published', 'fixed' or 'uniform', got {mode!r}")
    if mode != "published" and bins != BINS:
        raise BadInputError(f"bins: sketches have {BINS} bins; another number needs mode='published'")
    layers_p, layers_q = _layers(p, "p"), _layers(q, "q")
    if layers_p[0].shape[1] != layers_q[0].shape[1]:
        raise BadInputError(
            f"p and q: kernels of {layers_p[0].shape[1]} and {layers_q[0].shape[1]} weights do not compare"
        )
    if mode == "published":
        counts, weights, low, high = published_counts(layers_p + layers_q, bins)
    else:
        counts, weights, low, high = _fixed_counts(layers_p + layers_q, mode)
    cut = len(layers_p)
    left = Units(counts[:cut], np.zeros(cut, np.int64))
    right = Units(counts[cut:], np.ones(len(layers_q), np.int64))
    return drift_of_units(left, right, weights, (low, high), mode, resamples=resamples, seed=seed)


def drift_of_units(
    left: Units,
    right: Units,
    weights: np.ndarray,
    span: tuple[float, float],
    mode: Mode,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Drift:
    """Drift between two groups of layers given as histograms on one basis with weights [d] over `span`."""
    low, high = span
    bins = left.counts.shape[-1]
    width = (high - low) / bins
    p_counts, q_counts = left.total, right.total
    p, q = divergence.probabilities(p_counts, width), divergence.probabilities(q_counts, width)
    components = divergence.symmetric_kl(p, q)
    value = float(components @ weights)
    nulls = [null.filter_null(p_counts, q_counts, weights, width, resamples, seed)]
    units = null.unit_null(left, right, weights, width, resamples, seed)
    if units is not None:
        nulls.insert(0, units)
    interval = null.bootstrap(left, right, weights, width, value, resamples, seed)
    n_p, n_q = int(p_counts[0].sum()), int(q_counts[0].sum())
    return Drift(
        value=value,
        corrected=value - nulls[-1].mean,
        null_low=nulls[0].low,
        null_high=nulls[0].high,
        distinguishable=all(value > interval.high for interval in nulls),
        components=tuple(components.tolist()),
        weights=tuple(weights.tolist()),
        jensen_shannon=float(divergence.jensen_shannon(p, q) @ weights),
        wasserstein=tuple(divergence.wasserstein(p_counts, q_counts, width).tolist()),
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        nulls=tuple(nulls),
        n_p=n_p,
        n_q=n_q,
        layers_p=len(left.counts),
        layers_q=len(right.counts),
        mode=mode,
        low=low,
        high=high,
        bins=bins,
        seed=seed,
        note=_note(min(n_p, n_q), units is None, interval is None),
    )


def _note(fewest: int, no_units: bool, no_interval: bool) -> str:
    notes = []
    if fewest < SMALL_GROUP:
        notes.append(f"tiny group: {fewest} filters, the value is mostly sampling bias")
    if no_units:
        notes.append("too few models and layers to shuffle: only the filter null, which is a lower bound")
    if no_interval:
        notes.append("no interval: a group has a single layer")
    return "; ".join(notes)


def _layers(group: Group, name: str) -> list[np.ndarray]:
    """The layers of a group as rows [n, d]; a single array is a single layer."""
    arrays = [group] if isinstance(group, np.ndarray) else list(group)
    if not arrays:
        raise BadInputError(f"{name}: the group is empty")
    layers = [as_filters(array, name) for array in arrays]
    if len({layer.shape[1] for layer in layers}) > 1:
        raise BadInputError(f"{name}: the layers have kernels of different sizes")
    return layers


def published_counts(layers: list[np.ndarray], bins: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Counts of each layer [layers, d, bins] on the pooled principal components; three scans in chunks."""
    d = layers[0].shape[1]
    n, total, gram = 0, np.zeros(d), np.zeros((d, d))
    for _, scaled in _chunks(layers):
        n, total, gram = n + len(scaled), total + scaled.sum(axis=0), gram + scaled.T @ scaled
    basis = principal_components(n, total, gram)
    low, high = np.inf, -np.inf
    for _, scaled in _chunks(layers):
        coefficients = basis.coefficients(scaled)
        low, high = min(low, coefficients.min()), max(high, coefficients.max())
    if not high > low:
        raise BadInputError("p and q: all filters are equal after scaling; there is no variance to compare")
    edges = np.linspace(low, high, bins + 1)
    counts = np.zeros((len(layers), d, bins), np.int64)
    for layer, scaled in _chunks(layers):
        places = _bin_numbers(basis.coefficients(scaled), edges) + bins * np.arange(d)
        counts[layer] += np.bincount(places.ravel(), minlength=d * bins).reshape(d, bins)
    return counts, basis.variance_share, float(low), float(high)


def _bin_numbers(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value as numpy.histogram assigns it: half-open bins, the last one closed."""
    bins = len(edges) - 1
    places = ((values - edges[0]) * (bins / (edges[-1] - edges[0]))).astype(np.intp)
    np.minimum(places, bins - 1, out=places)
    places -= values < edges[places]
    places += (values >= edges[places + 1]) & (places < bins - 1)
    return places


def _chunks(layers: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """(layer index, scaled filters) in chunks that fit the cache."""
    for index, layer in enumerate(layers):
        for start in range(0, len(layer), _CHUNK):
            yield index, scale(layer[start : start + _CHUNK])


def _fixed_counts(layers: list[np.ndarray], mode: Mode) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Counts of each layer on the DCT-II basis, from their sketches."""
    edge = round(layers[0].shape[1] ** 0.5)
    if edge * edge != layers[0].shape[1]:
        raise BadInputError("p and q: mode 'fixed' and 'uniform' take square kernels; use mode='published'")
    sketches = [sketch(layer, (edge, edge)) for layer in layers]
    half = histogram_range((edge, edge))
    counts = np.stack([part.counts for part in sketches])
    return counts, component_weights(sketches, mode), -half, half


def component_weights(sketches: Sequence[Sketch], mode: Mode) -> np.ndarray:
    """Weights [d] of the DCT-II components: pooled variance shares ("fixed") or equal ("uniform")."""
    d = len(sketches[0].sum_scaled)
    if mode == "uniform":
        return np.full(d, 1 / d)
    pooled = sketches[0]
    for part in sketches[1:]:
        pooled = pooled + part
    return pooled.dct_variance_share()
