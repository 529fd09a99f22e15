"""PyTorch checkpoints (.pt, .pth), zip and older layout, through the pickle reader that runs nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_pickle import StorageRef, TensorRef, read_pickle
from shiftlab.readers.weights_record import LayerItem, SkippedLayer, check_shape, checked_archive, read_entry
from shiftlab.readers.weights_state import StateTensor, state_layers

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DEPTH_LIMIT = 16  # of dicts in dicts: a checkpoint nests two or three deep

Storage = Callable[[StorageRef], np.ndarray]
Named = tuple[str, TensorRef | SkippedLayer]


def read(path: Path) -> Iterator[LayerItem]:
    """Yield the convolution layers of a checkpoint; optimiser state is left out and said so.

    Raises BadInputError for every global off the allow-list (whole pickled modules, TorchScript, malware):
    nothing of the file is ever run. Also for truncated storages and strides that leave them.
    """
    found, skipped = _tensors(path)
    yield from skipped
    yield from state_layers(path, found, "OIHW")


def tensors(path: Path) -> list[StateTensor]:
    """Every tensor of the checkpoint but the state of an optimiser, read when asked for; raises as `read` does."""
    return _tensors(path)[0]


def _tensors(path: Path) -> tuple[list[StateTensor], list[SkippedLayer]]:
    with path.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    content, storage = _open_zip(path) if is_zip else _open_legacy(path)
    found: list[StateTensor] = []
    skipped: list[SkippedLayer] = []
    for name, value in _walk(content, "", 0, set()):
        if isinstance(value, SkippedLayer):
            skipped.append(value)
        else:
            load = partial(_materialise, path, name, value, storage)
            found.append(StateTensor(name, value.shape, value.dtype, load))
    return found, skipped


def _walk(value: Any, name: str, depth: int, seen: set[int]) -> Iterator[Named]:
    """Every tensor below `value` with its dotted name; each container once, so no cycles and no blow-up."""
    if isinstance(value, TensorRef):
        yield name, value
        return
    if not isinstance(value, dict | list | tuple) or id(value) in seen or depth > _DEPTH_LIMIT:
        return
    seen.add(id(value))
    if isinstance(value, dict) and {"state", "param_groups"} <= value.keys():
        yield name, SkippedLayer(name or "optimizer", "state of an optimiser, no weights")
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield from _walk(item, f"{name}.{key}" if name else str(key), depth + 1, seen)


def _materialise(path: Path, name: str, tensor: TensorRef, storage: Storage) -> np.ndarray:
    """The strided view as its own array, after checking that it stays inside the storage."""
    check_shape(path, name, tensor.shape)
    block = storage(tensor.storage)
    if tensor.dtype != tensor.storage.dtype:
        block = block.view(_numpy_dtype(tensor.dtype))
    offset = tensor.offset + tensor.storage.offset
    last = offset + sum((edge - 1) * step for edge, step in zip(tensor.shape, tensor.stride, strict=True))
    if min(offset, *tensor.stride, 0) < 0 or (0 not in tensor.shape and last >= len(block)):
        raise BadInputError(
            f"{path}: tensor {name!r} reaches element {last} of storage {tensor.storage.key!r}, "
            f"which holds {len(block):,}"
        )
    steps = tuple(step * block.itemsize for step in tensor.stride)
    view = np.lib.stride_tricks.as_strided(block[offset:], tensor.shape, steps, writeable=False)
    if tensor.dtype == "bfloat16":
        return (view.astype("<u4") << 16).view("<f4")
    return view.copy()


def _numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype("<u2" if dtype == "bfloat16" else dtype).newbyteorder("<")


def _block(path: Path, ref: StorageRef, data: bytes, big_endian: bool = False) -> np.ndarray:
    dtype = _numpy_dtype(ref.dtype)
    if len(data) != ref.numel * dtype.itemsize:
        raise BadInputError(
            f"{path}: storage {ref.key!r} of {ref.numel:,} {ref.dtype} elements holds {len(data):,} bytes; "
            "the file is truncated or damaged"
        )
    return np.frombuffer(data, dtype=dtype.newbyteorder(">") if big_endian else dtype)


def _open_zip(path: Path) -> tuple[Any, Storage]:
    archive = checked_archive(path)
    names = archive.namelist()
    roots = [name[: -len("data.pkl")] for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise BadInputError(f"{path}: a torch archive has one data.pkl, this one has {len(roots)}")
    root = roots[0]
    if f"{root}constants.pkl" in names:
        raise BadInputError(
            f"{path}: a TorchScript archive holds code, which is not read; save the state_dict of the model"
        )
    order = f"{root}byteorder"
    big_endian = order in names and read_entry(archive, path, order).strip() == b"big"
    pickled = io.BytesIO(read_entry(archive, path, f"{root}data.pkl"))
    content = read_pickle(pickled, f"{path} ({root}data.pkl)")

    def storage(ref: StorageRef) -> np.ndarray:
        return _block(path, ref, read_entry(archive, path, f"{root}data/{ref.key}"), big_endian)

    return content, storage


def _open_legacy(path: Path) -> tuple[Any, Storage]:
    """Five pickles (magic, protocol, system, content, storage keys), then each storage with its length."""
    with path.open("rb") as stream:
        if read_pickle(stream, str(path)) != LEGACY_MAGIC:
            raise BadInputError(f"{path}: a pickle, but no torch checkpoint (its magic number is missing)")
        protocol, system = read_pickle(stream, str(path)), read_pickle(stream, str(path))
        if protocol != _PROTOCOL or not isinstance(system, dict):
            raise BadInputError(f"{path}: torch checkpoint of the unknown protocol {protocol!r}")
        content = read_pickle(stream, str(path))
        keys = read_pickle(stream, str(path))
        if not isinstance(keys, list):
            raise BadInputError(f"{path}: the list of storages is missing")
        sizes = _storage_sizes(content, set())
        starts = _storage_starts(path, stream, [str(key) for key in keys], sizes)

    def storage(ref: StorageRef) -> np.ndarray:
        if ref.key not in starts:
            raise BadInputError(f"{path}: storage {ref.key!r} is missing from the file")
        with path.open("rb") as source:
            source.seek(starts[ref.key])
            return _block(path, ref, source.read(ref.numel * _numpy_dtype(ref.dtype).itemsize))

    return content, storage


def _storage_sizes(value: Any, seen: set[int]) -> dict[str, tuple[int, int]]:
    """(elements, bytes an element) of each storage that the content refers to."""
    sizes: dict[str, tuple[int, int]] = {}
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, TensorRef):
            ref = item.storage
            sizes[ref.key] = (ref.numel, _numpy_dtype(ref.dtype).itemsize)
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            pending.extend(item.values() if isinstance(item, dict) else item)
    return sizes


def _storage_starts(
    path: Path, stream: IO[bytes], keys: list[str], sizes: dict[str, tuple[int, int]]
) -> dict[str, int]:
    total = path.stat().st_size
    starts = {}
    for key in keys:
        length = stream.read(8)
        numel = int.from_bytes(length, "little")
        declared, itemsize = sizes.get(key, (numel, 1))
        begin = stream.tell()
        if key not in sizes:
            raise BadInputError(f"{path}: storage {key!r} belongs to no tensor, so its type is unknown")
        if len(length) < 8 or numel != declared or begin + numel * itemsize > total:
            raise BadInputError(
                f"{path}: storage {key!r} declares {declared:,} elements at byte {begin:,} of {total:,}; "
                "the file is truncated or damaged"
            )
        starts[key] = begin
        stream.seek(numel * itemsize, 1)
    return starts
