"""`shiftlab check` finds what is broken, each rule by a catalog broken in just that way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import shiftlab as sl
from shiftlab import integrity, queries
from shiftlab.catalog import Run


@pytest.fixture
def whole(catalog: sl.Catalog, small_table: Path, tmp_path: Path) -> sl.Catalog:
    catalog.ingest_images(small_table, "small")
    catalog.build_subsets("small", min_images=1, min_subsets=1)
    np.savez(tmp_path / "v.npz", image_id=np.arange(1, 7), vectors=np.eye(6))
    catalog.ingest_vectors(tmp_path / "v.npz", "small", "s")
    catalog.compare("cat(sofa)", "cat(bed)", measure="total_variation", permutations=9)
    return catalog


def broken(catalog: sl.Catalog) -> dict[str, int]:
    return {one.rule: one.violations for one in integrity.check(catalog.store) if one.violations}


def test_a_whole_catalog_passes(whole: sl.Catalog) -> None:
    assert broken(whole) == {}


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("insert into item select * from item limit 1", "items are unique"),
        ("insert into item values (99, 'nowhere', 'x', 1, 1, null)", "items have a dataset"),
        ("insert into term select 99, dataset, kind, name, null from term limit 1", "terms are unique"),
        ("insert into item_term select * from item_term limit 1", "presence is unique"),
        ("insert into item_term values (98, 1, 1, null)", "presence refers to items and terms"),
        ("insert into label values (98, 'split', 'x')", "labels refer to items"),
        ("insert into batch select * from batch limit 1", "batches are stored once"),
        ("update dataset set run_id = 99", "rows name their run"),
        ("update subset set name = 'cat(sofa)' where class = 'cat'", "subset names are unique"),
        ("update subset set n = n + 1", "subset sizes match their members"),
        ("update membership set item_id = 98", "memberships are unique and refer to items"),
        ("update subset_overlap set n_both = n_both + 1", "overlaps match the members"),
        ("insert into subset_distance select * from subset_distance limit 1", "pairs are ordered and unique"),
        ("update score set value = null, note = null", "scores are honest"),
        ("update score set p = 1.5", "scores are honest"),
        ("update score set left_id = '99'", "scores refer to subsets"),
        ("update space set dim = 3", "vector files are whole"),
    ],
)
def test_each_rule_finds_its_break(whole: sl.Catalog, statement: str, rule: str) -> None:
    with whole.store.write(Run("break")) as con:
        con.execute(statement).fetchall()
    assert rule in broken(whole)


def test_a_missing_vector_file_is_found(whole: sl.Catalog) -> None:
    next((whole.path / "vectors").glob("*.npy")).unlink()
    assert {"vector files are whole", "files that rows name are there"} <= broken(whole).keys()


def test_leftovers_are_found_and_swept(whole: sl.Catalog) -> None:
    for name in ("vectors/tmpabc.tmp", "steps/abc.parquet", "filters/abc.parquet.tmp"):
        (whole.path / name).write_bytes(b"half")
    assert broken(whole) == {"no leftover files (--repair sweeps them)": 3}
    integrity.check(whole.store, repair=True)
    assert broken(whole) == {}


def test_every_rule_is_told_what_it_means() -> None:
    rules = [q for q in queries.load_all().values() if q.name.startswith("check_")]
    assert len(rules) >= 15
