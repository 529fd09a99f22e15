"""NumPy .npz and .npy files, read without pickle: bare named arrays, axis order taken from the shape."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import LayerItem, check_shape, checked_archive, read_entry
from shiftlab.readers.weights_state import StateTensor, state_layers


def read(path: Path) -> Iterator[LayerItem]:
    """Yield a layer for each 4-D array; raises BadInputError for object arrays, truncation and bombs."""
    yield from state_layers(path, tensors(path), None)


def tensors(path: Path) -> list[StateTensor]:
    """Every array of the file, read when asked for; raises as `read` does."""
    with path.open("rb") as stream:
        if stream.read(6) == b"\x93NUMPY":
            stream.seek(0)
            dtype, shape = _header(stream, path, path.stem)
            load = partial(_whole, path)
            return [StateTensor(path.stem, shape, str(dtype), load)]
    archive = checked_archive(path)
    found = []
    for name in archive.namelist():
        if not name.endswith(".npy"):
            raise BadInputError(f"{path}: entry {name!r} of the archive is no NumPy array")
        dtype, shape = _header(io.BytesIO(read_entry(archive, path, name)), path, name[:-4])
        entry = partial(_entry, archive, path, name)
        found.append(StateTensor(name[:-4], shape, str(dtype), entry))
    return found


def _whole(path: Path) -> np.ndarray:
    return _array(path, path.stem, path.read_bytes())


def _entry(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    return _array(path, name[:-4], read_entry(archive, path, name))


def _header(stream: IO[bytes], path: Path, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape as the header declares them, before anything of that size is allocated."""
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
    except Exception as error:  # the header is parsed as a Python literal: many kinds of error
        raise BadInputError(f"{path}: tensor {name!r} has a damaged header ({error})") from None
    if dtype.hasobject:
        raise BadInputError(f"{path}: tensor {name!r} holds pickled Python objects, which are never read")
    check_shape(path, name, shape, dtype.itemsize)
    return dtype, shape


def _array(path: Path, name: str, data: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadInputError(f"{path}: tensor {name!r} is truncated or damaged ({error})") from None
