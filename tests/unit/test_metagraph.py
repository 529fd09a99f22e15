"""Meta-graph distances against numbers worked out by hand, and where they do not exist."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab.subsets import metagraph

SETS = {
    "A": {1, 2, 3, 4},
    "B": {3, 4, 5, 6, 7},
    "C": {7, 8, 9, 10},
    "D": {8, 9, 30, 31, 32, 33},
}


def path_graph() -> np.ndarray:
    """A - B - C - D with the overlap coefficients .5, .25, .5; other pairs share less than a fifth."""
    names = list(SETS)
    weights = np.zeros((4, 4))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            overlap = len(SETS[a] & SETS[b]) / min(len(SETS[a]), len(SETS[b]))
            weights[i, j] = overlap if i != j and overlap >= 0.2 else 0
    return weights


@pytest.mark.parametrize(
    ("dim", "ab", "ac", "ad", "bc"),
    [
        (1, 0.381966, 1.618034, 2.000000, 1.236068),
        (2, 1.705822, 2.319906, 2.000000, 1.236068),
        (3, 2.351141, 2.351141, 2.351141, 2.351141),
    ],
)
def test_worked_example_of_the_spectral_distance(
    dim: int, ab: float, ac: float, ad: float, bc: float
) -> None:
    found = metagraph.distances(path_graph(), dim)
    assert found.spectral[[0, 1, 2, 3]] == pytest.approx([ab, ac, ad, bc], abs=1e-6)
    assert found.spectral_valid == (dim < 3)  # with dim = n - 1 every distance is one constant


def test_resistance_adds_up_along_a_path() -> None:
    found = metagraph.distances(path_graph())
    assert found.resistance[[0, 1, 2, 3]] == pytest.approx([2, 6, 8, 4], abs=1e-9)


def test_spectral_distance_agrees_with_networkx() -> None:
    rng = np.random.default_rng(3)
    weights = np.triu(rng.uniform(0.2, 1, (9, 9)), 1)
    weights += weights.T
    layout = nx.spectral_layout(nx.from_numpy_array(weights), dim=5)
    points = np.array([layout[i] for i in range(9)])
    expected = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(9, 1)]
    assert metagraph.distances(weights, 5).spectral == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "expected"), [(2, "two subsets"), (4, "too few"), (6, "one constant")])
def test_graphs_that_are_too_small_say_so(n: int, expected: str) -> None:
    found = metagraph.distances(np.ones((n, n)) - np.eye(n), 5)
    assert not found.spectral_valid
    assert expected in found.note
    assert np.isnan(found.spectral).all() == (n == 4)


def test_repeated_eigenvalues_are_noted() -> None:
    found = metagraph.distances(np.ones((9, 9)) - np.eye(9), 5)
    assert "equal" in found.note


def test_components_have_no_resistance_between_them() -> None:
    weights = np.zeros((8, 8))
    weights[0, 1] = weights[1, 0] = weights[2, 3] = weights[3, 2] = 0.5
    found = metagraph.distances(weights)
    rows, columns = np.triu_indices(8, 1)
    joined = ((rows == 0) & (columns == 1)) | ((rows == 2) & (columns == 3))
    assert found.resistance[joined] == pytest.approx([2, 2])
    assert np.isnan(found.resistance[~joined]).all()
    assert "6 components" in found.note


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_resistance_is_a_metric_on_each_component(n: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.uniform(0.2, 1, (n, n)) * (rng.random((n, n)) < share), 1)
    weights += weights.T
    found = np.full((n, n), 0.0)
    found[np.triu_indices(n, 1)] = metagraph.distances(weights).resistance
    found += found.T
    parts = metagraph.components(weights)
    for i in range(n):
        for j in range(n):
            assert np.isnan(found[i, j]) == (parts[i] != parts[j])
            through = found[i] + found[:, j]
            assert np.isnan(found[i, j]) or (found[i, j] <= through[~np.isnan(through)] + 1e-9).all()


def test_communities_of_a_graph_without_edges_are_its_nodes() -> None:
    assert metagraph.communities(np.zeros((3, 3)), weighted=True).tolist() == [0, 1, 2]


def test_drawing_is_repeatable() -> None:
    first, second = (metagraph.positions(path_graph(), seed=4) for _ in range(2))
    assert (first == second).all()
    assert np.isfinite(first).all()
