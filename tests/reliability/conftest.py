"""Each suite counts what it tried; the counts stand at the end of the run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import shiftlab as sl
from shiftlab.resources import data

_COUNTS: dict[str, Counter[str]] = {}
Tally = Callable[..., None]


@pytest.fixture(scope="session")
def tally() -> Tally:
    """``tally("crash", kills=1)`` adds to the line of a suite; of names that end in ``at_most`` the largest stays."""

    def add(suite: str, **counts: int) -> None:
        line = _COUNTS.setdefault(suite, Counter())
        for name, number in counts.items():
            line[name] = max(line[name], number) if name.endswith("at_most") else line[name] + number

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for suite, counts in sorted(_COUNTS.items()):
        words = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
        terminalreporter.write_line(f"{suite}: {words}")


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """A catalog with items, subsets and vectors that hostile input must leave as it is."""
    catalog = sl.open(tmp_path_factory.mktemp("stored") / "catalog")
    table = tmp_path_factory.mktemp("table") / "table.csv"
    rows = [f"{i},{name}" for i in range(60) for name in ("cat", f"thing {i % 3}", f"place {i % 2}")]
    table.write_text("image_id,object\n" + "\n".join(rows) + "\n", encoding="utf-8")
    catalog.ingest_images(table, "small")
    catalog.build_subsets("small", min_images=3, min_subsets=2)
    catalog.ingest_episodes(data("adroit_door_human") / "episodes.parquet", "door")
    return catalog


def content(catalog: sl.Catalog) -> str:
    """A hash over every row of every table, and the names of the catalog's files."""
    digest = hashlib.sha256()
    with catalog.store.read() as con:
        for (name,) in con.sql("select table_name from duckdb_tables() order by 1").fetchall():
            rows = con.sql(f"from {name} order by all").fetchall()
            digest.update(f"{name} {rows}".encode())
    folder = Path(catalog.path)
    names = sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "jobs" not in p.parts
    )
    digest.update(repr(names).encode())
    return digest.hexdigest()
