"""Divergences of masses: closed forms, scipy, the inequalities between them, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from shiftlab import measures as m

MASSES = ["kl", "symmetric_kl", "jensen_shannon", "total_variation", "hellinger", "chi_squared", "psi"]
entries = st.one_of(st.just(0.0), st.floats(1e-6, 1e3))
vectors = hnp.arrays(np.float64, 6, elements=entries).filter(lambda v: v.sum() > 0)


def test_worked_example() -> None:
    p, q = [1, 1, 0], [0, 1, 1]
    assert m.total_variation(p, q) == pytest.approx(0.5)
    assert m.jensen_shannon(p, q) == pytest.approx(0.346574, abs=1e-6)
    assert m.hellinger(p, q) == pytest.approx(math.sqrt(0.5))
    assert m.kl(p, q) == math.inf
    assert m.symmetric_kl(p, q) == math.inf
    assert m.chi_squared(p, q) == math.inf
    assert math.isfinite(m.psi(p, q))


def test_against_scipy() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.random(20), rng.random(20)
    p, q = p / p.sum(), q / q.sum()
    assert m.kl(p, q) == pytest.approx(entropy(p, q))
    assert m.symmetric_kl(p, q) == pytest.approx(entropy(p, q) + entropy(q, p))
    assert m.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2)
    assert m.hellinger(p, q) == pytest.approx(math.sqrt(1 - np.sqrt(p * q).sum()))
    assert m.chi_squared(p, q) == pytest.approx(((p - q) ** 2 / q).sum())
    assert m.psi(p, q) == pytest.approx(m.symmetric_kl(p, q))
    grid = np.sort(rng.normal(size=20))
    expected = wasserstein_distance(grid, grid, p, q)
    assert m.wasserstein_1d(p, q, positions=grid) == pytest.approx(expected)


def test_psi_floors_empty_bins() -> None:
    value = m.psi([1, 0], [0.5, 0.5], floor=0.01)
    assert value == pytest.approx(0.5 * math.log(2) + 0.49 * math.log(50))


@pytest.mark.parametrize("name", MASSES)
@given(p=vectors, q=vectors)
@settings(max_examples=40, deadline=None)
def test_zero_on_the_diagonal_scale_free_and_never_nan(name: str, p: np.ndarray, q: np.ndarray) -> None:
    f = getattr(m, name)
    assert f(p, p) == pytest.approx(0, abs=1e-12)
    value = f(p, q)
    assert not math.isnan(value)
    assert value >= 0
    assert f(p * 7, q * 0.5) == pytest.approx(value, rel=1e-9, abs=1e-12)
    if m.get(name).symmetric:
        assert f(q, p) == pytest.approx(value, rel=1e-9, abs=1e-12)


@given(p=vectors, q=vectors)
@settings(max_examples=100, deadline=None)
def test_inequalities(p: np.ndarray, q: np.ndarray) -> None:
    tv, h, js = m.total_variation(p, q), m.hellinger(p, q), m.jensen_shannon(p, q)
    assert h**2 <= tv + 1e-12
    assert tv <= h * math.sqrt(2) + 1e-12
    assert js <= tv * math.log(2) + 1e-12


def test_wasserstein_1d_grid() -> None:
    assert m.wasserstein_1d([1, 0, 0, 0], [0, 0, 0, 1]) == 3
    assert m.wasserstein_1d([1, 0], [0, 1], positions=[2, 7]) == 5
    with pytest.raises(ValueError, match="strictly increasing"):
        m.wasserstein_1d([1, 0], [0, 1], positions=[1, 1])


@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        ([1, -1], [1, 1], "p has negative mass: -1.0 at position 1"),
        ([1, 1], [0, 0], "q has no mass"),
        ([1, np.nan], [1, 1], "p must be finite"),
        ([1, 1], [1, np.inf], "q must be finite"),
        ([], [1], "p is empty"),
        ([1, 1], [1, 1, 1], "same length"),
        ([[1, 1]], [1, 1], r"p must have shape \(k,\)"),
        (["a"], [1], "p must hold numbers"),
    ],
)
@pytest.mark.parametrize("name", [*MASSES, "wasserstein_1d"])
def test_bad_masses_name_the_argument(name: str, p: list, q: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(m, name)(p, q)


def test_amplitude_spectrum_is_blind_to_rolling_scaling_mirroring_and_offsets() -> None:
    rng = np.random.default_rng(1)
    image = rng.random((8, 12))
    reference = rng.random((8, 12))

    def distance(a: np.ndarray) -> float:
        return m.wasserstein_1d(m.amplitude_spectrum(a), m.amplitude_spectrum(reference))

    for changed in (image + 5, image * 3, np.roll(image, (2, 5), (0, 1)), image[:, ::-1], image[::-1]):
        assert distance(changed) == pytest.approx(distance(image))
    wave = np.cos(2 * np.pi * 3 * np.arange(16) / 16)
    spectrum = m.amplitude_spectrum(wave)
    assert np.argmax(spectrum) == 2
    assert spectrum[2] == pytest.approx(16)
    with pytest.raises(m.UndefinedMeasureError, match="constant"):
        m.amplitude_spectrum(np.full(9, 2.5))
    with pytest.raises(ValueError, match="finite"):
        m.amplitude_spectrum([1.0, np.nan])
