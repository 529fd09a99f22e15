"""shiftlab cards: data cards, built from a hand-written card.yaml and the data, and checked."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from shiftlab.cli.settings import Settings, common

_folder = click.argument("folder", required=False, type=click.Path())


@click.group()
def cards() -> None:
    """Data cards: list, build, check."""


@cards.command("list", epilog="Example: shiftlab cards list")
@common
@_folder
def list_(settings: Settings, folder: str | None) -> None:
    """The cards of FOLDER (default: data_cards here, or the bundled ones)."""
    from shiftlab import cards as package

    settings.emit(package.list_cards(package.folder_of(folder)))


@cards.command(epilog="Example: shiftlab cards build data_cards")
@common
@_folder
def build(settings: Settings, folder: str | None) -> None:
    """Write README.md, croissant.json and stats.json of every card of FOLDER from its card.yaml and data."""
    import polars as pl

    from shiftlab import cards as package

    settings.emit(pl.DataFrame([asdict(one) for one in package.build(package.folder_of(folder))]))


@cards.command(epilog="Example: shiftlab cards check && git push")
@common
@_folder
def check(settings: Settings, folder: str | None) -> None:
    """Recompute every number and hash of the cards of FOLDER; exit 1 where a card is wrong or stale."""
    import polars as pl

    from shiftlab import cards as package
    from shiftlab.cards import others

    found = package.check(package.folder_of(folder))
    settings.emit(pl.DataFrame([asdict(one) for one in found]))
    if not others.installed():
        settings.say(
            "Croissant files were not loaded by another tool: pip install mlcroissant to check that too"
        )
    if bad := [one for one in found if one.state != "ok"]:
        settings.say(f"{len(bad)} of {len(found)} files are not as they should be")
        sys.exit(1)
