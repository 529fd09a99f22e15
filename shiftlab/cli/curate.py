"""shiftlab curate: operations that make new subsets, with a reason for every item and a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shiftlab.cli.settings import Settings, common
from shiftlab.errors import BadInputError

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def curate() -> None:
    """Make new subsets: choose, combine, split, match, weigh, mix, mine; see what was made, and export it."""


def _numbers(_ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        return tuple(float(one) for one in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"numbers with commas between them, as 0.8,0.2, not '{value}'", param=option
        ) from error


def _shares(_ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for one in value:
        name, sign, share = one.rpartition("=")
        try:
            found[name] = float(share)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise click.BadParameter(f"NAME=SHARE, as day=0.5, not '{one}'", param=option)
    return found


def _made(command: F) -> F:
    """The options of every operation that makes a subset."""
    for decorate in (
        click.option("--dry-run", is_flag=True, help="Show what would be kept and why; store nothing."),
        click.option("--replace", is_flag=True, help="Put it in the place of a curated subset of this name."),
        click.option(
            "--name", required=True, help="Name of the new subset; several parts become NAME(part)."
        ),
        click.option(
            "--dataset", help="The data set to choose from, or where several have a subset of a name."
        ),
    ):
        command = decorate(command)
    return command


def _pool(command: F) -> F:
    return click.option(
        "--from", "subsets", multiple=True, metavar="SUBSET", help="Choose from this subset; may be repeated."
    )(command)


def _space(command: F) -> F:
    command = click.option("--stage", default="base", show_default=True, help="Stage of the vector space.")(
        command
    )
    return click.option("--space", help="Vector space, where the data set has several.")(command)


_seed = click.option("--seed", type=int, default=0, show_default=True)


def _run(settings: Settings, operation: str, name: str, replace: bool, dry_run: bool, **options: Any) -> None:
    made = settings.open().curate(operation, name, replace=replace, dry_run=dry_run, **options)
    for one in made.subsets.rows(named=True):
        state = "would hold" if dry_run else "is there already:" if made.already_there else "holds"
        settings.say(f"'{one['name']}' {state} {one['n']:,} items, weight {one['weight']:.6g}")
    for key, value in made.facts.items():
        settings.say(
            f"{key.replace('_', ' ')}: {value:.4g}"
            if isinstance(value, float)
            else f"{key.replace('_', ' ')}: {value}"
        )
    settings.emit(made.summary)


@curate.command(
    epilog="Example: shiftlab curate select \"list_contains(objects, 'cat')\" --dataset coco --name cats"
)
@common
@click.argument("where")
@_pool
@_made
def select(settings: Settings, **options: Any) -> None:
    """Items that meet a SQL predicate: item, width, height, file, objects, attributes, places, labels['scheme']."""
    _run(settings, "select", **options)


@curate.command(epilog="Example: shiftlab curate union 'cat(bed)' 'cat(couch)' --name soft")
@common
@click.argument("subsets", nargs=-1, required=True)
@_made
def union(settings: Settings, **options: Any) -> None:
    """Items of any of the SUBSETS."""
    _run(settings, "union", **options)


@curate.command(epilog="Example: shiftlab curate intersect 'cat(bed)' 'cat(book)' --name reading")
@common
@click.argument("subsets", nargs=-1, required=True)
@_made
def intersect(settings: Settings, **options: Any) -> None:
    """Items of all the SUBSETS."""
    _run(settings, "intersect", **options)


@curate.command(epilog="Example: shiftlab curate difference 'cat(bed)' 'cat(person)' --name alone")
@common
@click.argument("subsets", nargs=-1, required=True)
@_made
def difference(settings: Settings, **options: Any) -> None:
    """Items of the first of the SUBSETS that are in none of the others."""
    _run(settings, "difference", **options)


@curate.command(
    "split-by-distance",
    epilog="Example: shiftlab curate split-by-distance --from 'cat(sink)' --reference 'cat(couch)' --name sink",
)
@common
@_pool
@click.option("--reference", required=True, help="The subset of training.")
@click.option("--quantiles", callback=_numbers, default="0.5", show_default=True, help="Where to cut.")
@_space
@_made
def split_by_distance(settings: Settings, **options: Any) -> None:
    """Near and far parts by distance of each item from a reference subset."""
    _run(settings, "split_by_distance", **options)


@curate.command(
    "group-split", epilog="Example: shiftlab curate group-split --dataset coco --by split --name parts"
)
@common
@_pool
@click.option("--by", required=True, help="Label whose values must not stand on two sides.")
@click.option("--shares", callback=_numbers, default="0.8,0.2", show_default=True, help="Sizes of the parts.")
@click.option(
    "--near-duplicates", type=float, help="Keep items together whose vectors are at most so far apart."
)
@_space
@_seed
@_made
def group_split(settings: Settings, **options: Any) -> None:
    """Parts that share no group: no scene, repository or author on two sides."""
    _run(settings, "group_split", **options)


@curate.command(
    "match-pairs", epilog="Example: shiftlab curate match-pairs 'cat(bed)' 'cat(couch)' --name matched"
)
@common
@click.argument("left")
@click.argument("right")
@click.option("--on", help="Match equal values of this label instead of vectors.")
@click.option("--most", type=float, help="Drop pairs farther apart.")
@_space
@_made
def match_pairs(settings: Settings, **options: Any) -> None:
    """As many items of LEFT and of RIGHT, matched one to one."""
    _run(settings, "match_pairs", **options)


@curate.command(
    "to-label-prior",
    epilog="Example: shiftlab curate to-label-prior --from A --scheme split --target train=1 --target val=1 --name b",
)
@common
@_pool
@click.option("--scheme", required=True, help="Label whose shares are set.")
@click.option(
    "--target", multiple=True, required=True, callback=_shares, metavar="LABEL=SHARE", help="May be repeated."
)
@click.option("--total", type=int, help="Draw so many items in these shares instead of weighing all.")
@_seed
@_made
def to_label_prior(settings: Settings, **options: Any) -> None:
    """Weights that give each label its share; they sum to 1."""
    _run(settings, "to_label_prior", **options)


@curate.command(
    epilog="Example: shiftlab curate reweight --from 'cat(bed)' --kind gate --reference 'cat(couch)' --name near"
)
@common
@_pool
@click.option(
    "--kind", type=click.Choice(["losses", "gate", "importance", "sources", "background"]), required=True
)
@click.option("--reference", "references", multiple=True, help="Subset to weigh towards or away from.")
@click.option(
    "--values", type=click.Path(), help="losses: table with the columns item, ce, ac, optionally weight."
)
@click.option(
    "--tau", type=float, default=1.0, show_default=True, help="gate, background: exp(-tau distance)."
)
@click.option("--rate", type=float, default=1.0, show_default=True, help="losses: learning rate.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="sources: softmax(-D/T).")
@_space
@_seed
@_made
def reweight(settings: Settings, **options: Any) -> None:
    """New weights by losses, a transport gate, importance, sources or background."""
    _run(settings, "reweight", **options)


@curate.command(
    epilog="Example: shiftlab curate mixture 'cat(bed)' 'cat(couch)' --weights 3,1 --total 100 --name mix"
)
@common
@click.argument("subsets", nargs=-1, required=True)
@click.option("--weights", callback=_numbers, default=None, help="Shares of the subsets; equal by default.")
@click.option("--total", type=int, required=True, help="Items of the mixture.")
@click.option("--replay", type=float, default=0.0, show_default=True, help="Share of the total from --old.")
@click.option("--old", metavar="SUBSET", help="Subset of old data to replay.")
@_seed
@_made
def mixture(settings: Settings, weights: tuple[float, ...] | None, **options: Any) -> None:
    """A random mixture of SUBSETS in given shares, with replay of old data."""
    _run(settings, "mixture", weights=weights or (), **options)


@curate.command("mine-subsets", epilog="Example: shiftlab curate mine-subsets --from 'cat(bed)' --name kinds")
@common
@_pool
@click.option(
    "--threshold", type=float, default=0.8, show_default=True, help="Least share of variance between the two."
)
@_space
@_seed
@_made
def mine_subsets(settings: Settings, **options: Any) -> None:
    """Two groups within a subset, if it truly has two."""
    _run(settings, "mine_subsets", **options)


@curate.command(
    epilog="Example: shiftlab curate flag --from 'cat(sink)' --reference 'cat(couch)' --quantile 0.99 --name odd"
)
@common
@_pool
@click.option(
    "--reference", "references", multiple=True, help="What is normal; without it the items themselves."
)
@click.option("--threshold", type=float, help="Least distance that is far.")
@click.option(
    "--quantile", type=float, default=0.95, show_default=True, help="Of the references' own distances."
)
@_space
@_made
def flag(settings: Settings, **options: Any) -> None:
    """Parts flagged and kept: items far from every reference."""
    _run(settings, "flag", **options)


@curate.command(
    "drop-degenerate", epilog="Example: shiftlab curate drop-degenerate --dataset coco --name clean"
)
@common
@_pool
@_space
@_made
def drop_degenerate(settings: Settings, **options: Any) -> None:
    """Items without those whose vector is missing, all zeros or a copy."""
    _run(settings, "drop_degenerate", **options)


@curate.command(
    "select-nearest",
    epilog="Example: shiftlab curate select-nearest --from 'cat(bed)' --target 'cat(couch)' --k 50 --name near",
)
@common
@_pool
@click.option("--target", required=True, help="Subset to come near to.")
@click.option("--k", type=int, required=True, help="How many items.")
@_space
@_made
def select_nearest(settings: Settings, **options: Any) -> None:
    """The k items nearest to a target subset."""
    _run(settings, "select_nearest", **options)


@curate.command(
    "swap-labels",
    epilog="Example: shiftlab curate swap-labels --dataset coco --scheme split --new-scheme split_swapped --name swap",
)
@common
@_pool
@click.option("--scheme", required=True, help="Labels to start from.")
@click.option("--new-scheme", required=True, help="Name of the labels that are made.")
@click.option("--times", type=int, default=1, show_default=True, help="How many swaps of two classes.")
@_seed
@_made
def swap_labels(settings: Settings, **options: Any) -> None:
    """A concept shift with a known answer: labels of random classes swapped, in a scheme of their own."""
    _run(settings, "swap_labels", **options)


@curate.command("list", epilog="Example: shiftlab curate list")
@common
@click.option("--dataset", help="Only this dataset.")
def list_(settings: Settings, dataset: str | None) -> None:
    """The subsets that curation made, with their recipes."""
    from shiftlab.curate import stored

    settings.emit(stored.list_curated(settings.open().store, dataset))


@curate.command(epilog="Example: shiftlab curate show soft")
@common
@click.argument("name")
@click.option("--dataset", help="Where several datasets have a subset of this name.")
def show(settings: Settings, name: str, dataset: str | None) -> None:
    """What was done with every item, and why."""
    from shiftlab.curate import stored

    settings.emit(stored.show(settings.open().store, name, dataset))


@curate.command(epilog="Example: shiftlab curate export soft --to huggingface -o soft/")
@common
@click.argument("name")
@click.option(
    "--to",
    type=click.Choice(["ids", "csv", "parquet", "weights", "imagefolder", "huggingface"]),
    required=True,
)
@click.option("--dataset", help="Where several datasets have a subset of this name.")
def export(settings: Settings, name: str, to: str, dataset: str | None) -> None:
    """Write any subset for other tools, its recipe beside it."""
    from shiftlab.curate import stored

    if settings.output is None:
        raise BadInputError("name the file or folder to write with -o")
    written = stored.export(settings.open().store, name, to, Path(settings.output), dataset=dataset)
    settings.say(f"wrote {written} and its recipe")
