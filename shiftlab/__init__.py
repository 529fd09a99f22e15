"""ShiftLab: dataset curation and shift measurement.

    import shiftlab as sl

    sl.measures.sliced_wasserstein(x, y)          # pure functions on arrays
    sl.shift.compare(x, y, measure="mmd")         # a score with its null, interval and p-value
    with sl.open("catalog") as cat:               # everything that is stored, queryable in SQL
        cat.compare("cat(couch)", "cat(car)", space="captions")

Submodules are loaded on first use, so that ``import shiftlab`` and ``shiftlab --help`` stay instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from shiftlab import cards, curate, episodes, filters, measures, paired, shift, subsets
    from shiftlab.api import Catalog, open

_SUBMODULES = ("cards", "curate", "episodes", "filters", "measures", "paired", "shift", "subsets")
_PUBLIC = {"open": "shiftlab.api", "Catalog": "shiftlab.api"}

__all__ = [
    "Catalog",
    "__version__",
    "cards",
    "curate",
    "episodes",
    "filters",
    "measures",
    "open",
    "paired",
    "shift",
    "subsets",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"shiftlab.{name}")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'shiftlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
