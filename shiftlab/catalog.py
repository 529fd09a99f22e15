"""The catalog's store: a folder with one DuckDB file, opened for moments only.

A DuckDB file allows one writer or many readers, across processes. So nobody parks a connection here:
`Store.read` opens read-only and closes; heavy work happens in `Store.workspace`, an in-memory database
that touches the catalog only to copy rows out; `Store.write` is one short transaction. Both sides retry
on the lock for a bounded time and then say who holds the catalog.

This file knows no domain: the schema lies in ``sql/schema``, the views in ``sql/views``.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shiftlab import __version__, instances, resources
from shiftlab.errors import BadInputError, CatalogBusyError, NotFoundError, ShiftLabError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILE = "catalog.duckdb"
FILE_FOLDERS = ("vectors", "steps", "filters", "pictures")  # files named by rows
FOLDERS = (*FILE_FOLDERS, "jobs")
WAIT_SECONDS = 10.0
# DuckDB 1.5 clients can open what is written with this storage version; newer ones only with DuckDB 2.
STORAGE_VERSION = "v1.5.0"
# DuckDB has no typed error for its lock: these are the messages of another process, and of another
# thread of this process that has the file open in the other mode.
_LOCKED = re.compile(
    r"Could not set lock|Conflicting lock|different configuration|already attached|being used", re.I
)

T = TypeVar("T")


@dataclass
class Run:
    """One command's work, stored beside what it wrote. `run_id` is set by `Store.write`."""

    command: str
    params: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | None = None
    seed: int | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    run_id: int = -1


class Store:
    """The folder of one catalog. Cheap to create: it holds a path, never a connection."""

    def __init__(self, path: str | Path, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = Path(path)
        self.file = self.path / FILE
        self.wait_seconds = wait_seconds

    # -- opening -----------------------------------------------------------------------------------
    @classmethod
    def create(cls, path: str | Path) -> Store:
        """The catalog in folder `path`, made if it is not there, brought up to this version's schema."""
        store = cls(path)
        _refuse_unusable(store.path)
        try:
            for name in ("", *FOLDERS):
                (store.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"cannot create a catalog in '{store.path}': {error.strerror}; choose a folder you can write to"
            ) from error
        store.migrate()
        return store

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """The existing catalog in folder `path`, brought up to this version's schema."""
        store = cls(path)
        _refuse_unusable(store.path)
        if not store.file.is_file():
            raise NotFoundError(
                f"there is no catalog in '{store.path}'; 'shiftlab demo' builds one from bundled data, "
                "'shiftlab ingest' one from yours, and --catalog DIR names another folder"
            )
        store.migrate()
        return store

    # -- connections -------------------------------------------------------------------------------
    @contextmanager
    def read(self) -> Iterator[DuckDBPyConnection]:
        """A read-only connection for one moment: read into polars or Arrow, then leave. No setting is changed."""
        with instances.borrowed(self._scratch()) as con, self.attached(con):
            con.execute("use catalog").fetchall()
            try:
                yield con
            finally:
                con.execute("use memory").fetchall()

    @contextmanager
    def read_apart(self) -> Iterator[DuckDBPyConnection]:
        """As `read`, with an instance of its own: for settings that cannot be taken back."""
        con = self._patiently(lambda: instances.connect(self.file, read_only=True))
        try:
            yield con
        finally:
            con.close()

    @contextmanager
    def workspace(self, memory_limit: str | None = None) -> Iterator[DuckDBPyConnection]:
        """An in-memory database for heavy work, spilling below the catalog's ``jobs`` folder.

        It does not hold the catalog: use `attached` for the moments that copy rows out of it.
        """
        scratch = self.path / "jobs" / f"scratch-{os.getpid()}-{random.SystemRandom().getrandbits(32):08x}"
        con = instances.connect_memory(scratch)
        try:
            if memory_limit:
                con.execute(f"set memory_limit = {_literal(memory_limit)}").fetchall()
            yield con
        finally:
            con.close()
            shutil.rmtree(scratch, ignore_errors=True)

    @contextmanager
    def attached(self, con: DuckDBPyConnection) -> Iterator[None]:
        """Within, workspace `con` sees the catalog's tables, read-only, as ``catalog.<table>``."""
        attach = f"attach {_literal(str(self.file))} as catalog (read_only)"
        self._patiently(lambda: con.execute(attach).fetchall())
        try:
            yield
        finally:
            con.execute("detach catalog").fetchall()

    @contextmanager
    def write(self, run: Run, workspace: DuckDBPyConnection | None = None) -> Iterator[DuckDBPyConnection]:
        """One transaction: all of it is stored, or nothing. Gives `run` its id and stores its row.

        The connection's default database is the catalog. With a `workspace`, its tables are there too,
        as ``memory.<table>``, so that rows go over inside DuckDB.
        """
        attach = f"attach {_literal(str(self.file))} as catalog (storage_version '{STORAGE_VERSION}')"
        with nullcontext(workspace) if workspace else instances.borrowed(self._scratch()) as con:
            self._patiently(lambda: con.execute(attach).fetchall())
            try:
                con.execute("use catalog").fetchall()
                con.execute("begin").fetchall()
                run.run_id = con.sql("select coalesce(max(run_id), 0) + 1 from run").fetchall()[0][0]
                yield con
                self._finish(con, run)
            except BaseException as error:
                _rollback(con)
                raise _explained(error, self.path) from error
            finally:
                con.execute("use memory").fetchall()
                _detach(con)

    def _scratch(self) -> Path:
        """Where short reads and writes would spill."""
        return self.file.with_name(f"{self.file.name}.tmp").absolute()

    def _finish(self, con: DuckDBPyConnection, run: Run) -> None:
        # `seconds` covers everything since the Run was made, so also the work outside the transaction.
        con.execute(
            "insert into run values ($run_id, $command, $dataset, $params, $seed, $inputs, $notes, $version, $at, $s)",
            {
                "run_id": run.run_id,
                "command": run.command,
                "dataset": run.dataset,
                "params": json.dumps(dict(run.params), default=str),
                "seed": run.seed,
                "inputs": json.dumps(run.inputs),
                "notes": json.dumps(run.notes, default=str),
                "version": __version__,
                "at": datetime.fromtimestamp(run.started, UTC).replace(tzinfo=None),
                "s": time.time() - run.started,
            },
        ).fetchall()
        con.execute("update catalog_info set generation = generation + 1").fetchall()
        con.execute("commit").fetchall()

    def _patiently(self, connect: Callable[[], T]) -> T:
        deadline = time.monotonic() + self.wait_seconds
        while True:
            try:
                return connect()
            except Exception as error:
                if not _LOCKED.search(str(error)):
                    raise _explained(error, self.path) from error
                if time.monotonic() > deadline:
                    raise CatalogBusyError(
                        f"the catalog '{self.path}' is held by {_holder(str(error))}; waited "
                        f"{self.wait_seconds:g} s. Nothing was changed: end that process or try again later"
                    ) from error
                time.sleep(random.uniform(0.005, 0.05))

    # -- schema ------------------------------------------------------------------------------------
    def migrate(self, until: int | None = None) -> int:
        """Brings the file to this version's schema and views; returns the schema's version number.

        Each migration is one transaction; with `until`, only the first so many are applied, and no view is made.
        Raises `BadInputError` for a catalog of a newer ShiftLab and for one whose applied migrations differ from
        the files of this installation.
        """
        steps = _migrations()[:until]
        if not self.file.exists():
            self._begin(until)
        with self.read() as con:
            applied, stored_views = _applied(con, self.path)
        self._refuse_foreign(applied, steps)
        if len(applied) < len(steps) or (until is None and stored_views != _views()[1]):
            self._upgrade(steps, until)
        return len(steps)

    def _begin(self, until: int | None) -> None:
        """A new file gets its schema under another name: a killed run or a full disk leaves no half of a catalog."""
        made = Store(self.path)
        made.file = self.path / f".{FILE}.{os.getpid()}-{random.SystemRandom().getrandbits(32):08x}.tmp"
        log = made.file.with_name(made.file.name + ".wal")
        try:
            made._upgrade(_migrations()[:until], until)
            if log.exists():  # it stays where its rows could not be written into the file
                raise ShiftLabError(
                    f"the disk of '{self.path}' is full; nothing was made: free space and run it again"
                )
            with suppress(FileExistsError):  # another process was faster: its catalog is the catalog
                os.link(made.file, self.file)
        finally:
            for part in (made.file, log):
                part.unlink(missing_ok=True)

    def _upgrade(self, steps: list[Path], until: int | None) -> None:
        views, views_sha256 = _views()
        with self.alone() as con:
            # Another process may have migrated while this one waited for the lock.
            applied, _ = _applied(con, self.path)
            self._refuse_foreign(applied, steps)
            for version in range(len(applied) + 1, len(steps) + 1):
                _apply(con, version, steps[version - 1])
            if until is None:
                con.execute("begin").fetchall()
                for statement in views:
                    con.execute(statement).fetchall()
                con.execute(
                    "update catalog_info set views_sha256 = $1, generation = generation + 1", [views_sha256]
                ).fetchall()
                con.execute("commit").fetchall()

    @contextmanager
    def alone(self) -> Iterator[DuckDBPyConnection]:
        """The file itself, opened for writing, without a transaction and a run: for the schema and whole copies."""
        con = self._patiently(
            lambda: instances.connect(self.file, config={"storage_compatibility_version": STORAGE_VERSION})
        )
        try:
            yield con
        except BaseException as error:
            _rollback(con)
            raise _explained(error, self.path) from error
        finally:
            con.close()

    def _refuse_foreign(self, applied: list[tuple[str, str]], steps: list[Path]) -> None:
        if len(applied) > len(steps):
            raise BadInputError(
                f"the catalog '{self.path}' has schema {applied[-1][0]}; this ShiftLab {__version__} knows "
                f"schemas up to {steps[-1].stem}: upgrade ShiftLab (pip install -U shiftlab), or build a new catalog"
            )
        for (name, sha256), path in zip(applied, steps, strict=False):
            if name != path.stem or sha256 != _sha256(path.read_bytes()):
                raise BadInputError(
                    f"the catalog '{self.path}' was made with another text of migration {name}; this "
                    f"ShiftLab {__version__} has {path.stem}: build the catalog anew with this version"
                )

    def generation(self) -> int:
        """The commit counter: unequal when anything was stored since."""
        with self.read() as con:
            return int(con.sql("select generation from catalog_info").fetchall()[0][0])


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _migrations() -> list[Path]:
    return sorted((resources.folder("sql") / "schema").glob("[0-9]*.sql"))


def _views() -> tuple[list[str], str]:
    texts = [p.read_text(encoding="utf-8") for p in sorted((resources.folder("sql") / "views").glob("*.sql"))]
    return texts, _sha256("\n".join(texts).encode())


def _applied(con: DuckDBPyConnection, path: Path) -> tuple[list[tuple[str, str]], str | None]:
    """Names and hashes of the migrations a file has, in order, and the hash of its views."""
    tables = {row[0] for row in con.sql("select table_name from duckdb_tables()").fetchall()}
    if "migration" not in tables:
        if tables:
            raise BadInputError(
                f"'{path / FILE}' is a DuckDB file but no ShiftLab catalog; choose another folder"
            )
        return [], None
    applied = con.sql("select name, sha256 from migration order by version").fetchall()
    views = con.sql("select views_sha256 from catalog_info").fetchall() if applied else []
    return [(str(name), str(sha256)) for name, sha256 in applied], views[0][0] if views else None


def _apply(con: DuckDBPyConnection, version: int, path: Path) -> None:
    con.execute("begin").fetchall()
    if version == 1:
        con.execute(
            "create table migration (version integer, name varchar, sha256 varchar, applied_at timestamp)"
        )
    con.execute(path.read_text(encoding="utf-8")).fetchall()
    now = datetime.now(UTC).replace(tzinfo=None)
    if version == 1:
        con.execute("insert into catalog_info values (0, null, $1, $2)", [__version__, now]).fetchall()
    content = _sha256(path.read_bytes())
    con.execute(
        "insert into migration values ($1, $2, $3, $4)", [version, path.stem, content, now]
    ).fetchall()
    con.execute("commit").fetchall()


def _detach(con: DuckDBPyConnection) -> None:
    """Lets go of the catalog, which also folds the log into the file.

    Where that fails for want of space, the log stays beside the file: what was committed is in it, and the
    next one who opens the catalog finds it there.
    """
    import duckdb

    try:
        con.execute("detach catalog").fetchall()
    except duckdb.IOException as error:
        if "CHECKPOINT during DETACH failed" not in str(error):
            raise


def _rollback(con: DuckDBPyConnection) -> None:
    import duckdb

    # Nothing may be open, or DuckDB already rolled back with the error that brought us here.
    with suppress(duckdb.Error):
        con.execute("rollback").fetchall()


def _holder(message: str) -> str:
    """Who holds the lock, read from DuckDB's message and, on Linux, from the process table."""
    found = re.search(r"PID (\d+)", message)
    if not found:
        return "another connection of this process"
    try:
        words = Path(f"/proc/{found[1]}/cmdline").read_bytes().decode(errors="replace").split("\0")
        command = " ".join(
            " ".join(Path(word).name if i < 2 else word for i, word in enumerate(words)).split()
        )[:80]
    except OSError:
        command = ""
    return f"process {found[1]}" + (f" ({command})" if command else "")


def _explained(error: BaseException, path: Path) -> BaseException:
    """DuckDB's and the system's words for a file that cannot be used, with the mend."""
    text = str(error)
    if isinstance(error, ShiftLabError) or not isinstance(error, Exception):
        return error
    if "not a valid DuckDB database file" in text:
        return BadInputError(f"'{path / FILE}' is no DuckDB file; choose another folder or remove that file")
    if "Corrupt database file" in text:
        return BadInputError(
            f"the catalog '{path}' is damaged ({' '.join(text.split())[:200]}): restore it from a backup "
            "('shiftlab restore'), or remove the folder and build it anew"
        )
    if "newer version" in text or "was created with a newer" in text:
        return BadInputError(
            f"the catalog '{path}' was written by a newer DuckDB: pip install -U duckdb ({text})"
        )
    if re.search(r"No space left|disk full|out of disk|Could not write file", text, re.I):
        return ShiftLabError(
            f"the disk of '{path}' is full; nothing was changed: free space and run it again"
        )
    if re.search(
        r"Permission denied|Read-only file system|read-only mode|Operation not permitted", text, re.I
    ):
        return BadInputError(
            f"the catalog '{path}' cannot be written: make the folder writable, or copy it elsewhere"
        )
    return error


def _refuse_unusable(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise BadInputError(f"'{path}' is a file; a catalog is a folder: name a folder")
