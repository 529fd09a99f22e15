"""Options that every command shares, and what they decide: which catalog, how results are written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import polars as pl

    from shiftlab.api import Catalog

DEFAULT_CATALOG = "catalog"
FORMATS = ("table", "csv", "json", "ndjson", "markdown", "parquet", "arrow")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What the shared options say."""

    catalog: str | None = None
    format: str | None = None
    output: str | None = None
    quiet: bool = False

    def open(self, *, create: bool = False) -> Catalog:
        """The catalog that the command works on."""
        from shiftlab import api

        return api.open(self.catalog or DEFAULT_CATALOG, create=create)

    def emit(self, frame: pl.DataFrame) -> None:
        """Writes the rows to stdout, or to the file of ``-o``."""
        from shiftlab.cli import output

        output.emit(frame, self.format, self.output)

    def say(self, message: str) -> None:
        """A message for people, on stderr."""
        if not self.quiet:
            click.echo(message, err=True)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """A line on stderr that tells the present stage; silent when stderr is no terminal.

        With SHIFTLAB_PROGRESS=lines each stage is a line of its own, for the explorer's jobs and for logs.
        """
        if not self.quiet and os.environ.get("SHIFTLAB_PROGRESS") == "lines":
            yield self.say
            return
        if self.quiet or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console

        with Console(stderr=True).status("working") as status:
            yield status.update


def catalog_option(command: F) -> F:
    return click.option(
        "--catalog",
        metavar="DIR",
        envvar="SHIFTLAB_CATALOG",
        help="Folder of the catalog (environment: SHIFTLAB_CATALOG; default: ./catalog).",
    )(command)


def engine_option(command: F) -> F:
    return click.option(
        "--engine",
        metavar="N|ADDRESS",
        help="Where shards are worked on: N processes, or a Dask scheduler such as tcp://host:8786. "
        "Results do not depend on it.",
    )(command)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --catalog, --format, -o and --quiet; the command gets a `Settings` as its first argument."""

    @click.pass_context
    def wrapped(
        ctx: click.Context,
        catalog: str | None,
        format: str | None,
        output: str | None,
        quiet: bool,
        **rest: Any,
    ) -> Any:
        outer = ctx.obj if isinstance(ctx.obj, Settings) else Settings()
        # What was typed before the command beats the environment.
        typed = ctx.get_parameter_source("catalog") == click.core.ParameterSource.COMMANDLINE
        settings = Settings(catalog if typed else outer.catalog or catalog, format, output, quiet)
        return ctx.invoke(command, settings, **rest)

    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    # Options and arguments declared below @common are kept on the function that click sees.
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="No messages on stderr but errors."),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False),
            help="Write to a file; its suffix is the format.",
        ),
        click.option(
            "--format", type=click.Choice(FORMATS), help="Default: table on a terminal, csv in a pipe."
        ),
        catalog_option,
    ):
        wrapped = option(wrapped)
    return wrapped
