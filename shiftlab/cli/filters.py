"""shiftlab filters, and shiftlab ingest models: statistics of the convolution kernels of trained networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftlab.cli.plotting import plot_option, save, save_rows
from shiftlab.cli.settings import Settings, common, engine_option

if TYPE_CHECKING:
    import polars as pl

_KINDS = ["regular", "depthwise", "all"]
_KIND_HELP = "regular: without depthwise and transposed convolutions; all: as CNN Filter DB."
_where = click.option("--where", help="SQL predicate over the columns of the view filter_layers.")


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which layers: --where and --kind."""
    kind = click.option(
        "--kind", type=click.Choice(_KINDS), default="regular", show_default=True, help=_KIND_HELP
    )
    return _where(kind(command))


@click.command("models", epilog="Example: shiftlab ingest models weights/ --metadata models.csv")
@common
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option(
    "--metadata",
    type=click.Path(dir_okay=False),
    help="CSV with a column file or sha256, and name, task, category, architecture, training_data, licence, source ...",
)
@click.option(
    "--external-data", is_flag=True, help="Let ONNX models keep weights in other files of their folder."
)
@click.option(
    "--fold-batch-norm", is_flag=True, help="Multiply batch normalisations that follow into the weights."
)
@click.option(
    "--keep-filters",
    is_flag=True,
    help="Keep the 3x3 filters too, for contact sheets and the published drift; also of models already there.",
)
@engine_option
def ingest_models(settings: Settings, paths: tuple[str, ...], metadata: str | None, **options: Any) -> None:
    """Weights of trained networks: safetensors, torch, ONNX, Keras, TFLite, TF.js, npz, or a sketch file.

    PATHS are files, or folders that are searched. Files are only read: what they hold is never run.
    """
    with settings.progress() as progress:
        done = settings.open(create=True).ingest_models(list(paths), metadata, progress=progress, **options)
    there = sum(model.already_there for model in done)
    if there:
        settings.say(f"{there:,} of {len(done):,} models are in the catalog already")
    if added := sum(model.filters_added for model in done):
        settings.say(f"kept the filters of {added:,} of them")
    for model in done:
        if not model.already_there:
            settings.say(
                f"{model.name}: {model.layers:,} convolutions, {model.layers_3x3:,} with 3x3 kernels, "
                f"{model.filters_3x3:,} filters"
            )
            if model.skipped:
                first = model.skipped[0]
                settings.say(
                    f"  {len(model.skipped):,} layers not used, the first: {first.name}: {first.reason} "
                    "(listed in the table ingest_issue)"
                )
    if there < len(done):
        settings.say("next: shiftlab filters list")


@click.group()
def filters() -> None:
    """Convolution kernels of trained networks: quality, drift between groups, bases, duplicates."""


@filters.command("list", epilog="Example: shiftlab filters list --format csv")
@common
def list_(settings: Settings) -> None:
    """The models: layers, 3x3 filters, average quality, licence."""
    from shiftlab import filters as package

    settings.emit(package.list_models(settings.open().store))


@filters.command(epilog="Example: shiftlab filters show open-nsfw")
@common
@click.argument("model")
def show(settings: Settings, model: str) -> None:
    """Every layer of MODEL: shape, depth, quality and what stands out."""
    from shiftlab import filters as package

    settings.emit(package.show_model(settings.open().store, model))


@filters.command(
    epilog="Example: shiftlab filters quality --by depth_decile --where \"task = 'Segmentation'\""
)
@common
@click.option("--model", help="Only this model.")
@click.option(
    "--by", help="Averages per group instead of layers: any column or SQL expression of filter_layers."
)
@click.option(
    "--sweep", is_flag=True, help="How many 3x3 layers are degenerate under each combination of thresholds."
)
@click.option("--low-entropy", type=float, default=0.5, show_default=True,
              help="A layer is degenerate with less diversity than this and ...")  # fmt: skip
@click.option("--sparse-share", type=float, default=0.14, show_default=True,
              help="... at least this share of sparse filters; or ...")  # fmt: skip
@click.option("--random-margin", type=float, default=0.02, show_default=True,
              help="... with diversity above that of random filters less this.")  # fmt: skip
@click.option("--kind", type=click.Choice(_KINDS), help=f"{_KIND_HELP} Default: all; with --by regular.")
@plot_option("variance entropy over depth, a line a model; with --by or --sweep the rows")
@_where
def quality(
    settings: Settings,
    model: str | None,
    by: str | None,
    sweep: bool,
    where: str | None,
    kind: Any,
    plot: Path | None,
    **thresholds: float,
) -> None:
    """Quality of layers, with the reason in words; by group, or as a sweep over thresholds."""
    from shiftlab import filter_figures
    from shiftlab import filters as package

    store = settings.open().store
    if sweep:
        found = package.sweep(store, where, kind or "all")
    elif by is not None:
        found = package.quality_by(store, by, where, kind or "regular")
    else:
        found = package.list_layers(store, model, where, kind or "all", **thresholds)
    settings.emit(found)
    if plot is None:
        return
    if sweep or by is not None:
        save_rows(settings, found, plot)
    else:
        save(settings, filter_figures.quality_over_depth(found, "variance_entropy"), plot)


@filters.command(epilog="Example: shiftlab filters drift --by task")
@common
@click.option(
    "--by", required=True, help="What makes the groups: any column or SQL expression of filter_layers."
)
@click.option(
    "--mode",
    type=click.Choice(["fixed", "uniform", "published"]),
    default="fixed",
    show_default=True,
    help="fixed: DCT basis, weighted by variance; uniform: equal weights; published: pooled principal components.",
)
@click.option("--kernel", default="3x3", show_default=True, help="Kernel size, such as 5x5.")
@click.option(
    "--resamples", type=click.IntRange(40), default=200, show_default=True, help="Relabellings of each null."
)
@click.option("--seed", type=int, default=0, show_default=True)
@plot_option("a heat map of the groups")
@_selection
def drift(
    settings: Settings, by: str, where: str | None, kind: Any, plot: Path | None, **parameters: Any
) -> None:
    """Drift between all pairs of groups, with its bias, null and verdict. Stored as scores."""
    from shiftlab import filters as package

    with settings.progress() as progress:
        frame = package.drift_by(
            settings.open().store, by, where=where, kind=kind, progress=progress, **parameters
        )
    settings.emit(frame)
    if plot is not None:
        save(settings, _heat_map(frame), plot)
    tiny = int(frame["tiny"].sum())
    if tiny:
        settings.say(f"{tiny} of {len(frame)} pairs have a side below 1,000 filters: do not read their drift")


def _heat_map(drift: pl.DataFrame) -> Any:
    from shiftlab import filter_figures

    sides = {
        "left": "left_name",
        "right": "right_name",
        "drift": "value",
        "corrected": "debiased",
        "filters_left": "n_left",
        "filters_right": "n_right",
    }
    pairs = drift.select(*sides, "distinguishable").rename(sides)
    return filter_figures.drift_matrix(pairs, filter_figures.group_order(pairs))


@filters.command(epilog="Example: shiftlab filters basis --by task --format json")
@common
@click.option("--by", default="'all'", help="What makes the groups; default: all layers together.")
@click.option("--kernel", default="3x3", show_default=True, help="Kernel size, such as 5x5.")
@plot_option("the components as a contact sheet")
@_selection
def basis(settings: Settings, by: str, kernel: str, where: str | None, kind: Any, plot: Path | None) -> None:
    """Principal components of groups of filters, from summed Gram matrices."""
    from shiftlab import filter_figures
    from shiftlab import filters as package

    found = package.basis_by(settings.open().store, by, where, kind, kernel)
    settings.emit(found)
    if plot is not None:
        save(settings, filter_figures.eigenfilters(found), plot)


@filters.command(epilog="Example: shiftlab filters coefficients --by task -o coefficients.parquet")
@common
@click.option("--by", default="'all'", help="What makes the groups; default: all layers together.")
@click.option("--kernel", default="3x3", show_default=True, help="Kernel size, such as 5x5.")
@plot_option("the distributions, a panel a component")
@_selection
def coefficients(
    settings: Settings, by: str, kernel: str, where: str | None, kind: Any, plot: Path | None
) -> None:
    """Distributions of coefficients on the DCT basis, by group and component."""
    from shiftlab import filter_figures
    from shiftlab import filters as package

    found = package.coefficients_by(settings.open().store, by, where, kind, kernel)
    settings.emit(found)
    if plot is not None:
        save(settings, filter_figures.coefficient_ridges(found), plot)


@filters.command(epilog="Example: shiftlab filters components 'Text Detection' 'Face Detection' --by task")
@common
@click.argument("a")
@click.argument("b")
@click.option("--by", required=True, help="What makes the groups, as in 'filters drift'.")
@click.option("--kernel", default="3x3", show_default=True, help="Kernel size, such as 5x5.")
@_selection
def components(
    settings: Settings, a: str, b: str, by: str, kernel: str, where: str | None, kind: Any
) -> None:
    """What makes the drift between groups A and B: divergence and Wasserstein of each component."""
    from shiftlab import filters as package

    settings.emit(
        package.components_of_pair(settings.open().store, by, a, b, where=where, kind=kind, kernel=kernel)
    )


@filters.command(epilog="Example: shiftlab filters sheet mtcnn-pnet --layer 1 --pick norm --plot sheet.svg")
@common
@click.argument("model")
@click.option(
    "--layer", type=int, default=0, show_default=True, help="Number among the 3x3 layers of MODEL, from 0."
)
@click.option("--pick", type=click.Choice(["random", "norm", "nearest"]), default="random", show_default=True,
              help="norm: the strongest; nearest: those most like the filter of --like.")  # fmt: skip
@click.option("--like", type=int, help="Number of a filter for nearest; default: the strongest.")
@click.option("--filters", type=int, default=64, show_default=True, help="At most so many.")
@click.option("--seed", type=int, default=0, show_default=True)
@plot_option("the filters as one contact sheet")
def sheet(settings: Settings, model: str, layer: int, plot: Path | None, **options: Any) -> None:
    """Single 3x3 filters of a layer of MODEL as they are. They must have been kept: ingest --keep-filters."""
    from shiftlab import filter_figures
    from shiftlab import filters as package

    found = package.contact_sheet(settings.open().store, model, layer, **options)
    settings.emit(found)
    if plot is not None:
        save(settings, filter_figures.contact_sheet(found), plot)


@filters.command(epilog="Example: shiftlab filters phenotypes --by model")
@common
@click.option("--by", default="model", show_default=True, help="What makes the groups.")
@click.option("--kernel", default="3x3", show_default=True, help="Kernel size, such as 5x5.")
@_selection
def phenotypes(settings: Settings, by: str, kernel: str, where: str | None, kind: Any) -> None:
    """Looks of groups of filters as scores: sun, spikes, symbols, point."""
    from shiftlab import filters as package

    settings.emit(package.phenotypes_by(settings.open().store, by, where, kind, kernel))


@filters.command(epilog="Example: shiftlab filters duplicates")
@common
@click.option("--where", help="SQL predicate over the columns of the view filter_layers.")
def duplicates(settings: Settings, where: str | None) -> None:
    """Copies, fine-tunes that kept layers, and near duplicates among the models."""
    from shiftlab import filters as package

    settings.emit(package.stored_duplicates(settings.open().store, where))


@filters.command(epilog="Example: shiftlab filters export sketches.parquet")
@common
@click.argument("file", type=click.Path(dir_okay=False))
def export(settings: Settings, file: str) -> None:
    """Write sketches and quality of all models to one Parquet FILE, without weights; 'ingest models' reads it."""
    from shiftlab import filters as package

    models = package.export_sketches(settings.open().store, file)
    settings.say(f"{models:,} models -> {file}")
