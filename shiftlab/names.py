"""Names of datasets, subsets and spaces: found exactly, or refused with the nearest ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from shiftlab.catalog import Store
from shiftlab.errors import BadInputError, NotFoundError


@dataclass(frozen=True)
class SubsetRef:
    """A subset that is in the catalog."""

    subset_id: int
    dataset: str
    name: str
    subject: str | None
    n: int


def nearest(name: str, known: Iterable[str], n: int = 5) -> str:
    """ ", did you mean ..." with the names nearest to `name`; empty if none comes near."""
    pool = sorted(set(known))
    by_case = {one.lower(): one for one in pool}
    close = [by_case[one] for one in get_close_matches(name.lower(), by_case, n=n, cutoff=0.5)]
    return f"; did you mean {', '.join(repr(one) for one in close)}?" if close else ""


def require_dataset(store: Store, dataset: str) -> None:
    """Raises `NotFoundError` if the catalog has no dataset of this name."""
    with store.read() as con:
        known = [str(row[0]) for row in con.sql("select dataset from dataset").fetchall()]
    if dataset not in known:
        there = (
            f"; there are {', '.join(sorted(known))}"
            if known
            else "; the catalog is empty: 'shiftlab ingest' first"
        )
        raise NotFoundError(f"there is no dataset '{dataset}'" + (nearest(dataset, known) or there))


def require_subset(store: Store, name: str, dataset: str | None = None) -> SubsetRef:
    """The subset called `name`, or ``dataset/name`` where several datasets have one.

    Raises `NotFoundError` with the nearest names, `BadInputError` when the name is ambiguous.
    """
    with store.read() as con:
        names = con.sql("select distinct name from subset").pl()["name"].to_list()
        if dataset is None and name not in names and "/" in name:
            dataset, _, name = name.partition("/")
        found = con.execute(
            "select subset_id, dataset, name, class, n, context_kind from subset "
            "where name = $1 and ($2 is null or dataset = $2) order by dataset, context_kind",
            [name, dataset],
        ).fetchall()
    if not found:
        where = f" in dataset '{dataset}'" if dataset else ""
        if not names:
            raise NotFoundError(
                f"there is no subset '{name}'{where}: build them with 'shiftlab subsets build'"
            )
        raise NotFoundError(f"there is no subset '{name}'{where}" + nearest(name, names))
    if len({row[1] for row in found}) > 1:
        choices = ", ".join(f"'{row[1]}/{name}'" for row in found)
        raise BadInputError(f"several datasets have a subset '{name}': choose one of {choices}")
    return SubsetRef(*found[0][:5])
