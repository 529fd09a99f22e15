"""shiftlab measures: what can be measured, when to use it and when not, and by which command."""

from __future__ import annotations

import click

from shiftlab.cli.settings import Settings, common

_OF_PAIRS = "shiftlab shift A B --measure {name}"
COMMANDS = {  # by the kind of what is compared
    "mass": _OF_PAIRS,
    "cloud": _OF_PAIRS,
    "set": _OF_PAIRS,
    "grid": "shiftlab shift signals",
    "blocks": "shiftlab shift checkpoints",
    "transitions": "shiftlab episodes shift --measure {name}",
}
COMMANDS_BY_NAME = {
    "amplitude_spectrum": "shiftlab shift signals",
    "block_sensitivity": "shiftlab shift sensitivity",
    "boundary_shift": "shiftlab shift boundary",
    "decompose_shift": "shiftlab shift concept",
    "effect_correlation": "shiftlab shift effects",
    "flip_rate": "shiftlab shift predictions",
    "forget_ratio": "shiftlab shift predictions --chance",
    "forgetting": "shiftlab shift forgetting",
    "paired_shift": "shiftlab shift stages",
    "precision_under_prior": "shiftlab shift precision",
    "prediction_consistency": "shiftlab shift predictions",
    "shift_recovery": "shiftlab shift stages --concepts",
    "task_similarity": "shiftlab shift tasks",
    "transport_gate": "shiftlab curate reweight --kind gate",
}


def command_of(name: str, kind: str) -> str:
    """How a measure is used: a command that stores its score, or the function."""
    found = COMMANDS_BY_NAME.get(name) or COMMANDS.get(kind) or "from Python: shiftlab.measures.{name}"
    return found.format(name=name)


@click.command(epilog="Example: shiftlab measures sliced_wasserstein")
@common
@click.argument("name", required=False)
def measures(settings: Settings, name: str | None) -> None:
    """The measures: all of them, or NAME in full."""
    import polars as pl

    from shiftlab import measures as package
    from shiftlab.errors import NotFoundError

    every = package.available()
    every = every.with_columns(
        command=pl.Series([command_of(one, kind) for one, kind in every.select("name", "kind").iter_rows()])
    )
    if name is None:
        settings.emit(every.select("name", "kind", "unit", "range", "zero_means", "use_when", "command"))
        return
    try:
        package.get(name)
    except ValueError as error:
        raise NotFoundError(str(error)) from error
    row = every.filter(pl.col("name") == name)
    if settings.format or settings.output:
        settings.emit(row)
        return
    for key, value in row.row(0, named=True).items():
        click.echo(f"{key.replace('_', ' '):>16}  {value}")
