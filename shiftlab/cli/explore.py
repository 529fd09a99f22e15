"""shiftlab explore: the Streamlit explorer."""

from __future__ import annotations

import click

from shiftlab.cli.settings import Settings, common


@click.command(epilog="Example: shiftlab --catalog shiftlab-demo explore --port 8600")
@common
@click.option("--port", type=click.IntRange(1, 65535), help="Default: the first free port from 8501 on.")
@click.option("--no-open", is_flag=True, help="Do not open a browser; only print the address.")
def explore(settings: Settings, port: int | None, no_open: bool) -> None:
    """Open the catalog in the explorer, on this machine only (127.0.0.1). Ctrl+C ends it."""
    from shiftlab import explorer

    catalog = settings.open()
    with explorer.serve(catalog.path, port) as server:
        settings.say(f"explorer of '{catalog.path}' at {server.url} (Ctrl+C ends it)")
        server.wait(open_browser=not no_open)
