"""The two sides of a comparison: their rows, what belongs to each row, and which items they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.distances import canonical_order
from shiftlab.measures.inputs import cloud, clouds, mass, weights
from shiftlab.measures.registry import Measure

PER_ROW = ("weights", "labels")


@dataclass(frozen=True)
class Side:
    """Rows of one side (n, d), dense or sparse; ``ids`` (n,) name the items, ``per_row`` go with the rows."""

    rows: Any
    ids: NDArray[Any] | None = None
    per_row: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def take(self, index: NDArray[Any]) -> Side:
        """The side restricted to some rows."""
        ids = None if self.ids is None else self.ids[index]
        return Side(self.rows[index], ids, {k: v[index] for k, v in self.per_row.items()})


@dataclass(frozen=True)
class Pair:
    """Two sides and the measure that compares them."""

    spec: Measure
    left: Side
    right: Side
    params: Mapping[str, Any]

    def take(self, left: NDArray[Any], right: NDArray[Any]) -> Pair:
        """The pair restricted to some rows of each side."""
        return Pair(self.spec, self.left.take(left), self.right.take(right), self.params)

    def between(self, left: Side, right: Side) -> Pair:
        """The same measure on other sides."""
        return Pair(self.spec, left, right, self.params)

    def arguments(self) -> dict[str, Any]:
        """Parameters of the measure, per-row ones included."""
        rows = {f"{k}_x": v for k, v in self.left.per_row.items()}
        return dict(self.params) | rows | {f"{k}_y": v for k, v in self.right.per_row.items()}

    def result(self, parts: bool = False) -> Any:
        """What the measure returns: a number, or a result with a ``value`` (and its parts, if asked for)."""
        if self.spec.batched is None:
            function = self.spec.parts if parts and self.spec.parts else self.spec.function
            return function(self.left.rows, self.right.rows, **self.arguments())
        return self.spec.function(column_sums(self.left.rows), column_sums(self.right.rows), **self.params)

    def value(self) -> float:
        """The measure's value."""
        found = self.result()
        return float(getattr(found, "value", found))

    def seconds(self) -> float:
        """Estimated seconds of one evaluation."""
        n, m, d = len(self.left), len(self.right), self.left.rows.shape[1]
        return self.spec.seconds(n, m, d) if self.spec.seconds else 1e-8 * (n + m) * d


def column_sums(rows: Any) -> NDArray[np.float64]:
    """Category masses of item-by-category counts (n, k)."""
    return np.asarray(rows.sum(axis=0), dtype=np.float64).ravel()


def make_pair(
    spec: Measure, x: Any, y: Any, ids_x: Any, ids_y: Any, paired: bool, params: dict[str, Any]
) -> Pair:
    """Check both sides and put their rows in an order that depends on the values only."""
    plain = dict(params)
    x, y = _counts(x, y) if spec.batched is not None else _rows(spec, x, y)
    left = Side(x, _ids(ids_x, ids_y, x.shape[0], "ids_x"), _per_row(plain, "x", x.shape[0]))
    right = Side(y, _ids(ids_y, ids_x, y.shape[0], "ids_y"), _per_row(plain, "y", y.shape[0]))
    if set(left.per_row) != set(right.per_row):
        left, right = _uniform_weights(left), _uniform_weights(right)
    order = canonical_order(x)
    if paired:
        if len(left) != len(right):
            raise ValueError(f"paired sides must have the same number of rows: {len(left)} and {len(right)}")
        if left.ids is not None and right.ids is not None and not np.array_equal(left.ids, right.ids):
            raise ValueError("paired sides must list the same ids in the same order")
        if left.ids is None:
            names = np.arange(len(left))
            left, right = Side(left.rows, names, left.per_row), Side(right.rows, names, right.per_row)
        return Pair(spec, left.take(order), right.take(order), plain)
    return Pair(spec, left.take(order), right.take(canonical_order(y)), plain)


def _rows(spec: Measure, x: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    if spec.kind == "spaces":
        return cloud(x, "x"), cloud(y, "y")
    return clouds(x, y)


def _counts(x: Any, y: Any) -> tuple[Any, Any]:
    left, right = item_counts(x, "x"), item_counts(y, "y")
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"x and y must have the same categories: {left.shape[1]} and {right.shape[1]} columns"
        )
    return left, right


def item_counts(rows: Any, name: str) -> Any:
    """Item-by-category counts (n, k), dense or CSR, in float64; ValueError if negative, not finite or all zero."""
    if hasattr(rows, "tocsr"):
        rows = rows.tocsr().astype(np.float64)
        values = rows.data
    else:
        rows = values = cloud(rows, name).astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"{name} must hold finite counts of at least 0")
    if rows.shape[0] == 0:
        raise ValueError(f"{name} is empty")
    mass(column_sums(rows), name)
    return rows


def _ids(values: Any, other: Any, n: int, name: str) -> NDArray[Any] | None:
    if (values is None) != (other is None):
        raise ValueError("ids_x and ids_y must be given together")
    if values is None:
        return None
    ids = np.asarray(values)
    if ids.shape != (n,):
        raise ValueError(f"{name} must name every row: shape {ids.shape} for {n} rows")
    if len(np.unique(ids)) != n:
        raise ValueError(f"{name} must name every row once; it holds duplicates")
    return ids


def _per_row(params: dict[str, Any], side: str, n: int) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for key in PER_ROW:
        values = params.pop(f"{key}_{side}", None)
        if values is None:
            continue
        if key == "weights":
            found[key] = weights(values, n, f"weights_{side}")
        else:
            found[key] = np.asarray(values)
            if found[key].shape != (n,):
                raise ValueError(f"{key}_{side} must have one entry per row: {found[key].shape} for {n} rows")
    return found


def _uniform_weights(side: Side) -> Side:
    given = {"weights": np.full(len(side), 1 / len(side))} | dict(side.per_row)
    return Side(side.rows, side.ids, given)


def shared_rows(pair: Pair) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions, on each side, of the items that are on both (empty without ids)."""
    if pair.left.ids is None or pair.right.ids is None:
        nothing = np.empty(0, dtype=np.intp)
        return nothing, nothing
    _, left, right = np.intersect1d(pair.left.ids, pair.right.ids, assume_unique=True, return_indices=True)
    return left, right
