"""Statistics that only many trials can show: p-values at their level, intervals at their coverage."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from shiftlab import measures, shift
from shiftlab.shift import explain

TRIALS = 2000
CLOUDS = [
    ("mmd", 0), ("mmd_sq", 0), ("kid", 0), ("energy_distance", 0), ("energy_distance_sq", 0),
    ("sliced_wasserstein", 0), ("gaussian_wasserstein", 0), ("wasserstein", 0), ("classifier_two_sample", 0),
    ("mmd", 8),
]  # fmt: skip


def rejected(p_value: Callable[[np.random.Generator], float]) -> float:
    rng = np.random.default_rng(0)
    return float(np.mean([p_value(rng) <= 0.05 for _ in range(TRIALS)]))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shared"), CLOUDS)
def test_permutation_p_values_of_clouds_keep_their_level(name: str, shared: int) -> None:
    """With ``shared`` items on both sides, too: 30 others remain on each."""
    params = {"n_projections": 8} if name == "sliced_wasserstein" else {}

    def p_value(rng: np.random.Generator) -> float:
        pool = rng.normal(size=(60 + shared, 3))
        left, right = np.arange(30 + shared), np.arange(30, 60 + shared)
        ids = {"ids_x": left, "ids_y": right} if shared else {}
        score = shift.compare(
            pool[left], pool[right], name, permutations=19, confidence=0, seed=int(rng.integers(1 << 30)),
            **ids, **params,
        )  # fmt: skip
        assert score.p is not None
        return score.p

    assert rejected(p_value) == pytest.approx(0.05, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jensen_shannon", "total_variation", "chi_squared", "wasserstein_1d"])
def test_permutation_p_values_of_counts_keep_their_level(name: str) -> None:
    """Items carry several dependent counts; ties make the discrete test conservative, never liberal."""

    def p_value(rng: np.random.Generator) -> float:
        rate = rng.gamma(1.0, size=(80, 1))
        counts = rng.poisson(rate * [3.0, 2, 1, 1])
        return shift.compare(
            counts[:35], counts[35:], name, permutations=19, confidence=0, seed=int(rng.integers(1 << 30))
        ).p

    assert rejected(p_value) == pytest.approx(0.05, abs=0.01)


@pytest.mark.slow
def test_p_values_of_paired_data_features_and_all_pairs_keep_their_level() -> None:
    def paired(rng: np.random.Generator) -> float:
        base = rng.normal(size=(30, 3))
        noise = rng.normal(size=(2, 30, 3)) * 0.5
        return shift.compare(
            base + noise[0], base + noise[1], "energy_distance", paired=True, permutations=19, confidence=0,
            seed=int(rng.integers(1 << 30)),
        ).p  # fmt: skip

    def feature(rng: np.random.Generator) -> float:
        x = rng.normal(size=(50, 1))
        return explain.features(x[:20], x[20:], permutations=19, seed=int(rng.integers(1 << 30)))["p"].item()

    def all_pairs(rng: np.random.Generator) -> float:
        x = rng.normal(size=(90, 3))
        members = (rng.random((3, 90)) < 0.5).astype(float)
        found = shift.pairwise(
            x, members[:2], "sliced_wasserstein", permutations=19, debias=0, n_projections=8, bins=16,
            seed=int(rng.integers(1 << 30)),
        )  # fmt: skip
        return found.p[0, 1] if not math.isnan(found.p[0, 1]) else float(rng.random())

    for p_value in (paired, feature, all_pairs):
        assert rejected(p_value) == pytest.approx(0.05, abs=0.01)


def gaussian_mmd(d: int, t: float, gamma: float) -> float:
    """MMD of N(0, I) and N(t e, I) in closed form."""
    return math.sqrt(2 * (1 + 4 * gamma) ** (-d / 2) * (1 - math.exp(-gamma * t * t / (1 + 4 * gamma))))


TRUTHS = {
    "mmd": (lambda t, d: gaussian_mmd(d, t, 0.1), {"gamma": 0.1}),
    "sliced_wasserstein": (lambda t, d: t / math.sqrt(d), {"n_projections": 8}),
    "gaussian_wasserstein": (lambda t, d: t, {}),
    "wasserstein": (lambda t, d: t, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TRUTHS))
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_intervals_cover(name: str, t: float) -> None:
    """95 % intervals hold the population's value in at least 93 % of samples; at zero they may do so always."""
    truth, params = TRUTHS[name]
    d, trials = 4, 400 if t else 100
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(trials):
        x, y = rng.normal(size=(100, d)), rng.normal(size=(120, d))
        y[:, 0] += t
        score = shift.compare(x, y, name, permutations=0, **params)
        hits += score.ci_low <= truth(t, d) <= score.ci_high
    assert hits / trials >= 0.93


@pytest.mark.slow
def test_debiased_values_are_unbiased_under_overlap() -> None:
    """Half of the items shared: the debiased squared sliced W2 is that of the whole populations."""
    rng = np.random.default_rng(2)
    d, ids = 16, np.arange(300)
    found = []
    for _ in range(60):
        z = rng.normal(size=(300, d))
        z[200:, 0] += 2.0
        score = shift.compare(
            z[:200], z[100:], "energy_distance", ids_x=ids[:200], ids_y=ids[100:], permutations=0
        )
        found.append(score.debiased)
    z = rng.normal(size=(8000, d))
    far = rng.normal(size=(8000, d))
    far[4000:, 0] += 2.0
    truth = measures.energy_distance_sq(z, far)
    assert np.mean(found) == pytest.approx(truth, abs=3 * np.std(found) / math.sqrt(60) + 0.005)
