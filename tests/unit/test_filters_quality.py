"""Quality of layers: reference values, the reason in words, and the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import shiftlab as sl
from shiftlab.errors import BadInputError
from shiftlab.filters.sensitivity import ENTROPIES, RATIOS
from shiftlab.filters.sketch import EPSILONS

SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1.0]])


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


LAYERS = {
    "gaussian": normal(0, 64, 32, 3, 3) * 0.05,
    "ones": np.ones((64, 16, 3, 3)),
    "zeros": np.zeros((16, 8, 3, 3)),
    "depthwise": normal(4, 32, 1, 3, 3),
    "sobel": normal(7, 32, 32, 1, 1) * SOBEL,
}
# Sparsity, variance entropy, its ratio and orthogonality, as torchconvquality gives them where it is right.
REFERENCE = {
    "gaussian": (0, 0.9528717, 1.0022464, 0.9526907),
    "ones": (0, 0, 0, 0),
    "zeros": (1, 0, 0, None),
    "depthwise": (0, 0.8808105, 1.0415675, 0.7328932),
    "sobel": (0.0302734, 0, 0, 0.8484823),
}


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_reference_values(name: str) -> None:
    quality = sl.filters.layer_quality(LAYERS[name])
    found = quality.sparsity, quality.variance_entropy, quality.variance_entropy_ratio, quality.orthogonality
    for value, expected in zip(found, REFERENCE[name], strict=True):
        if expected is None:
            assert value is None
        else:
            assert value == pytest.approx(expected, abs=6e-8)
    assert quality.n == LAYERS[name].shape[0] * LAYERS[name].shape[1]


@pytest.mark.parametrize(("n", "expected"), [(4, 0.23568), (9, 0.55151), (1 << 40, 0.95129636)])
def test_randomness_threshold(n: int, expected: float) -> None:
    assert sl.filters.randomness_threshold(n) == pytest.approx(expected, abs=5e-6)


def reason(weight: np.ndarray) -> str:
    return sl.filters.layer_quality(weight).reason


def label(weight: np.ndarray) -> str:
    return sl.filters.layer_quality(weight).label


def test_each_reason_is_named() -> None:
    rng = np.random.default_rng(0)
    centre = np.zeros((16, 16, 3, 3))
    centre[..., 1, 1] = rng.standard_normal((16, 16))
    few = rng.standard_normal((1, 1, 3, 3)) * rng.uniform(0.5, 2, (3, 1, 1, 1))
    repeated = np.concatenate([few] * 40).reshape(-1, 4, 3, 3) + 0 * rng.standard_normal(1)
    plane = (rng.standard_normal((256, 2)) @ rng.standard_normal((2, 9))).reshape(16, 16, 3, 3)
    quantised = np.round(rng.standard_normal((16, 16, 3, 3)) @ rng.standard_normal((3, 3)) * 20) / 20
    torch_init = rng.uniform(-1, 1, (64, 32, 3, 3)) / np.sqrt(32 * 9)
    decay = rng.standard_normal((64, 32, 3, 3)) * np.exp(-np.arange(9).reshape(3, 3))
    sparse = decay.copy()
    sparse[:48] *= 1e-6
    assert label(LAYERS["zeros"]) == "zero"
    assert label(centre) == "centre-only"
    assert label(LAYERS["ones"]) == label(repeated) == "duplicate"
    assert label(plane) == "rank-deficient"
    assert "rank 2" in reason(plane)
    assert "rank 1" in reason(LAYERS["sobel"])
    assert label(torch_init) == "near-initialisation"
    assert "uniform default of torch" in reason(torch_init)
    assert label(LAYERS["gaussian"]) == "random"
    assert "quantised" in reason(quantised)
    assert label(sparse) == "sparse"
    assert "low diversity" in reason(decay * 1e-3 + 0)
    assert label(decay) in ("low-diversity", "none")


def test_centre_only_says_more_than_no_entropy() -> None:
    weight = np.zeros((8, 8, 3, 3))
    weight[..., 1, 1] = normal(1, 8, 8)
    quality = sl.filters.layer_quality(weight)
    assert quality.variance_entropy == 0
    assert quality.rank == 1
    assert "all weights but the middle one are 0" in quality.reason


def test_what_cannot_be_computed_is_none_with_a_reason() -> None:
    single = sl.filters.layer_quality(normal(0, 1, 2, 3, 3))
    assert single.orthogonality is None
    assert "one output channel" in single.reason
    assert single.threshold is None
    assert single.variance_entropy_ratio is None
    assert "fewer than 3 filters" in single.reason
    larger = sl.filters.layer_quality(normal(0, 8, 8, 5, 5))
    assert larger.threshold is None
    assert "not a 3x3 kernel" in larger.reason
    assert larger.variance_entropy > 1.3
    assert sl.filters.layer_quality(normal(0, 1, 1, 3, 3)).variance_entropy == 0


def test_sparse_filters_are_left_out_of_the_clean_entropy() -> None:
    weight = normal(0, 16, 16, 3, 3)
    weight[:4, :, :, :] = 1e-5 * SOBEL
    quality = sl.filters.layer_quality(weight)
    assert quality.sparsity == 0.25
    assert quality.variance_entropy_clean == pytest.approx(
        sl.filters.layer_quality(weight[4:]).variance_entropy
    )
    assert sl.filters.layer_quality(weight, eps=1e-7).sparsity == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(bad: float) -> None:
    weight = normal(0, 4, 4, 3, 3)
    weight[1, 2, 0, 0] = bad
    with pytest.raises(BadInputError, match="1 weights are NaN or infinite"):
        sl.filters.layer_quality(weight)


@pytest.mark.parametrize("shape", [(4, 9), (4, 3, 3), (0, 4, 3, 3), (4, 0, 3, 3), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="shape"):
        sl.filters.layer_quality(np.zeros(shape))


WEIGHTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.just(3), st.just(3)),
    elements=st.floats(-100, 100, width=32),
)


@given(WEIGHTS)
@settings(max_examples=150, deadline=None)
def test_quality_stays_in_range_and_is_never_nan(weight: np.ndarray) -> None:
    quality = sl.filters.layer_quality(weight)
    assert 0 <= quality.sparsity <= 1
    assert 0 <= quality.variance_entropy <= np.log10(9) + 1e-12
    assert quality.orthogonality is None or -1e-9 <= quality.orthogonality <= 1 + 1e-9
    assert 0 <= quality.rank <= min(9, quality.n)
    assert quality.reason


@given(WEIGHTS, st.floats(0.01, 100), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_scale_and_order_of_filters_do_not_matter(weight: np.ndarray, factor: float, random) -> None:
    order = list(range(len(weight)))
    random.shuffle(order)
    first = sl.filters.layer_quality(weight.astype(np.float64))
    second = sl.filters.layer_quality(weight[order].astype(np.float64) * factor)
    assert second.variance_entropy == pytest.approx(first.variance_entropy, abs=1e-6)
    assert (first.orthogonality is None) == (second.orthogonality is None)
    if first.orthogonality is not None:
        assert second.orthogonality == pytest.approx(first.orthogonality, abs=1e-9)


# -- thresholds --------------------------------------------------------------------------------------------
def test_the_joint_rule_and_its_sweep_agree() -> None:
    rng = np.random.default_rng(0)
    entropy, threshold = rng.uniform(0, 0.95, 300), np.full(300, 0.9)
    n = rng.integers(10, 1000, 300)
    sparse = np.sort(rng.integers(0, n[:, None] + 1, (300, len(EPSILONS))), axis=1)
    frame = sl.filters.sensitivity(entropy, entropy / threshold, sparse, n)
    assert len(frame) == len(EPSILONS) * len(ENTROPIES) * len(RATIOS)
    row = frame.filter(
        (frame["eps"] == 0.01) & (frame["low_entropy"] == 0.5) & (frame["random_ratio"] == 1.0)
    ).row(0, named=True)
    expected = sl.filters.is_degenerate(entropy, threshold, sparse[:, 2] / n, random_margin=0.0)
    assert row["degenerate"] == expected.sum()
    assert row["share"] == pytest.approx(expected.mean())
    assert row["share_filters"] == pytest.approx(n[expected].sum() / n.sum())


def test_layers_without_a_threshold_are_never_random() -> None:
    assert not sl.filters.is_degenerate(np.array([0.9]), np.array([np.nan]), np.array([0.0]))[0]
    assert sl.filters.is_degenerate(np.array([0.1]), np.array([np.nan]), np.array([0.5]))[0]


def test_depth_deciles_put_edges_below() -> None:
    depth = sl.filters.normalised_depth(np.arange(11))
    assert sl.filters.depth_decile(depth).tolist() == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert sl.filters.depth_decile(np.array([0.3, 0.30001, 0.1 + 0.2])).tolist() == [3, 4, 3]
    assert sl.filters.normalised_depth(np.array([0])).tolist() == [0]
