"""Measures on a line: the two-sample Kolmogorov-Smirnov statistic, W1 on a grid, amplitude spectra."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.measures.inputs import UndefinedMeasureError, masses, sample
from shiftlab.measures.registry import declare


@declare(
    kind="sample",
    what="inputs",
    how="divergence",
    unit="1",
    range="[0, 1]",
    zero_means="equal empirical distributions",
    source="Kolmogorov 1933, Smirnov 1948: sup |F - G|",
    use_when="one numeric column is compared",
    do_not_use_when="n is large and any p below .05 is read as harm: it rejects shifts of .02 sd",
    seconds=lambda n, m, d: 2e-7 * (n + m),
)
def kolmogorov_smirnov(x: ArrayLike, y: ArrayLike) -> float:
    """Largest gap between the empirical distribution functions of samples x (n,) and y (m,), [0, 1].

    Zero means equal empirical distributions. ValueError for empty or non-finite samples. Do not use its
    p-value as a measure of size: at n = 100,000 it rejects a harmless shift of 0.02 standard deviations.
    Source: Smirnov (1948).
    """
    a, b = np.sort(sample(x, "x")), np.sort(sample(y, "y"))
    pooled = np.concatenate([a, b])
    gap = np.searchsorted(a, pooled, "right") / len(a) - np.searchsorted(b, pooled, "right") / len(b)
    return float(np.abs(gap).max())


def wasserstein_1d_rows(
    p: NDArray[np.float64], q: NDArray[np.float64], positions: ArrayLike | None = None
) -> NDArray[np.float64]:
    """W1 along the last axis of probabilities (..., k) on one grid."""
    steps = np.diff(_grid(positions, p.shape[-1]))
    return (np.abs(np.cumsum(p - q, axis=-1)[..., :-1]) * steps).sum(-1)


@declare(
    kind="grid",
    what="spectra",
    how="ot",
    unit="units of positions",
    range="[0, span of the grid]",
    zero_means="equal masses",
    batched=wasserstein_1d_rows,
    debias_power=2,
    source="Vallender 1974: W1 = integral |F - G|",
    use_when="categories are ordered: bins of a histogram, frequencies, ranks",
    do_not_use_when="categories have no order",
)
def wasserstein_1d(p: ArrayLike, q: ArrayLike, positions: ArrayLike | None = None) -> float:
    """W1 between masses p (k,) and q (k,) on a strictly increasing grid ``positions`` (k,), default 0..k-1.

    In units of ``positions``, from 0 (equal masses) to the grid's span. ValueError for bad masses or a grid
    that does not increase. For two samples of numbers use `wasserstein`. Do not use it where categories
    have no order. Source: Vallender (1974).
    """
    return float(wasserstein_1d_rows(*masses(p, q), positions=positions))


def _grid(positions: ArrayLike | None, k: int) -> NDArray[np.float64]:
    if positions is None:
        return np.arange(k, dtype=np.float64)
    grid = np.asarray(positions, dtype=np.float64)
    if grid.shape != (k,):
        raise ValueError(f"positions must have shape ({k},), not {grid.shape}")
    if not np.isfinite(grid).all() or (np.diff(grid) <= 0).any():
        raise ValueError("positions must be finite and strictly increasing")
    return grid


@declare(
    kind="one",
    what="spectra",
    how="geometry",
    unit="amplitude",
    range="[0, inf) per frequency",
    zero_means="no energy at that frequency",
    source="FreSh (Kania et al. 2024), with signed frequencies",
    use_when="two signals or images are compared by their frequencies: pass two spectra to wasserstein_1d",
    do_not_use_when="phase or position matters: the spectrum is blind to shifts and mirrors",
)
def amplitude_spectrum(signal: ArrayLike, drop_dc: bool = True) -> NDArray[np.float64]:
    """Absolute DFT of a signal (n,) or image (h, w), summed by frequency: (k,) amplitudes, not power.

    Frequencies are |f| in one dimension and |fx| + |fy| (signed f) in two, so that mirror-image waves fall
    in the same bin. Without DC, adding a constant, scaling, rolling or mirroring changes no
    distance between spectra. UndefinedMeasureError for a constant signal without DC (it has no mass);
    ValueError for non-finite or empty input. Source: FreSh (Kania et al. 2024).
    """
    values = np.asarray(signal, dtype=np.float64)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"signal must have shape (n,) or (h, w), not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("signal must be finite")
    if drop_dc and np.ptp(values) <= 1e-12 * max(1.0, abs(values.mean())):
        raise UndefinedMeasureError("a constant signal has no mass once its mean is dropped")
    spectrum = amplitude_spectra(values[None])[0]
    return spectrum[1:] if drop_dc else spectrum


def amplitude_spectra(signals: NDArray[np.floating]) -> NDArray[np.float64]:
    """`amplitude_spectrum` with DC of every signal (m, n) or picture (m, h, w): (m, k), as float64."""
    shape = signals.shape[1:]
    axes = [np.rint(np.abs(np.fft.fftfreq(n)) * n).astype(int) for n in shape]
    frequency = axes[0] if len(shape) == 1 else axes[0][:, None] + axes[1][None, :]
    order = np.argsort(frequency.ravel(), kind="stable")
    borders = np.searchsorted(frequency.ravel()[order], np.arange(frequency.max() + 1))
    found = np.empty((len(signals), len(borders)))
    step = max(1, 4_000_000 // int(np.prod(shape)))
    for start in range(0, len(signals), step):
        block = np.asarray(signals[start : start + step], dtype=np.float64).reshape(-1, *shape)
        # Removing the mean first leaves the other frequencies alone and keeps rounding out of them.
        mean = block.mean(axis=tuple(range(1, block.ndim)), keepdims=True)
        amplitude = np.abs(np.fft.fftn(block - mean, axes=tuple(range(1, block.ndim))))
        flat = amplitude.reshape(len(block), -1)
        flat[:, 0] = np.abs(mean).ravel() * flat.shape[1]
        found[start : start + step] = np.add.reduceat(flat[:, order], borders, axis=1)
    return found


def amplitude_shares(
    signals: NDArray[np.floating], first: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Spectra without DC that sum to 1 (m, k), rows of zeros for constant signals, and which are not constant (m,).

    ``first`` keeps the lowest frequencies only, as FreSh does.
    """
    spectra = amplitude_spectra(signals)[:, 1 : None if first is None else first + 1]
    flat = signals.reshape(len(signals), -1)
    total = spectra.sum(axis=1)
    varies = (np.ptp(flat, axis=1) > 1e-6 * np.maximum(1.0, np.abs(flat).max(axis=1))) & (total > 0)
    return np.where(varies[:, None], spectra / np.where(varies, total, 1.0)[:, None], 0.0), varies
