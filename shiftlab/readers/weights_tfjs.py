"""TensorFlow.js: a JSON manifest (with or without a model graph) and binary shards beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_graph import node_levels, ranks
from shiftlab.readers.weights_record import LayerItem, check_shape
from shiftlab.readers.weights_topology import LayerConfig, NamedTensor, Topology, keras_layers

_DTYPES = {
    "float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "|u1", "uint16": "<u2", "int8": "|i1",
    "int16": "<i2", "bool": "|u1",
}  # fmt: skip
_GRAPH_CONVS = {
    "Conv2D": "Conv2D", "_FusedConv2D": "Conv2D",
    "DepthwiseConv2dNative": "DepthwiseConv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2D",
    "Conv2DBackpropInput": "Conv2DTranspose",
}  # fmt: skip


def read(path: Path) -> Iterator[LayerItem]:
    """Yield the convolutions of a TF.js model, dequantised with the `scale` and `min` of its manifest.

    Raises BadInputError for a manifest that does not fit, shards that are missing, too short or too long, or
    that lie outside the folder of `path`.
    """
    content = _manifest(path)
    groups = _groups(path, content)
    topology = content.get("modelTopology") if isinstance(content, dict) else None
    try:
        config, aliases = _topology(topology)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInputError(f"{path}: 'modelTopology' describes no model ({error})") from None
    tensors = [tensor for group in groups for tensor in _group_tensors(path, group, aliases)]
    yield from keras_layers(path, tensors, config)


def files(path: Path) -> list[Path]:
    """The shards that a manifest names, each inside the folder of the manifest."""
    content = _manifest(path)
    return [_shard(path, name) for group in _groups(path, content) for name in group["paths"]]


def _manifest(path: Path) -> Any:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: no valid JSON ({error})") from None
    return content


def _groups(path: Path, content: Any) -> list[dict[str, Any]]:
    """The groups of the weights manifest: of a whole model, or a manifest by itself."""
    groups = content.get("weightsManifest") if isinstance(content, dict) else content
    if not isinstance(groups, list):
        raise BadInputError(f"{path}: no TF.js model: field 'weightsManifest' is missing")
    for group in groups:
        if not isinstance(group, dict) or not all(
            isinstance(group.get(k), list) for k in ("paths", "weights")
        ):
            raise BadInputError(
                f"{path}: a group of the weights manifest lacks 'paths' or 'weights', two lists"
            )
    return groups


def _shard(path: Path, name: Any) -> Path:
    folder = path.parent.resolve()
    try:
        target = (folder / str(name)).resolve()
        target.is_file()
    except (ValueError, OSError):
        raise BadInputError(
            f"{path}: the shard {str(name)[:80]!r} has no name that a file can have"
        ) from None
    if not target.is_relative_to(folder):
        raise BadInputError(f"{path}: the shard {name!r} lies outside the model's folder; refused")
    if not target.is_file():
        raise BadInputError(f"{path}: the shard {name!r} is missing")
    if not target.stat().st_size:
        raise BadInputError(f"{path}: the shard {name!r} is empty")
    return target


def _group_tensors(path: Path, group: dict[str, Any], aliases: dict[str, str]) -> list[NamedTensor]:
    """The tensors of one group: they follow each other in the joined shards without gaps."""
    shards = [np.memmap(_shard(path, name), np.uint8, "r") for name in group["paths"]]
    data = shards[0] if len(shards) == 1 else np.concatenate([np.empty(0, np.uint8), *shards])
    tensors, start = [], 0
    for weight in group["weights"]:
        try:
            name, shape, dtype = str(weight["name"]), tuple(map(int, weight["shape"])), weight["dtype"]
            packing = weight.get("quantization") or {}
            stored = str(packing.get("dtype", dtype))
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
            raise BadInputError(f"{path}: a weight of the manifest lacks name, shape or dtype") from None
        if stored not in _DTYPES:
            raise BadInputError(f"{path}: tensor {name!r} has the dtype {stored!r}, which is not supported")
        size = check_shape(path, name, shape, 8) * np.dtype(_DTYPES[stored]).itemsize
        if start + size > len(data):
            raise BadInputError(
                f"{path}: tensor {name!r} needs bytes {start:,} to {start + size:,}, of {len(data):,}"
            )
        layer, _, variable = name.rpartition("/")
        tensors.append(
            NamedTensor(
                name=name,
                layer=aliases.get(name, layer.rsplit("/", 1)[-1] if name not in aliases else layer),
                variable=variable,
                shape=shape,
                dtype=stored,
                load=partial(_values, path, name, data[start : start + size], stored, shape, packing),
                notes=("dequantised from " + stored,) if packing else (),
            )
        )
        start += size
    if start != len(data):
        raise BadInputError(f"{path}: {len(data) - start:,} bytes of the shards belong to no tensor")
    return tensors


def _values(
    path: Path, name: str, data: np.ndarray, dtype: str, shape: tuple[int, ...], packing: dict[str, Any]
) -> np.ndarray:
    values = np.frombuffer(data.tobytes(), _DTYPES[dtype]).reshape(shape)
    if "scale" not in packing:
        return values
    try:
        scale, low = float(packing["scale"]), float(packing.get("min", 0))
    except (TypeError, ValueError):
        raise BadInputError(f"{path}: the quantization of tensor {name!r} has no numeric scale") from None
    return (values * scale + low).astype(np.float32)


def _topology(topology: Any) -> tuple[Topology, dict[str, str]]:
    """The layers, and for a TensorFlow graph which operation each weight belongs to."""
    if not isinstance(topology, dict):
        return Topology(), {}
    if isinstance(topology.get("node"), list):
        return _graph(topology["node"])
    config = topology.get("model_config", topology)
    return Topology.parse(config), {}


def _graph(nodes: list[dict[str, Any]]) -> tuple[Topology, dict[str, str]]:
    """Convolution operations of a TensorFlow graph; inputs are node names ('^': control, ':k': output)."""
    nodes = [node for node in nodes if isinstance(node, dict) and "op" in node]
    inputs = [[str(i).lstrip("^").split(":")[0] for i in node.get("input", [])] for node in nodes]
    names = [str(node.get("name")) for node in nodes]
    by_name = {name: (node, inp) for name, node, inp in zip(names, nodes, inputs, strict=True)}
    starts = [name for name, node in zip(names, nodes, strict=True) if node["op"] == "Placeholder"]
    levels = node_levels(inputs, [[name] for name in names], starts)
    convs = [k for k, node in enumerate(nodes) if node["op"] in _GRAPH_CONVS]
    kinds = [_GRAPH_CONVS[nodes[k]["op"]] for k in convs]
    depths = ranks([levels[k] for k in convs], [kind != "Conv2DTranspose" for kind in kinds])
    layers, aliases = {}, {}
    for k, kind, depth in zip(convs, kinds, depths, strict=True):
        weight = inputs[k][1] if len(inputs[k]) > 1 else ""
        for _ in range(8):  # through Identity nodes to the stored constant
            node, above = by_name.get(weight, ({}, []))
            if node.get("op") != "Identity" or not above:
                break
            weight = above[0]
        aliases[weight] = names[k]
        layers[names[k]] = LayerConfig(names[k], kind, _settings(nodes[k]), tuple(inputs[k]), depth)
    return Topology(layers), aliases


def _settings(node: dict[str, Any]) -> dict[str, Any]:
    strides = node.get("attr", {}).get("strides", {}).get("list", {}).get("i")
    if not isinstance(strides, list) or len(strides) != 4:
        return {}
    # NOTE: NHWC is the only layout that TF.js runs.
    return {"strides": [int(strides[1]), int(strides[2])]}
