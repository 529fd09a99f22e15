"""What every reader of image annotations yields: three kinds of Arrow tables, and the problems it met.

A reader is a generator of `(kind, table)` where kind is "image", "object" or "relation" and the table has
the schema below. Readers see one record at a time; what needs the whole file (repeated ids, annotations
of unlisted images) is checked in SQL after they are done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from shiftlab.errors import BadInputError

Kind = Literal["image", "object", "relation"]
Batches = Iterator[tuple[Kind, pa.Table]]
OnBad = Literal["error", "skip"]
ROWS_PER_BATCH = 50_000

_PAIRS = pa.list_(pa.struct([("scheme", pa.string()), ("value", pa.string())]))
_NAMES = pa.list_(pa.struct([("name", pa.string()), ("category", pa.string())]))
SCHEMAS: dict[Kind, pa.Schema] = {
    "image": pa.schema(
        [
            ("image", pa.string()),  # the key that objects refer to
            ("external_id", pa.string()),  # the id that users see
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("file", pa.string()),
            ("labels", _PAIRS),
        ]
    ),
    "object": pa.schema(
        [
            ("image", pa.string()),
            ("object", pa.string()),  # null where the source gives its instances no id
            ("name", pa.string()),
            ("category", pa.string()),
            ("x", pa.float64()),
            ("y", pa.float64()),
            ("w", pa.float64()),
            ("h", pa.float64()),
            ("crowd", pa.bool_()),
            ("attributes", _NAMES),
            ("part", pa.string()),  # which file of several named this object
        ]
    ),
    "relation": pa.schema(
        [
            ("image", pa.string()),
            ("subject", pa.string()),
            ("predicate", pa.string()),
            ("object", pa.string()),
        ]
    ),
}


_UNFIT = (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError)
_EXPECTED = {pa.string(): "a text", pa.int32(): "a whole number", pa.float64(): "a number"}


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], type=kind)
    except _UNFIT:
        return False
    return True


@dataclass
class Problem:
    """One record that was flagged (kept) or skipped."""

    problem: str
    record: str
    detail: str
    skipped: bool


@dataclass
class Problems:
    """The policy for bad records of one source, and what was met so far."""

    source: Path
    on_bad: OnBad = "error"
    met: list[Problem] = field(default_factory=list)

    def bad(self, problem: str, record: str, detail: str, mend: str) -> None:
        """A record that cannot be used: raises, or lists it as skipped."""
        if self.on_bad == "error":
            raise BadInputError(
                f"{self.source.name}: {record}: {detail}; {mend}, or leave such records out with --on-bad skip"
            )
        self.met.append(Problem(problem, record, detail, skipped=True))

    def flag(self, problem: str, record: str, detail: str) -> None:
        """A record that is kept although it is odd."""
        self.met.append(Problem(problem, record, detail, skipped=False))


class Rows:
    """Rows of one kind, gathered from Python records and handed on as Arrow tables."""

    def __init__(self, kind: Kind, problems: Problems) -> None:
        self.kind = kind
        self.problems = problems
        self._rows: list[tuple[Any, ...]] = []

    def add(self, *row: Any) -> None:
        self._rows.append(row)

    @property
    def full(self) -> bool:
        return len(self._rows) >= ROWS_PER_BATCH

    def take(self) -> pa.Table:
        """The gathered rows as a table that fits `SCHEMAS`; starts anew."""
        rows, self._rows = self._usable(self._rows), []
        schema = SCHEMAS[self.kind]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
        return pa.table(
            [self._column(field, values, rows) for values, field in zip(columns, schema, strict=True)],
            schema=schema,
        )

    def _usable(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        if self.kind == "image":
            return [row for row in rows if self._image_is_usable(row)]
        if self.kind == "object" and not _all_objects_are_usable(rows):
            return [row for row in rows if self._object_is_usable(row)]
        return rows

    def _column(self, field: pa.Field, values: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> pa.Array:
        """The values of one field; what does not fit its type is refused with the record that holds it."""
        try:
            return pa.array(values, type=field.type)
        except _UNFIT:
            at = next(i for i, value in enumerate(values) if not _fits(value, field.type))
        raise BadInputError(
            f"{self.problems.source.name}: {self.kind} of image {rows[at][0]}: field '{field.name}' is "
            f"{str(values[at])[:80]!r}; expected {_EXPECTED.get(field.type, 'texts')}"
        )

    def _image_is_usable(self, row: tuple[Any, ...]) -> bool:
        for side, value in zip(("width", "height"), row[2:4], strict=True):
            if value is not None and not (type(value) is int and 1 <= value < 1 << 31):
                self.problems.bad(
                    "bad size", f"image {row[1]}", f"field '{side}' is {value!r}", "give a number of pixels"
                )
                return False
        return True

    def _object_is_usable(self, row: tuple[Any, ...]) -> bool:
        image, ident, name, _, *box = row[:8]
        record = f"image {image}, object {ident}" if ident is not None else f"image {image}"
        if type(name) is not str or not name.strip():
            self.problems.bad("no name", record, f"field 'name' is {name!r}", "give the object a name")
            return False
        for side, value in zip("xywh", box, strict=True):
            if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
                self.problems.bad(
                    "bad box", record, f"field '{side}' is {value!r}", "give a number of pixels"
                )
                return False
        if any(value is None for value in box) and any(value is not None for value in box):
            missing = [side for side, value in zip("xywh", box, strict=True) if value is None]
            self.problems.bad(
                "bad box", record, f"field '{missing[0]}' is missing", "give all of x, y, w, h or none"
            )
            return False
        return True


def _all_objects_are_usable(rows: list[tuple[Any, ...]]) -> bool:
    """Whether every object has a name and a box of finite numbers, told by column: looking at each takes longer."""
    if not rows:
        return True
    _, _, names, _, *box = zip(*(row[:8] for row in rows), strict=True)
    if set(map(type, names)) != {str} or not all(set(map(type, side)) <= {int, float} for side in box):
        return False
    try:
        finite = [pc.all(pc.is_finite(pa.array(side, type=pa.float64()))).as_py() for side in box]
    except _UNFIT:
        return False
    return all(finite) and all(map(str.strip, names))


def drain(*gathered: Rows, last: bool = False) -> Batches:
    """The tables that are full; at the end of a file, all that hold rows."""
    for rows in gathered:
        if rows.full or (last and rows._rows):
            yield rows.kind, rows.take()
