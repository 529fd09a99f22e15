"""--plot: a picture of what a command prints, beside its rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shiftlab.cli.settings import Settings
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

F = TypeVar("F", bound=Callable[..., Any])
SUFFIXES = (".svg", ".png", ".html", ".json")


def plot_option(what: str) -> Callable[[F], F]:
    """Adds --plot FILE, which the command gets as `plot`; `what` says what is drawn."""
    return click.option(
        "--plot",
        metavar="FILE",
        callback=_usable,
        help=f"Also draw {what}, as .svg, .png, .html or .json (Vega-Lite) by the suffix of FILE.",
    )


def _usable(_ctx: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """Refused before any work is done, not after."""
    from shiftlab import figures

    if value is None:
        return None
    path = Path(value)
    if path.suffix.lower() not in SUFFIXES:
        raise click.BadParameter(f"'{value}' ends in none of {', '.join(SUFFIXES)}", param=option)
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder '{path.parent}' to write into", param=option)
    if path.suffix.lower() != ".json" and not figures.can_draw():
        raise BadInputError(
            f"drawing {path.suffix} needs the extra: pip install 'shiftlab[figures]'; a .json file needs none"
        )
    return path


def save(settings: Settings, chart: Any, path: Path) -> None:
    """Writes the chart whole or not at all."""
    from shiftlab import figures

    content = figures.image(chart, path.suffix.lower().removeprefix("."))
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(content)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise BadInputError(f"cannot write '{path}': {error.strerror}") from error
    settings.say(f"drew {path}")


def save_rows(settings: Settings, frame: pl.DataFrame, path: Path) -> None:
    """A first chart of any rows: bars of the first number by the first text, or one number against another."""
    from shiftlab import figures

    chart = figures.of_rows(frame)
    if chart is None:
        raise BadInputError("nothing to draw: a chart needs a column of numbers and two rows at least")
    save(settings, chart, path)
