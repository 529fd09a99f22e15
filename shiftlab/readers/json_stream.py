"""Records out of JSON files of any size in bounded memory, with errors that name file and place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from shiftlab.errors import BadInputError

T = TypeVar("T")


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

    def unique(self, records: Iterator[T], file: IO[bytes]) -> Iterator[T]:
        for record in records:
            if self.repeated:
                raise BadInputError(
                    f"{self.path.name}: the key {self.repeated[0]!r} occurs twice in one object, "
                    f"before byte {file.tell():,}; ids must be unique"
                )
            yield record


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
    except (ijson.JSONError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split())
        raise BadInputError(
            f"{path.name} is broken JSON before byte {file.tell():,}: {words[:200]}; expected {what} in UTF-8"
        ) from error
