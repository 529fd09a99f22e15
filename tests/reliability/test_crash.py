"""Killed at random moments, a catalog opens, is whole, and a repeated run ends where an undisturbed one does."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import shiftlab as sl
from shiftlab import integrity
from shiftlab.catalog import Store
from tests.readers.test_episodes_readers import steps_frame
from tests.reliability.conftest import Tally
from tests.reliability.nursery import Nursery

KILLS = {"ingest": 45, "build": 45, "pairwise": 45, "migrate": 30, "export": 35}
LEFTOVERS = "no leftover files (--repair sweeps them)"
# What tells of the run itself: how often it was tried (scores are numbered as they are stored), its moment and time.
OF_THE_RUN = (
    "run_id",
    "score_id",
    "seconds",
    "started_at",
    "created_at",
    "applied_at",
    "ingested_at",
    "generation",
)
OLD_SCHEMA = 3
EACH = ["ingest", *(pytest.param(task, marks=pytest.mark.slow) for task in KILLS if task != "ingest")]


def given(folder: Path) -> None:
    """The inputs of the tasks."""
    rng = np.random.default_rng(0)
    names = ["cat", "dog", "sofa", "bed", "tree", "car", "cup"]
    rows = [f"{i},{name},{['red', 'blue', ''][i % 3]}" for i in range(300)
            for name in rng.choice(names, 3, replace=False)]  # fmt: skip
    (folder / "table.csv").write_text("image_id,object,attribute\n" + "\n".join(rows) + "\n")
    np.savez(folder / "vectors.npz", image_id=np.arange(300).astype(str), v=rng.normal(size=(300, 8)))
    steps_frame().write_parquet(folder / "steps.parquet")


def old_catalog(folder: Path) -> None:
    """A catalog as an earlier version left it, with rows."""
    store = Store(folder)
    for name in ("", "vectors", "steps", "filters", "jobs"):
        (folder / name).mkdir(exist_ok=True)
    store.migrate(until=OLD_SCHEMA)
    with store.alone() as con:
        for statement in (
            "insert into run values (1, 'ingest images', 'old', '{}', null, '{}', '{}', '0.0.1', now()::timestamp, 1)",
            "insert into dataset values ('old', 'images', null, null, null, 1)",
            "insert into item select i, 'old', i::varchar, 9, 9, null from range(3000) t(i)",
            "insert into term select i, 'old', 'object', 'thing ' || i, null from range(50) t(i)",
            "insert into item_term select i, i % 50, 1, 0.5 from range(3000) t(i)",
        ):
            con.execute(statement).fetchall()


def rows(catalog: Store) -> dict[str, str]:
    """A hash over the rows of every table, without what tells of the run itself."""
    found = {}
    with catalog.read() as con:
        for (table,) in con.sql("select table_name from duckdb_tables() order by 1").fetchall():
            if table in ("run", "catalog_info"):
                continue
            columns = [row[0] for row in con.sql(f"describe {table}").fetchall() if row[0] not in OF_THE_RUN]
            content = con.sql(f"select {', '.join(columns)} from {table} order by all").fetchall()
            found[table] = hashlib.sha256(repr(content).encode()).hexdigest()
    return found


def files(folder: Path) -> dict[str, str]:
    """Names and hashes of everything that is written outside of the databases."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "catalog.duckdb" not in path.name and "jobs" not in path.parts
        and not {"backup"} & set(path.parts[:-1]) and not path.name.endswith(".tmp")
    }  # fmt: skip


def outcome(folder: Path) -> dict[str, dict[str, str]]:
    """Everything that a task leaves: rows of the catalog and of what was restored, files."""
    left = {"catalog": rows(sl.open(folder / "catalog").store), "files": files(folder)}
    if (folder / "again").exists():
        left["again"] = rows(sl.open(folder / "again").store)
    return left


def swept(folder: Path) -> None:
    """Temporary names that a killed run left are all that may lie about."""
    integrity.check(Store(folder / "catalog"), repair=True)
    for path in {*folder.glob(".*"), *folder.glob("*.tmp"), *(folder / "catalog").glob(".*.tmp*")}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def nurseries() -> Iterator[list[Nursery]]:
    pair = [Nursery(), Nursery()]
    yield pair
    for one in pair:
        one.close()


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, nurseries: list[Nursery]) -> dict[str, Path]:
    """The state that each task starts from: the one before it is done."""
    found = {}
    folder = tmp_path_factory.mktemp("base") / "ingest"
    folder.mkdir()
    given(folder)
    for task in ("ingest", "build", "pairwise", "export"):
        found[task] = folder
        if task != "export":
            after = folder.parent / f"after_{task}"
            shutil.copytree(folder, after)
            assert nurseries[0].run(task, after)[:2] == (0, "")
            folder = after
    found["migrate"] = folder.parent / "migrate"
    found["migrate"].mkdir()
    old_catalog(found["migrate"] / "catalog")
    return found


def broken(folder: Path) -> dict[str, str | None]:
    """The rules that the catalog breaks, once it is opened; files that no row names are no harm."""
    if not (folder / "catalog" / "catalog.duckdb").exists():
        return {}
    found = {
        one.rule: one.example for one in integrity.check(sl.open(folder / "catalog").store) if one.violations
    }
    found.pop(LEFTOVERS, None)
    return found


def killed_once(
    task: str, base: Path, expected: object, nursery: Nursery, folder: Path, after: float
) -> bool:
    """One kill and all that must hold after it; False if the task was done before the kill."""
    shutil.copytree(base, folder)
    code, words, _ = nursery.run(task, folder, kill_after=after)
    assert code == -9 or (code, words) == (0, ""), words
    assert not broken(folder)
    assert nursery.run(task, folder)[:2] == (0, "")
    swept(folder)
    assert not [one for one in integrity.check(Store(folder / "catalog")) if one.violations]
    assert outcome(folder) == expected
    shutil.rmtree(folder)
    return code == -9


@pytest.mark.parametrize("share", [45, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    bases: dict[str, Path], nurseries: list[Nursery], tmp_path: Path, tally: Tally, share: int
) -> None:
    for task, wanted in KILLS.items():
        whole = tmp_path / f"whole_{task}"
        shutil.copytree(bases[task], whole)
        code, words, duration = nurseries[0].run(task, whole)
        assert (code, words) == (0, "")
        expected = outcome(whole)
        moments = random.Random(f"{task} {share}")
        kills, tries = 0, 0
        while kills < max(2, wanted // share):
            tries += 1
            assert tries < 6 * wanted, f"{task}: most kills come too late"
            pair = [
                (one, tmp_path / f"{task}{tries}{k}", moments.uniform(0, duration))
                for k, one in enumerate(nurseries)
            ]
            tried = partial(killed_once, task, bases[task], expected)
            with ThreadPoolExecutor(len(pair)) as side_by_side:
                kills += sum(side_by_side.map(tried, *zip(*pair, strict=True)))
        tally("crash", **{f"kills_of_{task}": kills})


@pytest.mark.parametrize("task", EACH)
def test_a_full_disk_leaves_all_or_nothing(
    bases: dict[str, Path], nurseries: list[Nursery], tmp_path: Path, tally: Tally, task: str
) -> None:
    """Writes beyond a size fail as on a full disk. Either the work is refused in words or it is done; what was
    there stays, and the same run with space completes it."""
    whole = tmp_path / "whole"
    shutil.copytree(bases[task], whole)
    assert nurseries[0].run(task, whole)[:2] == (0, "")
    expected = outcome(whole)
    refused = 0
    for number, most in enumerate((0, 20_000, 200_000, 1_000_000, 3_000_000)):
        folder = tmp_path / f"disk{number}"
        shutil.copytree(bases[task], folder)
        code, words, _ = nurseries[0].run(task, folder, bytes_of_a_file=most)
        assert (code, words) == (0, "") or (code in (1, 2) and ("full" in words or "cannot" in words)), words
        refused += code != 0
        assert not broken(folder)
        assert nurseries[0].run(task, folder)[:2] == (0, "")
        swept(folder)
        assert outcome(folder) == expected
    assert refused
    tally("crash", full_disks=5)


@pytest.mark.parametrize("task", EACH)
def test_a_folder_that_cannot_be_written_stays_as_it_is(
    bases: dict[str, Path], nurseries: list[Nursery], tally: Tally, task: str, tmp_path: Path
) -> None:
    folder = tmp_path / "given"
    shutil.copytree(bases[task], folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        code, words, _ = nurseries[0].run(task, folder, as_owner=1)
        assert code == 2, (code, words)
        assert "cannot" in words
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert not broken(folder)
    assert nurseries[0].run(task, folder)[:2] == (0, "")
    tally("crash", read_only_folders=1)
