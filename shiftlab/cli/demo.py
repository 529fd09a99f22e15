"""shiftlab demo: the first run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from shiftlab.cli.settings import Settings, common


@click.command(epilog="Example: shiftlab demo --no-open")
@common
@click.argument("folder", metavar="[DIR]", default="shiftlab-demo", type=click.Path(file_okay=False))
@click.option(
    "--no-open", is_flag=True, help="Build the catalog and print the findings; do not start the explorer."
)
def demo(settings: Settings, folder: str, no_open: bool) -> None:
    """Build a catalog from bundled real data, print three findings, open the explorer.

    Needs no network, about 40 MB in DIR (default: ./shiftlab-demo) and less than a minute; a second run
    reuses what is there.
    """
    from shiftlab import demo as package
    from shiftlab import explorer

    settings.say(f"Building a catalog of bundled real data in '{folder}' (about 40 MB, no network).")
    with _bar(settings.quiet) as progress:
        catalog = package.build(folder, progress)
    port = explorer.free_port()
    for number, finding in enumerate(package.findings(catalog), 1):
        click.echo(f"{number}. {finding.text}")
        click.echo(f"   {finding.command.replace('shiftlab ', f'shiftlab --catalog {folder} ', 1)}")
        click.echo(f"   {explorer.link(finding.page, finding.state, port=port)}")
    if no_open:
        settings.say(
            f"The links work while the explorer runs: shiftlab --catalog {folder} explore --port {port}"
        )
        return
    with explorer.serve(catalog.path, port) as server:
        settings.say(f"Explorer at {server.url} (Ctrl+C ends it)")
        server.wait(open_browser=True)


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr; plain lines where stderr is no terminal."""
    if quiet:
        yield lambda *_: None
        return
    if not sys.stderr.isatty():
        yield lambda name, done, total: click.echo(f"[{done}/{total}] {name}", err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TimeElapsedColumn(), BarColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("starting", total=1)
        yield lambda name, done, total: shown.update(task, description=name, completed=done, total=total)
