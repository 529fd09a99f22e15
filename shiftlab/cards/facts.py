"""The numbers of a card, computed from its files: sizes, hashes, columns, and the shift it warns of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import frames
from shiftlab.cards import domains
from shiftlab.cards.card import Card
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

_MOST_VALUES = 20
_PERMUTATIONS = 199


def facts(card: Card) -> dict[str, Any]:
    """Everything that `stats.json` holds. Raises BadInputError for columns that are not those of the file."""
    found: dict[str, Any] = {"id": card.id, "version": card.text["version"], "files": []}
    for entry in card.text["files"]:
        path = card.data(entry["name"])
        content = path.read_bytes()
        about: dict[str, Any] = {
            "name": entry["name"],
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        frame = table(path)
        if frame is not None:
            about |= {"rows": len(frame), "columns": [_column(frame[name]) for name in frame.columns]}
            _check_columns(card, entry, frame.columns)
        elif path.suffix == ".npz":
            about["arrays"] = _arrays(path)
            _check_columns(card, entry, list(about["arrays"]))
        found["files"].append(about)
    if "shift" in card.text:
        found["shift"] = _shift(card)
    for block, computed in (("imitation", domains.imitation), ("filters", domains.filters)):
        if block in card.text:
            found[block] = computed(card, table(card.data(card.text[block]["file"])))
    return found


def table(path: Path) -> pl.DataFrame | None:
    """The rows of a Parquet or CSV file; None for other formats."""
    import polars as pl

    with frames.explained(path):
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else None


def rows_of(file: dict[str, Any]) -> int:
    """Rows of a file as `facts` tells of it: of a table, or of the longest array."""
    lengths = (one["shape"][0] for one in file.get("arrays", {}).values() if one["shape"])
    return max([file.get("rows", 0), *lengths])


def _check_columns(card: Card, entry: dict[str, Any], there: list[str]) -> None:
    told = entry.get("columns", {})
    where = f"{card.folder / 'card.yaml'}: files: {entry['name']}"
    if untold := [name for name in there if name not in told]:
        raise BadInputError(f"{where}: column '{untold[0]}' of the file is not described under columns")
    if wrong := [name for name in told if name not in there]:
        raise BadInputError(f"{where}: describes a column '{wrong[0]}' that the file does not have")


def _column(values: pl.Series) -> dict[str, Any]:
    import polars as pl

    about: dict[str, Any] = {"name": values.name, "type": _type(values.dtype), "nulls": values.null_count()}
    if isinstance(values.dtype, pl.Array):
        return about | {"length": int(values.dtype.shape[0])}
    if values.dtype.is_nested():
        return about
    about["distinct"] = values.n_unique() - (1 if about["nulls"] else 0)
    if values.dtype.is_numeric():
        return about | {"least": _plain(values.min()), "largest": _plain(values.max())}
    if about["distinct"] <= _MOST_VALUES:
        counts = values.cast(pl.String).drop_nulls().value_counts(name="n")
        first = values.name
        return about | {"values": dict(counts.sort("n", first, descending=[True, False]).iter_rows())}
    return about


def _type(dtype: pl.DataType) -> str:
    import polars as pl

    if isinstance(dtype, pl.Array | pl.List):
        return f"list of {_type(dtype.inner)}"  # type: ignore[arg-type]
    if dtype == pl.Boolean:
        return "boolean"
    return "integer" if dtype.is_integer() else "number" if dtype.is_float() else "text"


def _plain(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return {
            name: {"shape": list(arrays[name].shape), "dtype": str(arrays[name].dtype)}
            for name in arrays.files
        }


def _shift(card: Card) -> dict[str, Any]:
    """The shift that the card asks for: counts of `what` per item, of the items on both sides of `column`."""
    from shiftlab import shift

    asked = card.text["shift"]
    frame = table(card.data(asked["file"]))
    where = f"{card.folder / 'card.yaml'}: shift"
    if frame is None:
        raise BadInputError(f"{where}: '{asked['file']}' is no table")
    for key in ("item", "column", "what"):
        if asked[key] not in frame.columns:
            raise BadInputError(f"{where}.{key}: '{asked['file']}' has no column '{asked[key]}'")
    left, right = (_counts(frame, asked, asked[side], where) for side in ("left", "right"))
    try:
        score = shift.compare(left, right, asked["measure"], permutations=_PERMUTATIONS, seed=0)
    except ValueError as error:
        raise BadInputError(f"{where}.measure: {error}") from error
    numbers = {
        name: getattr(score, name) for name in ("value", "debiased", "ci_low", "ci_high", "null_q95", "p")
    }
    told = {name: None if value is None else float(f"{value:.4g}") for name, value in numbers.items()}
    return (
        asked
        | told
        | {
            "n_left": score.n_left,
            "n_right": score.n_right,
            "permutations": _PERMUTATIONS,
            "note": score.note,
        }
    )


def _counts(frame: pl.DataFrame, asked: dict[str, Any], value: str, where: str) -> Any:
    """(items, categories) sparse counts of the side; categories are those of the whole file."""
    import numpy as np
    import polars as pl
    from scipy.sparse import csr_array

    categories = frame[asked["what"]].cast(pl.String).unique().sort()
    mine = frame.filter(pl.col(asked["column"]).cast(pl.String) == value)
    if mine.is_empty():
        raise BadInputError(f"{where}: no row has '{value}' in column '{asked['column']}'")
    column = categories.search_sorted(mine[asked["what"]].cast(pl.String)).to_numpy()
    row = mine[asked["item"]].rank("dense").to_numpy().astype(np.int64) - 1
    return csr_array((np.ones(len(mine)), (row, column)), shape=(int(row.max()) + 1, len(categories)))
