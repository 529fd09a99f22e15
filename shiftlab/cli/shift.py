"""shiftlab shift: scores between two subsets, or all pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftlab.cli import states
from shiftlab.cli.plotting import plot_option, save
from shiftlab.cli.settings import Settings, common, engine_option

if TYPE_CHECKING:
    from shiftlab.shift.score import Score
    from shiftlab.shift.subsets import Matrix

_SHOWN = (
    "measure", "value", "debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p",
    "n_left", "n_right", "seed", "seconds", "note",
)  # fmt: skip


class _PairByDefault(click.Group):
    """`shiftlab shift A B` without naming the command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["pair", *args]
        return super().resolve_command(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "A B [OPTIONS] | COMMAND ...")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Options before A and B belong to the pair: shiftlab shift --measure mmd A B
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["pair", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_PairByDefault, epilog="Example: shiftlab shift 'cat(couch)' 'cat(car)' --measure mmd")
def shift() -> None:
    """Scores of shift between two subsets A and B, or all pairs of a class (shift matrix)."""


@shift.command(epilog="Example: shiftlab shift 'dog(couch)' 'dog(frisbee)' --space captions --measure mmd")
@common
@click.argument("a")
@click.argument("b")
@click.option(
    "--measure",
    "-m",
    "measures",
    multiple=True,
    help="As often as needed; default: a first set. See 'shiftlab measures'.",
)
@click.option("--space", help="Vector space for measures of clouds; needed where the dataset has several.")
@click.option("--stage", default="base", show_default=True)
@click.option(
    "--signal", help="Compare the amplitude spectra of these signals instead: see 'ingest signals'."
)
@click.option("--dataset", help="Where several datasets have subsets of these names.")
@click.option("--permutations", type=click.IntRange(min=0), default=999, show_default=True)
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True)
@plot_option("each score with its interval beside what chance gives")
def pair(
    settings: Settings, a: str, b: str, measures: tuple[str, ...], plot: Path | None, **options: Any
) -> None:
    """Scores between subsets A and B: value, null, p-value, sample sizes. Stored in the table score."""
    import polars as pl

    with settings.progress() as progress:
        scores = settings.open().compare(a, b, measure=list(measures) or None, progress=progress, **options)
    texts, counts = ("measure", "note"), ("n_left", "n_right", "seed")
    schema = {
        name: pl.String if name in texts else pl.Int64 if name in counts else pl.Float64 for name in _SHOWN
    }
    settings.emit(
        pl.DataFrame([{name: getattr(one, name) for name in _SHOWN} for one in scores], schema=schema)
    )
    if plot is not None:
        save(settings, _beside_chance(scores), plot)


def _beside_chance(scores: list[Score]) -> Any:
    import polars as pl

    from shiftlab import figures

    names = ("value", "ci_low", "ci_high", "null_mean", "null_q95")
    rows = [
        {"label": one.measure.replace("_", " "), "null_quantiles": one.params.get("null_quantiles")}
        | {name: getattr(one, name) for name in names}
        for one in scores
    ]
    frame = pl.DataFrame(rows, schema=["label", "null_quantiles", *names])
    typed = frame.with_columns(
        pl.col("null_quantiles").cast(pl.List(pl.Float64)), pl.col(names).cast(pl.Float64)
    )
    return figures.against_chance(typed)


@shift.command(epilog="Example: shiftlab shift why 'dog(couch)' 'dog(frisbee)' --kind moves")
@common
@click.argument("a")
@click.argument("b")
@click.option(
    "--kind",
    type=click.Choice(["features", "values", "flows", "moves", "nearest", "witness"]),
    default="features",
    show_default=True,
    help="features: columns by their own shift; values: one column of every item; flows: the transport plan between "
    "groups of similar items; moves: its costliest moves; nearest: items of A nearest to and farthest from B; witness: "
    "items where one side is dense and the other is not.",
)
@click.option(
    "--feature", type=click.IntRange(min=0), default=0, show_default=True, help="Column for values."
)
@click.option("--space", help="Vector space; needed where the dataset has several.")
@click.option("--stage", default="base", show_default=True)
@click.option("--dataset", help="Where several datasets have subsets of these names.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Rows of each list.")
@click.option("--seed", type=int, default=0, show_default=True)
def why(settings: Settings, a: str, b: str, **options: Any) -> None:
    """What makes subset A differ from B: features, moved mass, items at the extremes."""
    from shiftlab.shift import why as module

    settings.emit(module.why(settings.open().store, a, b, **options))


@shift.command(
    epilog="Example: shiftlab shift matrix --class cat --dataset coco --measure sliced_wasserstein"
)
@common
@click.option("--class", "subject", help="All kept subsets of this class.")
@click.option("--where", help="Or all that fit a SQL predicate over the view subsets.")
@click.option("--measure", "-m", default="sliced_wasserstein", show_default=True)
@click.option("--space", help="Vector space for measures of clouds.")
@click.option("--stage", default="base", show_default=True)
@click.option("--dataset", help="Where several datasets have this class.")
@click.option(
    "--permutations", type=click.IntRange(min=0), default=0, show_default=True, help="For p- and q-values."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--square", is_flag=True, help="Write the square matrix instead of one row a pair.")
@plot_option("a heat map in the order of a cluster tree")
def matrix(settings: Settings, measure: str, square: bool, plot: Path | None, **options: Any) -> None:
    """One measure for all pairs of subsets. Stored in the table score."""
    import polars as pl

    with settings.progress() as progress:
        found = settings.open().matrix(measure, progress=progress, **options)
    if square:
        columns = {"subset": found.names} | {name: found.value[:, i] for i, name in enumerate(found.names)}
        settings.emit(pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None)))
    else:
        settings.emit(found.pairs.sort("value", descending=True, nulls_last=True))
    if plot is not None:
        save(settings, _heat_map(found), plot)


def _heat_map(found: Matrix) -> Any:
    from shiftlab import matrix_figures

    title = found.measure.replace("_", " ")
    tree = matrix_figures.clustered(found.pairs, found.names, similarity=found.measure == "overlap")
    return matrix_figures.with_tree(matrix_figures.matrix(found.pairs, tree.order, title), tree, title)


@shift.command(
    epilog="Example: shiftlab shift blocks pairs/ --where \"kept and dataset = 'coco'\" --engine 2"
)
@common
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--class", "subject", help="All kept subsets of this class.")
@click.option("--where", help="Or all that fit a SQL predicate over the view subsets.")
@click.option("--space", help="Vector space; needed where the dataset has several.")
@click.option("--stage", default="base", show_default=True)
@click.option("--dataset", help="Where several datasets have this class.")
@click.option("--seed", type=int, default=0, show_default=True)
@engine_option
def blocks(settings: Settings, folder: str, **options: Any) -> None:
    """Sliced Wasserstein of all pairs of thousands of subsets, as Parquet files in FOLDER.

    A matrix of 10,000 subsets does not belong in memory: pairs are written block by block, with certified
    bounds, and a call that was cut off goes on when it is repeated.
    """
    import polars as pl

    with settings.progress() as progress:
        found = settings.open().blocks(folder, progress=progress, **options)
    settings.say(
        f"read them with DuckDB: select s.name, t.name, value from '{folder}/pairs-*.parquet' "
        f"join '{folder}/subsets.parquet' s on s.position = \"left\" "
        f"join '{folder}/subsets.parquet' t on t.position = \"right\""
    )
    settings.emit(
        pl.DataFrame({"folder": [str(found.folder)], "subsets": [found.n_subsets], "pairs": [found.n_pairs]})
    )


for command in states.COMMANDS:
    shift.add_command(command)
