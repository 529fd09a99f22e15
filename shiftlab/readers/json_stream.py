"""Records out of JSON files of any size in bounded memory, with errors that name file and place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from shiftlab.errors import BadInputError

T = TypeVar("T")
MAX_DEPTH = 64


def members(path: Path, *, what: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of the one object that the file holds; `what` says what it should be."""
    import ijson

    with _opened(path, b"{", what) as file, _explained(path, file, what):
        keys = _Keys(path)
        yield from keys.unique(ijson.kvitems(file, "", use_float=True, map_type=keys.mapping()), file)


def elements(path: Path, prefix: str, *, what: str, opening: bytes = b"[") -> Iterator[Any]:
    """The elements of the array at `prefix` ("item": the file is the array; "images.item": a member)."""
    import ijson

    with _opened(path, opening, what) as file, _explained(path, file, what):
        keys = _Keys(path)
        yield from keys.unique(ijson.items(file, prefix, use_float=True, map_type=keys.mapping()), file)


class _Keys:
    """JSON allows a repeated key in an object, we do not.

    The parser's C code loses an error raised by the mapping it fills, so the mapping only takes note.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repeated: list[str] = []

    def mapping(self) -> type[dict[str, Any]]:
        repeated = self.repeated

        class Noting(dict[str, Any]):
            def __setitem__(self, key: str, value: Any) -> None:
                if key in self:
                    repeated.append(key)
                super().__setitem__(key, value)

        return Noting

    def unique(self, records: Iterator[T], file: _Shallow) -> Iterator[T]:
        for record in records:
            if self.repeated:
                raise BadInputError(
                    f"{self.path.name}: the key {self.repeated[0]!r} occurs twice in one object, "
                    f"before byte {file.tell():,}; ids must be unique"
                )
            yield record


class _Shallow:
    """A file that refuses JSON nested deeper than `MAX_DEPTH`, as it is read.

    The parser spells out the way to every value, so its time grows with the square of the depth.
    """

    _OTHERS = bytes(set(range(256)) - set(b'"{}[]'))
    _STEPS = np.zeros(256, np.int64)
    _STEPS[list(b"{[")] = 1
    _STEPS[list(b"}]")] = -1

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.file = path, file
        self.depth = 0
        self.in_text = 0  # 1 if the last block ended inside a text
        self.half = b""  # a backslash that waits for what it escapes

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self._look(block)
        return block

    def tell(self) -> int:
        return self.file.tell()

    def _look(self, block: bytes) -> None:
        text, self.half = self.half + block, b""
        if b"\\" in text:
            if (len(text) - len(text.rstrip(b"\\"))) % 2:
                text, self.half = text[:-1], b"\\"
            text = re.sub(rb"\\.", b"", text, flags=re.DOTALL)
        marks = np.frombuffer(text.translate(None, self._OTHERS), np.uint8)
        if not len(marks):
            return
        inside = (np.cumsum(marks == ord('"')) + self.in_text) & 1
        depths = self.depth + np.cumsum(self._STEPS[marks] * (1 - inside))
        self.in_text, self.depth = int(inside[-1]), int(depths[-1])
        if depths.max() > MAX_DEPTH:
            raise BadInputError(
                f"{self.path.name}: JSON nested deeper than {MAX_DEPTH} levels before byte {self.tell():,}"
            )


@contextmanager
def _opened(path: Path, opening: bytes, what: str) -> Iterator[_Shallow]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadInputError(f"cannot read '{path}': {error.strerror}") from error
    with file:
        head = file.read(4096)
        if not head.strip():
            raise BadInputError(f"{path.name} is empty; expected {what}")
        start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise BadInputError(f"{path.name} is UTF-16 text; save it as UTF-8")
        if head[:2] == b"\x1f\x8b":
            raise BadInputError(f"{path.name} is gzip-compressed; unpack it first (gunzip)")
        first = head[start:].lstrip()[:1]
        if first != opening:
            raise BadInputError(
                f"{path.name} starts with {first.decode(errors='replace')!r}; expected {what}, "
                f"which starts with {opening.decode()!r}"
            )
        file.seek(start)
        yield _Shallow(path, file)


@contextmanager
def _explained(path: Path, file: _Shallow, what: str) -> Iterator[None]:
    import ijson

    try:
        yield
    except (ijson.JSONError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split())
        raise BadInputError(
            f"{path.name} is broken JSON before byte {file.tell():,}: {words[:200]}; expected {what} in UTF-8"
        ) from error
