"""Named SQL statements from ``sql/queries/*.sql``.

A file holds one or more statements, each under a heading ``-- name: some_name`` followed by comment lines
that say what it does. Values reach a statement only as ``$parameters``; Python never pastes SQL together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from shiftlab import resources
from shiftlab.errors import NotFoundError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HEADING = "-- name:"


@dataclass(frozen=True)
class Query:
    """One named statement: its SQL, the file it stands in and the comment under its heading."""

    name: str
    file: str
    doc: str
    sql: str


@cache
def load_all() -> dict[str, Query]:
    """Every named statement of ``sql/queries``, by name."""
    found: dict[str, Query] = {}
    for path in sorted((resources.folder("sql") / "queries").glob("*.sql")):
        for section in path.read_text(encoding="utf-8").split(_HEADING)[1:]:
            name, _, body = section.partition("\n")
            lines = body.strip().splitlines()
            doc = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
            query = Query(name.strip(), path.name, " ".join(doc), body.strip().rstrip(";"))
            if query.name in found:
                raise ValueError(
                    f"two statements named {query.name!r}: {found[query.name].file}, {path.name}"
                )
            found[query.name] = query
    return found


def sql(name: str) -> str:
    """The text of the statement called `name`."""
    statements = load_all()
    if name not in statements:
        raise NotFoundError(f"no SQL statement is named {name!r}; there are {', '.join(sorted(statements))}")
    return statements[name].sql


def execute(con: DuckDBPyConnection, name: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Runs the statement called `name` with those of `values` that it has a ``$parameter`` for; its rows.

    DuckDB refuses a value that a statement does not ask for, and the statements of one task share theirs.
    """
    statement = sql(name)
    asked = {key: value for key, value in values.items() if f"${key}" in statement}
    return con.execute(statement, asked or None).fetchall()
