"""The one form that every weight file takes: a stream of convolution layers in (O, I, kh, kw) order.

A reader yields `LayerRecord` for each convolution weight and `SkippedLayer` for one it saw and could
not use. What a format does not say (kind, groups, stride, depth) is recorded as unknown, never guessed.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from shiftlab.errors import BadInputError

Kind = Literal["conv", "depthwise", "conv_transpose", "unknown"]
DepthFrom = Literal["graph", "file order", "unknown"]

MAX_TENSOR_BYTES = 4 << 30  # one convolution weight; the largest published ones are below 0.2 GB
MAX_KERNEL = 64  # edge of a kernel; a larger "kernel" is some other 4-D tensor
_AXES = {  # where O, I, kh, kw lie in each order
    "OIHW": (0, 1, 2, 3), "HWIO": (3, 2, 0, 1), "OHWI": (0, 3, 1, 2), "HWOI": (2, 3, 0, 1), "1HWC": (3, 0, 1, 2),
}  # fmt: skip
_BOMB_BYTES, _BOMB_RATIO = 64 << 20, 200  # an entry that inflates beyond both is not a weight file


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One convolution weight as read.

    `weight` is (O, I, kh, kw), float32 or float64, dequantised, with I = input channels per group.
    `groups` and `stride` are None when the file does not tell. `depth` is the rank of the layer's longest
    path from an input among the levels that hold a convolution (0 = first); `depth_from` says whether it
    comes from the graph or only from the order in the file. `axis_order` is the order in the file, with
    "(assumed)" when the file does not state it. `dtype` is the stored type. `bn_folded` is False when a batch
    normalisation follows unfolded, True when the graph shows none (folded or never there), None when unknown;
    `bn_scale` (O,) is then the factor that folding would multiply into each output channel.
    """

    name: str
    kind: Kind
    weight: np.ndarray
    groups: int | None
    stride: tuple[int, int] | None
    axis_order: str
    depth: int | None
    depth_from: DepthFrom
    dtype: str
    op: str | None = None
    bn_folded: bool | None = None
    bn_scale: np.ndarray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SkippedLayer:
    """A layer that was seen and not used, with the reason in words."""

    name: str
    reason: str


LayerItem = LayerRecord | SkippedLayer


def folded(layer: LayerRecord) -> LayerRecord:
    """The layer with the scale of the batch normalisation that follows multiplied in; others as they are.

    Changes sparsity and variance entropy, not orthogonality, and drift only where a scale is negative.
    """
    if layer.bn_scale is None:
        return layer
    weight = (layer.weight * layer.bn_scale[:, None, None, None]).astype(layer.weight.dtype)
    notes = (*layer.notes, "batch normalisation folded in")
    return replace(layer, weight=weight, bn_folded=True, bn_scale=None, notes=notes)


def check_shape(path: Path, tensor: str, shape: tuple[int, ...], itemsize: int = 4) -> int:
    """Number of elements of `shape`, after refusing negative, over-long and over-large ones."""
    if len(shape) > 16 or any(int(edge) < 0 for edge in shape):
        raise BadInputError(f"{path}: tensor {tensor!r} declares the impossible shape {tuple(shape)}")
    count = 1
    for edge in shape:
        count *= int(edge)
    if count * itemsize > MAX_TENSOR_BYTES:
        raise BadInputError(
            f"{path}: tensor {tensor!r} of shape {tuple(shape)} would take {count * itemsize:,} bytes; "
            f"the limit for one tensor is {MAX_TENSOR_BYTES:,}"
        )
    return count


def is_kernel_shape(shape: tuple[int, ...]) -> bool:
    """Whether a 4-D (O, I, kh, kw) shape can be a convolution kernel: non-empty, with small edges."""
    return len(shape) == 4 and min(shape) > 0 and max(shape[2:]) <= MAX_KERNEL


def checked_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip file after refusing bombs, overlapping entries and encrypted ones."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadInputError(f"{path}: not a readable zip archive ({error}); was it cut off?") from None
    end = 0
    for entry in sorted(archive.infolist(), key=lambda item: item.header_offset):
        if entry.flag_bits & 0x1:
            raise BadInputError(f"{path}: entry {entry.filename!r} is encrypted")
        if entry.file_size > max(_BOMB_BYTES, _BOMB_RATIO * entry.compress_size):
            raise BadInputError(
                f"{path}: entry {entry.filename!r} inflates from {entry.compress_size:,} to "
                f"{entry.file_size:,} bytes; that is a zip bomb, not a weight file"
            )
        if entry.header_offset < end:
            raise BadInputError(f"{path}: entry {entry.filename!r} overlaps the entry before it")
        end = entry.header_offset + 30 + len(entry.filename.encode()) + entry.compress_size
    return archive


def read_entry(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """The bytes of one archive entry, never more than the directory declared."""
    try:
        declared = archive.getinfo(name).file_size
        with archive.open(name) as stream:
            data = stream.read(declared + 1)
    except KeyError:
        raise BadInputError(f"{path}: the archive has no entry {name!r}; was it cut off?") from None
    except Exception as error:  # zlib, CRC and truncation errors have no common base class
        raise BadInputError(f"{path}: entry {name!r} is damaged ({error})") from None
    if len(data) != declared:
        raise BadInputError(f"{path}: entry {name!r} holds {len(data):,} bytes, not {declared:,}")
    return data


def guess_axis_order(shape: tuple[int, ...]) -> Literal["OIHW", "HWIO"] | None:
    """The axis order that a bare 4-D shape suggests: kernels are small, square and nearly always odd.

    None when both ends look like a kernel, or neither does.
    """
    last = shape[2] == shape[3] and shape[2] <= 11
    first = shape[0] == shape[1] and shape[0] <= 11
    if last and first:
        last, first = shape[2] % 2 == 1, shape[0] % 2 == 1
    if last == first:
        return None
    return "OIHW" if last else "HWIO"


def oihw_shape(shape: tuple[int, ...], axis_order: str) -> tuple[int, ...]:
    """The (O, I, kh, kw) that a stored shape becomes; "HWOI" is Keras' transposed convolution."""
    if axis_order == "HWCM":
        return shape[2] * shape[3], 1, shape[0], shape[1]
    return tuple(shape[axis] for axis in _AXES[axis_order])


def to_oihw(weight: np.ndarray, axis_order: str) -> np.ndarray:
    """Bring a 4-D weight to (O, I, kh, kw). "HWCM" and "1HWC" are the depthwise layouts (I = 1)."""
    moved = weight.transpose(_AXES["HWOI" if axis_order == "HWCM" else axis_order])
    return np.ascontiguousarray(moved).reshape(oihw_shape(weight.shape, axis_order))


def transposed_to_oihw(weight: np.ndarray, groups: int) -> np.ndarray:
    """A transposed convolution's (I, O/groups, kh, kw) weight as (O, I/groups, kh, kw)."""
    inputs, per_group, height, width = weight.shape
    split = weight.reshape(groups, inputs // groups, per_group, height, width).swapaxes(1, 2)
    return np.ascontiguousarray(split.reshape(groups * per_group, inputs // groups, height, width))


def as_float(array: np.ndarray) -> np.ndarray:
    """float64 stays; every other number type becomes float32."""
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
