"""The page of trained networks: single filters, thresholds over depth, what the drift matrix says and does not."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import shiftlab as sl
from shiftlab import resources
from tests.app.conftest import Page, shown

BUNDLED = resources.data("cnn_filters")


def table(at, column: str) -> pl.DataFrame:
    """The first table of a page that has a column."""
    return pl.from_pandas(next(one.value for one in at.dataframe if column in one.value.columns))


def test_without_kept_filters_the_page_says_how_to_keep_them(page: Page) -> None:
    at = page("filters", view="sheet")
    assert not at.exception
    assert "Only statistics here" in shown(at)
    assert "--keep-filters" in shown(at)


def test_single_filters_of_a_kept_network(page: Page, own: sl.Catalog) -> None:
    own.ingest_models([BUNDLED / "pnet.pt"], keep_filters=True)
    at = page("filters", own.path, view="sheet", layer="2", pick="nearest", like="5")
    assert not at.exception
    assert "64 of 512 filters" in shown(at)
    assert "Nearest to filter 5." in shown(at)
    found = table(at, "cosine")
    assert found["filter"][0] == 5
    assert found["cosine"].is_sorted(descending=True)
    assert "1 of 50 networks have their filters here" in shown(at)
    assert "filters sheet mtcnn-pnet --layer 2 --pick nearest --like 5" in shown(at)


@pytest.mark.parametrize("like", ["99999", "-1", "x"])
def test_a_link_to_a_filter_that_is_not_there_is_told_or_left_out(
    page: Page, own: sl.Catalog, like: str
) -> None:
    own.ingest_models([BUNDLED / "pnet.pt"], keep_filters=True)
    at = page("filters", own.path, view="sheet", pick="nearest", like=like)
    assert not at.exception
    assert any("has filters 0 to 29" in one.value for one in at.info) or "Nearest to filter" in shown(at)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("variance_entropy_ratio", "1: as diverse as noise above"),
        ("orthogonality", "No threshold of this quality"),
    ],
)
def test_thresholds_stand_with_their_source(page: Page, metric: str, told: str) -> None:
    at = page("filters", view="quality", metric=metric)
    assert not at.exception
    assert told in shown(at)


def test_layers_are_filtered_by_a_predicate(page: Page, filled: Path) -> None:
    where = "task = 'Segmentation' and kernel = '3x3' -- of the bundled ones"
    at = page("filters", view="quality", metric="sparsity", where=where)
    assert not at.exception
    assert not at.error
    fit = "from filter_layers where sparsity is not null and task = 'Segmentation' and kernel = '3x3'"
    ((n, models),) = sl.open(filled).sql(f"select count(*), count(distinct model) {fit}").rows()
    assert f"{n} layers of {models} networks" in str(at.get("vega_lite_chart")[0].proto)
    (query,) = {one.value for one in at.code if one.value.startswith("select model, name, depth_norm")}
    assert len(sl.open(filled).sql(query).rows()) == n
    assert any("filters quality '--where=" in one.value for one in at.code)
    assert "No layer fits" in shown(page("filters", view="quality", where="n < 0"))
    refused = page("filters", view="quality", where="n > ; drop table model")
    assert "refused" in refused.error[0].value


def test_deciles_stand_in_order_and_chance_is_crossed_out(page: Page, own: sl.Catalog) -> None:
    pairs = sl.filters.drift_by(own.store, "depth_decile", resamples=40)
    at = page("filters", own.path, view="drift", by="depth_decile")
    assert not at.exception
    spec = next(iter(at.get("vega_lite_chart"))).proto.spec
    assert '"domain": ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]' in spec
    notes = table(at, "debiased")["note"].fill_null("")
    crossed = notes.str.contains("not distinguishable", literal=True).sum()
    assert crossed == (~pairs["distinguishable"]).sum() > 0
    one = pairs.filter(~pl.col("distinguishable")).row(0, named=True)
    at = page("filters", own.path, view="drift", by="depth_decile", left=one["left"], right=one["right"])
    assert next(metric.value for metric in at.metric if metric.label == "Beyond chance") == "no"


@pytest.mark.parametrize("view", ["basis", "coefficients", "drift"])
def test_groups_by_any_sql(page: Page, view: str) -> None:
    by = "kind || ' ' || format"
    at = page("filters", view=view, by=by)
    assert not at.exception
    assert not at.warning
    assert f"""filters {view} --by 'kind || '"'"' '"'"' || format'""" in shown(at)
    if view != "drift":
        assert "conv onnx" in table(at, "group")["group"].to_list()


def test_sql_that_makes_no_group_is_told(page: Page) -> None:
    at = page("filters", view="basis", by="nothere")
    assert not at.exception
    assert any("nothere" in one.value for one in at.info)


@pytest.mark.parametrize("view", ["models", "quality", "sheet", "basis", "coefficients", "drift"])
def test_sql_to_copy_runs(page: Page, own: sl.Catalog, view: str) -> None:
    own.ingest_models([BUNDLED / "pnet.pt"], keep_filters=True)
    if view == "drift":
        sl.filters.drift_by(own.store, "category", resamples=40)
    at = page(
        "filters", own.path, view=view, by="category", model="mtcnn-pnet", left="faces", right="natural"
    )
    found = [one.value for one in at.code if one.language == "sql"]
    assert found
    for query in found:
        own.sql(query)
