"""safetensors: an 8-byte length, a JSON header, then raw tensors that must tile the rest of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import LayerItem, check_shape
from shiftlab.readers.weights_state import StateTensor, state_layers

_MAX_HEADER = 100 << 20  # the limit of the format's own reader
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_AXES = {"pt": "OIHW", "tf": "HWIO", "flax": "HWIO", "mlx": "OHWI"}


def read(path: Path) -> Iterator[LayerItem]:
    """Yield the convolution layers of a safetensors file, one tensor in memory at a time.

    Raises BadInputError for a header that is no JSON, offsets that overlap, leave gaps or overrun the file,
    lengths that do not fit shape and type, and types that are not known.
    """
    found, axis_order = _tensors(path)
    yield from state_layers(path, found, axis_order)


def tensors(path: Path) -> list[StateTensor]:
    """Every tensor of the file, read when asked for; raises as `read` does."""
    return _tensors(path)[0]


def _tensors(path: Path) -> tuple[list[StateTensor], str | None]:
    header, start, data = _open(path)
    metadata = header.pop("__metadata__", None) or {}
    axis_order = _AXES.get(metadata.get("format", "")) if isinstance(metadata, dict) else None
    spans = {name: _span(path, name, entry, len(data) - start) for name, entry in header.items()}
    _check_tiling(path, spans, len(data) - start)

    def load(name: str) -> np.ndarray:
        dtype, shape, begin, end = spans[name]
        values = np.frombuffer(data[start + begin : start + end], dtype=_NUMPY[dtype]).reshape(shape)
        if dtype == "BF16":
            return (values.astype("<u4") << 16).view("<f4")
        return values

    found = [
        StateTensor(name, shape, dtype.lower(), partial(load, name))
        for name, (dtype, shape, _, _) in spans.items()
    ]
    return found, axis_order


def _open(path: Path) -> tuple[dict[str, Any], int, np.ndarray]:
    size = path.stat().st_size
    if size < 8:
        raise BadInputError(f"{path}: {size} bytes is too short for a safetensors file")
    data = np.memmap(path, mode="r", dtype=np.uint8)
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(_MAX_HEADER, size - 8):
        raise BadInputError(
            f"{path}: the header claims {length:,} bytes at offset 8 of a {size:,}-byte file; "
            "it is truncated or no safetensors file"
        )
    try:
        header = json.loads(data[8 : 8 + length].tobytes().decode("utf-8"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: the safetensors header is no valid JSON ({error})") from None
    if not isinstance(header, dict):
        raise BadInputError(f"{path}: the safetensors header is no JSON object")
    return header, 8 + length, data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _span(path: Path, name: str, entry: Any, room: int) -> tuple[str, tuple[int, ...], int, int]:
    """(dtype, shape, begin, end) of one tensor, each checked against the others and the file."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise BadInputError(f"{path}: tensor {name!r} lacks dtype, shape or data_offsets") from None
    if dtype not in _NUMPY:
        raise BadInputError(f"{path}: tensor {name!r} has the unknown dtype {dtype!r}")
    if not isinstance(shape, list) or not all(type(edge) is int for edge in [*shape, begin, end]):
        raise BadInputError(f"{path}: tensor {name!r} has a shape or offsets that are no whole numbers")
    itemsize = np.dtype(_NUMPY[dtype]).itemsize
    count = check_shape(path, name, tuple(shape), itemsize)
    if not 0 <= begin <= end <= room:
        raise BadInputError(f"{path}: tensor {name!r} at {begin}:{end} overruns the {room:,} data bytes")
    if end - begin != count * itemsize:
        raise BadInputError(
            f"{path}: tensor {name!r} of shape {tuple(shape)} and type {dtype} needs "
            f"{count * itemsize:,} bytes, its offsets {begin}:{end} give {end - begin:,}"
        )
    return dtype, tuple(shape), begin, end


def _check_tiling(path: Path, spans: dict[str, tuple[str, tuple[int, ...], int, int]], room: int) -> None:
    previous, reached = "", 0
    for name, (_, _, begin, end) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin < reached:
            raise BadInputError(f"{path}: tensors {previous!r} and {name!r} overlap at offset {begin}")
        if begin > reached:
            raise BadInputError(f"{path}: {begin - reached} bytes before tensor {name!r} belong to no tensor")
        previous, reached = name, end
    if reached != room:
        raise BadInputError(f"{path}: {room - reached} bytes after the last tensor belong to no tensor")
