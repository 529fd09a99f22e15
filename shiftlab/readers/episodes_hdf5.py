"""HDF5 files from strangers: only plain datasets under hard links are ever touched.

h5py follows soft links, external links, virtual datasets and external storage without a word, so a crafted
file can make it read any local file. Everything here walks group by group and looks at the link first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.episodes_data import MAX_BYTES

if TYPE_CHECKING:
    import h5py

_FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # deflate, shuffle, fletcher32, szip, nbit, scaleoffset, lzf: built in
_MOST_MEMBERS = 1_000_000
# What h5py raises where the bytes of a group, a type or a dataset do not fit together.
_DAMAGED = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, read-only; BadInputError if it is none."""
    try:
        import h5py
    except ImportError as error:
        raise BadInputError("reading HDF5 needs h5py: pip install 'shiftlab[hdf5]'") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise BadInputError(f"'{path.name}' is not an HDF5 file that can be read: {error}") from error
    try:
        with file:
            yield file
    except _DAMAGED as error:
        raise BadInputError(f"'{path.name}' is a damaged HDF5 file: {error}") from error


def member(group: h5py.Group, name: str) -> Any:
    """``group[name]`` if it is a hard link; None if there is none of that name."""
    return group[name] if _is_hard(group, name) else None


def _is_hard(group: h5py.Group, name: str) -> bool:
    """Whether ``name`` is there; BadInputError if it leads anywhere else."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        return False
    if not isinstance(link, h5py.HardLink):
        raise BadInputError(f"{_file(group)}: '{group.name}/{name}' is a {type(link).__name__}: refused")
    return True


def subgroup(group: h5py.Group, name: str) -> h5py.Group:
    import h5py

    found = member(group, name)
    if not isinstance(found, h5py.Group):
        raise BadInputError(
            f"{_file(group)}: '{group.name.rstrip('/')}/{name}' is missing or no group; "
            f"there are {', '.join(list(group)[:20]) or 'none'}"
        )
    return found


def names(group: h5py.Group) -> list[str]:
    """Members in natural order (demo_10 after demo_9), after every one proved to be a hard link."""
    if len(group) > _MOST_MEMBERS:
        raise BadInputError(f"{_file(group)}: '{group.name}' has {len(group):,} members")
    found = sorted(group, key=natural)
    for name in found:
        _is_hard(group, name)
    return found


def natural(name: str) -> list[Any]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part
    ]


def matrix(group: h5py.Group, name: str, *, max_bytes: int = MAX_BYTES) -> np.ndarray[Any, Any]:
    """The dataset ``name`` as an array, after its storage, filters, type and size were checked."""
    import h5py

    dataset = member(group, name)
    where = f"{_file(group)}: '{group.name}/{name}'"
    if not isinstance(dataset, h5py.Dataset):
        raise BadInputError(
            f"{where} is missing or no dataset; there are {', '.join(list(group)[:20]) or 'none'}"
        )
    if dataset.external:
        raise BadInputError(f"{where} keeps its data in another file: refused")
    if dataset.is_virtual:
        raise BadInputError(f"{where} is a virtual dataset: refused")
    if dataset.dtype.kind not in "biuf":
        raise BadInputError(f"{where} holds {dataset.dtype}, not numbers")
    plist = dataset.id.get_create_plist()
    for at in range(plist.get_nfilters()):
        if plist.get_filter(at)[0] not in _FILTERS:
            raise BadInputError(
                f"{where} uses HDF5 filter {plist.get_filter(at)[0]}, which is not built in: refused"
            )
    if dataset.size * dataset.dtype.itemsize > max_bytes:
        raise BadInputError(
            f"{where} claims shape {dataset.shape}, more than {max_bytes >> 20:,} MiB: refused"
        )
    return np.asarray(dataset[()])


def text_of(group: h5py.Group, name: str) -> str | None:
    value = group.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return str(value) if isinstance(value, str) else None


def keys_of(group: h5py.Group, name: str, *, most: int = _MOST_MEMBERS) -> list[str]:
    """A one-dimensional dataset of byte strings, such as a filter key, as text."""
    import h5py

    dataset = member(group, name)
    where = f"{_file(group)}: '{group.name}/{name}'"
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise BadInputError(f"{where} is not a plain dataset: refused")
    if dataset.ndim != 1 or dataset.size > most or (dataset.dtype.kind != "S" and dataset.dtype.kind != "O"):
        raise BadInputError(f"{where} must be a list of episode names")
    if dataset.dtype.kind == "O" and h5py.check_string_dtype(dataset.dtype) is None:
        raise BadInputError(f"{where} holds objects: refused")
    return [v.decode("utf-8", errors="replace") if isinstance(v, bytes) else str(v) for v in dataset[()]]


def _file(group: h5py.Group) -> str:
    return Path(group.file.filename).name
