"""docs/cli.md: what --help says about every command, so that it can be read and searched in one page."""

from __future__ import annotations

from collections.abc import Iterator

import click

from shiftlab.cli import root
from tests.docs.documents import ROOT

DOCUMENT = ROOT / "docs" / "cli.md"
_WIDTH = 100
_HEAD = """# Commands

What `--help` says, command by command. Written by `python -m tests.docs`; edit the commands instead.

Every command that prints rows takes `--format` (table, csv, json, ndjson, markdown, parquet, arrow) and `-o FILE`. Rows
go to standard output, messages to standard error. Exit codes: 0 done, 1 work that failed or a check not met, 2 wrong use
or bad input, 75 the catalog is busy, 124 a time limit, 130 stopped. `SHIFTLAB_CATALOG` names the catalog,
`SHIFTLAB_DEBUG=1` shows where an internal error arose.
"""


def text() -> str:
    """The whole page: a table of commands, then the help of each."""
    found = list(every_command())
    listed = "\n".join(
        f"| [`{path}`](#{_anchor(path)}) | {_cell(command.get_short_help_str(90))} |"
        for path, command, _ in found
    )
    parts = [f"## {path}\n\n```text\n{_help(command, context)}\n```" for path, command, context in found]
    return f"{_HEAD}\n| command | does |\n|---|---|\n{listed}\n\n" + "\n\n".join(parts) + "\n"


def every_command() -> Iterator[tuple[str, click.Command, click.Context]]:
    """The path, the command and its context, of all of them."""
    return _commands(root, click.Context(root, info_name="shiftlab"))


def _commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command below this one and itself, in the order of its help."""
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, click.Context(below, info_name=name, parent=context))


def _help(command: click.Command, context: click.Context) -> str:
    context.terminal_width = _WIDTH
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines()).strip()


def _anchor(path: str) -> str:
    return path.replace(" ", "-")


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
