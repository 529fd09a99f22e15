"""shiftlab ingest: outside data into the catalog."""

from __future__ import annotations

from typing import Any

import click

from shiftlab.cli import LazyGroup
from shiftlab.cli.settings import Settings, common


@click.group(
    cls=LazyGroup,
    lazy={
        "models": "shiftlab.cli.filters:ingest_models",
        "episodes": "shiftlab.cli.episodes:ingest_episodes",
    },
)
def ingest() -> None:
    """Bring annotations, pictures, vectors, labels, predictions, signals, networks, demonstrations into the catalog."""


@ingest.command(epilog="Example: shiftlab ingest images instances_train2017.json --dataset coco")
@common
@click.argument("path", type=click.Path())
@click.option("--dataset", required=True, help="Name of the dataset; made if it is new, added to if not.")
@click.option(
    "--input",
    type=click.Choice(["auto", "coco", "gqa", "visual-genome", "table"]),
    default="auto",
    show_default=True,
    help="Format of PATH. A table has the columns image_id, object and optionally attribute, x, y, w, h, split ...",
)
@click.option(
    "--on-bad",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="Refuse the source at the first bad record, or leave bad records out and list them (table ingest_issue).",
)
@click.option("--licence", help="Licence of the data, as an SPDX name.")
def images(settings: Settings, path: str, dataset: str, input: str, on_bad: str, licence: str | None) -> None:
    """Annotations of images: COCO instances, GQA scene graphs, Visual Genome files or a plain table."""
    with settings.progress() as progress:
        done = settings.open(create=True).ingest_images(
            path, dataset, input=input, on_bad=on_bad, licence=licence, progress=progress
        )
    if done.already_there:
        settings.say(f"{done.source} is in dataset '{dataset}' already: nothing to do")
        return
    settings.say(
        f"{done.source}: {done.images:,} images, {done.objects:,} objects, {done.terms:,} terms -> '{dataset}'"
    )
    for what, counts in (("flagged", done.flagged), ("skipped", done.skipped)):
        if counts:
            listed = ", ".join(f"{n:,} {name}" for name, n in counts.items())
            settings.say(f"{what}: {listed} (listed in the table ingest_issue)")
    settings.say(f"next: shiftlab subsets build {dataset}")


@ingest.command(
    epilog="Example: shiftlab ingest vectors clip.npy --ids items.csv:image_id --dataset coco --space clip"
)
@common
@click.argument("file", type=click.Path())
@click.option("--dataset", required=True, help="Dataset whose items the vectors describe.")
@click.option("--space", required=True, help="Name of the vector space.")
@click.option("--stage", default="base", show_default=True, help="Stage of the space, for paired comparison.")
@click.option(
    "--ids", help="Column or array with the ids; for .npy a file: ids.npy, items.csv, items.parquet:image_id."
)
@click.option("--average", is_flag=True, help="Give an id with several vectors their mean.")
@click.option("--skip-unknown", is_flag=True, help="Leave out ids that the dataset does not have.")
def vectors(
    settings: Settings,
    file: str,
    dataset: str,
    space: str,
    stage: str,
    ids: str | None,
    average: bool,
    skip_unknown: bool,
) -> None:
    """Vectors of items: .npy, .npz or .parquet."""
    done = settings.open(create=True).ingest_vectors(
        file, dataset, space, stage=stage, ids=ids, average=average, skip_unknown=skip_unknown
    )
    if done.already_there:
        settings.say(f"{file} is in space '{space}' already: nothing to do")
        return
    settings.say(
        f"{done.vectors:,} vectors of {done.dim} dimensions -> '{dataset}', space '{space}' ({stage})"
    )
    if done.averaged:
        settings.say(f"{done.averaged:,} further vectors of the same ids were averaged into them")
    _say_unknown(settings, done)


@ingest.command(epilog="Example: shiftlab ingest pictures train2017/ --dataset coco")
@common
@click.argument("path", type=click.Path())
@click.option("--dataset", required=True, help="Dataset whose items the pictures are of.")
@click.option("--ids", help="Array with the ids, where PATH is npz; for .npy a file: ids.npy, items.csv.")
@click.option(
    "--on-bad",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="Refuse the source at the first picture that cannot be decoded, or leave such ones out and list them.",
)
def pictures(settings: Settings, path: str, dataset: str, ids: str | None, on_bad: str) -> None:
    """Pictures of items, for people to look at: a folder of image files, or an array of grey pixels.

    A file is an item's picture if the item names it or has its name as id. The catalog keeps copies of at most
    256 pixels a side; the originals stay where they are.
    """
    with settings.progress() as progress:
        done = settings.open(create=True).ingest_pictures(
            path, dataset, ids=ids, on_bad=on_bad, progress=progress
        )
    if done.already_there:
        settings.say(f"the pictures of {path} are in '{dataset}' already: nothing to do")
        return
    settings.say(
        f"{done.pictures:,} pictures -> '{dataset}'; {done.without:,} items of it have none from here"
    )
    if done.unknown:
        settings.say(f"{done.unknown:,} pictures were left out: they are of no item of '{dataset}'")
    if done.skipped:
        settings.say(f"{done.skipped:,} pictures were skipped (listed in the table ingest_issue)")


@ingest.command(epilog="Example: shiftlab ingest labels truth.csv --dataset coco --scheme truth")
@common
@click.argument("file", type=click.Path())
@click.option("--dataset", required=True, help="Dataset whose items the labels are about.")
@click.option("--scheme", required=True, help="Name of the labels: split, author, truth ...")
@click.option("--column", default="label", show_default=True, help="Column with the labels.")
@click.option("--skip-unknown", is_flag=True, help="Leave out ids that the dataset does not have.")
def labels(settings: Settings, file: str, dataset: str, **options: Any) -> None:
    """Labels of items: .csv, .tsv or .parquet with a column of ids (item, image_id ...)."""
    _said(settings, file, settings.open(create=True).ingest_labels(file, dataset, **options))


@ingest.command(
    epilog="Example: shiftlab ingest predictions tuned.csv --dataset coco --model clip --stage tuned"
)
@common
@click.argument("file", type=click.Path())
@click.option("--dataset", required=True, help="Dataset whose items were predicted.")
@click.option("--model", required=True, help="Name of the model.")
@click.option("--stage", default="base", show_default=True, help="State of the model or view of the items.")
@click.option("--column", default="label", show_default=True, help="Column with the predicted labels.")
@click.option("--skip-unknown", is_flag=True, help="Leave out ids that the dataset does not have.")
def predictions(settings: Settings, file: str, dataset: str, **options: Any) -> None:
    """Predicted labels of items, with the column prob if there is one: .csv, .tsv or .parquet."""
    _said(settings, file, settings.open(create=True).ingest_predictions(file, dataset, **options))


def _said(settings: Settings, file: str, done: Any) -> None:
    if done.already_there:
        settings.say(f"{file} is in '{done.dataset}' already: nothing to do")
        return
    settings.say(f"{done.rows:,} {done.what} -> '{done.dataset}'")
    _say_unknown(settings, done)


def _say_unknown(settings: Settings, done: Any) -> None:
    if done.unknown_ids:
        settings.say(f"{done.unknown_ids:,} rows were left out: their ids are no items of '{done.dataset}'")


@ingest.command(
    epilog="Example: shiftlab ingest signals outputs.npz --dataset pictures --signal output --stage trained"
)
@common
@click.argument("file", type=click.Path())
@click.option("--dataset", required=True, help="Dataset whose items the signals belong to.")
@click.option("--signal", required=True, help="Name of the signals: target, output, waveform ...")
@click.option("--stage", default="base", show_default=True, help="Stage, for paired comparison.")
@click.option(
    "--ids", help="Array or column with the ids; for .npy a file: ids.npy, items.csv, items.parquet:image_id."
)
@click.option("--skip-unknown", is_flag=True, help="Leave out ids that the dataset does not have.")
def signals(settings: Settings, file: str, dataset: str, signal: str, **options: Any) -> None:
    """Signals or pictures of items, to be compared by their spectra: (n, length) or (n, height, width)."""
    done = settings.open(create=True).ingest_signals(file, dataset, signal, **options)
    if done.already_there:
        settings.say(f"{file} is in signals '{signal}' already: nothing to do")
        return
    shape = " x ".join(map(str, done.shape))
    settings.say(f"{done.signals:,} signals of {shape} -> '{dataset}', '{signal}' ({done.stage})")
    _say_unknown(settings, done)


@ingest.command(epilog="Example: shiftlab ingest checkpoints tuned.safetensors --model net --stage tuned")
@common
@click.argument("file", type=click.Path())
@click.option("--model", required=True, help="Name of the network whose checkpoints belong together.")
@click.option(
    "--stage", default="base", show_default=True, help="State of the network: base, task1, tuned ..."
)
def checkpoints(settings: Settings, file: str, model: str, stage: str) -> None:
    """Weights of a network, block by block, to be compared by stage: safetensors, torch, npz."""
    done = settings.open(create=True).ingest_checkpoint(file, model, stage=stage)
    if done.already_there:
        settings.say(f"{file} is '{model}' at '{stage}' already: nothing to do")
        return
    settings.say(f"{done.blocks:,} blocks with {done.weights:,} weights -> '{model}' ({stage})")
