"""Every page over every state of a catalog, its selections, and links that name what is not there."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

import shiftlab as sl
from shiftlab import resources, safe_sql
from tests.app.conftest import CONTEXTS, Page, shown

PAGES = (
    "home",
    "subsets",
    "shift",
    "pair",
    "items",
    "measures",
    "sql",
    "runs",
    "filters",
    "episodes",
    "cards",
)
ODD = f"cat({CONTEXTS[2]})"
SUBSETS = {f"cat({one})" for one in (*CONTEXTS, "lamp")}


OWN_WORDS = {
    "sql": "No query yet",
    "runs": "No run yet",
    "filters": "No network yet",
    "episodes": "No demonstrations yet",
}


@pytest.mark.parametrize("name", PAGES)
def test_filled(page: Page, name: str) -> None:
    at = page(name)
    assert not at.exception
    assert not at.error
    assert not at.warning
    assert at.title


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("empty", "This catalog is empty"),
        ("missing", "No catalog here"),
        ("newer", "upgrade ShiftLab"),
        ("broken", "is no DuckDB file"),
    ],
)
def test_states_say_what_to_do(page: Page, states: dict[str, Path], name: str, state: str, told: str) -> None:
    at = page(name, states[state])
    assert not at.exception
    if name in ("measures", "cards"):
        assert {"measures": "mmd", "cards": "coco14_image_labels"}[name] in str(at.dataframe[0].value)
    elif state == "empty" and name in OWN_WORDS:
        assert OWN_WORDS[name] in shown(at)
    else:
        assert told.lower() in shown(at).lower().replace("\\", "")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("home", "No findings yet"),
        ("subsets", "No subsets in two"),
        ("shift", "No subsets in two"),
        ("pair", "No two subsets here"),
    ],
)
def test_a_data_set_without_subsets_says_how_to_build_them(
    page: Page, states: dict[str, Path], name: str, told: str
) -> None:
    at = page(name, states["unbuilt"])
    assert not at.exception
    assert told in shown(at)
    assert "subsets build two" in shown(at)


def test_a_measure_of_vectors_without_vectors_says_so(page: Page, own: sl.Catalog) -> None:
    safe_sql.write(own.store, "delete from vector_file; delete from space; delete from score")
    at = page("shift", own.path, dataset="pets", class_="cat", measure="mmd")
    assert not at.exception
    assert "ingest vectors" in shown(at)


def test_home_tells_facts_findings_and_tour(page: Page) -> None:
    at = page("home")
    facts = {one.label: one.value for one in at.metric}
    assert facts["Items"] == "420"
    assert facts["Data sets"] == "2"
    assert int(facts["Scores"]) > 0
    assert "Most nearly the same" in shown(at)
    assert "A shift beyond chance" in shown(at)
    assert any("meta-graph" in one.label for one in at.page_link)


def test_subsets_restores_a_link(page: Page) -> None:
    at = page("subsets", dataset="pets", class_="cat", subset=ODD, edge="0.05", view="items")
    assert not at.exception
    assert at.selectbox(key="subsets_class").value == "cat"
    assert any(CONTEXTS[2] in one.value.replace("\\", "") for one in at.header)
    items = next(one.value for one in at.dataframe if "item" in one.value.columns)
    assert len(items) == 24
    assert items["objects"].str.contains(CONTEXTS[2], regex=False).all()


def test_the_graph_holds_every_subset(page: Page) -> None:
    at = page("subsets", dataset="pets", class_="cat", subset=ODD)
    option = json.loads(at.get("echarts_chart")[0].proto.spec)
    nodes = {node["name"]: node for node in option["series"][0]["data"]}
    assert set(nodes) == SUBSETS
    assert nodes[ODD]["itemStyle"] != nodes["cat(bed)"]["itemStyle"]


def test_the_filter_takes_what_the_command_line_takes(page: Page) -> None:
    at = page("subsets", dataset="pets", class_="cat", where="n > 60")
    names = next(one.value for one in at.dataframe if "degree" in one.value.columns)["name"]
    assert list(names) == ["cat(lamp)"]
    at = page("subsets", dataset="pets", class_="cat", where="n > ; drop table subset")
    assert not at.exception
    assert "refused" in at.error[0].value


def test_the_matrix_takes_the_same_filter_and_sql_and_python_give_the_same_pairs(
    page: Page, filled: Path, own: sl.Catalog
) -> None:
    words = {"dataset": "pets", "class_": "cat", "measure": "jensen_shannon", "where": "n < 60"}
    for more in ({"order": "cluster"}, {"order": "community"}, {"view": "map"}):
        at = page("shift", **words, **more)
        assert not at.exception
        assert not at.error
    pairs = next(one.value for one in at.dataframe if "right_name" in one.value.columns)
    assert {*pairs["left_name"], *pairs["right_name"]} == SUBSETS - {"cat(lamp)"}
    (query,) = {one.value for one in at.code if one.value.startswith("select left_name, right_name, value")}
    assert len(sl.open(filled).sql(query).rows()) == len(pairs) == 21
    assert any("--where=" in one.value and "(n < 60)" in one.value for one in at.code)
    (python,) = {one.value for one in at.code if "cat.matrix(" in one.value}
    found = eval(python.splitlines()[-1], {"cat": own})  # the line that the page gives to be copied
    assert set(found.names) == {*pairs["left_name"], *pairs["right_name"]}
    assert "Fewer than two subsets fit" in shown(page("shift", **(words | {"where": "n > 60"})))


def test_shift_restores_the_pair_of_a_link(page: Page, filled: Path) -> None:
    at = page("shift", dataset="pets", class_="cat", measure="jensen_shannon", left="cat(sofa)", right=ODD)
    assert not at.exception
    stored = sl.open(filled).sql(
        "select value from scores where measure = 'jensen_shannon' and left_name = $l and right_name = $r",
        {"l": ODD, "r": "cat(sofa)"},
    )
    assert float(at.metric[0].value) == pytest.approx(stored.rows()[0][0], rel=5e-3)
    assert any("Look into this pair" in one.label for one in at.page_link)


@pytest.mark.parametrize(
    ("measure", "order"),
    [
        ("overlap", "cluster"),
        ("jaccard", "name"),
        ("spectral_distance", "community"),
        ("resistance", "cluster"),
        ("jensen_shannon", "cluster"),
        ("jensen_shannon", "mean"),
    ],
)
def test_matrix_of_each_kind(page: Page, measure: str, order: str) -> None:
    at = page("shift", dataset="pets", class_="cat", measure=measure, order=order)
    assert not at.exception
    assert not at.warning
    assert at.get("vega_lite_chart")


def test_the_upper_triangle_is_offered_where_its_numbers_are_stored(page: Page, own: sl.Catalog) -> None:
    words = {"dataset": "pets", "class_": "cat", "measure": "mmd"}
    found = own.matrix("mmd", subject="cat", dataset="pets", permutations=19).pairs
    known = len(found) - found["q"].null_count()
    at = page("shift", own.path, **words, upper="q", order="cluster")
    assert not at.exception
    assert not at.warning
    assert f"Upper triangle: q-value, stored for {known} of 28 pairs" in shown(at)
    spec = at.get("vega_lite_chart")[0].proto.spec
    assert "mmd, lower triangle" in spec
    assert "q-value, upper triangle" in spec
    at = page("shift", own.path, **words, upper="interval_width")
    assert "Upper triangle: interval width, stored for 1 of 28 pairs" in shown(at)
    pairs = next(one.value for one in at.dataframe if "right_name" in one.value.columns)
    (query,) = {one.value for one in at.code if one.value.startswith("select left_name, right_name, value")}
    found = own.sql(query).pl()
    assert len(found) == len(pairs)
    assert found["q"].sum() == pytest.approx(pairs["q"].sum())
    assert found["interval_width"].sum() == pytest.approx(pairs["interval_width"].sum())


def test_an_upper_triangle_that_is_not_stored_is_told(page: Page) -> None:
    at = page("shift", dataset="pets", class_="cat", measure="jensen_shannon", upper="q")
    assert "'q'" in at.warning[0].value
    assert "upper triangle" not in at.get("vega_lite_chart")[0].proto.spec
    at = page("shift", dataset="pets", class_="cat", measure="overlap")
    assert not [one for one in at.get("button_group") if one.label == "Upper triangle"]


def test_map_of_subsets_tells_its_stress(page: Page) -> None:
    at = page("shift", dataset="pets", class_="cat", measure="jensen_shannon", view="map")
    assert not at.exception
    assert "stress" in shown(at)
    assert at.get("vega_lite_chart")


def test_map_restores_the_subsets_of_a_link_in_the_map_and_in_the_table(page: Page) -> None:
    words = {"dataset": "pets", "class_": "cat", "measure": "jensen_shannon", "view": "map"}
    at = page("shift", **words, chosen=["cat(sofa)", ODD])
    assert not at.exception
    assert not at.warning
    assert "2 of 8 selected" in shown(at)
    listed = next(one for one in at.dataframe if "degree" in one.value.columns).value["name"]
    assert set(listed[:2]) == {"cat(sofa)", ODD}
    assert at.session_state["map_pets_cat_jensen_shannon_subsets"]["selection"]["rows"] == [0, 1]
    spec = json.loads(at.get("vega_lite_chart")[0].proto.spec)
    assert any(layer["mark"].get("fontWeight") == "bold" for layer in spec["layer"])
    at.button(key="map_pets_cat_jensen_shannon_clear").click().run()
    assert "0 of 8 selected" in shown(at)


def test_map_tells_subsets_of_a_link_that_it_does_not_hold(page: Page) -> None:
    words = {"dataset": "pets", "class_": "cat", "measure": "jensen_shannon", "view": "map"}
    at = page("shift", **words, chosen=["cat(no)", "cat(sofa)"])
    assert "cat(no)" in at.warning[0].value.replace("\\", "")
    assert "1 of 8 selected" in shown(at)


def test_a_measure_that_is_not_stored_says_how_to_compute_it(page: Page, own: sl.Catalog) -> None:

    at = page("shift", own.path, dataset="pets", class_="cat", measure="hellinger")
    assert "shift matrix --class cat --measure hellinger" in shown(at)
    at.button(key="shift_matrix_start").click().run()
    deadline = time.monotonic() + 60
    while not at.get("vega_lite_chart") and time.monotonic() < deadline:
        time.sleep(0.5)
        at.run()
    assert not at.exception
    assert at.get("vega_lite_chart")
    stored = own.sql("select count(*) from scores where measure = 'hellinger'").rows()[0][0]
    assert stored == len(SUBSETS) * (len(SUBSETS) - 1) // 2
    runs = page("runs", own.path)
    assert "done" in shown(runs)


def test_a_job_that_fails_tells_why(page: Page, own: sl.Catalog) -> None:

    for file in (own.path / "vectors").iterdir():
        file.unlink()
    at = page("shift", own.path, dataset="pets", class_="cat", measure="energy_distance")
    at.button(key="shift_matrix_start").click().run()
    deadline = time.monotonic() + 60
    while not at.error and time.monotonic() < deadline:
        time.sleep(0.5)
        at.run()
    assert "missing or damaged" in at.error[0].value


def test_pair_tells_scores_and_what_differs(page: Page) -> None:
    at = page("pair", dataset="pets", left="cat(bed)", right="cat(sofa)")
    assert not at.exception
    scores = next(one.value for one in at.dataframe if "measure" in one.value.columns)
    assert set(scores["measure"]) == {"jensen_shannon", "mmd"}
    assert len(at.get("vega_lite_chart")) >= 2
    assert "cat.compare" in shown(at)


def test_pair_without_a_test_shows_the_command(page: Page) -> None:
    at = page("pair", dataset="pets", left="cat(bed)", right=ODD)
    assert "Not tested yet" in shown(at)
    assert "'cat(o'\"'\"'hare *bold*)'" in shown(at)


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("subsets", {"class_": "cta"}, "did you mean 'cat'"),
        ("subsets", {"dataset": "pts"}, "did you mean 'pets'"),
        ("subsets", {"class_": "cat", "subset": "cat(bedd)"}, "did you mean 'cat(bed)'"),
        ("subsets", {"class_": "cat", "subset": "cat(bed)", "view": "items", "page": "99"}, "page '99'"),
        ("subsets", {"edge": "2"}, "'2'"),
        ("shift", {"class_": "cat", "measure": "jensen_shanon"}, "did you mean 'jensen_shannon'"),
        ("shift", {"class_": "cat", "left": "cat(no)", "right": "cat(bed)"}, "cat(no)"),
        ("pair", {"left": "dog(bed", "right": "cat(bed)"}, "dog(bed"),
        ("measures", {"name": "mmdd"}, "did you mean 'mmd'"),
        ("items", {"item": "nothing"}, "nothing"),
        ("items", {"dataset": "pets", "subset": "cat(bedd)"}, "did you mean 'cat(bed)'"),
        ("runs", {"run": "x; drop table run"}, "x; drop table run"),
        ("sql", {"q": "select 1", "limit": "many"}, "many"),
    ],
)
def test_broken_links_give_a_message(page: Page, name: str, parameters: dict[str, str], told: str) -> None:
    at = page(name, **parameters)
    assert not at.exception
    assert any(told in one.value.replace("\\", "") for one in at.warning), [one.value for one in at.warning]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"model": "ddddocr-det"}, "ddddocr-det"),
        ({"view": "quality", "metric": "sparsity", "model": "ddddocr-det"}, "filters quality"),
        ({"view": "drift", "by": "task"}, "filters drift --by task"),
        ({"view": "basis", "by": "category"}, "filters basis --by category"),
        ({"view": "coefficients", "by": "depth_decile"}, "filters coefficients --by depth_decile"),
    ],
)
def test_filters(page: Page, parameters: dict[str, str], told: str) -> None:
    at = page("filters", **parameters)
    assert not at.exception
    assert told in shown(at).replace("\\", "")


@pytest.mark.parametrize("kind", ["features", "moves", "nearest", "witness"])
def test_pair_tells_why(page: Page, kind: str) -> None:
    at = page("pair", dataset="pets", left=f"cat({CONTEXTS[0]})", right=f"cat({CONTEXTS[1]})", why=kind)
    assert not at.exception
    assert not at.error
    assert f"--kind {kind}" in shown(at)


@pytest.mark.parametrize("kind", ["features", "flows"])
def test_pair_names_the_items_and_the_files_of_what_it_computes(page: Page, filled: Path, kind: str) -> None:
    left, right = f"cat({CONTEXTS[0]})", ODD
    at = page("pair", dataset="pets", left=left, right=right, why=kind)
    catalog = sl.open(filled)
    (query,) = {one.value for one in at.code if one.value.startswith("-- Computed from vectors")}
    rows = catalog.sql(query).pl()
    sides = {name: rows.filter(subset=name) for name in (left, right)}
    for name, side in sides.items():
        assert sorted(side["item"]) == sorted(catalog.subset(name, dataset="pets").pl()["external_id"])
    ids, vectors = (
        np.concatenate([np.load(catalog.path / "vectors" / one) for one in rows[column][0]])
        for column in ("ids_files", "files")
    )
    matrix = vectors[np.searchsorted(ids, rows["item_id"].to_numpy())].astype(float)
    (column,) = (
        one for one in at.dataframe if {"features": "mean_change", "flows": "mass"}[kind] in one.value.columns
    )
    if kind == "features":
        row = column.value.iloc[0]
        means = [matrix[(rows["subset"] == name).to_numpy()].mean(axis=0) for name in (left, right)]
        assert (means[1] - means[0])[int(row["feature"])] == pytest.approx(row["mean_change"], rel=1e-5)


def test_pair_scores_and_their_sql_are_the_same_either_way_round(page: Page, filled: Path) -> None:
    for left, right in (("cat(bed)", "cat(sofa)"), ("cat(sofa)", "cat(bed)")):
        at = page("pair", dataset="pets", left=left, right=right)
        scores = next(one.value for one in at.dataframe if "measure" in one.value.columns)
        (query,) = {one.value for one in at.code if one.value.startswith("select measure, grp")}
        found = sl.open(filled).sql(query).pl()
        assert found["value"].to_list() == scores["value"].to_list()


def test_filters_sweep_of_thresholds(page: Page) -> None:
    at = page("filters", view="quality", thresholds="every")
    assert not at.exception
    assert any("layers" in " ".join(one.value.columns) for one in at.dataframe)
    assert "filters quality --sweep" in shown(at)


def test_filters_drill_from_a_drift_to_its_components(page: Page, own: sl.Catalog) -> None:
    sl.filters.drift_by(own.store, "category", resamples=40)
    at = page("filters", own.path, view="drift", by="category")
    table = next(one.value for one in at.dataframe if "left_name" in one.value.columns)
    left, right = table["left_name"].iloc[0], table["right_name"].iloc[0]
    at = page("filters", own.path, view="drift", by="category", left=left, right=right)
    assert not at.exception
    assert {one.label for one in at.metric} == {
        "Drift",
        "Drift less its bias",
        "By chance, 95 %",
        "Beyond chance",
    }
    parts = next(one.value for one in at.dataframe if "wasserstein" in one.value.columns)
    assert parts["part"].sum() == pytest.approx(table["value"].iloc[0])
    assert "filters components" in shown(at)


def test_keep_curve_where_episodes_have_no_outcome(page: Page) -> None:
    at = page("episodes", dataset="reach", rule="action_variance_loo")
    assert not at.exception
    assert any("no outcome to compare" in one.value for one in at.info)


def test_keep_curve_beside_its_baselines(page: Page, own: sl.Catalog) -> None:
    own.ingest_episodes(resources.data("adroit_door_human") / "episodes.parquet", "door")
    own.score_episodes("door", metrics=["action_variance_loo", "horizon"], replicates=20)
    at = page("episodes", own.path, dataset="door", rule="action_variance_loo")
    assert not at.exception
    curve = next(one.value for one in at.dataframe if "n_kept" in one.value.columns)
    assert {"random", "shortest", "oracle", "action_variance_loo"} <= set(curve["rule"])
    assert "episodes report door --keep-curve" in shown(at)


def test_episodes_ranks_and_shows_one(page: Page) -> None:
    at = page("episodes", dataset="reach", episode="7", metric="action_variance_loo")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 3
    table = next(
        one.value for one in at.dataframe if "verdict" in one.value.columns and "episode" in one.value.columns
    )
    assert len(table) == 8


def test_sql_console(page: Page) -> None:
    at = page("sql", q="select name, n from subsets where class = 'cat' and kept order by n desc")
    assert not at.exception
    rows = next(one.value for one in at.dataframe if "name" in one.value.columns)
    assert set(rows["name"]) == SUBSETS
    chart = page("sql", q="select name, n from subsets where class = 'cat' and kept", view="chart")
    assert chart.get("vega_lite_chart")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("selec 1", "syntax error"),
        ("delete from subset", "only one SELECT"),
        ("select * from read_csv('/etc/passwd')", "disabled"),
        ("select 1; select 2", "only one SELECT"),
        ("from nowhere", "nowhere"),
    ],
)
def test_sql_that_is_refused_tells_why(page: Page, query: str, told: str) -> None:
    at = page("sql", q=query)
    assert not at.exception
    assert told in at.error[0].value.replace("\\", "")


def test_sql_that_never_ends_is_ended(page: Page) -> None:
    at = page("sql", q="select count(*) from range(100000000000) a, range(1000) b", timeout="5")
    assert "Time limit" in at.error[0].value


def test_more_rows_than_the_limit_are_told(page: Page) -> None:
    at = page("sql", q="from presence", limit="100")
    assert "There are more" in shown(at)


def test_pages_are_fresh_while_the_catalog_is_written(page: Page, own: sl.Catalog) -> None:
    at = page("home", own.path)
    before = {one.label: one.value for one in at.metric}["Scores"]
    own.matrix(
        "hellinger", subject="cat", dataset="pets"
    )  # would fail on the lock if the page held a connection
    at.run()
    assert int({one.label: one.value for one in at.metric}["Scores"]) == int(before) + 28
