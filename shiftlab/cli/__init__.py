"""The command line: each command is a few lines over the Python API.

Modules of commands are imported when they are called for, and import nothing heavy themselves, so that
``shiftlab --help`` stays instant.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from shiftlab import __version__
from shiftlab.cli.settings import Settings, catalog_option
from shiftlab.errors import ShiftLabError, told

_LIBRARIES = ("duckdb", "polars", "numpy", "scipy", "pot", "pyarrow", "streamlit")
_COMMANDS = {
    "demo": "shiftlab.cli.demo:demo",
    "ingest": "shiftlab.cli.ingest:ingest",
    "subsets": "shiftlab.cli.subsets:subsets",
    "items": "shiftlab.cli.items:items",
    "shift": "shiftlab.cli.shift:shift",
    "filters": "shiftlab.cli.filters:filters",
    "episodes": "shiftlab.cli.episodes:episodes",
    "curate": "shiftlab.cli.curate:curate",
    "measures": "shiftlab.cli.measures:measures",
    "sql": "shiftlab.cli.sql:sql",
    "explore": "shiftlab.cli.explore:explore",
    "runs": "shiftlab.cli.runs:runs",
    "check": "shiftlab.cli.check:check",
    "export": "shiftlab.cli.backup:export",
    "restore": "shiftlab.cli.backup:restore",
    "cards": "shiftlab.cli.cards:cards",
    "completion": "shiftlab.cli.completion:completion",
}


class LazyGroup(click.Group):
    """A group whose commands are named as ``module:attribute`` and imported on use."""

    def __init__(self, *args: Any, lazy: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word in args:
            if not word.isascii() and word != word.encode(errors="replace").decode():
                raise click.UsageError(f"{word!r} is no text in UTF-8: names and paths must be")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: shiftlab demo",
)
@catalog_option
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, asked: _version(ctx, asked),
    help="Show the version with what it runs on.",
)
@click.pass_context
def root(ctx: click.Context, catalog: str | None) -> None:
    """How different are two sets of data, what makes them different, and which part should I keep?

    Everything ShiftLab knows is in one catalog, a folder with a DuckDB file: commands fill it and read it,
    'shiftlab explore' shows it, 'shiftlab sql' queries it.
    """
    ctx.obj = Settings(catalog=catalog)


def _version(ctx: click.Context, asked: bool) -> None:
    """The version, and below it what a report of a fault should name."""
    if not asked or ctx.resilient_parsing:
        return
    import platform
    from importlib import metadata

    from shiftlab import resources

    schema = max(path.stem for path in (resources.folder("sql") / "schema").glob("[0-9]*.sql"))
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    click.echo(f"shiftlab {__version__}, {resources.built_from()}")
    click.echo(
        f"catalog schema {schema}; Python {platform.python_version()} on {platform.platform(terse=True)}"
    )
    click.echo(libraries)
    ctx.exit()


def main() -> None:
    """Entry point: errors become one line on stderr and the exit code of their type."""
    try:
        root.main(prog_name="shiftlab", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ShiftLabError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        _fail("stopped; what was not finished was not stored", 130)
    except OSError as error:
        if os.environ.get("SHIFTLAB_DEBUG"):
            raise
        _fail(told(error), 1)
    except MemoryError:
        _fail("out of memory; nothing was changed", 1)
    except Exception as error:
        if os.environ.get("SHIFTLAB_DEBUG"):
            raise
        _fail(f"internal error: {type(error).__name__}: {error}; SHIFTLAB_DEBUG=1 shows where", 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"shiftlab: {message}", err=True)
    sys.exit(code)
