"""ONNX models: weights in initializers, Constant nodes, or behind Identity, Cast and DequantizeLinear.

Depth is the longest path from a graph input. Integer convolutions are read with their zero points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_graph import node_levels, ranks
from shiftlab.readers.weights_record import (
    DepthFrom,
    Kind,
    LayerItem,
    LayerRecord,
    SkippedLayer,
    as_float,
    check_shape,
    is_kernel_shape,
    to_oihw,
    transposed_to_oihw,
)

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

_CONVS = {"Conv", "ConvInteger", "QLinearConv", "ConvTranspose"}
_WEIGHT_INPUT = {"QLinearConv": 3}


class _NotConstantError(Exception):
    """The weight cannot be told from the file (it is computed at run time); the message says why."""


def read(path: Path, *, external_data: bool = False) -> Iterator[LayerItem]:
    """Yield the convolutions of the main graph, one weight at a time.

    `external_data=True` allows weights in other files, only inside the folder of `path`. Raises BadInputError
    for what is no ONNX model, for external data that is not allowed, and for tensors of the wrong length.
    """
    graph = _Graph.load(path, external_data)
    nodes = graph.nodes
    levels = node_levels([n.input for n in nodes], [n.output for n in nodes], graph.inputs)
    convs = [(node, level) for node, level in zip(nodes, levels, strict=True) if node.op_type in _CONVS]
    depths = ranks([level for _, level in convs], [node.op_type != "ConvTranspose" for node, _ in convs])
    for (node, _), depth in zip(convs, depths, strict=True):
        name = node.name or (node.output[0] if node.output else node.op_type)
        try:
            yield _layer(graph, node, name, depth)
        except _NotConstantError as reason:
            yield SkippedLayer(name, str(reason))
    for node in nodes:
        if node.op_type in ("If", "Loop", "Scan"):
            yield SkippedLayer(node.name or node.op_type, "convolutions inside its subgraph are not read")


@dataclass(frozen=True)
class _Graph:
    path: Path
    external_data: bool
    nodes: list[NodeProto]
    inputs: list[str]
    initializers: dict[str, TensorProto]
    makers: dict[str, NodeProto]
    users: dict[str, list[NodeProto]]

    @classmethod
    def load(cls, path: Path, external_data: bool) -> _Graph:
        onnx = _onnx()
        try:
            model = onnx.load_model(str(path), load_external_data=False)
        except Exception as error:  # protobuf's DecodeError and its variants by backend
            raise BadInputError(
                f"{path}: no readable ONNX model ({error}); truncated or another format"
            ) from None
        graph = model.graph
        if not graph.node:
            raise BadInputError(f"{path}: no ONNX model: its graph has no nodes")
        if graph.sparse_initializer:
            raise BadInputError(f"{path}: sparse initializers are not supported; export with dense weights")
        initializers = {tensor.name: tensor for tensor in graph.initializer}
        users: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        return cls(
            path=path,
            external_data=external_data,
            nodes=list(graph.node),
            inputs=[value.name for value in graph.input if value.name not in initializers],
            initializers=initializers,
            makers={name: node for node in graph.node for name in node.output},
            users=users,
        )

    def constant(self, name: str, notes: list[str], trail: int = 0) -> np.ndarray:
        """The value of a tensor that does not depend on the input of the model."""
        if name in self.initializers:
            return _tensor(self.path, self.initializers[name], name, self.external_data)
        node = self.makers.get(name)
        if node is None or trail > 32:
            raise _NotConstantError("the weight is an input of the model, not stored")
        if node.op_type == "Constant":
            return self._constant_node(node, name)
        if node.op_type == "Identity":
            return self.constant(node.input[0], notes, trail + 1)
        if node.op_type == "Cast":
            value = self.constant(node.input[0], notes, trail + 1)
            return value.astype(_onnx().helper.tensor_dtype_to_np_dtype(_attribute(node, "to", 1)))
        if node.op_type == "DequantizeLinear":
            notes.append("behind DequantizeLinear")
            return self._dequantised(node, notes, trail + 1)
        raise _NotConstantError(f"the weight is computed by {node.op_type}, not stored")

    def _constant_node(self, node: NodeProto, name: str) -> np.ndarray:
        tensor = _attribute(node, "value", None)
        if tensor is None:
            raise _NotConstantError("a Constant node without a tensor value")
        return _tensor(self.path, tensor, name, self.external_data)

    def _dequantised(self, node: NodeProto, notes: list[str], trail: int) -> np.ndarray:
        values = self.constant(node.input[0], notes, trail)
        scale = self.constant(node.input[1], notes, trail)
        zero = self.optional(node, 2, notes)
        if _attribute(node, "block_size", 0):
            raise _NotConstantError("the weight is quantised in blocks, which is not supported")
        axis = _attribute(node, "axis", 1)
        return _scaled(self.path, node.input[0], values, scale, zero, axis)

    def optional(self, node: NodeProto, index: int, notes: list[str]) -> np.ndarray | None:
        if len(node.input) <= index or not node.input[index]:
            return None
        return self.constant(node.input[index], notes, 1)


def _layer(graph: _Graph, node: NodeProto, name: str, depth: int | None) -> LayerItem:
    notes: list[str] = []
    place = _WEIGHT_INPUT.get(node.op_type, 1)
    if len(node.input) <= place:
        raise BadInputError(f"{graph.path}: node {name!r} ({node.op_type}) has no weight input")
    stored = graph.constant(node.input[place], notes)
    dtype = str(stored.dtype)
    if stored.ndim != 4:
        return SkippedLayer(name, f"a {stored.ndim}-D weight is no 2-D convolution")
    if node.op_type in ("ConvInteger", "QLinearConv"):
        stored = _integer_weight(graph, node, stored, notes)
    groups = _attribute(node, "group", 1)
    if node.op_type == "ConvTranspose":
        if groups < 1 or stored.shape[0] % groups:
            raise BadInputError(
                f"{graph.path}: tensor {node.input[place]!r} does not divide into {groups} groups"
            )
        weight, axis_order = transposed_to_oihw(as_float(stored), groups), "IOHW"
    else:
        weight, axis_order = to_oihw(as_float(stored), "OIHW"), "OIHW"
    if not is_kernel_shape(weight.shape):
        return SkippedLayer(name, f"shape {weight.shape} is no convolution kernel")
    scale, folded = _batch_norm(graph, node, len(weight))
    depth_from: DepthFrom = "unknown" if depth is None else "graph"
    strides = tuple(int(step) for step in _attribute(node, "strides", (1, 1)))
    return LayerRecord(
        name=name,
        kind=_kind(node, weight, groups),
        weight=weight,
        groups=groups,
        stride=(strides[0], strides[1]) if len(strides) == 2 else None,
        axis_order=axis_order,
        depth=depth,
        depth_from=depth_from,
        dtype=dtype,
        op=node.op_type,
        bn_folded=folded,
        bn_scale=scale,
        notes=tuple(notes),
    )


def _kind(node: NodeProto, weight: np.ndarray, groups: int) -> Kind:
    if node.op_type == "ConvTranspose":
        return "conv_transpose"
    return "depthwise" if groups > 1 and weight.shape[1] == 1 else "conv"


def _integer_weight(graph: _Graph, node: NodeProto, stored: np.ndarray, notes: list[str]) -> np.ndarray:
    """Integer weights around their zero point; in real units only where the node holds the scale."""
    if node.op_type == "QLinearConv":
        scale = graph.constant(node.input[4], notes)
        return _scaled(graph.path, node.input[3], stored, scale, graph.optional(node, 5, notes), 0)
    notes.append("integer units: the scale stands elsewhere in the graph")
    one = np.ones((), np.float32)
    return _scaled(graph.path, node.input[1], stored, one, graph.optional(node, 3, notes), 0)


def _scaled(
    path: Path, name: str, values: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, axis: int
) -> np.ndarray:
    """(values - zero point) * scale; scale and zero point are single or run along `axis`."""

    def along(vector: np.ndarray) -> np.ndarray:
        if vector.size == 1:
            return vector.reshape(())
        if not -values.ndim <= axis < values.ndim or vector.shape != (values.shape[axis],):
            raise BadInputError(
                f"{path}: tensor {name!r} has {vector.size} scales or zero points on axis {axis}"
            )
        shape = [1] * values.ndim
        shape[axis] = vector.size
        return vector.reshape(shape)

    centred = values.astype(np.float64)
    if zero is not None:
        centred = centred - along(zero.astype(np.float64))
    with np.errstate(over="ignore", invalid="ignore"):  # damaged scales give infinities, which are told later
        return (centred * along(scale.astype(np.float64))).astype(np.float32)


def _batch_norm(graph: _Graph, node: NodeProto, width: int) -> tuple[np.ndarray | None, bool]:
    """(scale, folded): the factor of a BatchNormalization that alone reads this convolution's output."""
    users = graph.users.get(node.output[0], [])
    if len(users) != 1 or users[0].op_type != "BatchNormalization" or len(users[0].input) < 5:
        return None, True
    try:
        gamma, variance = (graph.constant(users[0].input[k], []).astype(np.float64) for k in (1, 4))
    except _NotConstantError:
        return None, False
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + _attribute(users[0], "epsilon", 1e-5))
    return (scale, False) if scale.shape == (width,) and np.isfinite(scale).all() else (None, False)


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute; one of another kind than its default is damage, and the layer is skipped."""
    for attribute in node.attribute:
        if attribute.name == name:
            try:
                value = _onnx().helper.get_attribute_value(attribute)
            except ValueError:
                value = None
            if default is not None and not isinstance(
                value, list if isinstance(default, tuple) else type(default)
            ):
                raise _NotConstantError(f"its attribute {name!r} is damaged")
            return value
    return default


def _tensor(path: Path, tensor: TensorProto, name: str, external_data: bool) -> np.ndarray:
    onnx = _onnx()
    shape = tuple(tensor.dims)
    check_shape(path, name, shape)
    base = ""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        base = _external_folder(path, tensor, name, external_data)
    try:
        return onnx.numpy_helper.to_array(tensor, base)
    except Exception as error:  # length, type and file errors of many classes
        raise BadInputError(f"{path}: tensor {name!r} of shape {shape} cannot be read ({error})") from None


def _external_folder(path: Path, tensor: TensorProto, name: str, external_data: bool) -> str:
    """The folder of external data, once it is asked for and stays inside the folder of the model."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    if not external_data:
        raise BadInputError(
            f"{path}: tensor {name!r} lies in another file ({location!r}); "
            "such files are read only when asked for (external_data=True, --external-data)"
        )
    folder = path.parent.resolve()
    target = folder / location
    if not location or not target.resolve().is_relative_to(folder) or target.is_symlink():
        raise BadInputError(
            f"{path}: tensor {name!r} points outside the model's folder ({location!r}); refused"
        )
    if not target.is_file():
        raise BadInputError(f"{path}: the file {location!r} with tensor {name!r} is missing")
    return str(folder)


def external_files(path: Path) -> list[Path]:
    """Files beside an ONNX model that hold its external data; empty when all is inside."""
    graph = _Graph.load(path, external_data=False)
    found = {}
    for name, tensor in graph.initializers.items():
        for entry in tensor.external_data:
            if entry.key == "location" and entry.value not in found:
                found[entry.value] = Path(_external_folder(path, tensor, name, True)) / entry.value
    return sorted(found.values())


def _onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise BadInputError("reading ONNX models needs the extra: pip install 'shiftlab[onnx]'") from None
    return onnx
