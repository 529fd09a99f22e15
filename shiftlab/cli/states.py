"""shiftlab shift stages, predictions, labels ...: two states of the same things, each stored as score rows."""

from __future__ import annotations

from typing import Any

import click

from shiftlab.cli.settings import Settings, common

_dataset = click.option("--dataset", required=True, help="Dataset whose items are compared.")
_before = click.option("--before", default="base", show_default=True, help="First stage.")
_after = click.option("--after", required=True, help="Second stage.")
_by = click.option("--by", help="Label whose values are compared by themselves.")
_seed = click.option("--seed", type=int, default=0, show_default=True)


def _permutations(default: int) -> Any:
    return click.option("--permutations", type=click.IntRange(min=0), default=default, show_default=True)


@click.command(epilog="Example: shiftlab shift stages clip --dataset coco --after tuned --by split")
@common
@click.argument("space")
@_dataset
@_before
@_after
@_by
@click.option(
    "--concepts", type=int, help="Compare this many clusters of the first stage, with their recovery."
)
@_permutations(999)
@_seed
def stages(settings: Settings, space: str, dataset: str, **options: Any) -> None:
    """How the same items moved in SPACE between two stages: length, common direction, consistency."""
    settings.emit(settings.open().compare_stages(dataset, space, **options))


@click.command(epilog="Example: shiftlab shift predictions clip --dataset coco --after tuned --truth label")
@common
@click.argument("model")
@_dataset
@_before
@click.option("--after", help="Second stage; without it the agreement over all stages.")
@_by
@click.option("--truth", help="Labels that say what is right.")
@click.option(
    "--chance", type=float, help="Accuracy of chance: adds the share of the skill that is forgotten."
)
def predictions(settings: Settings, model: str, dataset: str, after: str | None, **options: Any) -> None:
    """How often MODEL says something else about the same items at another stage."""
    import polars as pl

    catalog = settings.open()
    if after is None:
        settings.emit(pl.DataFrame([catalog.consistency(dataset, model)]))
        return
    settings.emit(catalog.compare_predictions(dataset, model, after=after, **options))


@click.command(
    epilog="Example: shiftlab shift boundary minilm --dataset facts --before strict --after loose --positive true"
)
@common
@click.argument("space")
@_dataset
@click.option("--before", required=True, help="First labels of the items.")
@click.option("--after", required=True, help="Second labels.")
@click.option("--positive", required=True, help="The label whose boundary is looked at.")
@click.option("--stage", default="base", show_default=True, help="Stage of the space.")
@_permutations(199)
@_seed
def boundary(settings: Settings, space: str, dataset: str, **options: Any) -> None:
    """How the linear boundary of one label turns in SPACE when the items get other labels."""
    import polars as pl

    settings.emit(pl.DataFrame([settings.open().compare_labellings(dataset, space, **options)]))


@click.command(epilog="Example: shiftlab shift concept 'cat(couch)' 'cat(car)' --cells split --labels truth")
@common
@click.argument("left")
@click.argument("right", required=False)
@click.option(
    "--cells", required=True, help="Labels that say in which cell an item is; 'object' for what it shows."
)
@click.option("--labels", required=True, help="Labels whose share within a cell may have moved.")
@click.option("--labels-after", help="Without RIGHT: a second labelling of the items of LEFT.")
@click.option("--dataset", help="Where several datasets have subsets of these names.")
@_permutations(999)
@_seed
def concept(settings: Settings, left: str, right: str | None, **options: Any) -> None:
    """What moved between subsets LEFT and RIGHT: the cells, the labels, or the labels given the cell."""
    settings.emit(settings.open().compare_concepts(left, right, **options))


@click.command(
    epilog="Example: shiftlab shift signals output --dataset pictures --before target --after trained"
)
@common
@click.argument("signal")
@_dataset
@_before
@_after
@_by
@click.option("--first", type=int, help="Only this many of the lowest frequencies.")
@_permutations(999)
@_seed
def signals(settings: Settings, signal: str, dataset: str, **options: Any) -> None:
    """How far the spectra of the same items' SIGNAL are apart at two stages, in steps of frequency."""
    settings.emit(settings.open().compare_signals(dataset, signal, **options))


@click.command(epilog="Example: shiftlab shift checkpoints base.safetensors tuned.safetensors")
@common
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
@click.option(
    "--model", help="BEFORE and AFTER are then stages of this network: see 'shiftlab ingest checkpoints'."
)
def checkpoints(settings: Settings, before: str, after: str, model: str | None) -> None:
    """How every tensor of a network changed between two files: safetensors, torch, npz."""
    settings.emit(settings.open(create=True).compare_checkpoints(before, after, model=model))


@click.command(epilog="Example: shiftlab shift tasks net cars dogs --before base")
@common
@click.argument("model")
@click.argument("stages", nargs=-1, required=True)
@_before
def tasks(settings: Settings, model: str, stages: tuple[str, ...], before: str) -> None:
    """Whether the weights of MODEL changed in the same direction at several STAGES: cosines of task vectors."""
    settings.emit(settings.open().task_similarity(model, stages, before=before))


def _pairs(_ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> list[tuple[str, str]]:
    sign = ":" if option.name in ("between", "within") else "="
    found = [tuple(part.strip() for part in one.split(sign)) for one in value]
    for one, told in zip(found, value, strict=True):
        if len(one) != 2 or not all(one):
            raise click.BadParameter(f"two names with '{sign}' between them, not '{told}'", param=option)
    return found  # type: ignore[return-value]


@click.command(
    epilog="Example: shiftlab shift sensitivity net --between task1:task2 --within task1_epoch1:task1"
)
@common
@click.argument("model")
@click.option("--between", multiple=True, required=True, callback=_pairs, metavar="STAGE:STAGE",
              help="Stages after one task and after the next; may be repeated.")  # fmt: skip
@click.option("--within", multiple=True, required=True, callback=_pairs, metavar="STAGE:STAGE",
              help="Stages after two epochs of one task; may be repeated.")  # fmt: skip
def sensitivity(settings: Settings, model: str, **options: Any) -> None:
    """Which blocks of MODEL follow the task: their change between tasks over that within one."""
    settings.emit(settings.open().block_sensitivity(model, **options))


@click.command(
    epilog="Example: shiftlab shift forgetting net --dataset d --learned s1=digits --learned s2=letters "
    "--tasks task --truth label"
)
@common
@click.argument("model")
@_dataset
@click.option("--learned", multiple=True, required=True, callback=_pairs, metavar="STAGE=TASK",
              help="In order: a stage, and the task it was the first to learn; repeated.")  # fmt: skip
@click.option("--tasks", required=True, help="Labels that say which task an item belongs to.")
@click.option("--truth", required=True, help="Labels that say what is right.")
def forgetting(settings: Settings, model: str, dataset: str, **options: Any) -> None:
    """What MODEL lost of earlier tasks while it learned later ones."""
    import polars as pl

    settings.emit(pl.DataFrame([settings.open().forgetting(dataset, model, **options)]))


@click.command(
    epilog="Example: shiftlab shift precision detector --dataset code --truth buggy --positive yes --prior 0.005"
)
@common
@click.argument("model")
@_dataset
@click.option("--truth", required=True, help="Labels that say what is right.")
@click.option("--positive", required=True, help="The label that is rare where the model will be used.")
@click.option("--prior", type=float, required=True, help="Its share there.")
@click.option("--stage", default="base", show_default=True)
def precision(settings: Settings, model: str, dataset: str, **options: Any) -> None:
    """How many of MODEL's alarms will be right where what it looks for is rare."""
    import polars as pl

    found = settings.open().precision_under_prior(dataset, model, **options)
    settings.emit(pl.DataFrame([found], schema_overrides={"note": pl.String}))


@click.command(epilog="Example: shiftlab shift effects bias.csv --before base --after prompted")
@common
@click.argument("file", type=click.Path())
@click.option("--before", required=True, help="Column with the first effect of each thing.")
@click.option("--after", required=True, help="Column with the second.")
@_permutations(999)
@_seed
def effects(settings: Settings, file: str, **options: Any) -> None:
    """Whether two lists of effects agree, one row a thing: bias by occupation, gain by task, before and after."""
    import polars as pl

    found = settings.open(create=True).compare_effects(file, **options)
    settings.emit(pl.DataFrame([found], schema_overrides={"note": pl.String}))


COMMANDS = (
    stages, predictions, boundary, concept, signals, checkpoints, tasks, sensitivity, forgetting, precision, effects,
)  # fmt: skip
