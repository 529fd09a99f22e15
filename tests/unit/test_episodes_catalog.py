"""Demonstrations in a catalog: ingest, scores, curation, export, shift, report, and the commands."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab import queries, resources, safe_sql
from shiftlab.episodes import curate as curation
from shiftlab.episodes.baselines import compare
from shiftlab.episodes.export import export, export_dataset_weights
from shiftlab.episodes.report import report
from shiftlab.episodes.shift import _by_episode, compare_stored, episode_shift
from shiftlab.episodes.state_map import state_map
from shiftlab.episodes.stored import read_steps, rows
from shiftlab.episodes.worlds import Operator, point_mass
from shiftlab.errors import BadInputError, NotFoundError, ShiftLabError
from shiftlab.integrity import check
from shiftlab.measures import registry


def write_robomimic(path: Path) -> None:
    clean = point_mass(12, Operator(system=0.01), seed=1)
    shaky = point_mass(12, Operator(system=0.01, policy=0.03), seed=2)
    with h5py.File(path, "w") as file:
        number = 0
        for world in (clean, shaky):
            for episode in range(12):
                rows_of = world.episode == episode
                demo = file.create_group(f"data/demo_{number}")
                demo.attrs["num_samples"] = int(rows_of.sum())
                demo["states"], demo["actions"] = world.states[rows_of], world.actions[rows_of]
                demo["rewards"] = np.r_[np.zeros(rows_of.sum() - 1), 1.0 if number % 3 else 0.0]
                number += 1
        file["mask/operator_a"] = np.array([f"demo_{i}" for i in range(12)], dtype="S")
        file["mask/operator_b"] = np.array([f"demo_{i}" for i in range(12, 24)], dtype="S")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "toy.hdf5"
    write_robomimic(path)
    return path


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, source: Path) -> sl.Catalog:
    """Two operators, one of them shaky; scored. Shared: tests add selections and scores only."""
    catalog = sl.open(tmp_path_factory.mktemp("toy") / "catalog")
    catalog.ingest_episodes(source, "toy")
    catalog.score_episodes("toy", replicates=40)
    return catalog


def test_ingest_is_idempotent_and_one_dataset_is_one_source(tmp_path, source):
    catalog = sl.open(tmp_path / "catalog")
    first = catalog.ingest_episodes(source, "toy")
    assert (first.episodes, first.format, first.already_there) == (24, "robomimic", False)
    before = catalog.store.generation()
    again = catalog.ingest_episodes(source, "toy")
    assert again.already_there
    assert (again.episodes, again.steps) == (first.episodes, first.steps)
    assert catalog.store.generation() == before
    with pytest.raises(BadInputError, match="another --dataset"):
        catalog.ingest_episodes(resources.data("adroit_door_human") / "episodes.parquet", "toy")
    with pytest.raises(BadInputError, match="cannot name"):
        catalog.ingest_episodes(source, "a/b")
    steps = read_steps(catalog.store, "toy")
    with h5py.File(source) as file:
        np.testing.assert_allclose(steps["state"].to_numpy()[0], file["data/demo_0/states"][0], rtol=1e-6)
    assert not [f for f in check(catalog.store) if f.violations]


def test_a_refused_source_leaves_no_trace(tmp_path):
    catalog = sl.open(tmp_path / "catalog")
    bad = tmp_path / "bad.hdf5"
    write_robomimic(bad)
    with h5py.File(bad, "a") as file:
        del file["data/demo_3/actions"]
        file["data/demo_3/actions"] = h5py.SoftLink("/data/demo_2/actions")
    before = catalog.store.generation()
    with pytest.raises(BadInputError, match="demo_3"):
        catalog.ingest_episodes(bad, "bad")
    assert catalog.store.generation() == before
    assert not list((catalog.path / "steps").iterdir())


def test_problems_of_the_source_are_rows(tmp_path):
    table = pl.read_parquet(resources.data("adroit_door_human") / "episodes.parquet").head(700)
    state = table["observation.state"].to_numpy().copy()
    state[310, 3] = np.nan
    table = table.with_columns(pl.Series("observation.state", state, dtype=pl.Array(pl.Float32, 39)))
    table.write_parquet(tmp_path / "t.parquet")
    catalog = sl.open(tmp_path / "catalog")
    done = catalog.ingest_episodes(tmp_path / "t.parquet", "door")
    assert done.problems == {"value that is not finite": 1}
    issue = rows(catalog.store, "episode_issues", dataset="door").row(0, named=True)
    assert issue["record"] == "episode 1 frame 10"


def test_scores_are_stored_once_and_replaced(tmp_path, source):
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_episodes(source, "toy")
    found = catalog.score_episodes("toy", metrics=["horizon", "idle_fraction"], replicates=20)
    assert catalog.sql("select count(*) as n from episode_score").pl()["n"][0] == 48
    catalog.score_episodes("toy", metrics=["horizon"], replicates=20)
    assert catalog.sql("select distinct metric from episode_score").pl()["metric"].to_list() == ["horizon"]
    assert set(found.episodes["metric"]) == {"horizon", "idle_fraction"}
    with pytest.raises(NotFoundError, match="there are toy"):
        catalog.score_episodes("nothing")


def test_contract_columns(toy):
    have = set(toy.sql("describe episode_score").pl()["column_name"])
    assert {
        "dataset",
        "episode_index",
        "metric",
        "value",
        "ci_low",
        "ci_high",
        "rank_low",
        "rank_high",
    } <= have
    have = set(toy.sql("describe dataset_score").pl()["column_name"])
    assert {"dataset", "metric", "value", "ci_low", "ci_high", "n"} <= have
    view = toy.sql("from episodes").pl()
    assert set(sl.episodes.CONTRACT) - {"horizon"} <= set(view.columns)
    assert len(view) == 24
    stored = toy.sql(
        "select value from episode_score where metric = 'smoothness' order by episode_index"
    ).pl()
    assert view.sort("episode_index")["smoothness"].to_list() == stored["value"].to_list()


def test_steps_are_sql(tmp_path, toy, source):
    columns = {"dataset", "episode_index", "frame_index", "timestamp", "state", "action"}
    assert set(toy.sql("describe step").pl()["column_name"]) == columns
    told = toy.sql("from step order by episode_index, frame_index").pl()
    kept = read_steps(toy.store, "toy").sort("episode_index", "frame_index")
    assert np.array_equal(np.array(told["state"].to_list(), np.float32), kept["state"].to_numpy())
    joined = toy.sql(
        "select count(*) as n from step join step_score using (dataset, episode_index, frame_index)"
    )
    assert joined.pl()["n"][0] == len(kept)
    # States of another width, from a table that tells the time; and no data set at all.
    other = sl.open(tmp_path / "catalog")
    assert other.sql("from step").pl().columns[0] == "dataset"
    timed = {
        "episode_index": [0, 0],
        "frame_index": [0, 1],
        "observation.state": [[1.0] * 5] * 2,
        "action": [[2.0]] * 2,
    }
    pl.DataFrame(timed | {"timestamp": [0.0, 0.5]}).write_parquet(tmp_path / "timed.parquet")
    other.ingest_episodes(source, "toy")
    other.ingest_episodes(tmp_path / "timed.parquet", "timed")
    widths = other.sql(
        "select dataset, len(state) as width, max(timestamp) as last from step group by all order by 1"
    )
    assert widths.pl().rows() == [("timed", 5, 0.5), ("toy", kept["state"].dtype.shape[0], None)]
    assert "step" in safe_sql.tables(other.store)["name"].to_list()


def test_the_view_step_opens_no_other_file(tmp_path, source):
    catalog = sl.open(tmp_path / "catalog's")
    catalog.ingest_episodes(source, "o'hare")
    assert set(catalog.sql("from step").pl()["dataset"]) == {"o'hare"}
    (tmp_path / "secret.csv").write_text("word\ncanary\n", encoding="utf-8")
    pl.DataFrame({"a": [1]}).write_parquet(catalog.path / "steps" / "other.parquet")
    for path in (tmp_path / "secret.csv", catalog.path / "steps" / "other.parquet"):
        with pytest.raises(ShiftLabError, match="disabled"):
            catalog.sql(
                f"select (select count(*) from step), * from '{str(path).replace(chr(39), chr(39) * 2)}'"
            )
    next(p for p in (catalog.path / "steps").glob("*.parquet") if p.stem != "other").unlink()
    with pytest.raises(BadInputError, match="steps of 'o'hare' are gone"):
        catalog.sql("from step")
    assert "step_score" in safe_sql.tables(catalog.store)["name"].to_list()


def test_the_plane_of_states_is_principal_and_tells_who_was_where(toy, tmp_path):
    found = state_map(toy.store, "toy", steps=10**6)
    states = read_steps(toy.store, "toy")["state"].to_numpy().astype(float)
    assert len(found) == len(states)
    z = (states - states.mean(axis=0)) / states.std(axis=0)
    assert found.select("x", "y").to_numpy() == pytest.approx(z)  # two dimensions are shown as they are
    assert found["variance_share"][0] == pytest.approx(1)
    per_cell = found.group_by("cell").agg(pl.col("episode_index").n_unique(), pl.col("visited_by").first())
    assert (per_cell["episode_index"] == per_cell["visited_by"]).all()
    assert found["action_residual"].null_count() < len(found)
    assert len(state_map(toy.store, "toy", steps=100)) <= 100
    wide = z @ np.random.default_rng(0).normal(size=(2, 5)) + 0.1 * np.random.default_rng(1).normal(
        size=(len(z), 5)
    )
    rows_of = read_steps(toy.store, "toy").select("episode_index", "frame_index", "action")
    rows_of.with_columns(pl.Series("observation.state", wide)).write_parquet(tmp_path / "wide.parquet")
    other = sl.open(tmp_path / "catalog")
    other.ingest_episodes(tmp_path / "wide.parquet", "wide")
    turned = state_map(other.store, "wide", steps=10**6)
    spread = np.sort(np.linalg.eigvalsh(np.corrcoef(wide.T)))[::-1]
    assert turned.select("x", "y").to_numpy().var(axis=0) == pytest.approx(spread[:2], rel=1e-5)
    assert turned["variance_share"][0] == pytest.approx(spread[:2].sum() / 5, rel=1e-5)
    still = {
        "episode_index": [0, 0],
        "frame_index": [0, 1],
        "observation.state": [[1.0]] * 2,
        "action": [[2.0]] * 2,
    }
    pl.DataFrame(still).write_parquet(tmp_path / "still.parquet")
    other.ingest_episodes(tmp_path / "still.parquet", "still")
    with pytest.raises(BadInputError, match="is constant"):
        state_map(other.store, "still")


def test_traces_name_the_dimension_that_departs(tmp_path):
    rng = np.random.default_rng(4)
    table = pl.DataFrame(
        {
            "episode_index": np.repeat(np.arange(9), 50),
            "frame_index": np.tile(np.arange(50), 9),
            "observation.state": rng.normal(size=(450, 4)),
            "action": rng.normal(size=(450, 2)),
        }
    )
    moved = table["observation.state"].to_numpy().copy()
    moved[table["episode_index"].to_numpy() == 5, 2] += 4
    table.with_columns(pl.Series("observation.state", moved)).write_parquet(tmp_path / "t.parquet")
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_episodes(tmp_path / "t.parquet", "t")
    params = {"dataset": "t", "episode": 5, "side": "states", "most": 2}
    found = catalog.sql(queries.sql("traces"), params).pl()
    assert found.filter(rank=1)["dimension"].unique().to_list() == [3]
    assert found["dimension"].n_unique() == 2
    of_three = found.filter(rank=1)
    assert of_three["frame_index"].to_list() == list(range(50))
    assert of_three["value"].to_numpy() == pytest.approx(moved[250:300, 2])
    # At the share of the way where only frame 0 of each falls, the band is that of the other eight.
    others = moved[table["frame_index"].to_numpy() == 0, 2][[0, 1, 2, 3, 4, 6, 7, 8]]
    at_start = of_three.select("low", "middle", "high").row(0)
    first_two = moved[np.isin(table["frame_index"].to_numpy(), [0, 1]), 2].reshape(9, 2)[
        [0, 1, 2, 3, 4, 6, 7, 8]
    ]
    assert at_start in (
        pytest.approx(np.quantile(others, [0.1, 0.5, 0.9]), rel=1e-5),
        pytest.approx(np.quantile(first_two, [0.1, 0.5, 0.9]), rel=1e-5),
    )


def test_several_datasets_are_scored_against_their_pooled_steps(tmp_path, source):
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_episodes(source, "left")
    other = tmp_path / "other.hdf5"
    write_robomimic(other)
    with h5py.File(other, "a") as file:
        file["data/demo_0/states"][...] += 0.001
    catalog.ingest_episodes(other, "right")
    found = catalog.score_episodes(["left", "right"], metrics=["action_variance_loo"], replicates=20)
    assert found.duplicates.height == 23
    assert set(found.duplicates["left_dataset"]) == {"left"}
    assert catalog.sql("select count(distinct dataset) as n from episode_score").pl()["n"][0] == 2
    catalog.ingest_episodes(resources.data("adroit_door_human") / "episodes.parquet", "door")
    with pytest.raises(BadInputError, match="state_dim"):
        catalog.score_episodes(["left", "door"])


def test_the_shaky_operator_is_named_over_episodes(toy):
    table = rows(toy.store, "group_scores", dataset="toy")
    row = table.filter((pl.col("metric") == "action_variance_loo") & (pl.col("grp") == "operator_b"))
    assert row["difference"][0] > 0
    assert row["q"][0] < 0.05


def test_budget_keeps_the_best_and_gives_reasons(toy):
    selection = toy.curate_episodes("toy", "half", keep=0.5, by="action_variance_loo")
    assert selection.kept["episode_index"].to_list() == list(range(12))
    dropped = selection.members.filter(~pl.col("kept"))
    assert dropped["reason"].str.contains(r"rank \d+ of 24 by action_variance_loo, the budget is 12").all()
    assert (dropped["weight"] == 0).all()
    stored = curation.load(toy.store, "half")
    assert stored.members.equals(selection.members)
    assert stored.recipe == selection.recipe
    table = compare(toy.store, selection)
    assert table["rule"].to_list() == ["half", "shortest", "random", "all"]
    assert table["n_kept"].to_list() == [12, 12, 12, 24]
    assert table["outcome"].null_count() == 0


def test_predicate_weights_and_baselines(toy):
    where = toy.curate_episodes("toy", "short", where="length < 40", weight_by="smoothness")
    assert (where.members.filter(~pl.col("kept"))["reason"] == "does not meet: length < 40").all()
    assert where.kept["weight"].mean() == pytest.approx(1)
    random = toy.curate_episodes("toy", "random", keep=5, by="random", seed=1)
    assert len(random.kept) == 5
    again = toy.curate_episodes("toy", "random", keep=5, by="random", seed=1)
    assert again.members.equals(random.members)
    shortest = toy.curate_episodes("toy", "shortest", keep=5, by="shortest")
    lengths = toy.sql("select episode_index, length from episodes").pl()
    kept = lengths.join(shortest.kept, on="episode_index")["length"]
    assert kept.max() <= lengths["length"].sort()[4]


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({}, "say what to keep"),
        ({"keep": 3}, "needs a rule"),
        ({"keep": 3, "by": "grade"}, "no metric"),
        ({"keep": 3, "by": "state_coverage"}, "neither end"),
        ({"keep": 99, "by": "shortest"}, "only 24"),
        ({"keep": -1, "by": "shortest"}, "number of episodes"),
        ({"where": "length > 100000"}, "drops every episode"),
    ],
)
def test_rules_that_cannot_be_meant_store_nothing(toy, rule, word):
    before = toy.store.generation()
    with pytest.raises(BadInputError, match=word):
        toy.curate_episodes("toy", "bad", **rule)
    assert toy.store.generation() == before


def test_predicates_cannot_write_or_read_files(toy):
    for where in (
        "1 = 1); drop table episode; --",
        "length > (select count(*) from read_text('/etc/hostname'))",
    ):
        with pytest.raises(ShiftLabError):
            toy.curate_episodes("toy", "bad", where=where)
    assert toy.sql("select count(*) as n from episode").pl()["n"][0] == 24


def test_filter_key_goes_into_a_copy_and_in_place_only_when_told(toy, source, tmp_path):
    selection = toy.curate_episodes("toy", "best", keep=6, by="action_variance_loo")
    bytes_before = source.read_bytes()
    written = export(toy.store, selection, "robomimic", tmp_path / "copy.hdf5", source=source)
    assert source.read_bytes() == bytes_before
    with h5py.File(written) as file:
        assert [k.decode() for k in file["mask/best"][()]] == selection.kept["src_key"].to_list()
        assert set(file["mask"]) == {"operator_a", "operator_b", "best"}
    recipe = json.loads(Path(f"{written}.recipe.json").read_text())
    assert recipe["kept"] == selection.kept["src_key"].to_list()
    assert len(recipe["dropped"]) == 18
    assert recipe["rule"]["by"] == "action_variance_loo"
    own = tmp_path / "own.hdf5"
    own.write_bytes(bytes_before)
    export(toy.store, selection, "robomimic", own, source=own, in_place=True)
    export(toy.store, selection, "robomimic", own, source=own, in_place=True)
    with h5py.File(own) as file:
        assert len(file["mask/best"]) == 6
    with pytest.raises(BadInputError, match="in-place"):
        export(toy.store, selection, "robomimic", source, source=source)


def test_other_exports(toy, tmp_path):
    selection = toy.curate_episodes("toy", "best", keep=6, by="action_variance_loo", weight_by="smoothness")
    export(toy.store, selection, "weights", tmp_path / "w.csv")
    table = list(csv.DictReader(io.StringIO((tmp_path / "w.csv").read_text())))
    assert len(table) == 24
    assert sum(float(row["weight"]) for row in table) == pytest.approx(6)
    export(toy.store, selection, "parquet", tmp_path / "kept.parquet")
    kept = pl.read_parquet(tmp_path / "kept.parquet")
    assert set(kept["episode_index"]) == set(selection.kept["episode_index"])
    fresh = sl.open(tmp_path / "again")
    assert fresh.ingest_episodes(tmp_path / "kept.parquet", "kept").episodes == 6
    with pytest.raises(BadInputError, match="came from robomimic"):
        export(toy.store, selection, "lerobot", tmp_path / "x.json")
    with pytest.raises(BadInputError, match="no folder"):
        export(toy.store, selection, "weights", tmp_path / "nowhere" / "x.csv")


def test_report_says_what_it_must_and_escapes_strangers(tmp_path):
    table = pl.read_parquet(resources.data("adroit_door_human") / "episodes.parquet")
    table = table.with_columns(task=pl.lit("<script>alert(1)</script> | open"))
    table.write_parquet(tmp_path / "t.parquet")
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_episodes(tmp_path / "t.parquet", "door")
    with pytest.raises(BadInputError, match="no scores"):
        report(catalog.store, "door")
    catalog.score_episodes("door", replicates=20)
    text = report(catalog.store, "door")
    assert "<script>" not in text
    for word in ("shortest", "random", "oracle", "spearman", "To review", "Near-duplicates", "Reference"):
        assert word in text
    assert "grade" not in text.replace("not graded", "")


@pytest.mark.parametrize("measure", ["energy_distance", "mmd"])
def test_sums_by_episode_are_the_measure(measure):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(90, 3)) + 0.4
    at = np.r_[np.repeat(np.arange(4), 15), np.repeat(np.arange(4, 7), 30)]
    spec = registry.get(measure)
    fixed = spec.resolve(x, y) if spec.resolve else {}
    fast = _by_episode(measure, np.vstack([x, y]), at, fixed)
    assert fast is not None
    assert fast(np.arange(7) < 4) == pytest.approx(spec.function(x, y, **fixed), rel=1e-6)


def test_shift_respects_that_steps_of_an_episode_belong_together():
    rng = np.random.default_rng(1)
    small = 0
    for turn in range(20):
        centre = rng.normal(size=(16, 2))  # every episode elsewhere: a null over steps would always reject
        x = np.repeat(centre, 20, axis=0) + 0.05 * rng.normal(size=(320, 2))
        at = np.repeat(np.arange(16), 20)
        left = at < 8
        found = episode_shift(x[left], x[~left], at[left], at[~left], permutations=99, seed=turn)
        small += found["p"] <= 0.05
    assert small <= 4
    moved = episode_shift(x[left], x[~left] + 3, at[left], at[~left], permutations=99)
    assert moved["p"] == pytest.approx(0.01)


def test_shift_between_operators_is_a_score_row(toy):
    found = compare_stored(
        toy.store, "toy", "operator", "operator_a", "operator_b", side="actions", permutations=99
    )
    assert found["p"] <= 0.05
    stored = toy.sql("select left_kind, left_name, grp, p from scores where left_kind = 'operator'").pl()
    assert stored.row(-1) == ("operator", "operator_a", "actions", found["p"])
    with pytest.raises(NotFoundError, match="operator_a, operator_b"):
        compare_stored(toy.store, "toy", "operator", "x", "operator_b")
    with pytest.raises(BadInputError, match="did you mean"):
        compare_stored(toy.store, "toy", "operator", "operator_a", "operator_b", measure="mdm")


def test_operators_of_one_name_in_two_datasets_keep_their_scores(tmp_path, source):
    catalog = sl.open(tmp_path / "catalog")
    for name in ("left", "right"):
        catalog.ingest_episodes(source, name)
        compare_stored(catalog.store, name, "operator", "operator_a", "operator_b", permutations=19)
    compare_stored(
        catalog.store, "right", "operator", "operator_a", "operator_b", permutations=19
    )  # replaced
    assert catalog.sql("select params ->> 'dataset' from score order by 1").rows() == [("left",), ("right",)]


def test_datasets_weigh_what_is_kept_of_them(tmp_path, source):
    catalog = sl.open(tmp_path / "catalog")
    for name, keep in (("left", 6), ("right", 3)):
        catalog.ingest_episodes(source, name)
        catalog.curate_episodes(name, "mix", keep=keep, by="shortest")
    written = export_dataset_weights(catalog.store, "mix", tmp_path / "mix.csv")
    table = pl.read_csv(written)
    lengths = catalog.sql(
        "select length from episode where dataset = 'left' order by length, episode_index"
    ).pl()
    kept = [lengths["length"][:n].sum() for n in (6, 3)]
    assert table["steps"].to_list() == pytest.approx(kept)
    assert table["weight"].to_list() == pytest.approx([k / sum(kept) for k in kept])
    assert [one["n_kept"] for one in json.loads((tmp_path / "mix.csv.recipe.json").read_text())] == [6, 3]
    with pytest.raises(NotFoundError, match="'none'"):
        export_dataset_weights(catalog.store, "none", tmp_path / "x.csv")


def test_the_world_is_a_table_that_scores_tell_apart(cli, tmp_path):
    file, catalog = tmp_path / "points.parquet", tmp_path / "c"
    words = ("--condition", "clean", "--condition", "policy .02", "--episodes", "10", "--seed", "3")
    done = cli("episodes", "generate", *words, "-o", file)
    assert done.returncode == 0, done.stderr
    assert cli("--catalog", catalog, "ingest", "episodes", file, "--dataset", "points").returncode == 0
    ours = point_mass(10, Operator(policy=0.02), seed=3)
    of_policy = (
        sl.open(catalog).sql("from step where episode_index >= 10 order by episode_index, frame_index").pl()
    )
    assert np.array_equal(np.array(of_policy["action"].to_list(), "f4"), ours.actions.astype("f4"))
    counted = sl.open(catalog).sql("select operator, count(*) from episode group by 1 order by 1").rows()
    assert counted == [("clean", 10), ("policy .02", 10)]
    done = cli("episodes", "generate", "--condition", "dirty")
    assert done.returncode == 2
    assert "there are clean, system .01" in done.stderr


def test_commands(cli, source, tmp_path):
    catalog = tmp_path / "c"

    def run(*words):
        return cli("--catalog", catalog, *words)

    done = run("ingest", "episodes", source, "--dataset", "toy")
    assert done.returncode == 0, done.stderr
    assert "24 episodes" in done.stderr
    assert "nothing to do" in run("ingest", "episodes", source, "--dataset", "toy").stderr
    done = run("episodes", "score", "toy", "--replicates", "20", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {row["metric"] for row in json.loads(done.stdout)} >= set(sl.episodes.CONTRACT)
    done = run("episodes", "list", "toy", "--where", "length < 40", "--format", "csv")
    assert done.stdout.startswith("dataset,episode_index")
    assert "## What the scores may be measuring instead" in run("episodes", "report", "toy").stdout
    assert run("episodes", "report", "toy", "--confounds", "--format", "csv").stdout.startswith(
        "dataset,metric"
    )
    assert "oracle" in run("episodes", "report", "toy", "--keep-curve", "--format", "csv").stdout
    done = run("episodes", "curate", "toy", "--name", "half", "--keep", "0.5", "--by", "action_variance_loo")
    assert done.returncode == 0, done.stderr
    assert "shortest" in done.stdout
    assert run("episodes", "selection", "half").stdout == done.stdout
    members = run("episodes", "selection", "half", "--members", "--format", "json")
    assert sum(row["kept"] for row in json.loads(members.stdout)) == 12
    done = run("episodes", "states", "toy", "--steps", "50", "--plot", tmp_path / "plane.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "plane.json").read_text())["layer"]
    out = tmp_path / "half.hdf5"
    done = run("episodes", "export", "half", "--to", "robomimic", "--source", source, "-o", out)
    assert done.returncode == 0, done.stderr
    assert out.is_file()
    done = run(
        "episodes", "shift", "toy", "operator_a", "operator_b", "--permutations", "19", "--format", "json"
    )
    assert json.loads(done.stdout)[0]["measure"] == "energy_distance"
    assert run("episodes", "export", "none", "--to", "weights", "-o", out).returncode == 2
    assert run("episodes", "curate", "toy", "--name", "x", "--where", "length < 0").returncode == 2
    assert run("ingest", "episodes", tmp_path / "nothing", "--dataset", "y").returncode == 2
