"""shiftlab subsets: build the subset catalog and look at it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftlab.cli.plotting import plot_option, save
from shiftlab.cli.settings import Settings, common, engine_option

if TYPE_CHECKING:
    from shiftlab.catalog import Store


@click.group()
def subsets() -> None:
    """Named subsets such as cat(sofa): build, list, show, graph."""


@subsets.command(epilog="Example: shiftlab subsets build coco --min-images 50")
@common
@click.argument("dataset")
@click.option(
    "--contexts",
    type=click.Choice(["objects", "attributes", "places", "all"]),
    default="objects",
    show_default=True,
    help="What a context may be.",
)
@click.option("--mode", type=click.Choice(["shiftlab", "parity"]), default="shiftlab", show_default=True,
              help="parity: communities without edge weights, as in MetaShift's code.")  # fmt: skip
@click.option("--min-images", type=int, default=25, show_default=True, help="Least images of a subset.")
@click.option("--min-subsets", type=int, default=6, show_default=True, help="Least subsets of a kept class.")
@click.option(
    "--edge", type=float, default=0.2, show_default=True, help="Least overlap coefficient of an edge."
)
@click.option("--min-side", type=float, default=0.2, show_default=True,
              help="Least share of width or height an object spans for its attributes to count.")  # fmt: skip
@click.option("--dim", type=int, default=5, show_default=True, help="Dimensions of the spectral layout.")
@click.option("--min-relations", type=int, default=0, show_default=True,
              help="Keep class(context) only with so many relations from class to context.")  # fmt: skip
@click.option(
    "--allow",
    type=click.Path(),
    help="File with the names that may be built, one a line (or CSV column 'subset').",
)
@click.option("--seed", type=int, default=0, show_default=True)
@engine_option
def build(settings: Settings, dataset: str, contexts: Any, allow: str | None, **parameters: Any) -> None:
    """Build the subsets class(context) of DATASET, their overlaps, meta-graphs and distances."""
    import polars as pl

    from shiftlab.subsets import read_names

    names = None if allow is None else read_names(allow)
    with settings.progress() as progress:
        built = settings.open().build_subsets(dataset, contexts, progress=progress, allow=names, **parameters)
    settings.emit(pl.DataFrame([asdict(one) for one in built]))


@subsets.command("list", epilog="Example: shiftlab subsets list --where \"class = 'cat' and n > 200\"")
@common
@click.option("--dataset", help="Only this dataset.")
@click.option("--class", "subject", help="Only this class.")
@click.option("--where", help="SQL predicate over the columns of the view subsets.")
def list_(settings: Settings, dataset: str | None, subject: str | None, where: str | None) -> None:
    """The subsets, with size, community and degree."""
    from shiftlab import subsets as package

    settings.emit(package.list_subsets(settings.open().store, dataset, subject, where))


@subsets.command(epilog="Example: shiftlab subsets show 'cat(couch)'")
@common
@click.argument("name")
@click.option("--dataset", help="Where several datasets have a subset of this name.")
@click.option("--items", is_flag=True, help="List the items instead of the neighbours.")
def show(settings: Settings, name: str, dataset: str | None, items: bool) -> None:
    """One subset: its neighbours in the meta-graph, or its items."""
    from shiftlab import subsets as package

    store = settings.open().store
    settings.emit(
        package.members(store, name, dataset) if items else package.neighbours(store, name, dataset)
    )


@subsets.command(
    epilog="Example: shiftlab subsets split cat-dog-coco --dataset coco --name domains -o domains.csv"
)
@common
@click.argument("scheme")
@click.option("--dataset", required=True, help="Data set whose subsets are split.")
@click.option("--name", help="Name of the parts: NAME(train), NAME(test) ...")
@click.option("--mode", type=click.Choice(["shiftlab", "parity"]), default="shiftlab", show_default=True,
              help="parity: as MetaShift's released generator, its seeds and its sizes.")  # fmt: skip
@click.option("--option", help="domains: which training groups; the first by default.")
@click.option("--distance", type=float, help="domains: the training groups about so far from the test group.")
@click.option("--minority", type=int, help="subpopulation: minority images of each class in training.")
@click.option("--ratio", type=float, help="subpopulation: their share instead.")
@click.option("--test", type=int, help="subpopulation: test images of each group.")
@click.option(
    "--near-duplicates", type=float, help="Leave out of training what is at most so far from a test image."
)
@click.option("--space", help="Vector space for near-duplicates.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--feasible", is_flag=True, help="Only say what can be asked for; draw nothing.")
@click.option("--report", is_flag=True, help="Write the groups with their counts instead of the images.")
@click.option("--dry-run", is_flag=True, help="Store nothing.")
@click.option("--replace", is_flag=True, help="Put the parts in the place of curated subsets of these names.")
def split(settings: Settings, scheme: str, dataset: str, name: str | None, feasible: bool, report: bool,
          dry_run: bool, replace: bool, **options: Any) -> None:  # fmt: skip
    """A benchmark split after SCHEME (cat-dog-domains, cat-dog-subpopulation, cat-dog-coco, or a JSON file).

    Writes a table of item, file, split, y (class), a (environment); stores the parts as subsets with a recipe.
    """
    from shiftlab import curate
    from shiftlab.errors import BadInputError

    catalog = settings.open()
    if feasible:
        settings.emit(curate.feasible(catalog.store, scheme, dataset, test=options["test"]))
        return
    if name is None:
        raise BadInputError("name the parts with --name, or ask what is --feasible")
    found, made = catalog.benchmark_split(scheme, dataset, name, dry_run=dry_run, replace=replace, **options)
    for one in made.subsets.rows(named=True):
        state = "would hold" if dry_run else "is there already:" if made.already_there else "holds"
        settings.say(f"'{one['name']}' {state} {one['n']:,} items")
    settings.emit(found.report if report else found.table)


@subsets.command(epilog="Example: shiftlab subsets graph cat --edges")
@common
@click.argument("subject", metavar="CLASS")
@click.option("--dataset", help="Where several datasets have this class.")
@click.option("--edges", is_flag=True, help="Only pairs whose overlap reaches the edge threshold.")
@plot_option("the graph, its edges and communities")
def graph(settings: Settings, subject: str, dataset: str | None, edges: bool, plot: Path | None) -> None:
    """The meta-graph of CLASS: every pair with its overlap and distances."""
    from shiftlab import subsets as package

    store = settings.open().store
    if plot is not None:
        save(settings, _drawing(store, subject, dataset), plot)
    settings.emit(package.graph(store, subject, dataset, edges_only=edges))


def _drawing(store: Store, subject: str, dataset: str | None) -> Any:
    from shiftlab import subset_figures
    from shiftlab import subsets as package
    from shiftlab.errors import BadInputError

    nodes = package.places(store, subject, dataset)
    if nodes["dataset"].n_unique() > 1:
        several = ", ".join(nodes["dataset"].unique().sort())
        raise BadInputError(f"'{subject}' is a class of {several}: name one with --dataset to draw it")
    if nodes.is_empty():
        raise BadInputError(f"nothing to draw: no subset of '{subject}' has a place in a meta-graph")
    edges = package.graph(store, subject, dataset, edges_only=True)
    return subset_figures.meta_graph_drawing(nodes, edges)
