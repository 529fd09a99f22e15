"""shiftlab items: the units of a data set."""

from __future__ import annotations

from typing import Any

import click

from shiftlab.cli.settings import Settings, common


@click.group()
def items() -> None:
    """The images or other units of a data set: list."""


@items.command(
    "list",
    epilog="Example: shiftlab items list --dataset coco --subset 'cat(bed)' --where 'len(objects) > 5'",
)
@common
@click.option("--dataset", required=True, help="Data set whose items are listed.")
@click.option("--where", help="SQL predicate over the columns of the view items, as in curate select.")
@click.option("--subset", help="Only items of this subset.")
@click.option("--shows", metavar="OBJECT", help="Only items that show this object.")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many items.")
def list_(settings: Settings, dataset: str, limit: int | None, **narrower: Any) -> None:
    """The items, with the objects, places and attributes they show and their labels."""
    from shiftlab import subsets as package

    found = package.list_items(settings.open().store, dataset, limit=limit, **narrower)
    settings.emit(found)
