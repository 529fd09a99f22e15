"""In-memory DuckDB instances that a process keeps: making one costs ten times what attaching a catalog to it does.

A kept instance is empty. It holds no file, so it is in nobody's way.
"""

from __future__ import annotations

import ctypes
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MOST_KEPT = 2
_kept: defaultdict[Path, list[DuckDBPyConnection]] = defaultdict(list)


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
    con = connect(":memory:")
    quoted = str(scratch).replace("'", "''")
    con.execute(f"set temp_directory = '{quoted}'").fetchall()
    return con


@contextmanager
def borrowed(scratch: Path) -> Iterator[DuckDBPyConnection]:
    """A connection to an empty in-memory database that nobody else uses meanwhile, spilling into `scratch`.

    The borrower leaves it as it was: nothing attached, no table, no setting changed. After an error it is not kept.
    """
    instance = _kept[scratch].pop() if _kept[scratch] else connect_memory(scratch)
    con = _silent(instance.cursor())  # temporary tables and views end with it
    try:
        yield con
    except BaseException:
        con.close()
        instance.close()
        raise
    con.close()
    if len(_kept[scratch]) < _MOST_KEPT:
        _kept[scratch].append(instance)
    else:
        instance.close()


def _abandon() -> None:
    """A forked child has no threads of its parent's instances: it must neither use nor close them."""
    for instances in _kept.values():
        for instance in instances:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(instance))
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon)
