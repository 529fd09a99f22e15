"""The one place where pages read the catalog: opened read-only for one page run, then closed.

Nobody parks a connection: an open one blocks every writer. What was read is cached under the catalog's
commit counter, so a page shows a new commit at its next run and never a stale number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from shiftlab import queries, safe_sql
from shiftlab.catalog import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DEFAULT_CATALOG = "catalog"
_WAIT_SECONDS = 5.0


class Reading:
    """The catalog during one page run. `stamp` differs whenever the content may differ."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._held: AbstractContextManager[DuckDBPyConnection] | None = None
        self._connection: DuckDBPyConnection | None = None
        self.generation = int(self.connection().sql("select generation from catalog_info").fetchall()[0][0])
        self.stamp = (str(store.path), store.file.stat().st_ino, self.generation)

    def connection(self) -> DuckDBPyConnection:
        """The open connection; opened again where it was released."""
        if self._connection is None:
            self._held = self.store.read()
            self._connection = self._held.__enter__()
        return self._connection

    def release(self) -> None:
        """Closes the connection, so that a process that the page waits for may write."""
        if self._held is not None:
            self._held.__exit__(None, None, None)
        self._held = self._connection = None


_current: ContextVar[Reading] = ContextVar("reading")


def path() -> Path:
    """The folder of the catalog that the explorer was started for."""
    return Path(os.environ.get("SHIFTLAB_CATALOG", _DEFAULT_CATALOG))


@contextmanager
def reading() -> Iterator[Reading]:
    """Opens the catalog; `rows` and `current` work within.

    Raises `NotFoundError` where there is no catalog, `BadInputError` for one of a newer version or a file
    that is none, `CatalogBusyError` when a writer holds it for long.
    """
    folder = path()
    store = Store(folder, wait_seconds=_WAIT_SECONDS)
    file = folder / "catalog.duckdb"
    state = file.stat() if file.is_file() else None
    _checked(str(folder), (state.st_ino, state.st_mtime_ns) if state else None)
    found = Reading(store)
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)
        found.release()


def generation() -> int:
    """The catalog's commit counter now; also outside a page run, as in a download."""
    return Store(path()).generation()


def current() -> Reading:
    """The reading of this page run."""
    return _current.get()


def rows(name: str, /, **params: Any) -> pl.DataFrame:
    """Rows of a named statement of ``sql/queries``, from the cache where nothing was stored since."""
    now = current()
    return _rows(now.stamp, name, params, now)


@st.cache_data(max_entries=500, show_spinner=False)
def _rows(stamp: tuple[str, int, int], name: str, params: dict[str, Any], _reading: Reading) -> pl.DataFrame:
    text = queries.sql(name)
    con = _reading.connection()
    safe_sql.with_steps(con, _reading.store, text)
    return con.sql(text, params=params).pl()


def tables() -> pl.DataFrame:
    """Every table and view of the catalog, as ``shiftlab sql --tables`` lists them."""
    return _tables(current().stamp, current().store)


@st.cache_data(max_entries=4, show_spinner=False)
def _tables(stamp: tuple[str, int, int], _store: Store) -> pl.DataFrame:
    return safe_sql.tables(_store)


@st.cache_resource(max_entries=8, show_spinner=False)
def _checked(folder: str, file_state: tuple[int, int] | None) -> int:
    """Looks at the schema once per state of the file; `Store.open` refuses what this version cannot read."""
    return Store.open(folder).migrate()
