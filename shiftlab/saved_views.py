"""Saved views of the explorer: links under names, in a file beside the catalog's DuckDB file, never in it.

The file is read and written whole: under a lock, so that no window loses what another saved, and under a temporary name
first, so that a killed process leaves no half of it. People may edit it, so it is checked whenever it is read; one that
is damaged is told of and left as it is.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from shiftlab.catalog import FILE as CATALOG_FILE
from shiftlab.errors import BadInputError, CatalogBusyError, NotFoundError, ShiftLabError, told

FILE = "views.json"
MOST = 200
NAME_LENGTH, NOTE_LENGTH, QUERY_LENGTH = 80, 300, 8000
_FORMAT = 1
_MOST_BYTES = 4 << 20
_FIELDS = ("name", "page", "query", "note", "created")
_WAIT_SECONDS = 5.0
_threads = threading.Lock()


@dataclass(frozen=True)
class SavedView:
    """A page with its state in the URL, under a name: `page` is the path below the server's address ("" is Home)."""

    name: str
    page: str
    query: str
    note: str
    created: datetime

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise BadInputError(problem)

    def parameters(self) -> dict[str, list[str]]:
        """What the query says, by name."""
        return parse_qs(self.query)

    def _problem(self) -> str | None:
        if not self.name or self.name != self.name.strip():
            return "a view needs a name"
        for what, text, most in (("name", self.name, NAME_LENGTH), ("note", self.note, NOTE_LENGTH)):
            if len(text) > most or not _is_line(text):
                return f"the {what} of a view is one line of at most {most} characters"
        if not re.fullmatch(r"[a-z_]{0,40}", self.page):
            return "a view needs a page of the explorer"
        if len(self.query) > QUERY_LENGTH:
            return f"the link is longer than the {QUERY_LENGTH:,} characters that a view may have"
        if not self.query.isascii() or not _is_line(self.query):
            return "the link of a view is an encoded one"
        return None


def _is_line(text: str) -> bool:
    """Whether a text has no line breaks and control characters, and can be written as UTF-8."""
    return not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text)


def now(name: str, page: str, query: str, note: str = "") -> SavedView:
    """The view as it is saved now; BadInputError for a name, note or link that cannot be kept."""
    return SavedView(name.strip(), page, query, note.strip(), datetime.now(UTC).replace(microsecond=0))


def listed(folder: Path) -> list[SavedView]:
    """The saved views of the catalog in `folder`, the newest first; BadInputError for a file that is damaged."""
    return sorted(_read(folder / FILE), key=lambda one: one.created)[::-1]


def save(folder: Path, view: SavedView, *, replace: bool = False) -> bool:
    """Keeps the view; where its name is taken and not to be replaced, changes nothing and returns False."""
    with _alone(folder):
        views = {one.name: one for one in _read(folder / FILE)}
        if view.name in views and not replace:
            return False
        if view.name not in views and len(views) >= MOST:
            raise BadInputError(f"{MOST} views are saved already: delete one on Home first")
        _write(folder / FILE, [*(one for one in views.values() if one.name != view.name), view])
    return True


def delete(folder: Path, name: str) -> None:
    """Takes the view of this name away, if it is there."""
    with _alone(folder):
        views = _read(folder / FILE)
        _write(folder / FILE, [one for one in views if one.name != name])


def _read(file: Path) -> list[SavedView]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInputError(told(error)) from error
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES >> 20} MB")
        return _views(json.loads(content.decode("utf-8")))
    except (ValueError, RecursionError, BadInputError) as error:
        raise BadInputError(
            f"'{file}' is damaged ({error}): mend it, or move it away to begin anew; nothing else needs it"
        ) from error


def _views(content: Any) -> list[SavedView]:
    """The views that the file tells of; ValueError or BadInputError for anything else."""
    if not isinstance(content, dict) or not isinstance(content.get("views"), list):
        raise ValueError("it holds no list of views")
    if content.get("format") != _FORMAT:
        raise ValueError(f"its format is {str(content.get('format'))[:20]}, this version reads {_FORMAT}")
    views = []
    for number, one in enumerate(content["views"], 1):
        if not isinstance(one, dict) or set(one) != set(_FIELDS):
            raise ValueError(f"view {number} has other fields than {', '.join(_FIELDS)}")
        if not all(isinstance(value, str) for value in one.values()):
            raise ValueError(f"view {number} has a field that is no text")
        created = datetime.strptime(one["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        views.append(SavedView(one["name"], one["page"], one["query"], one["note"], created))
    if len({one.name for one in views}) < len(views):
        raise ValueError("two views have one name")
    return views


def _write(file: Path, views: list[SavedView]) -> None:
    rows = [
        {name: getattr(one, name) for name in _FIELDS}
        | {"created": one.created.isoformat(timespec="seconds").replace("+00:00", "Z")}
        for one in views
    ]
    text = json.dumps({"format": _FORMAT, "views": rows}, indent=1, ensure_ascii=False) + "\n"
    with tempfile.NamedTemporaryFile(
        dir=file.parent, prefix=f".{file.name}.", suffix=".tmp", delete=False
    ) as made:
        try:
            made.write(text.encode())
            made.flush()
            os.fsync(made.fileno())
            os.chmod(made.name, 0o644)
            os.replace(made.name, file)
        except BaseException:
            Path(made.name).unlink(missing_ok=True)
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within, no other window writes the file, of this explorer or of another one."""
    if not (folder / CATALOG_FILE).is_file():
        raise NotFoundError(f"there is no catalog in '{folder}': views are kept beside one")
    try:
        with _threads, (folder / "jobs" / "views.lock").open("w") as lock:
            _lock(lock.fileno())
            yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise BadInputError(
                f"cannot write '{folder / FILE}': make the catalog's folder writable to change its saved views"
            ) from error
        raise ShiftLabError(told(error)) from error


def _lock(handle: int) -> None:
    """Waits for the lock between processes, for a bounded time; it goes when the file is closed."""
    try:
        import fcntl
    except ImportError:  # no such lock on this system: then one explorer at a time
        return
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise CatalogBusyError(
                    f"another process has been writing the saved views for {_WAIT_SECONDS:g} s: try again"
                ) from error
            time.sleep(0.02)
