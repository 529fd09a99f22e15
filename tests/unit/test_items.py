"""Lists of items: what a predicate may ask about, the same here and where subsets are curated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import shiftlab as sl
from shiftlab import queries, safe_sql, subsets
from shiftlab.errors import BadInputError, NotFoundError


@pytest.fixture
def small(catalog: sl.Catalog, small_table: Path) -> sl.Catalog:
    catalog.ingest_images(small_table, "small")
    catalog.build_subsets("small", min_images=1, min_subsets=1)
    return catalog


def unordered(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The rows, their lists in one order."""
    ordered = frame.select(sorted(frame.columns)).sort("item").rows()
    return [tuple(sorted(one) if isinstance(one, list) else one for one in row) for row in ordered]


def test_the_view_and_curation_offer_a_predicate_the_same(small: sl.Catalog) -> None:
    listed = small.sql("from items").pl().drop("dataset")
    pool = safe_sql.query(
        small.store, queries.sql("curate_candidates"), {"dataset": "small", "subset_ids": []}
    )
    assert unordered(listed) == unordered(pool.pl())


def test_filters_add_up_and_the_order_is_that_of_the_ids(small: sl.Catalog) -> None:
    found = subsets.list_items(
        small.store, "small", where="item in (select item from items where item <> '2')", subset="cat(sofa)"
    )
    assert found["item"].to_list() == ["1", "5"]
    assert found.columns[:2] == ["dataset", "item"]
    assert "item_id" not in found.columns


@pytest.mark.parametrize(
    ("narrower", "error", "words"),
    [
        ({"shows": "sofaa"}, NotFoundError, "did you mean 'sofa'"),
        ({"subset": "cat(sofaa)"}, NotFoundError, "did you mean 'cat\\(sofa\\)'"),
        ({"where": "true) or (true"}, BadInputError, "not one SQL expression"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    small: sl.Catalog, narrower: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        subsets.list_items(small.store, "small", **narrower)
