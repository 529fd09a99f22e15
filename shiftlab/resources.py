"""Where the SQL, the explorer and the bundled data lie, in a wheel as in a source checkout."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from shiftlab.errors import ShiftLabError


@cache
def folder(name: str) -> Path:
    """The folder ``sql``, ``apps`` or ``data_cards``.

    A wheel carries it inside the package under an underscore; a checkout (editable install) keeps it at
    the top level, beside the package.
    """
    package = Path(str(files("shiftlab")))
    for candidate in (package / f"_{name}", package.parent / name):
        if candidate.is_dir():
            return candidate
    raise ShiftLabError(f"this installation of ShiftLab lacks its '{name}' folder; reinstall the package")


def data(name: str) -> Path:
    """A file or folder of the bundled data."""
    path = Path(str(files("shiftlab"))) / "data" / name
    if not path.exists():
        raise ShiftLabError(
            f"this installation of ShiftLab lacks its bundled data '{name}'; reinstall the package"
        )
    return path


def built_from() -> str:
    """What this installation was made of: a wheel names the commit it was built from."""
    package = Path(str(files("shiftlab")))
    if not (package / "_sql").is_dir():
        return "source checkout"
    told = package / "_build.txt"
    return (
        f"built from {told.read_text(encoding='utf-8').strip()}"
        if told.is_file()
        else "built from a source archive"
    )
