"""shiftlab sql: SQL over the catalog, read-only and locked down unless --write."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from shiftlab.cli.plotting import plot_option, save_rows
from shiftlab.cli.settings import Settings, common

_GRACE_SECONDS = 1.0
_HEADROOM_BYTES = (
    3 << 30
)  # above what the process has mapped: DuckDB's own limit, its threads, and the result


@click.command(epilog="Example: shiftlab sql 'from subsets where class = $c order by n desc' -p c=cat")
@common
@click.argument("query", required=False)
@click.option("--file", "file", type=click.Path(), help="Read the SQL from a file.")
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Bind $NAME; as often as needed."
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="At most so many rows (default: 1000 on a terminal, else all).",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    help="Seconds; then exit 124.",
)
@click.option("--tables", is_flag=True, help="List tables and views with their columns instead.")
@click.option("--explain", is_flag=True, help="Show the query plan instead of the rows.")
@plot_option("the rows: bars of the first number by the first text, or one number against another")
@click.option(
    "--write",
    is_flag=True,
    help="Allow any statement, in one transaction, recorded as a run. Your data, your risk.",
)
def sql(
    settings: Settings,
    query: str | None,
    file: str | None,
    params: tuple[str, ...],
    limit: int | None,
    timeout: float,
    tables: bool,
    explain: bool,
    plot: Path | None,
    write: bool,
) -> None:
    """SQL over the catalog. QUERY is one SELECT; '-' reads it from stdin."""
    from shiftlab import safe_sql

    store = settings.open().store
    if tables:
        settings.emit(safe_sql.tables(store))
        return
    text, values = _text(query, file), dict(_parameter(one) for one in params)
    if write:
        settings.say(f"done, recorded as run {safe_sql.write(store, text, values)}")
        return
    if limit is None and sys.stdout.isatty():
        limit = 1000
    with _deadline(timeout), _memory():
        result = safe_sql.query(store, text, values, limit=limit, timeout=timeout, explain=explain)
    if explain:
        for _, plan in result.rows():
            click.echo(plan)
        return
    rows = result.pl()
    settings.emit(rows)
    if plot is not None:
        save_rows(settings, rows, plot)
    if result.truncated:
        settings.say(f"{limit:,} rows shown, there are more: raise --limit")


def _text(query: str | None, file: str | None) -> str:
    if (query is None) == (file is None):
        raise click.UsageError("give the SQL as QUERY, as '-' for stdin, or with --file")
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"cannot read '{file}': {error}") from error
    return sys.stdin.read() if query == "-" else str(query)


def _parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE with VALUE as a number where it reads as one; it is bound, never pasted."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.UsageError(f"-p {text!r}: expected NAME=VALUE")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


class _deadline:
    """Ends this process if a query outlives its limit: some single function calls heed no interrupt."""

    def __init__(self, seconds: float) -> None:
        self.timer = threading.Timer(seconds + _GRACE_SECONDS, self._end, [seconds])
        self.timer.daemon = True

    def __enter__(self) -> None:
        self.timer.start()

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()

    @staticmethod
    def _end(seconds: float) -> None:
        sys.stderr.write(f"shiftlab: the query ran longer than {seconds:g} s and was stopped; narrow it\n")
        sys.stderr.flush()
        os._exit(124)


@contextmanager
def _memory() -> Iterator[None]:
    """A bound on this process's memory: what one function call allocates heeds no limit of DuckDB's."""
    try:
        import resource

        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # no such bound on this system
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    allowed = mapped + _HEADROOM_BYTES
    if before[0] == resource.RLIM_INFINITY or before[0] > allowed:
        resource.setrlimit(resource.RLIMIT_AS, (allowed, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
