"""The rules behind curation, on arrays: published examples, closed forms, what is conserved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab.curate.matching import assignment, strata_pairs
from shiftlab.curate.mining import cross_fitted_share, split_axis, variance_share
from shiftlab.curate.mixing import quotas
from shiftlab.curate.selecting import nearest_other
from shiftlab.curate.splitting import assign_groups, distance_parts
from shiftlab.curate.swapping import swapped
from shiftlab.curate.weighing import loss_weights, prior_weights, source_weights


def test_distances_at_the_cut_are_near() -> None:
    assert distance_parts(np.array([0.1, 0.2, 0.3, 0.4]), [0.5]).tolist() == [0, 0, 1, 1]
    assert distance_parts(np.array([1.0, 1.0, 1.0]), [0.5]).tolist() == [0, 0, 0]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_nearer_items_are_never_farther_parts(distances: list[float], quantile: float) -> None:
    values = np.array(distances)
    part = distance_parts(values, [quantile])
    near, far = values[part == 0], values[part == 1]
    assert len(near) >= quantile * len(values) - 1e-9
    assert len(far) == 0 or near.max() < far.min()


def test_matching_by_least_total_distance() -> None:
    left, right, distance = assignment(np.array([[0.0], [10]]), np.array([[9.0], [1], [50]]))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert distance.mean() == 1
    with pytest.raises(ValueError, match="too many for an exact matching"):
        assignment(np.zeros((9000, 1)), np.zeros((9000, 1)))


def test_exact_strata_match_first_to_first() -> None:
    left, right = strata_pairs(["a", "b", "a", "c"], ["a", "c", "a", "a"])
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 0), (2, 2), (3, 1)]
    assert [len(one) for one in strata_pairs(["a"], ["b"])] == [0, 0]


def test_label_priors() -> None:
    weights = prior_weights(["0", "0", "0", "1"], {"0": 0.5, "1": 0.5})
    assert weights == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert prior_weights(["0", "1"], {"0": 3}) == pytest.approx([1, 0])
    with pytest.raises(ValueError, match="no item has the label 'x'"):
        prior_weights(["0"], {"0": 1, "x": 1})
    with pytest.raises(ValueError, match="at least 0"):
        prior_weights(["0"], {"0": -1})


def test_loss_weights() -> None:
    assert loss_weights(np.array([0.5]), np.array([2.0])) == pytest.approx([0.880797], abs=1e-6)
    assert loss_weights(np.array([0.0, 1.0, 0.3]), np.array([5.0, -5.0, 0.0])).tolist() == [
        0,
        1,
        pytest.approx(0.3),
    ]
    assert loss_weights(np.array([0.5, 0.5]), np.array([1e4, -1e4])).tolist() == [1, 0]


def test_source_weights() -> None:
    assert source_weights(np.array([1.0, 1.0]), 3.0).tolist() == [0.5, 0.5]
    found = source_weights(np.array([0.0, np.log(3)]), 1.0)
    assert found == pytest.approx([0.75, 0.25])
    with pytest.raises(ValueError, match="temperature"):
        source_weights(np.array([1.0]), 0.0)


def test_quotas_by_largest_remainder() -> None:
    assert quotas([0.75, 0.25], [100, 100], 10) == [8, 2]
    assert quotas([1, 1, 1], [2, 100, 100], 30) == [2, 14, 14]
    with pytest.raises(ValueError, match="have 3"):
        quotas([1, 0], [3, 100], 4)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50)), min_size=1, max_size=8), st.integers(1, 200))
def test_quotas_sum_to_the_total_and_keep_to_the_sizes(sources: list[tuple[float, int]], total: int) -> None:
    weights, sizes = zip(*sources, strict=True)
    try:
        found = quotas(weights, sizes, total)
    except ValueError:
        assert sum(weights) == 0 or sum(s for w, s in sources if w > 0) < total
        return
    assert sum(found) == total
    assert all(0 <= q <= s for q, s in zip(found, sizes, strict=True))
    assert all(q == 0 for q, w in zip(found, weights, strict=True) if w == 0)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=40), st.integers(0, 5))
def test_groups_fill_parts_near_their_shares(sizes: list[int], seed: int) -> None:
    counts = np.array(sizes)
    part = assign_groups(counts, (0.7, 0.3), seed)
    share = counts[part == 0].sum() / counts.sum()
    assert abs(share - 0.7) <= counts.max() / counts.sum() + 1e-9
    assert (part == assign_groups(counts, (0.7, 0.3), seed)).all()


def test_variance_share_of_two_pairs() -> None:
    share, cut = variance_share(np.array([0.0, 1, 10, 11]))
    assert share == pytest.approx(0.990099, abs=1e-6)
    assert 1 < cut < 10
    assert variance_share(np.zeros(5))[0] == 0


@pytest.mark.parametrize("d", [2, 16, 64, 512])
def test_one_gaussian_is_never_split(d: int) -> None:
    """Cross-fitted, the share stays near 2 / pi in every dimension; in-sample it would not."""
    rows = np.random.default_rng(d).normal(size=(100, d))
    assert cross_fitted_share(rows, seed=0) < 0.75
    if d == 512:
        assert variance_share(rows @ split_axis(rows, 0))[0] > 0.8


@pytest.mark.parametrize("d", [2, 64])
def test_two_groups_are_found(d: int) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, d))
    rows[:70, 0] += 6
    assert cross_fitted_share(rows, 0) > 0.8


def test_nearest_other_is_exact_and_leaves_the_item_itself_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) + 1e4
    ids = np.arange(40)
    brute = np.linalg.norm(x[:, None] - x[None], axis=-1) + np.where(np.eye(40) > 0, np.inf, 0)
    assert nearest_other(x, ids, x, ids) == pytest.approx(brute.min(1))
    assert nearest_other(x[:2], ids[:2], x[:1], ids[:1]).tolist()[0] == np.inf


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 100))
def test_swaps_are_permutations(k: int, times: int, seed: int) -> None:
    names = [str(one) for one in range(k)]
    new = swapped(names, times, seed)
    assert sorted(new.values()) == sorted(names)
    moved = sum(a != b for a, b in new.items())
    assert moved == 2 if times == 1 else moved <= min(k, 2 * times)


def test_expected_share_of_moved_classes() -> None:
    k, m = 10, 3
    names = [str(one) for one in range(k)]
    shares = [sum(a != b for a, b in swapped(names, m, seed).items()) / k for seed in range(2000)]
    expected = (1 - 1 / k) * (1 - (1 - 2 / (k - 1)) ** m)
    assert np.mean(shares) == pytest.approx(expected, abs=4 * np.std(shares) / np.sqrt(2000))
