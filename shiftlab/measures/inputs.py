"""The door of every measure: arrays are checked here once, so that the arithmetic behind it stays plain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]


class UndefinedMeasureError(ArithmeticError):
    """The inputs are valid but the measure has no value for them; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotConvergedError(UndefinedMeasureError, RuntimeError):
    """A solver stopped short of its optimum: the value it has would not be the measure's."""


def cloud(values: ArrayLike, name: str) -> Floats:
    """``values`` as a finite float matrix (n, d); float32 is kept, a vector becomes one column.

    ValueError naming the argument if it is empty, not numeric, not one- or two-dimensional, or not finite.
    """
    if hasattr(values, "toarray"):
        values = values.toarray()
    try:
        array = np.asarray(values)
        if array.dtype != np.float32:
            array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers only: {error}") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (n, d), not {array.shape}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    _refuse_non_finite(array, name)
    return array


def clouds(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Two clouds of the same dimension, in a common float type."""
    a, b = cloud(x, "x"), cloud(y, "y")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x and y must have the same number of columns: x has {a.shape[1]}, y {b.shape[1]}")
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def refuse_overflow(x: Floats, y: Floats, power: int) -> None:
    """UndefinedMeasureError where the ``power``-th power of a value, which the measure takes, exceeds a float."""
    largest = max(float(np.abs(x).max()), float(np.abs(y).max()))
    if largest > 10.0 ** (290 / power):
        raise UndefinedMeasureError(
            f"values as large as {largest:.2g} overflow: divide both clouds by their common spread first"
        )


def sample(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as a finite vector (n,); a single column is accepted."""
    array = cloud(values, name)
    if array.shape[1] != 1:
        raise ValueError(f"{name} must be one number per row (n,), not {array.shape}")
    return array[:, 0].astype(np.float64)


def mass(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as a probability vector (k,): non-negative, finite, divided by its sum."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers only: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (k,), not {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty")
    _refuse_non_finite(array, name)
    if array.min() < 0:
        at = int(np.argmin(array))
        raise ValueError(f"{name} has negative mass: {array[at]} at position {at}")
    scaled = array / array.max() if array.max() > 0 else array
    if scaled.sum() <= 0:
        raise ValueError(f"{name} has no mass: every entry is zero")
    return scaled / scaled.sum()


def masses(p: ArrayLike, q: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two probability vectors of the same length."""
    a, b = mass(p, "p"), mass(q, "q")
    if a.shape != b.shape:
        raise ValueError(f"p and q must have the same length: p has {a.size}, q {b.size}")
    return a, b


def weights(values: ArrayLike | None, n: int, name: str) -> NDArray[np.float64]:
    """Row weights (n,) that sum to one; uniform when None."""
    if values is None:
        return np.full(n, 1.0 / n)
    array = mass(values, name)
    if array.size != n:
        raise ValueError(f"{name} must have one weight per row: {array.size} weights for {n} rows")
    return array


def positive_integer(value: int, name: str) -> int:
    """``value`` as an int of at least one."""
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)


def _refuse_non_finite(array: Floats, name: str) -> None:
    # A sum is the cheapest finiteness test; only a failed one pays for finding the place.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(str(i) for i in bad[0])
        raise ValueError(f"{name} must be finite: {array[tuple(bad[0])]} at index ({place})")
