"""shiftlab export and restore: a catalog as plain files, and back."""

from __future__ import annotations

from pathlib import Path

import click

from shiftlab.cli.settings import DEFAULT_CATALOG, Settings, common


@click.command(epilog="Example: shiftlab export backup-of-monday")
@common
@click.argument("folder", type=click.Path())
def export(settings: Settings, folder: str) -> None:
    """Back the catalog up into FOLDER: every table as Parquet, files of vectors, saved views, with their hashes."""
    from shiftlab import backup

    done = backup.export(settings.open().store, folder)
    settings.say(
        f"wrote {done.tables} tables with {done.rows:,} rows and {done.files:,} files, "
        f"{done.bytes / 1e6:,.1f} MB, into '{folder}'"
    )


@click.command(epilog="Example: shiftlab --catalog again restore backup-of-monday")
@common
@click.argument("folder", type=click.Path())
def restore(settings: Settings, folder: str) -> None:
    """Bring the catalog that 'shiftlab export' wrote into FOLDER back, as the new catalog of --catalog."""
    from shiftlab import backup

    target = Path(settings.catalog or DEFAULT_CATALOG)
    done = backup.restore(folder, target)
    settings.say(
        f"restored {done.tables} tables with {done.rows:,} rows and {done.files:,} files into '{target}'"
    )
