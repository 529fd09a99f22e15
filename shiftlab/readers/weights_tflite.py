"""TensorFlow Lite (.tflite): a flatbuffer, read in place with every offset checked.

Table and field numbers are those of the public schema (tensorflow/lite/schema/schema.fbs, version 3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_graph import node_levels, ranks
from shiftlab.readers.weights_record import (
    Kind,
    LayerItem,
    LayerRecord,
    SkippedLayer,
    as_float,
    check_shape,
    is_kernel_shape,
    to_oihw,
)

_CONV, _DEPTHWISE, _DEQUANTIZE, _DENSIFY, _TRANSPOSE_CONV = 3, 4, 6, 124, 67
_OPS = {_CONV: "CONV_2D", _DEPTHWISE: "DEPTHWISE_CONV_2D", _TRANSPOSE_CONV: "TRANSPOSE_CONV"}
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "|u1", 4: "<i8", 7: "<i2", 9: "|i1", 10: "<f8"}


def read(path: Path) -> Iterator[LayerItem]:
    """Yield the convolutions of all subgraphs: float32, float16, int8/uint8 with scales, and sparse ones.

    Raises BadInputError for a wrong identifier, offsets outside the file and buffers of the wrong length.
    """
    data = path.read_bytes()
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise BadInputError(f"{path}: no TensorFlow Lite file (its identifier TFL3 is missing)")
    try:
        model = _Model.parse(path, data)
        for graph in model.graphs:
            yield from _graph_layers(model, graph)
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: an offset leaves the file ({error}); truncated or damaged") from None


# -- flatbuffer --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Table:
    """A flatbuffer table: fields by number, each absent or at an offset given by its vtable."""

    data: bytes
    start: int

    def field(self, number: int) -> int:
        """Absolute position of a field, 0 when absent."""
        vtable = self.start - _read("<i", self.data, self.start)
        slot = 4 + 2 * number
        if slot >= _read("<H", self.data, vtable):
            return 0
        offset = _read("<H", self.data, vtable + slot)
        return self.start + offset if offset else 0

    def number(self, number: int, form: str, default: int = 0) -> int:
        position = self.field(number)
        return int(_read(form, self.data, position)) if position else default

    def table(self, number: int) -> _Table | None:
        position = self.field(number)
        return _Table(self.data, position + _read("<I", self.data, position)) if position else None

    def span(self, number: int, itemsize: int) -> tuple[int, int]:
        """(position, length) of a vector; (0, 0) when absent."""
        position = self.field(number)
        if not position:
            return 0, 0
        start = position + _read("<I", self.data, position)
        length = _read("<I", self.data, start)
        if start + 4 + length * itemsize > len(self.data):
            raise IndexError(f"a vector of {length} elements at byte {start}")
        return start + 4, length

    def tables(self, number: int) -> list[_Table]:
        start, length = self.span(number, 4)
        places = range(start, start + 4 * length, 4)
        return [_Table(self.data, place + _read("<I", self.data, place)) for place in places]

    def array(self, number: int, dtype: str) -> np.ndarray:
        start, length = self.span(number, np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, length, start) if length else np.empty(0, dtype)

    def text(self, number: int) -> str:
        return self.array(number, "|u1").tobytes().decode("utf-8", errors="replace")


def _read(form: str, data: bytes, position: int) -> int:
    if position < 0:
        raise IndexError(f"a negative offset {position}")
    return struct.unpack_from(form, data, position)[0]


# -- model -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: int
    buffer: int
    table: _Table


@dataclass(frozen=True)
class _Node:
    op: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: _Table | None


@dataclass(frozen=True)
class _Graph:
    tensors: list[_Tensor]
    inputs: tuple[int, ...]
    nodes: list[_Node]


@dataclass(frozen=True)
class _Model:
    path: Path
    buffers: list[_Table]
    graphs: list[_Graph]

    @classmethod
    def parse(cls, path: Path, data: bytes) -> _Model:
        root = _Table(data, _read("<I", data, 0))
        # Old files keep the operator in a byte (field 0), new ones in a 32-bit number (field 3).
        ops = [max(code.number(0, "<b"), code.number(3, "<i")) for code in root.tables(1)]
        return cls(path, root.tables(4), [_parse_graph(table, ops) for table in root.tables(2)])

    def values(self, tensor: _Tensor) -> np.ndarray:
        """The constant of a tensor in its shape and stored type, densified when it is sparse."""
        if tensor.type not in _DTYPES:
            raise BadInputError(f"{self.path}: tensor {tensor.name!r} has the unknown type {tensor.type}")
        dtype = np.dtype(_DTYPES[tensor.type])
        count = check_shape(self.path, tensor.name, tensor.shape, dtype.itemsize)
        raw = self.buffers[tensor.buffer].array(0, "|u1")
        sparsity = tensor.table.table(6)
        if sparsity is not None:
            return _densify(self.path, tensor, raw.view(dtype), sparsity)
        if raw.size != count * dtype.itemsize:
            raise BadInputError(
                f"{self.path}: tensor {tensor.name!r} of shape {tensor.shape} needs "
                f"{count * dtype.itemsize:,} bytes, its buffer holds {raw.size:,}"
            )
        return raw.view(dtype).reshape(tensor.shape)

    def is_constant(self, tensor: _Tensor) -> bool:
        return 0 < tensor.buffer < len(self.buffers) and self.buffers[tensor.buffer].span(0, 1)[1] > 0


def _parse_graph(table: _Table, ops: list[int]) -> _Graph:
    tensors = [
        _Tensor(t.text(3), tuple(t.array(0, "<i4").tolist()), t.number(1, "<b"), t.number(2, "<I"), t)
        for t in table.tables(0)
    ]
    nodes = [
        _Node(
            ops[n.number(0, "<I")],
            tuple(n.array(1, "<i4").tolist()),
            tuple(n.array(2, "<i4").tolist()),
            n.table(4),
        )
        for n in table.tables(3)
    ]
    return _Graph(tensors, tuple(table.array(1, "<i4").tolist()), nodes)


def _graph_layers(model: _Model, graph: _Graph) -> Iterator[LayerItem]:
    levels = node_levels([n.inputs for n in graph.nodes], [n.outputs for n in graph.nodes], graph.inputs)
    makers = {output: node for node in graph.nodes for output in node.outputs}
    convs = [(node, level) for node, level in zip(graph.nodes, levels, strict=True) if node.op in _OPS]
    depths = ranks([level for _, level in convs], [node.op != _TRANSPOSE_CONV for node, _ in convs])
    for (node, _), depth in zip(convs, depths, strict=True):
        yield _layer(model, graph, makers, node, depth)


def _layer(
    model: _Model, graph: _Graph, makers: dict[int, _Node], node: _Node, depth: int | None
) -> LayerItem:
    index, notes = node.inputs[1], []
    name = graph.tensors[node.outputs[0]].name or graph.tensors[index].name
    while not model.is_constant(graph.tensors[index]):
        maker = makers.get(index)
        if maker is None or maker.op not in (_DEQUANTIZE, _DENSIFY):
            return SkippedLayer(name, "the weight is computed, not stored")
        notes.append("behind DEQUANTIZE" if maker.op == _DEQUANTIZE else "stored sparse")
        index = maker.inputs[0]
    tensor = graph.tensors[index]
    if len(tensor.shape) != 4:
        return SkippedLayer(name, f"the weight has the shape {tensor.shape}, not four axes")
    axis_order = "1HWC" if node.op == _DEPTHWISE else "OHWI"
    weight = to_oihw(as_float(_dequantised(model, tensor)), axis_order)
    if not is_kernel_shape(weight.shape):
        return SkippedLayer(name, f"shape {tensor.shape} is no convolution kernel")
    groups, kind = _kind(graph, node, weight)
    return LayerRecord(
        name=name,
        kind=kind,
        weight=weight,
        groups=groups,
        stride=_stride(node),
        axis_order=axis_order,
        depth=depth,
        depth_from="unknown" if depth is None else "graph",
        dtype=np.dtype(_DTYPES[tensor.type]).name,
        op=_OPS[node.op],
        bn_folded=True,
        notes=tuple(notes),
    )


def _kind(graph: _Graph, node: _Node, weight: np.ndarray) -> tuple[int | None, Kind]:
    if node.op == _TRANSPOSE_CONV:
        return 1, "conv_transpose"
    data = graph.tensors[node.inputs[0]].shape
    channels = data[3] if len(data) == 4 else None
    if node.op == _DEPTHWISE:
        return channels, "depthwise"
    if not channels or channels % weight.shape[1]:
        return None, "conv"
    return channels // weight.shape[1], "conv"


def _stride(node: _Node) -> tuple[int, int] | None:
    if node.options is None:
        return None
    return node.options.number(2, "<i", 1), node.options.number(1, "<i", 1)


def _dequantised(model: _Model, tensor: _Tensor) -> np.ndarray:
    """(q - zero point) * scale, per tensor or per channel; float types as they are."""
    values = model.values(tensor)
    quantisation = tensor.table.table(4)
    if values.dtype.kind == "f":
        return values
    scale = quantisation.array(2, "<f4") if quantisation else np.empty(0)
    if quantisation is None or scale.size == 0:
        raise BadInputError(f"{model.path}: integer weight {tensor.name!r} has no scale")
    zero = quantisation.array(3, "<i8")
    axis = quantisation.number(6, "<i")
    shape = [1] * values.ndim
    if scale.size > 1:
        if not 0 <= axis < values.ndim or scale.size != values.shape[axis]:
            raise BadInputError(
                f"{model.path}: weight {tensor.name!r} has {scale.size} scales on axis {axis}"
            )
        shape[axis] = scale.size
    offset = zero.reshape(shape) if zero.size == scale.size else 0
    with np.errstate(over="ignore", invalid="ignore"):  # damaged scales give infinities, which are told later
        return ((values.astype(np.int64) - offset) * scale.astype(np.float64).reshape(shape)).astype(
            np.float32
        )


def _densify(path: Path, tensor: _Tensor, stored: np.ndarray, sparsity: _Table) -> np.ndarray:
    """Unpack TFLite's block-sparse form: dimensions in traversal order, each dense or compressed (CSR).

    The flat position of every stored value is built level by level, as arrays.
    """
    order = sparsity.array(0, "<i4").tolist()
    blocks = sparsity.array(1, "<i4").tolist()
    levels = sparsity.tables(2)
    rank = len(tensor.shape)
    if (
        len(order) != len(levels)
        or len(order) != rank + len(blocks)
        or sorted(order) != list(range(len(order)))
    ):
        raise BadInputError(f"{path}: sparse tensor {tensor.name!r} has an inconsistent layout")
    coordinates: list[np.ndarray] = []
    rows = np.zeros(1, np.int64)  # position of each partial path in the level above
    for level in levels:
        parents, coordinate = _expand(path, tensor, level, rows)
        coordinates = [values[parents] for values in coordinates] + [coordinate]
        dense = level.number(1, "<i") if level.number(0, "<b") == 0 else None
        rows = rows[parents] * dense + coordinate if dense is not None else np.arange(len(coordinate))
    if len(rows) != stored.size:
        raise BadInputError(
            f"{path}: sparse tensor {tensor.name!r} holds {stored.size} of {len(rows)} values"
        )
    sizes = {axis: level.number(1, "<i") for axis, level in zip(order, levels, strict=True)}
    by_axis = dict(zip(order, coordinates, strict=True))
    index = []
    for axis in range(rank):
        inner = [rank + k for k, owner in enumerate(blocks) if owner == axis]
        position = by_axis[axis]
        for block in inner:
            position = position * sizes[block] + by_axis[block]
        if position.size and position.max() >= tensor.shape[axis]:
            raise BadInputError(f"{path}: sparse tensor {tensor.name!r} has an index beyond axis {axis}")
        index.append(position)
    full = np.zeros(tensor.shape, stored.dtype)
    full[tuple(index)] = stored
    return full


def _expand(path: Path, tensor: _Tensor, level: _Table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One level further: for each new path its parent and its coordinate in this dimension."""
    if level.number(0, "<b") == 0:
        size = level.number(1, "<i")
        check_shape(path, tensor.name, (len(rows), size), 8)
        return np.repeat(np.arange(len(rows)), size), np.tile(np.arange(size), len(rows))
    kinds = {1: "<i4", 2: "<u2", 3: "|u1"}
    segments = _vector(level, 2, kinds)
    indices = _vector(level, 4, kinds)
    if len(segments) <= (rows.max() if rows.size else 0) + 1 or (np.diff(segments) < 0).any():
        raise BadInputError(f"{path}: sparse tensor {tensor.name!r} has inconsistent segments")
    counts = segments[rows + 1] - segments[rows]
    parents = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return parents, indices[segments[rows][parents] + within]


def _vector(level: _Table, number: int, kinds: dict[int, str]) -> np.ndarray:
    """A union of integer vectors: field `number` is its type, the next field a table with the values."""
    table = level.table(number + 1)
    if table is None:
        raise IndexError("a sparse index is missing")
    return table.array(0, kinds[level.number(number, "<B")]).astype(np.int64)
