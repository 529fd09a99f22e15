"""Records out of JSON files of any size in bounded memory, with errors that name file and place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from shiftlab.errors import BadInputError

MAX_DEPTH = 64


class _UniqueKeys(dict[str, Any]):
    """An object of a record; JSON allows a repeated key, we do not."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            raise _RepeatedKeyError(key)
        super().__setitem__(key, value)


class _RepeatedKeyError(Exception):
    pass


def members(path: Path, *, what: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of the one object that the file holds; `what` says what it should be."""
    import ijson

    with _opened(path, b"{", what) as file, _explained(path, file, what):
        yield from ijson.kvitems(file, "", use_float=True, map_type=_UniqueKeys)


def elements(path: Path, prefix: str, *, what: str, opening: bytes = b"[") -> Iterator[Any]:
    """The elements of the array at `prefix` ("item": the file is the array; "images.item": a member)."""
    import ijson

    with _opened(path, opening, what) as file, _explained(path, file, what):
        yield from ijson.items(file, prefix, use_float=True, map_type=_UniqueKeys)


@contextmanager
def _opened(path: Path, opening: bytes, what: str) -> Iterator[IO[bytes]]:
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
        yield file


@contextmanager
def _explained(path: Path, file: IO[bytes], what: str) -> Iterator[None]:
    import ijson

    try:
        yield
    except _RepeatedKeyError as error:
        raise BadInputError(
            f"{path.name}: the key {error.args[0]!r} occurs twice in one object, near byte {file.tell():,}; "
            "ids must be unique"
        ) from error
    except (ijson.JSONError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split())
        raise BadInputError(
            f"{path.name} is broken JSON before byte {file.tell():,}: {words[:200]}; expected {what} in UTF-8"
        ) from error
