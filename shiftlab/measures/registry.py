"""The registry of measures: every measure declares once what it compares, its unit, range and source.

The command line's help, the SQL view, the data card and the explorer all read these declarations.
To add a measure, write a function with ``@declare(...)`` above it and name it in ``measures/__init__.py``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    "mass": "two vectors of category masses (k,), or item-by-category counts (n, k)",
    "grid": "two masses on an ordered grid (k,)",
    "sample": "two samples of one number (n,), (m,)",
    "cloud": "two clouds of vectors (n, d), (m, d)",
    "labelled": "two clouds of vectors with one label per row",
    "spaces": "two clouds whose dimensions may differ (n, d), (m, e)",
    "counts": "two tables of counts, cells by labels (c, l)",
    "paired": "two arrays about the same items, row by row (n, d), (n, d)",
    "blocks": "two checkpoints, arrays by the name of their block",
    "outcomes": "predictions or accuracies of the same items or tasks",
    "transitions": "states, actions and next states, or policies in the same states",
    "set": "two sets of items",
    "scalar": "plain numbers",
    "one": "a single cloud or signal; not a comparison",
}
WHATS = ("inputs", "labels", "concept", "representation", "weights", "spectra", "behaviour", "trajectories")
HOWS = ("ot", "divergence", "geometry", "probe", "neighbour", "association")


@dataclass(frozen=True)
class Measure:
    """What a measure is, for people and for programs.

    ``what`` is the kind of shift it is usually read as, ``how`` the family of its arithmetic; both become
    columns of a stored score. ``debias_power`` is the power of the value on which sampling bias adds (2 for
    distances), so that split halves can remove it; None where they cannot. ``batched`` evaluates many pairs
    at once where the family allows it (masses: two arrays (..., k)); ``seconds`` estimates the time of one
    evaluation from (n, m, d); ``resolve`` (x, y, given parameters) fixes those that would otherwise follow
    the data, as a bandwidth does; ``parts`` takes the same arguments and returns the value with its parts.
    """

    name: str
    function: Callable[..., Any]
    kind: str
    what: str
    how: str
    unit: str
    range: str
    zero_means: str
    source: str
    use_when: str
    do_not_use_when: str
    symmetric: bool = True
    squared: bool = False
    debias_power: int | None = None
    batched: Callable[..., Any] | None = None
    seconds: Callable[[int, int, int], float] | None = None
    resolve: Callable[..., dict[str, Any]] | None = None
    parts: Callable[..., Any] | None = None


_MEASURES: dict[str, Measure] = {}
F = TypeVar("F", bound=Callable[..., Any])


def declare(
    *,
    kind: str,
    what: str,
    how: str,
    unit: str,
    range: str,
    zero_means: str,
    source: str,
    use_when: str,
    do_not_use_when: str,
    name: str | None = None,
    symmetric: bool = True,
    squared: bool = False,
    debias_power: int | None = None,
    batched: Callable[..., Any] | None = None,
    seconds: Callable[[int, int, int], float] | None = None,
    resolve: Callable[..., dict[str, Any]] | None = None,
    parts: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Register the decorated function as a measure under its own name (or ``name``)."""
    if kind not in KINDS or what not in WHATS or how not in HOWS:
        raise ValueError(f"kind, what or how is not a known word: {kind!r}, {what!r}, {how!r}")

    def register(function: F) -> F:
        key = name or function.__name__
        if key in _MEASURES and _MEASURES[key].function.__module__ != function.__module__:
            raise ValueError(f"the measure {key!r} is already registered")
        _MEASURES[key] = Measure(
            key, function, kind, what, how, unit, range, zero_means, source, use_when, do_not_use_when,
            symmetric, squared, debias_power, batched, seconds, resolve, parts,
        )  # fmt: skip
        return function

    return register


def get(name: str) -> Measure:
    """The measure called ``name``; ValueError with the nearest names if there is none."""
    if name in _MEASURES:
        return _MEASURES[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), _MEASURES, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(_MEASURES))}"
    raise ValueError(f"there is no measure {name!r}; {hint}")


def available() -> pl.DataFrame:
    """All measures as a table, one row each, sorted by kind and name."""
    import polars as pl

    columns = [
        f.name
        for f in fields(Measure)
        if f.name not in {"function", "batched", "seconds", "resolve", "parts"}
    ]
    rows = sorted(_MEASURES.values(), key=lambda m: (m.kind, m.name))
    return pl.DataFrame({c: [getattr(m, c) for m in rows] for c in columns})
