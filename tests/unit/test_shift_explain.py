"""Explanations and maps: planted causes are found, sums add up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from shiftlab import measures, shift
from shiftlab.shift import explain


def planted() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 6)), rng.normal(size=(140, 6))
    y[:, 2] += 1.5
    y[:, 4] *= 2.5
    x[:, 5] = y[0, 5]
    y[:, 5] = y[0, 5]
    return x, y


def test_features_are_ranked_with_their_p_values() -> None:
    x, y = planted()
    names = [f"f{i}" for i in range(6)]
    table = explain.features(x, y, names, permutations=99)
    assert table["feature"].to_list()[:2] == ["f2", "f4"]
    assert table["feature"].to_list()[-1] == "f5"
    assert table["standardised"].to_list()[-1] is None
    top = table.row(0, named=True)
    assert top["wasserstein"] == pytest.approx(wasserstein_distance(x[:, 2], y[:, 2]))
    assert (top["p"], top["mean_change"]) == (0.01, pytest.approx(y[:, 2].mean() - x[:, 2].mean()))
    assert table["share"].drop_nulls().sum() == pytest.approx(1)
    assert table.filter(feature="f0")["p"].item() > 0.01
    assert table.filter(feature="f5")["p"].item() == 1
    with pytest.raises(ValueError, match="names must name"):
        explain.features(x, y, names[:3])


def test_moves_add_up_to_the_transport_cost() -> None:
    x, y = planted()
    ids = np.array([f"img{i}" for i in range(140)])
    whole = explain.moves(x, y, ids_x=ids[:120], ids_y=ids, top=10_000)
    assert whole["cost"].sum() == pytest.approx(measures.wasserstein(x, y) ** 2)
    assert whole["share"].sum() == pytest.approx(1)
    assert whole["cost"].is_sorted(descending=True)
    first = whole.row(0, named=True)
    a, b = int(first["source"][3:]), int(first["target"][3:])
    assert first["distance"] == pytest.approx(np.linalg.norm(x[a] - y[b]))
    groups = explain.group_moves(x, y, np.repeat(["p", "q"], 60), np.repeat([0, 1], 70))
    assert groups["mass"].sum() == pytest.approx(1)
    assert groups["cost"].sum() == pytest.approx(measures.wasserstein(x, y) ** 2)
    with pytest.raises(ValueError, match="groups_y"):
        explain.group_moves(x, y, np.zeros(120), np.zeros(3))


def test_group_moves_name_the_mass_that_moved() -> None:
    x = np.repeat([[0.0, 0], [10.0, 0]], [50, 50], axis=0)
    y = np.repeat([[0.0, 0], [10.0, 0]], [80, 20], axis=0)
    moved = explain.group_moves(x, y, x[:, 0], y[:, 0])
    assert moved.row(0)[:2] == (10, 0)
    assert moved["mass"].to_list()[0] == pytest.approx(0.3)
    assert moved["distance"].to_list()[0] == pytest.approx(10)


def test_nearest_and_farthest_items() -> None:
    x, y = np.array([[0.0, 0], [5, 0], [100, 0]]), np.array([[0.0, 1], [6, 0]])
    table = explain.nearest_and_farthest(x, y, ids_x=["a", "b", "c"], ids_y=["u", "v"], top=2)
    assert table.filter(end="farthest")["item"].to_list() == ["c", "b"]
    assert table.row(0) == ("nearest", 1, "a", "u", 1.0)


def test_witness_sums_to_the_squared_discrepancy() -> None:
    x, y = planted()
    values = explain.witness_values(x, y, gamma=0.1)
    gap = values[:120].mean() - values[120:].mean()
    assert gap == pytest.approx(measures.mmd_sq(x, y, 0.1, estimator="v"))
    table = explain.witness(x, y, gamma=0.1, top=5)
    assert table.filter(side="x")["witness"].to_list()[0] == pytest.approx(values[:120].max())
    assert table.filter(side="y")["witness"].to_list()[0] == pytest.approx(values[120:].min())


def test_classical_scaling_recovers_a_plane_and_owns_up_to_the_rest() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 2)) * [3, 1]
    d = np.linalg.norm(points[:, None] - points, axis=2)
    found = shift.classical_scaling(d)
    drawn = np.linalg.norm(found.positions[:, None] - found.positions, axis=2)
    assert drawn == pytest.approx(d, abs=1e-8)
    assert (found.stress, found.explained) == (pytest.approx(0, abs=1e-8), pytest.approx(1))
    simplex = 1 - np.eye(6)
    flat = shift.classical_scaling(simplex)
    assert flat.stress > 0.2
    assert flat.explained == pytest.approx(0.4)
    order = rng.permutation(30)
    turned = shift.classical_scaling(d[np.ix_(order, order)])
    assert turned.positions == pytest.approx(found.positions[order], abs=1e-7)
    assert shift.classical_scaling(np.zeros((3, 3))).stress == 0
    assert shift.classical_scaling([[0.0]]).positions.shape == (1, 2)
    for bad, message in (
        (np.ones((2, 3)), "shape"),
        (np.array([[0, np.nan], [np.nan, 0]]), "finite"),
        (np.array([[0, 1.0], [2, 0]]), "symmetric"),
    ):
        with pytest.raises(ValueError, match=message):
            shift.classical_scaling(bad)
