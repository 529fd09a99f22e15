"""Convolutions in a bare list of named tensors (state_dict, safetensors, npz): no graph, few certainties.

A 4-D tensor may be a convolution, a transposed or a grouped one: the kind is unknown, the depth is only the
order in the file. A batch normalisation is recognised when its four vectors follow with the same width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shiftlab.readers.weights_record import (
    LayerItem,
    LayerRecord,
    SkippedLayer,
    as_float,
    guess_axis_order,
    is_kernel_shape,
    oihw_shape,
    to_oihw,
)

_BN_EPS = 1e-5  # a state_dict does not hold it; this is the default of torch


@dataclass(frozen=True)
class StateTensor:
    """A named tensor that is read only when asked for."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], np.ndarray]


def state_layers(path: Path, tensors: Sequence[StateTensor], axis_order: str | None) -> Iterator[LayerItem]:
    """Yield a record for each 4-D tensor in order; `axis_order` None means: take it from the shape.

    A shape that fits two orders takes the one that all other tensors of the file agree on.
    """
    guesses = {guess_axis_order(t.shape) for t in tensors if len(t.shape) == 4} - {None}
    common = guesses.pop() if len(guesses) == 1 else None
    depth = 0
    for position, tensor in enumerate(tensors):
        if len(tensor.shape) != 4:
            if len(tensor.shape) in (3, 5) and tensor.name.endswith("weight"):
                yield SkippedLayer(tensor.name, f"a {len(tensor.shape)}-D weight is no 2-D convolution")
            continue
        order = axis_order or guess_axis_order(tensor.shape) or common
        if order is None:
            yield SkippedLayer(tensor.name, f"axis order of shape {tensor.shape} is ambiguous")
            continue
        if not np.issubdtype(np.dtype(_plain(tensor.dtype)), np.floating):
            yield SkippedLayer(tensor.name, f"{tensor.dtype} weights without a scale")
            continue
        if not is_kernel_shape(oihw_shape(tensor.shape, order)):
            yield SkippedLayer(tensor.name, f"shape {tensor.shape} is no convolution kernel")
            continue
        weight = to_oihw(as_float(tensor.load()), order)
        scale = _batch_norm_scale(tensors[position + 1 : position + 7], len(weight))
        notes = ["no graph: kind, groups and stride unknown, depth is the order in the file"]
        if scale is not None:
            notes.append(f"batch normalisation follows; its scale assumes eps = {_BN_EPS}")
        yield LayerRecord(
            name=tensor.name,
            kind="unknown",
            weight=weight,
            groups=None,
            stride=None,
            axis_order=order if axis_order else f"{order} (assumed)",
            depth=depth,
            depth_from="file order",
            dtype=tensor.dtype,
            bn_folded=None if scale is None else False,
            bn_scale=scale,
            notes=tuple(notes),
        )
        depth += 1


def _plain(dtype: str) -> str:
    """The numpy type that stands for a stored type of any format's naming."""
    short = {"bf16": "f4", "f16": "f2", "f32": "f4", "f64": "f8", "bfloat16": "f4", "bool": "?"}
    return short.get(dtype, dtype)


def _batch_norm_scale(following: Sequence[StateTensor], width: int) -> np.ndarray | None:
    """gamma / sqrt(variance + eps) when the next layer in the file is a batch normalisation of this width."""
    found: dict[str, StateTensor] = {}
    prefix = None
    for tensor in following:
        owner, _, field = tensor.name.rpartition(".")
        if len(tensor.shape) == 4 or (prefix is not None and owner != prefix):
            break
        if tensor.shape == (width,) and field == "weight":
            prefix = owner
        if prefix is not None:
            found[field] = tensor
    if not {"weight", "running_mean", "running_var"} <= found.keys():
        return None
    if found["running_var"].shape != (width,):
        return None
    gamma = found["weight"].load().astype(np.float64)
    scale = gamma / np.sqrt(np.maximum(found["running_var"].load(), 0).astype(np.float64) + _BN_EPS)
    return scale if np.isfinite(scale).all() else None
