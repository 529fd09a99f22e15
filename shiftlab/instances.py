"""In-memory DuckDB instances that a process keeps: making one costs ten times what attaching a catalog to it does.

A kept instance is empty. It holds no file, so it is in nobody's way.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MOST_KEPT = 2  # of the catalogs used last: each has threads of its own
_kept: list[tuple[Path, DuckDBPyConnection]] = []
_lock = threading.Lock()


def connect(file: Path | str, **options: Any) -> DuckDBPyConnection:
    """A new connection that shows no progress of its own and installs nothing."""
    import duckdb

    con = duckdb.connect(str(file), **options)
    con.execute("set autoinstall_known_extensions = false").fetchall()
    return _silent(con)


def _silent(con: DuckDBPyConnection) -> DuckDBPyConnection:
    con.execute("set enable_progress_bar = false").fetchall()  # holds for one connection
    return con


def connect_memory(scratch: Path) -> DuckDBPyConnection:
    """A new in-memory database that spills into the folder `scratch`, which is made when it is needed."""
    return connect(":memory:", config={"temp_directory": str(scratch)})


@contextmanager
def borrowed(scratch: Path) -> Iterator[DuckDBPyConnection]:
    """A connection to an empty in-memory database that nobody else uses meanwhile, spilling into `scratch`.

    The borrower leaves it as it was: nothing attached, no table, no setting changed. After an error it is not kept.
    """
    instance = _taken(scratch) or connect_memory(scratch)
    con = _silent(instance.cursor())  # temporary tables and views end with it
    try:
        yield con
    except BaseException:
        con.close()
        instance.close()
        raise
    con.close()
    _keep(scratch, instance)


def _taken(scratch: Path) -> DuckDBPyConnection | None:
    with _lock:
        at = next((at for at, (where, _) in enumerate(_kept) if where == scratch), None)
        return None if at is None else _kept.pop(at)[1]


def _keep(scratch: Path, instance: DuckDBPyConnection) -> None:
    with _lock:
        _kept.append((scratch, instance))
        oldest = _kept.pop(0)[1] if len(_kept) > _MOST_KEPT else None
    if oldest is not None:
        oldest.close()


def _abandon() -> None:
    """A forked child has no threads of its parent's instances: it must neither use nor close them."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    for _, instance in _kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(instance))
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon)
