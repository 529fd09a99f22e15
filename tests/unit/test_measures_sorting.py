"""Long rows sorted by keys and blocks come out as numpy sorts them, whatever their distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab.measures.sorting import _SHORTEST, sort_rows

SHAPES = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy tails": lambda rng, size: rng.standard_t(0.5, size=size),
    "one side": lambda rng, size: rng.lognormal(0, 5, size=size),
    "few values": lambda rng, size: rng.integers(0, 4, size).astype(float),
    "far clusters": lambda rng, size: rng.normal(size=size) + 1e4 * rng.integers(0, 2, size),
    "one far value": lambda rng, size: np.where(np.arange(size[1]) == 77, 1e30, rng.normal(size=size)),
    "constant": lambda rng, size: np.full(size, 3.0),
    "mostly constant": lambda rng, size: np.where(rng.random(size) < 0.995, 1.0, rng.normal(size=size)),
    "one infinitely far": lambda rng, size: np.where(
        np.arange(size[1]) == 77, 3e38, rng.normal(-1e38, 1e36, size)
    ),
    "whole range": lambda rng, size: rng.uniform(-1, 1, size) * float(np.finfo(np.float32).max),
    "subnormal": lambda rng, size: rng.integers(0, 1000, size) * 1e-45,
    "ordered": lambda rng, size: np.sort(rng.normal(size=size), axis=1),
    "reversed": lambda rng, size: -np.sort(rng.normal(size=size), axis=1),
    "zeros of both signs": lambda rng, size: rng.choice([0.0, -0.0, 1.0], size),
}


def _same(values: np.ndarray) -> None:
    expected = np.sort(values, axis=1)
    sort_rows(values)
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_sorted_as_numpy_sorts_them(shape: str, dtype: type) -> None:
    for n in (1, 300, _SHORTEST, 3 * _SHORTEST + 1, 200_003):
        _same(SHAPES[shape](np.random.default_rng(n), (2, n)).astype(dtype))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(_SHORTEST, 4 * _SHORTEST),
    picked=st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_mixture_of_distributions_is_sorted(seed: int, n: int, picked: list[str], dtype: type) -> None:
    rng = np.random.default_rng(seed)
    parts = np.stack([SHAPES[one](rng, (3, n)) for one in picked])
    chosen = rng.integers(0, len(picked), (3, n))
    _same(np.take_along_axis(parts, chosen[None], axis=0)[0].astype(dtype))


def test_a_row_with_every_value_beyond_its_sample_is_sorted() -> None:
    """The range is taken from every k-th value; here all others lie elsewhere."""
    values = np.random.default_rng(0).normal(1e6, 1, (1, 64 * 1024)).astype(np.float32)
    values[:, ::64] = np.random.default_rng(1).normal(size=(1, 1024))
    _same(values)
