"""shiftlab measures: what can be measured, when to use it and when not."""

from __future__ import annotations

import click

from shiftlab.cli.settings import Settings, common


@click.command(epilog="Example: shiftlab measures sliced_wasserstein")
@common
@click.argument("name", required=False)
def measures(settings: Settings, name: str | None) -> None:
    """The measures: all of them, or NAME in full."""
    import polars as pl

    from shiftlab import measures as package
    from shiftlab.errors import NotFoundError

    if name is None:
        settings.emit(package.available().select("name", "kind", "unit", "range", "zero_means", "use_when"))
        return
    try:
        package.get(name)
    except ValueError as error:
        raise NotFoundError(str(error)) from error
    row = package.available().filter(pl.col("name") == name)
    if settings.format or settings.output:
        settings.emit(row)
        return
    for key, value in row.row(0, named=True).items():
        click.echo(f"{key.replace('_', ' '):>16}  {value}")
