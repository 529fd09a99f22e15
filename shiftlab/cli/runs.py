"""shiftlab runs: what was done to the catalog."""

from __future__ import annotations

import click

from shiftlab.cli.settings import Settings, common


@click.command(epilog="Example: shiftlab runs --format json")
@common
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
def runs(settings: Settings, limit: int) -> None:
    """The runs that filled the catalog, newest first: parameters, inputs, seed, version, duration."""
    settings.emit(settings.open().sql("from runs", limit=limit).pl())
