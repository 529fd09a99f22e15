"""The page of demonstrations: ranked, on the plane of their states, by group, chosen and exported, one by one."""

from __future__ import annotations

import time

import polars as pl
import pytest

import shiftlab as sl
from shiftlab.episodes.shift import compare_stored
from shiftlab.episodes.worlds import Operator, point_mass
from tests.app.conftest import Page, shown


def table(at, column: str) -> pl.DataFrame:
    """The first table of a page that has a column."""
    return pl.from_pandas(next(one.value for one in at.dataframe if column in one.value.columns))


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """Demonstrations of two operators, one of them shaky, with successes. Shared: tests add selections only."""
    folder = tmp_path_factory.mktemp("operated")
    parts = []
    for number, (name, operator) in enumerate(
        {"ann": Operator(system=0.01), "bob *b*": Operator(0.01, 0.03)}.items()
    ):
        world = point_mass(8, operator, seed=number)
        parts.append(
            pl.DataFrame(
                {
                    "episode_index": world.episode + 8 * number,
                    "frame_index": world.frame,
                    "observation.state": world.states,
                    "action": world.actions,
                    "operator": [name] * len(world.frame),
                    "success": world.episode % 3 > 0,
                }
            )
        )
    pl.concat(parts).write_parquet(folder / "points.parquet")
    catalog = sl.open(folder / "catalog")
    catalog.ingest_episodes(folder / "points.parquet", "points")
    catalog.score_episodes("points", replicates=20)
    return catalog


def test_the_table_is_ranked_by_the_metric_of_the_link(page: Page, operated: sl.Catalog) -> None:
    at = page("episodes", operated.path, dataset="points", metric="action_variance_loo")
    assert not at.exception
    found = table(at, "rank")
    assert found["action_variance_loo"].is_sorted()
    assert len(found) == 16
    ranks = found["rank"].str.extract_all(r"\d+").list.eval(pl.element().cast(int)).to_list()
    assert all(low <= high for low, high in ranks)
    assert "high is worse" in shown(at)


def test_a_predicate_narrows_what_is_listed_and_copied(page: Page, operated: sl.Catalog) -> None:
    where = "operator = 'ann' and length > 3 -- of the steady one"
    at = page("episodes", operated.path, dataset="points", metric="smoothness", where=where)
    assert not at.exception
    assert not at.error
    found = table(at, "rank")
    assert sorted(found["episode"]) == list(range(8))
    assert "8 of 16 episodes" in shown(at)
    queries = {one.value for one in at.code if one.value.startswith("from episode")}
    assert {len(operated.sql(query).rows()) for query in queries} == {8}
    assert len(queries) == 2
    assert any("--where=" in one.value for one in at.code)
    refused = page("episodes", operated.path, dataset="points", where="length > ; drop table episode")
    assert "refused" in refused.error[0].value
    assert "No episode fits" in shown(page("episodes", operated.path, dataset="points", where="length < 0"))


def test_the_next_episode_is_the_next_one_listed(page: Page, operated: sl.Catalog) -> None:
    at = page("episodes", operated.path, dataset="points", metric="smoothness", where="operator = 'ann'")
    order = table(at, "rank")["episode"].to_list()
    link = {"dataset": "points", "metric": "smoothness", "where": "operator = 'ann'"}
    at = page("episodes", operated.path, **link, episode=str(order[0]))
    buttons = {one.label: one for one in at.button}
    assert buttons["Previous"].disabled
    at = buttons["Next"].click().run()
    assert f"Episode {order[1]}" in shown(at)
    at = page("episodes", operated.path, **link, episode=str(order[-1]))
    assert {one.label: one.disabled for one in at.button if one.label in ("Previous", "Next")} == {
        "Previous": False, "Next": True,
    }  # fmt: skip
    at = page("episodes", operated.path, **link, episode="12")  # not among those listed
    assert all(one.disabled for one in at.button if one.label in ("Previous", "Next"))


def test_an_episode_is_told_beside_the_others(page: Page, operated: sl.Catalog) -> None:
    at = page("episodes", operated.path, dataset="points", episode="12", traces="actions")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 3  # ranked, over its frames, traces
    assert "2 dimensions in which it departs most" in shown(at)
    assert "from step" in shown(at)


def test_the_plane_of_states_tells_its_coverage(page: Page, operated: sl.Catalog) -> None:
    at = page("episodes", operated.path, dataset="points", view="states", colour="action_residual")
    assert not at.exception
    covered = table(at, "episodes_that_were_there")
    told = shown(at)
    alone = covered.filter(pl.col("episodes_that_were_there") == 1)["cells"].sum()
    assert f"Of {covered['cells'].sum()} cells" in told
    assert f"that one episode alone visited: {alone}." in told
    assert "100% of the variance" in told  # two dimensions, both shown


def test_operators_are_compared_over_episodes(page: Page, operated: sl.Catalog) -> None:
    at = page("episodes", operated.path, dataset="points", view="groups", metric="action_variance_loo")
    assert not at.exception
    found = table(at, "n_rest").sort("mean")
    assert found["grp"].to_list() == ["ann", "bob *b*"]
    assert found["q"].max() < 0.05
    assert "episodes shift points ann 'bob *b*' --by operator --side states" in shown(at)
    compare_stored(operated.store, "points", by="operator", left="ann", right="bob *b*", permutations=39)
    at = page("episodes", operated.path, dataset="points", view="groups", left="ann", right="bob *b*")
    assert table(at, "null_q95")["side"].to_list() == ["states"]
    assert "Compute now" not in [one.label for one in at.button]


def test_without_groups_the_page_says_where_they_come_from(page: Page) -> None:
    at = page("episodes", dataset="reach", view="groups")
    assert not at.exception
    assert "column `operator`" in shown(at)
    assert "episodes shift reach" in shown(at)


def test_a_choice_is_stored_compared_and_exported(page: Page, operated: sl.Catalog) -> None:
    link = {"dataset": "points", "view": "keep", "by": "action_variance_loo", "share": "0.25"}
    at = page("episodes", operated.path, **link)
    assert not at.exception
    next(one for one in at.button if one.label == "Keep these").click().run()
    deadline = time.monotonic() + 60
    while operated.sql("from episode_selection").pl().is_empty():
        assert time.monotonic() < deadline, "the job did not end"
        time.sleep(0.2)
    at = page("episodes", operated.path, **link)
    assert not at.exception
    assert table(at, "n_dropped").row(0)[:3] == ("action_variance_loo-0.25", 4, 12)
    compared = table(at, "shared")
    assert compared["rule"].to_list() == ["action_variance_loo-0.25", "shortest", "random", "all"]
    assert table(at, "reason")["kept"].sum() == 4
    exports = {one.label: one for one in at.get("download_button") if one.label.startswith("Export: ")}
    assert set(exports) == {"Export: weights", "Export: parquet", "Export: recipe"}


def test_a_rule_of_a_link_shows_its_curve_and_horizon_is_the_baseline(
    page: Page, operated: sl.Catalog
) -> None:
    at = page("episodes", operated.path, dataset="points", rule="smoothness")
    assert not at.exception
    assert {"shortest", "random", "oracle", "smoothness"} <= set(table(at, "keep")["rule"])
    rules = next(one for one in at.selectbox if one.label == "Rule").options
    assert "horizon" not in rules
    assert "state coverage" not in rules


@pytest.mark.parametrize("view", ["ranked", "states", "groups", "keep"])
def test_sql_to_copy_runs(page: Page, operated: sl.Catalog, view: str) -> None:
    operated.curate_episodes("points", "half", keep=0.5, by="shortest")
    at = page("episodes", operated.path, dataset="points", view=view, episode="3", rule="smoothness")
    found = [one.value for one in at.code if one.language == "sql"]
    assert len(found) >= 2
    for query in found:
        operated.sql(query)
