"""What a Keras configuration (JSON, in .h5, .keras and TF.js files) says about its layers.

The configuration is read as data: layers are never rebuilt from it, so Lambda layers cannot run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shiftlab.readers.weights_graph import node_levels, ranks
from shiftlab.readers.weights_record import (
    DepthFrom,
    Kind,
    LayerItem,
    LayerRecord,
    SkippedLayer,
    as_float,
    is_kernel_shape,
    oihw_shape,
    to_oihw,
)

_CONVS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "Convolution2D"}
_MODELS = {"Functional", "Sequential", "Model"}


@dataclass(frozen=True)
class NamedTensor:
    """A stored variable of a Keras or TensorFlow layer: `layer` owns it, `variable` is kernel, bias, ..."""

    name: str
    layer: str
    variable: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], np.ndarray]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerConfig:
    """One layer of a configuration: class, settings, depth among the convolutions, and who reads it."""

    name: str
    kind: str
    settings: dict[str, Any]
    inputs: tuple[str, ...]
    depth: int | None = None
    batch_norm: str | None = None  # the batch normalisation that alone reads its output
    nested: bool = False


@dataclass(frozen=True)
class Topology:
    """Layers by name, and by the path under which a .keras file keeps their variables."""

    layers: dict[str, LayerConfig] = field(default_factory=dict)

    @classmethod
    def parse(cls, config: Any) -> Topology:
        """From the JSON of a whole model: {"class_name": ..., "config": {"layers": [...]}}."""
        top = list(_layers(config))
        convs = [layer.kind in _CONVS for layer in top]
        levels = node_levels(
            [layer.inputs for layer in top],
            [(layer.name,) for layer in top],
            [layer.name for layer in top if layer.kind == "InputLayer"] or [""],
        )
        counted = [conv and layer.kind != "Conv2DTranspose" for conv, layer in zip(convs, top, strict=True)]
        depths = ranks(levels, counted)
        readers: dict[str, list[LayerConfig]] = {}
        for layer in top:
            for name in layer.inputs:
                readers.setdefault(name, []).append(layer)
        found = {}
        for layer, depth in zip(top, depths, strict=True):
            users = readers.get(layer.name, [])
            norm = users[0].name if len(users) == 1 and users[0].kind == "BatchNormalization" else None
            found[layer.name] = LayerConfig(layer.name, layer.kind, layer.settings, layer.inputs, depth, norm)
        for layer in _nested(config, inside=False):
            found.setdefault(layer.name, layer)
        return cls(found)

    def owner(self, parts: Sequence[str]) -> str:
        """The layer of a variable path in an .h5 file: its top group, or one inside a nested model."""
        if not parts:
            return ""
        if parts[0] in self.layers and self.layers[parts[0]].kind not in _MODELS:
            return parts[0]
        return next((part for part in reversed(parts) if part in self.layers), parts[-1])

    def saved_names(self) -> dict[str, str]:
        """Path component in a .keras file -> layer name: snake-cased class, numbered in order of layers."""
        seen: Counter[str] = Counter()
        names = {}
        for layer in self.layers.values():
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", layer.kind).lower()
            snake = re.sub(r"conv_?(\d)_?d", r"conv\1d", snake)
            names[snake if not seen[snake] else f"{snake}_{seen[snake]}"] = layer.name
            seen[snake] += 1
        return names


def _layer_list(config: Any) -> list[dict[str, Any]]:
    inner = config.get("config", {}) if isinstance(config, dict) else {}
    layers = inner.get("layers", []) if isinstance(inner, dict) else inner
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _identity(layer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and settings of one layer of a configuration."""
    config = layer.get("config")
    settings: dict[str, Any] = config if isinstance(config, dict) else {}
    return str(layer.get("name") or settings.get("name") or ""), settings


def _layers(config: Any) -> Iterator[LayerConfig]:
    sequential = isinstance(config, dict) and config.get("class_name") == "Sequential"
    previous = ""
    for layer in _layer_list(config):
        name, settings = _identity(layer)
        inputs = (previous,) if sequential else tuple(dict.fromkeys(_references(layer.get("inbound_nodes"))))
        yield LayerConfig(name, str(layer.get("class_name")), settings, inputs)
        previous = name


def _nested(config: Any, inside: bool) -> Iterator[LayerConfig]:
    """Layers of models inside the model: their settings hold, their depth is unknown."""
    for layer in _layer_list(config):
        if inside:
            name, settings = _identity(layer)
            yield LayerConfig(name, str(layer.get("class_name")), settings, (), nested=True)
        if layer.get("class_name") in _MODELS:
            yield from _nested(layer, inside=True)


def _references(nodes: Any) -> Iterator[str]:
    """Layer names in the inbound nodes of Keras 2 ([name, node, tensor, ...]) and 3 (keras_history)."""
    if isinstance(nodes, dict):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
            return
        for value in nodes.values():
            yield from _references(value)
    elif isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and all(isinstance(n, int) for n in nodes[1:3]):
            yield nodes[0]
            return
        for value in nodes:
            yield from _references(value)


def keras_layers(path: Path, tensors: Sequence[NamedTensor], topology: Topology) -> Iterator[LayerItem]:
    """Yield the convolutions among the variables, with what the topology knows about each."""
    norms: dict[str, dict[str, NamedTensor]] = {}
    for tensor in tensors:
        norms.setdefault(tensor.layer, {})[tensor.variable] = tensor
    places = {name: place for place, name in enumerate(topology.layers)}
    order = 0
    for tensor in sorted(tensors, key=lambda tensor: places.get(tensor.layer, len(places))):
        if len(tensor.shape) != 4:
            continue
        item = _layer(tensor, topology, norms, order)
        order += isinstance(item, LayerRecord)
        yield item


def _layer(
    tensor: NamedTensor, topology: Topology, norms: dict[str, dict[str, NamedTensor]], order: int
) -> LayerItem:
    layer = topology.layers.get(tensor.layer)
    depthwise = "depthwise" in tensor.variable or (layer is not None and layer.kind == "DepthwiseConv2D")
    if layer is not None and layer.kind not in _CONVS:
        return SkippedLayer(tensor.name, f"a 4-D variable of a {layer.kind} layer is no convolution")
    transposed = layer is not None and layer.kind == "Conv2DTranspose"
    axis_order = "HWCM" if depthwise else "HWOI" if transposed else "HWIO"
    if not is_kernel_shape(oihw_shape(tensor.shape, axis_order)):
        return SkippedLayer(tensor.name, f"shape {tensor.shape} is no convolution kernel")
    weight = to_oihw(as_float(tensor.load()), axis_order)
    settings = layer.settings if layer is not None else {}
    kind: Kind = "depthwise" if depthwise else "conv_transpose" if transposed else "conv"
    if layer is None and not depthwise:
        kind = "unknown"
    depth, depth_from = _depth(layer, order)
    notes = list(tensor.notes)
    if layer is None:
        notes.append("no configuration of this layer: groups and stride unknown")
    before_pointwise = depthwise and layer is not None and layer.kind == "SeparableConv2D"
    scale, folded = (None, True) if before_pointwise else _batch_norm(layer, topology, norms, len(weight))
    strides = settings.get(
        "strides", (1, 1) if layer is not None and "pointwise" in tensor.variable else None
    )
    return LayerRecord(
        name=tensor.name,
        kind=kind,
        weight=weight,
        groups=_groups(layer, tensor, depthwise),
        stride=_pair(strides) if "pointwise" not in tensor.variable else (1, 1),
        axis_order=axis_order,
        depth=depth,
        depth_from=depth_from,
        dtype=tensor.dtype,
        op=layer.kind if layer is not None else None,
        bn_folded=folded,
        bn_scale=scale,
        notes=tuple(notes),
    )


def _depth(layer: LayerConfig | None, order: int) -> tuple[int | None, DepthFrom]:
    if layer is None:
        return order, "file order"
    return layer.depth, "unknown" if layer.depth is None else "graph"


def _groups(layer: LayerConfig | None, tensor: NamedTensor, depthwise: bool) -> int | None:
    if depthwise:
        return tensor.shape[2]
    if layer is None:
        return None
    groups = layer.settings.get("groups", 1)
    return groups if isinstance(groups, int) else None


def _pair(strides: Any) -> tuple[int, int] | None:
    if isinstance(strides, int):
        return strides, strides
    if isinstance(strides, list | tuple) and len(strides) == 2 and all(isinstance(s, int) for s in strides):
        return strides[0], strides[1]
    return None


def _batch_norm(
    layer: LayerConfig | None, topology: Topology, norms: dict[str, dict[str, NamedTensor]], width: int
) -> tuple[np.ndarray | None, bool | None]:
    """(scale, folded) from the batch normalisation that alone reads this layer, if there is one."""
    if layer is None or layer.nested:
        return None, None
    if layer.batch_norm is None:
        return None, True
    stored = norms.get(layer.batch_norm, {})
    if "moving_variance" not in stored:
        return None, False
    variance = stored["moving_variance"].load().astype(np.float64)
    gamma = stored["gamma"].load().astype(np.float64) if "gamma" in stored else np.ones(len(variance))
    scale = gamma / np.sqrt(variance + float(topology.layers[layer.batch_norm].settings.get("epsilon", 1e-3)))
    return (scale, False) if scale.shape == (width,) and np.isfinite(scale).all() else (None, False)
