"""What makes two subsets differ: the lists agree with the arrays they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.shift import explain
from shiftlab.shift.why import KINDS, why
from tests.conftest import Cli

SIZE = 60


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """cat(sofa) and cat(tree): column 3 of the vectors tells them apart, item sofa-0 lies far out."""
    folder = tmp_path_factory.mktemp("two")
    rows = [(f"{c}-{i}", name) for c in ("sofa", "tree") for i in range(SIZE) for name in ("cat", c)]
    pl.DataFrame(rows, schema=["image_id", "object"], orient="row").write_csv(folder / "two.csv")
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "two.csv", "two")
    catalog.build_subsets("two", min_subsets=1)
    ids = [f"{c}-{i}" for c in ("sofa", "tree") for i in range(SIZE)]
    vectors = np.random.default_rng(0).normal(size=(2 * SIZE, 5)).astype(np.float32)
    vectors[SIZE:, 3] += 4
    vectors[0] = 30
    np.savez(folder / "v.npz", ids=ids, vectors=vectors)
    catalog.ingest_vectors(folder / "v.npz", "two", "space", ids="ids")
    return catalog


def test_the_column_that_moved_stands_first(two: sl.Catalog) -> None:
    found = why(two.store, "cat(sofa)", "cat(tree)", "features", top=3)
    assert len(found) == 3
    assert found["feature"][0] == "3"
    assert found["mean_change"][0] == pytest.approx(4, abs=0.8)
    assert found["q"][0] < 0.05


def test_items_are_called_by_their_ids(two: sl.Catalog) -> None:
    moves = why(two.store, "cat(sofa)", "cat(tree)", "moves")
    assert moves["source"][0] == "sofa-0"
    assert moves["target"].str.starts_with("tree-").all()
    assert moves.select("n_left", "n_right").row(0) == (SIZE, SIZE)
    far = why(two.store, "cat(sofa)", "cat(tree)", "nearest", top=2).filter(pl.col("end") == "farthest")
    assert far["item"][0] == "sofa-0"
    witness = why(two.store, "cat(sofa)", "cat(tree)", "witness", top=4)
    assert witness.filter(side="cat(sofa)")["item"].str.starts_with("sofa-").all()
    assert witness.filter(side="cat(tree)")["witness"].max() < 0  # type: ignore[operator]


def test_large_sides_are_sampled_and_say_so(two: sl.Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shiftlab.shift.why.MOST_MOVED", 20)
    found = [why(two.store, "cat(sofa)", "cat(tree)", "moves", seed=seed) for seed in (1, 1, 2)]
    assert found[0].select("n_left", "n_right").row(0) == (20, 20)
    assert found[0].equals(found[1])
    assert not found[0].equals(found[2])


def test_what_cannot_be_explained_says_why(two: sl.Catalog, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"cat\(sofa\)"):
        why(two.store, "cat(soffa)", "cat(tree)")
    few = sl.open(tmp_path / "few")
    pl.DataFrame(
        [(f"{c}{i}", name) for c in "st" for i in range(3) for name in ("cat", c)],
        schema=["image_id", "object"], orient="row",
    ).write_csv(tmp_path / "few.csv")  # fmt: skip
    few.ingest_images(tmp_path / "few.csv", "few")
    few.build_subsets("few", min_images=3, min_subsets=1)
    np.savez(tmp_path / "v.npz", ids=["s0", "t0", "t1"], vectors=np.eye(3))
    few.ingest_vectors(tmp_path / "v.npz", "few", "space", ids="ids")
    with pytest.raises(BadInputError, match=r"1 of 3 items of 'cat\(s\)' have a vector"):
        why(few.store, "cat(s)", "cat(t)")


@pytest.mark.parametrize("kind", KINDS)
def test_command(two: sl.Catalog, cli: Cli, kind: str) -> None:
    done = cli("--catalog", two.path, "shift", "why", "cat(sofa)", "cat(tree)", "--kind", kind, "--top", "2")
    assert done.returncode == 0, done.stderr
    told = len(done.stdout.splitlines())  # a heading and one or two lists of two, or all that there is
    assert told == 1 + 2 * SIZE if kind == "values" else told > 5 if kind == "flows" else told in (3, 5)


def test_values_are_the_column_of_every_item(two: sl.Catalog) -> None:
    found = why(two.store, "cat(sofa)", "cat(tree)", "values", feature=3)
    with np.load(two.path.parent / "v.npz") as arrays:
        stored = dict(zip(arrays["ids"], arrays["vectors"][:, 3], strict=True))
    assert dict(found.select("item", "value").iter_rows()) == stored
    assert found.group_by("side", maintain_order=True).agg(pl.col("value").is_sorted())["value"].all()
    with pytest.raises(BadInputError, match="no feature 5; the space has the features 0 to 4"):
        why(two.store, "cat(sofa)", "cat(tree)", "values", feature=5)


def test_flows_move_all_mass_between_groups_that_items_name(two: sl.Catalog) -> None:
    found = why(two.store, "cat(sofa)", "cat(tree)", "flows")
    assert found["mass"].sum() == pytest.approx(1)
    assert found["share"].sum() == pytest.approx(1)
    assert len(set(found["source"]) | set(found["target"])) <= 10
    assert found.equals(why(two.store, "cat(sofa)", "cat(tree)", "flows"))
    x = np.repeat([[0.0, 0.0], [9.0, 9.0]], 20, axis=0)
    x[:, 0] += np.tile(np.linspace(0, 0.1, 20), 2)
    whole = explain.flows(
        x, x[20:], ids_x=[f"a{i}" for i in range(40)], ids_y=[f"b{i}" for i in range(20)], most=2
    )
    assert set(whole["mass"].round(6)) == {0.5}  # half of x lies where y does not
    assert whole["distance"].min() == pytest.approx(0, abs=0.1)
    assert whole["distance"].max() == pytest.approx(np.hypot(9, 9), abs=0.1)
