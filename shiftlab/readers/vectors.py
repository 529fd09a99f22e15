"""Vectors and the ids of their items, out of npy, npz and Parquet files."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import checked_archive

if TYPE_CHECKING:
    import polars as pl

# What numpy raises for headers and archives that are none.
_NO_ARRAY = (ValueError, KeyError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
             NotImplementedError, MemoryError, OverflowError)  # fmt: skip
ID_NAMES = ("image_id", "item", "item_id", "external_id", "id", "ids")


@dataclass(frozen=True)
class VectorFile:
    """ids: (n,) of text. matrix: (n, d) or (n, h, w) of numbers, memory-mapped where the format allows it."""

    ids: np.ndarray
    matrix: np.ndarray


def read(path: Path, ids: str | None = None, *, pictures: bool = False) -> VectorFile:
    """Reads `path`; `ids` says where the ids are, `pictures` that each row may have two dimensions.

    npz and Parquet: the name of an array or column (default: image_id, item, id ...). npy: a second file,
    as ``captions.parquet``, ``captions.csv:image_id`` or ``ids.npy``, one id per row.
    Raises `BadInputError` naming file, array or column and row.
    """
    readers = {".npy": _npy, ".npz": _npz, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInputError(f"{path.name}: vectors come as .npy, .npz or .parquet")
    if not path.is_file():
        raise BadInputError(f"there is no file '{path}'")
    try:
        found = reader(path, ids, (2, 3) if pictures else (2,))
    except (OSError, EOFError) as error:
        raise BadInputError(f"cannot read {path.name}: {error}") from error
    return _checked(path, found, pictures)


def _checked(path: Path, found: VectorFile, pictures: bool) -> VectorFile:
    matrix = found.matrix
    if matrix.ndim not in ((2, 3) if pictures else (2,)) or 0 in matrix.shape:
        wanted = "(items, length) or (items, height, width)" if pictures else "(items, dimensions)"
        raise BadInputError(f"{path.name}: vectors have shape {matrix.shape}; expected {wanted}")
    if matrix.dtype.kind not in "fiu":
        raise BadInputError(f"{path.name}: vectors are of type {matrix.dtype}; expected numbers")
    if len(found.ids) != len(matrix):
        raise BadInputError(
            f"{path.name}: {len(matrix):,} vectors but {len(found.ids):,} ids; give one id per row"
        )
    return found


def _npy(path: Path, ids: str | None, _dims: tuple[int, ...]) -> VectorFile:
    if ids is None:
        raise BadInputError(
            f"{path.name} holds no ids: name a file with one id per row, as --ids ids.npy or --ids items.csv:image_id"
        )
    return VectorFile(_ids_of_file(ids), _load_array(path))


def _load_array(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _NO_ARRAY as error:
        raise BadInputError(f"{path.name} is no plain array file: {error}") from error


def _ids_of_file(ids: str) -> np.ndarray:
    file, _, column = ids.partition(":")
    path = Path(file)
    if path.suffix.lower() == ".npy" and path.is_file():
        return _as_text(np.asarray(_load_array(path)), path)
    frame = frames.read_table(path)
    return _text_column(frame, _id_column(frame, column or None, path), path)


def _npz(path: Path, ids: str | None, dims: tuple[int, ...]) -> VectorFile:
    checked_archive(path).close()
    archive = _load_array(path)
    try:
        with archive:
            arrays = {name: archive[name] for name in archive.files}
            if any(not isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("an entry is no array")
    except _NO_ARRAY as error:
        raise BadInputError(f"{path.name} is no archive of plain arrays: {error}") from error
    named = ids or next((name for name in ID_NAMES if name in arrays), None)
    if named is None or named not in arrays:
        raise BadInputError(
            f"{path.name} holds the arrays {', '.join(arrays)}; name the one with the ids, as --ids NAME"
        )
    matrices = [name for name, array in arrays.items() if name != named and array.ndim in dims]
    if len(matrices) != 1:
        raise BadInputError(
            f"{path.name} must hold one {'two- or three' if 3 in dims else 'two'}-dimensional array beside '{named}'; "
            f"it holds {', '.join(matrices) or 'none'}"
        )
    return VectorFile(_as_text(arrays[named], path), arrays[matrices[0]])


def _parquet(path: Path, ids: str | None, _dims: tuple[int, ...]) -> VectorFile:
    import polars as pl

    with frames.explained(path):
        frame = pl.read_parquet(path)
    id_column = _id_column(frame, ids, path)
    rest = frame.drop(id_column)
    nested = [name for name, dtype in rest.schema.items() if isinstance(dtype, pl.List | pl.Array)]
    if len(nested) > 1:
        raise BadInputError(f"{path.name} has several columns of vectors ({', '.join(nested)}): keep one")
    matrix = _nested(rest[nested[0]], path) if nested else _flat(rest, path)
    return VectorFile(_text_column(frame, id_column, path), matrix)


def _nested(column: pl.Series, path: Path) -> np.ndarray:
    import polars as pl

    if column.null_count():
        raise BadInputError(
            f"{path.name}: column '{column.name}' is empty in row {column.is_null().arg_max()}"
        )
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len()
        if not len(lengths):
            raise BadInputError(f"{path.name} has no rows")
        if lengths.n_unique() != 1:
            row = (lengths != lengths[0]).arg_max()
            raise BadInputError(
                f"{path.name}: column '{column.name}' has vectors of different length: "
                f"{lengths[0]} in row 0, {lengths[row]} in row {row}"
            )
        column = column.list.to_array(int(lengths[0]))
    return column.to_numpy()


def _flat(frame: pl.DataFrame, path: Path) -> np.ndarray:
    import polars as pl

    numbers = frame.select(pl.selectors.numeric())
    if not numbers.width:
        raise BadInputError(f"{path.name} has no column of vectors and no numeric columns")
    return numbers.to_numpy()


def _id_column(frame: pl.DataFrame, wanted: str | None, path: Path) -> str:
    found = wanted or next((name for name in ID_NAMES if name in frame.columns), None)
    if found is None or found not in frame.columns:
        raise BadInputError(
            f"{path.name} has the columns {', '.join(frame.columns)}; name the one with the ids: --ids"
        )
    return found


def _text_column(frame: pl.DataFrame, name: str, path: Path) -> np.ndarray:
    import polars as pl

    with frames.explained(path):
        column = frame[name].cast(pl.String)
    if column.null_count():
        raise BadInputError(f"{path.name}: column '{name}' is empty in row {column.is_null().arg_max()}")
    return column.to_numpy()


def _as_text(array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim != 1 or array.dtype.kind not in "iuUS":
        raise BadInputError(
            f"{path.name}: ids are {array.dtype} of shape {array.shape}; expected (n,) numbers or texts"
        )
    return array.astype(str)
