"""Whether the Croissant file of a card loads in another tool: mlcroissant, where it is installed."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

_ROWS = 5


def installed() -> bool:
    """Whether mlcroissant is there; it is slow to import, so that it is only looked for."""
    return find_spec("mlcroissant") is not None


def load(path: Path) -> str | None:
    """None if mlcroissant reads the file, finds every hash right and loads rows of every table; else what is wrong."""
    import mlcroissant

    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        data = mlcroissant.Dataset(jsonld=str(path))
        for records in data.metadata.record_sets:
            list(islice(data.records(records.id), _ROWS))
    except Exception as error:  # whatever another tool raises is its verdict
        return _innermost(error)
    finally:
        log.disabled = before
    return None


def _innermost(error: BaseException) -> str:
    """What the first error of a chain says: the outer ones only tell which step it was raised in."""
    while before := error.__cause__ or error.__context__:
        error = before
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
