"""Every page over catalogs of unusual sizes: no subset, one, three hundred, no vectors, 200,000 items."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab import matrix_figures, queries, safe_sql
from shiftlab.report import Report, Section
from tests.app.conftest import Page, shown
from tests.app.test_pages import PAGES

TOLD = {
    ("unbuilt", "subsets"): "No subsets in two",
    ("unbuilt", "items"): "Choose an item",
    ("one", "shift"): "One subset",
    ("one", "pair"): "cat(sofa)** (circle)",  # beside sofa(cat), its mirror
    ("one", "subsets"): "Choose a subset",
    ("no vectors", "shift"): "Jensen",
    ("no vectors", "pair"): "This data set has no vectors",
}


@pytest.fixture(scope="module")
def sizes(filled: Path, states: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sizes")
    pl.DataFrame({"image_id": range(30), "object": ["cat"] * 30}).vstack(
        pl.DataFrame({"image_id": range(30), "object": ["sofa"] * 30})
    ).write_csv(folder / "one.csv")
    one = sl.open(folder / "one")
    one.ingest_images(folder / "one.csv", "one")
    one.build_subsets("one", min_images=10, min_subsets=1)
    bare = sl.open(shutil.copytree(filled, folder / "bare"))
    safe_sql.write(
        bare.store, "delete from vector_file; delete from space; delete from score where grp = 'toy'"
    )
    return {"unbuilt": states["unbuilt"], "one": one.path, "no vectors": bare.path}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", ["unbuilt", "one", "no vectors"])
def test_small_catalogs(page: Page, sizes: dict[str, Path], name: str, size: str) -> None:
    at = page(name, sizes[size])
    assert not at.exception
    assert not at.error
    assert at.title
    if told := TOLD.get((size, name)):
        assert told.lower() in shown(at).lower() + " ".join(str(one.options) for one in at.selectbox).lower()


def test_a_fault_is_told_in_the_terminal(
    page: Page, own: sl.Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    with duckdb.connect(str(own.store.file)) as con:
        con.execute("alter table run rename to was_run")
    at = page("runs", own.path)
    assert at.exception
    told = [one for one in caplog.records if one.name == "shiftlab.explorer"]
    assert told[-1].getMessage() == "the page 'runs' failed"
    assert told[-1].exc_info


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200,000 items of one class in 300 contexts, every pair scored."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    first = rng.integers(0, 300, 200_000)
    second = np.flatnonzero(rng.random(200_000) < 0.3)
    ids, contexts = np.arange(200_000), np.array([f"place {one:03d}" for one in range(300)])
    tables = [
        pl.DataFrame({"image_id": ids, "object": np.repeat("thing", len(ids))}),
        pl.DataFrame({"image_id": ids, "object": contexts[first]}),
        pl.DataFrame({"image_id": second, "object": contexts[(first[second] + 1 + second % 3) % 300]}),
    ]
    pl.concat(tables).write_parquet(folder / "items.parquet")
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "items.parquet", "large")
    catalog.build_subsets("large")
    catalog.matrix("jensen_shannon", subject="thing", dataset="large")
    return catalog.path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *((name, {}) for name in PAGES),
        ("subsets", {"see": "overlaps", "class_": "thing"}),
        ("subsets", {"class_": "thing", "subset": "thing(place 007)", "view": "items", "page": "30"}),
        ("items", {"object": "thing", "page": "400", "per_page": "500"}),
        ("items", {"where": "len(objects) < 9", "subset": "thing(place 007)", "page": "2"}),
        ("shift", {"order": "cluster", "class_": "thing"}),
        ("shift", {"view": "map", "class_": "thing"}),
    ],
)
def test_large_catalogs(page: Page, large: Path, name: str, parameters: dict[str, str]) -> None:
    page(name, large, **parameters)
    started = time.process_time()
    at = page(name, large, **parameters)
    assert time.process_time() - started < 6  # twice: Home, which AppTest goes through, and the page
    assert not at.exception
    assert not at.error
    assert not at.warning


@pytest.mark.slow
def test_a_click_in_a_filtered_list_is_answered_at_once(page: Page, large: Path) -> None:
    at = page("items", large, dataset="large", where="len(objects) < 9")
    at.query_params["item"] = "7"
    started = time.process_time()
    at.run()
    assert time.process_time() - started < 1
    assert any(one.value == "Item 7" for one in at.header)


@pytest.mark.slow
def test_a_report_of_three_hundred_subsets_stays_small(large: Path) -> None:
    values = {"dataset": "large", "class": "thing", "measure": "jensen_shannon", "space": "objects"}
    with sl.open(large).store.read() as con:
        pairs = con.sql(queries.sql("page_scores"), params=values).pl()
    names = sorted({*pairs["left_name"], *pairs["right_name"]})
    assert len(names) == 300
    drawn = matrix_figures.matrix(pairs, names, "jensen shannon")
    content = Report("All pairs", {}, [Section("Matrix", figure=drawn, alt="matrix", table=pairs)]).html()
    assert len(content) < 5_000_000
    assert b"http" not in content.replace(b"http://www.w3.org", b"")
