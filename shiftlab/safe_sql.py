"""SQL over the catalog for people: one SELECT, read-only, locked down, within limits.

What is a SELECT to DuckDB's parser may still write (a COPY or DELETE inside a WITH). Placed as a subquery
it cannot: so the user's text is parsed, must be one statement of type SELECT, and runs wrapped in
``select * from (...) limit n``. The connection is read-only and hardened before it sees any of it.
A single long function call does not heed DuckDB's time limit: whoever takes SQL from strangers runs
this in a process of its own and ends that process at the deadline, as `shiftlab sql` and the explorer do.

The steps of demonstrations stay in Parquet files; a statement that names ``step`` sees them as a view, and
those files are the only ones that its connection may read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import notebook, queries
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError, ShiftLabError, TimeLimitError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT = "1GB"
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Result:
    """Rows of a query. `truncated`: there are more than the limit asked for."""

    table: pa.Table
    truncated: bool
    seconds: float

    def arrow(self) -> pa.Table:
        """As an Arrow table."""
        return self.table

    def pl(self) -> pl.DataFrame:
        """As a polars frame."""
        import polars as pl

        frame = pl.from_arrow(self.table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def pandas(self) -> Any:
        """As a pandas frame; ImportError where pandas is not installed."""
        return self.table.to_pandas()

    def numpy(self) -> dict[str, Any]:
        """As one numpy array a column, by name."""
        return {name: self.pl()[name].to_numpy() for name in self.table.column_names}

    def _repr_html_(self) -> str:
        shown = self.pl().head(20)
        return notebook.table(
            f"{self.table.num_rows:,} rows", shown.columns, shown.rows(), self.table.num_rows - len(shown)
        )

    def rows(self) -> list[tuple[Any, ...]]:
        """As a list of tuples."""
        return self.pl().rows()


def query(
    store: Store,
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    limit: int | None = None,
    timeout: float = TIMEOUT_SECONDS,
    explain: bool = False,
) -> Result:
    """Runs one SELECT (also FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW) and returns its rows.

    `params` are bound to ``$name``. Raises `BadInputError` for anything but one SELECT, `ShiftLabError` with
    DuckDB's words for SQL that fails, `TimeLimitError` after `timeout` seconds.
    """
    import duckdb

    started = time.perf_counter()
    with store.read_apart() as con:
        try:
            _harden(con, timeout, with_steps(con, store, sql))
            wrapped = _guarded(con, sql, limit)
            relation = con.sql(("explain " if explain else "") + wrapped, params=dict(params or {}))
            if relation is None:
                raise BadInputError("this statement returns no rows; 'shiftlab sql' takes one SELECT")
            table = relation.to_arrow_table()
        except duckdb.Error as error:
            raise _explained(error, timeout) from error
    truncated = limit is not None and not explain and table.num_rows > limit
    return Result(table.slice(0, limit) if truncated else table, truncated, time.perf_counter() - started)


def narrowed(sql: str, where: str | None) -> str:
    """A SELECT narrowed by a predicate that a person typed; to be run by `query`, which guards it."""
    return f"select * from (\n{sql}\n) where (\n{expression(where)}\n)" if where else sql


def expression(text: str) -> str:
    """`text`, if it is SQL that stands by itself between brackets; BadInputError otherwise.

    Between parentheses ``true) limit (1`` parses too, and would do more than narrow: within square ones it cannot.
    """
    import duckdb

    try:
        duckdb.extract_statements(f"select [\n{text}\n]")
    except (duckdb.Error, ValueError) as error:
        words = " ".join(line for line in str(error).splitlines() if line.strip())
        raise BadInputError(f"'{text}' is not one SQL expression: {words}") from error
    return text


def write(store: Store, sql: str, params: Mapping[str, Any] | None = None) -> int:
    """Runs any statements on the catalog in one transaction, recorded as a run; returns its run id.

    For the owner of a catalog only: nothing is guarded here.
    """
    import duckdb

    from shiftlab.catalog import Run

    run = Run("sql", {"sql": sql, "params": dict(params or {})})
    try:
        with store.workspace() as own, store.write(run, own) as con:  # its settings end with it
            con.execute(sql, dict(params or {}) or None).fetchall()
    except duckdb.Error as error:
        raise _explained(error, float("inf")) from error
    return run.run_id


def tables(store: Store) -> pl.DataFrame:
    """Every table and view of the catalog: name, kind, rows (of tables), columns, what it holds."""
    with store.read() as con:
        with suppress(BadInputError):  # steps that are gone: 'shiftlab check' tells
            with_steps(con, store, "step")
        return con.sql(
            """
            with relation as (
                select view_name as name, 'view' as kind, null as rows, comment from duckdb_views() where not internal
                union all
                select table_name, 'table', estimated_size, comment from duckdb_tables()
            ),
            columns as (
                select table_name as name, string_agg(column_name, ', ' order by column_index) as columns
                from duckdb_columns() where not internal group by table_name
            )
            select name, kind, rows, columns, comment as holds from relation join columns using (name)
            order by kind desc, name
            """
        ).pl()


def with_steps(con: DuckDBPyConnection, store: Store, sql: str) -> list[Path]:
    """Gives a connection to the catalog the views ``step`` and ``transition`` where `sql` names one of them.

    They are made for each connection, not stored: stored ones would hold the place of the files, which are
    returned. Raises `BadInputError` where the steps of a data set are gone.
    """
    if not re.search(r"\b(step|transition)\b", sql, re.IGNORECASE):
        return []
    files = {
        str(dataset): store.path.resolve() / "steps" / Path(str(name)).name
        for dataset, name in con.execute(queries.sql("step_files")).fetchall()
    }
    if gone := [dataset for dataset, file in files.items() if not file.is_file()]:
        raise BadInputError(
            f"the steps of '{gone[0]}' are gone ({files[gone[0]].name} is missing): ingest it again"
        )
    parts = [queries.sql("no_steps")]
    # A view takes no parameters: its texts are quoted instead.
    parts += [
        f"select {_quoted(dataset)} as dataset, * replace (state::float[] as state, action::float[] as action) "
        f"from read_parquet({_quoted(str(file))})"
        for dataset, file in files.items()
    ]
    con.execute(f"create or replace temp view step as {' union all by name '.join(parts)}").fetchall()
    con.execute(queries.sql("comment_on_step")).fetchall()
    con.execute(f"create or replace temp view transition as {queries.sql('transitions')}").fetchall()
    con.execute(queries.sql("comment_on_transition")).fetchall()
    return list(files.values())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _harden(con: DuckDBPyConnection, timeout: float, readable: list[Path]) -> None:
    """The order matters: what the last setting locks cannot be set any more."""
    settings = (
        f"allowed_paths = [{', '.join(_quoted(str(file)) for file in readable)}]",
        f"memory_limit = '{MEMORY_LIMIT}'",
        "threads = 2",
        "temp_directory = ''",
        f"max_execution_time = {max(1, int(timeout * 1000))}",
        "python_enable_replacements = false",
        "autoload_known_extensions = false",
        "allow_persistent_secrets = false",
        "enable_external_access = false",
        "lock_configuration = true",
    )
    for setting in settings:
        con.execute(f"set {setting}").fetchall()


def _guarded(con: DuckDBPyConnection, sql: str, limit: int | None) -> str:
    if not sql.strip():
        raise BadInputError("the SQL is empty; try: from subsets limit 10")
    try:
        statements = con.extract_statements(sql)
        kinds = [statement.type.name for statement in statements]
    except ValueError as error:  # DuckDB's client cannot name the type of some statements (CONNECT)
        raise BadInputError("only one SELECT is allowed here") from error
    if kinds != ["SELECT"]:
        found = ", ".join(kinds) or "nothing"
        raise BadInputError(
            f"only one SELECT is allowed here, found {found}; the owner of a catalog can change it with --write"
        )
    text = statements[0].query.strip().rstrip(";")
    tail = f" limit {limit + 1}" if limit is not None else ""
    return f"select * from (\n{text}\n){tail}"


def _explained(error: Exception, timeout: float) -> Exception:
    text = " ".join(line for line in str(error).splitlines() if line.strip())
    if "INTERRUPT" in text.upper() or "max_execution_time" in text:
        return TimeLimitError(
            f"the query ran longer than {timeout:g} s and was stopped; raise --timeout or narrow it"
        )
    if "Out of Memory" in text:
        return ShiftLabError(
            f"the query needs more than {MEMORY_LIMIT} of memory; narrow it, or aggregate first"
        )
    return ShiftLabError(f"SQL: {text}")
