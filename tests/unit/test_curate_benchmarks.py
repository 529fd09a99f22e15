"""MetaShift's benchmark splits: the released generator's draws exactly, and splits that do not leak."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab import vectors
from shiftlab.curate import Split, benchmark_split, feasible, read_scheme, store_plan
from shiftlab.curate.benchmarks import parity_cut, parity_order
from shiftlab.errors import BadInputError
from shiftlab.measures import nearest_residual
from tests.conftest import Cli


def test_order_is_the_released_generators() -> None:
    """Strings sorted as strings, then Python's shuffle of seed 42."""
    found = parity_order([str(k) for k in range(1000)], 42, 8)
    assert found == ["798", "555", "904", "929", "128", "533", "175", "774"]


@pytest.mark.parametrize(
    ("n", "test", "train"),
    [
        (294, [33, 9, 146, 282, 261, 125, 108, 206], [238, 178, 204, 65, 186, 85, 227, 12]),
        (994, [919, 525, 567, 656], [935, 286, 346, 60]),
    ],
)
def test_cut_is_the_released_generators(n: int, test: list[int], train: list[int]) -> None:
    drawn, rest = parity_cut(n, 144, 42)
    assert drawn[: len(test)].tolist() == test
    assert rest[: len(train)].tolist() == train
    assert len(rest) == n - 144


def test_the_published_lists_are_whole() -> None:
    sub = read_scheme("cat-dog-subpopulation")
    assert [len(one["contexts"]) for one in (*sub["minority"], *sub["majority"])] == [7, 27, 48, 27]
    domains = read_scheme("cat-dog-domains")
    assert list(domains["train_options"]) == ["1", "2", "3", "4"]
    assert len(domains["additional"]) == 9


def test_coco_twin_in_parity_mode(coco: sl.Catalog) -> None:
    """1,369 training images of each class and 131 test images of each group, as in the released COCO split."""
    found = benchmark_split(coco.store, "cat-dog-coco", "coco", mode="parity", minority=100)
    counts = dict(
        found.table.group_by("split", "y", "a")
        .len()
        .select(pl.concat_str("split", "y", "a"), "len")
        .iter_rows()
    )
    assert counts["testcatoutdoor"] == counts["testdogindoor"] == counts["testcatindoor"] == 131
    train = {name: n for name, n in counts.items() if name.startswith("train")}
    assert sum(train.values()) == 2738
    assert train["traincatoutdoor"] == train["traindogindoor"] == 100
    assert found.table.select("split", "item").unique().height == found.table.height


@pytest.mark.parametrize("minority", [0, 20, 100])
def test_no_image_is_on_two_sides_or_in_two_groups(coco: sl.Catalog, minority: int) -> None:
    found = benchmark_split(coco.store, "cat-dog-coco", "coco", minority=minority, test=100, seed=3)
    assert not found.table["item"].is_duplicated().any()
    assert found.table.filter(pl.col("split") == "test").group_by("y", "a").len()[
        "len"
    ].unique().to_list() == [100]
    train = found.table.filter(
        (pl.col("split") == "train") & (pl.col("a") == "outdoor") & (pl.col("y") == "cat")
    )
    assert len(train) == minority
    both = coco.sql("select external_id from presence where term in ('cat', 'dog') and dataset = 'coco' "
                    "group by all having count(*) = 2").pl()["external_id"]  # fmt: skip
    assert not set(found.table["item"]) & set(both)
    again = benchmark_split(coco.store, "cat-dog-coco", "coco", minority=minority, test=100, seed=3)
    assert again.table.equals(found.table)
    other = benchmark_split(coco.store, "cat-dog-coco", "coco", minority=minority, test=100, seed=4)
    assert not other.table.equals(found.table)


def test_near_duplicates_stay_on_one_side(catalog: sl.Catalog, tmp_path: Path) -> None:
    """Every image has a twin with the same vector; no pair is parted."""
    places = {"cat": ["car", "bed"], "dog": ["car", "bed"]}
    rows = [
        (f"{y}{a}{k}", one) for y, held in places.items() for a in held for k in range(40) for one in (y, a)
    ]
    pl.DataFrame(rows, schema=["image_id", "object"], orient="row").write_csv(tmp_path / "i.csv")
    catalog.ingest_images(tmp_path / "i.csv", "d")
    ids = sorted({one for one, _ in rows})
    twin = np.array(
        [[hash(one[:6]) % 97, int("".join(c for c in one if c.isdigit())) // 2] for one in ids],
        dtype=np.float32,
    )
    np.savez(tmp_path / "v.npz", ids=np.array(ids), vectors=twin)
    catalog.ingest_vectors(tmp_path / "v.npz", "d", "toy")
    catalog.build_subsets("d", min_images=5, min_subsets=2)
    scheme = {"name": "t", "kind": "subpopulation",
              "minority": [{"y": "cat", "a": "out", "contexts": ["car"]}, {"y": "dog", "a": "in", "contexts": ["bed"]}],
              "majority": [{"y": "cat", "a": "in", "contexts": ["bed"]}, {"y": "dog", "a": "out", "contexts": ["car"]}]}  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(scheme))
    options = {"minority": 5, "test": 10}
    sides = []
    for near in (None, 0.0):
        table = benchmark_split(
            catalog.store, tmp_path / "s.json", "d", near_duplicates=near, **options
        ).table
        key = pl.col("item").str.replace(r"\d+$", "") + (
            pl.col("item").str.extract(r"(\d+)$").cast(int) // 2
        ).cast(str)
        sides.append(table.group_by(key.alias("twin")).agg(pl.col("split").n_unique())["split"].max())
    assert sides == [2, 1]


DOMAINS = {
    "name": "toy", "kind": "domains", "ambiguous": ["cat(dog)"],
    "test": [{"y": "cat", "a": "far", "contexts": ["sink", "toilet"]}],
    "train": [{"y": "cat", "a": "near", "contexts": ["couch", "bed"]}, {"y": "cat", "a": "desk", "contexts": ["book", "laptop"]}],
    "additional": [{"y": "cat", "a": "more", "contexts": ["couch", "chair", "sink"]}],
}  # fmt: skip


def test_domains_exclude_in_the_released_order(coco: sl.Catalog, tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(DOMAINS))
    parity = benchmark_split(coco.store, path, "coco", mode="parity")
    sets = {name: set(frame["item"]) for (name,), frame in parity.table.group_by("split")}
    assert sets["train"].isdisjoint(sets["test"])
    assert sets["additional"].isdisjoint(sets["train"])
    leak = parity.report.filter(pl.col("split") == "additional")["would_leak"][0]
    assert leak > 0
    clean = benchmark_split(coco.store, path, "coco")
    assert not clean.table["item"].is_duplicated().any()
    assert set(clean.table.filter(pl.col("split") == "test")["item"]) == sets["test"]


def test_parts_become_subsets_with_a_recipe(cli: Cli, coco: sl.Catalog, tmp_path: Path) -> None:
    found = benchmark_split(coco.store, "cat-dog-coco", "coco", minority=10)
    made = store_plan(coco.store, found.plan, "animals", dry_run=True)
    assert made.subsets["name"].to_list() == ["animals(train)", "animals(test)"]
    done = cli("--catalog", coco.path, "subsets", "split", "cat-dog-coco", "--dataset", "coco", "--name", "animals",
               "--minority", "10", "--dry-run", "-o", tmp_path / "split.csv")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert pl.read_csv(tmp_path / "split.csv").columns == ["item", "file", "split", "y", "a"]


@pytest.mark.parametrize(
    ("scheme", "options", "told"),
    [
        ("cat-dog-cocoa", {}, "did you mean 'cat-dog-coco'"),
        ("cat-dog-domains", {}, "none of the 6 subsets"),
        ("cat-dog-coco", {"minority": 10_000}, "there are cat outdoor"),
        ("cat-dog-coco", {"mode": "strict"}, "not 'strict'"),
        ("cat-dog-coco", {"test": 5_000}, "5,000 of each for testing"),
    ],
)
def test_what_cannot_be_split_says_what_is_there(
    coco: sl.Catalog, scheme: str, options: dict, told: str
) -> None:
    with pytest.raises(BadInputError, match=told):
        benchmark_split(coco.store, scheme, "coco", **options)


def test_a_broken_scheme_is_named(coco: sl.Catalog, tmp_path: Path) -> None:
    for text in ("{", '{"kind": "x"}', '{"kind": "domains", "train": [{"y": "cat"}], "test": []}', "[]"):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(BadInputError, match=r"s\.json: no scheme"):
            benchmark_split(coco.store, tmp_path / "s.json", "coco")


def test_a_ratio_and_a_distance_instead_of_counts(coco: sl.Catalog, tmp_path: Path) -> None:
    half = benchmark_split(coco.store, "cat-dog-coco", "coco", ratio=0.1, test=100)
    train = half.table.filter((pl.col("split") == "train") & (pl.col("y") == "cat"))
    share = (train["a"] == "outdoor").mean()
    assert share == pytest.approx(0.1, abs=0.001)
    scheme = DOMAINS | {"train_options": {
        "close": [{"y": "cat", "a": "towel", "contexts": ["toothbrush"]}],
        "apart": [{"y": "cat", "a": "street", "contexts": ["car", "truck"]}],
    }}  # fmt: skip
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(scheme))
    told = feasible(coco.store, path, "coco")
    apart = dict(told.select("option", "distance").iter_rows())
    assert apart["close"] < apart["apart"]
    for option, distance in apart.items():
        found = benchmark_split(coco.store, path, "coco", distance=distance + 0.001)
        assert found.plan.params["option"] == option


def test_what_is_feasible_can_be_made(coco: sl.Catalog) -> None:
    told = feasible(coco.store, "cat-dog-coco", "coco", test=120)
    most = told["most_minority"][0]
    assert (told["most_minority"] == most).all()
    found = benchmark_split(coco.store, "cat-dog-coco", "coco", minority=most, test=120)
    ratio = told["most_ratio"][0]
    assert benchmark_split(coco.store, "cat-dog-coco", "coco", ratio=ratio, test=120).table.equals(
        found.table
    )
    with pytest.raises(BadInputError, match="--feasible' tells"):
        benchmark_split(coco.store, "cat-dog-coco", "coco", minority=most + 1, test=120)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"option": "1"}, "'option' is for domains"),
        ({"distance": 1.0}, "'distance' is for domains"),
        ({"minority": 5, "ratio": 0.1}, "not both"),
        ({"ratio": 1.5}, "from 0 to below 1, not 1.5"),
        ({"ratio": 0.1, "mode": "parity"}, "parity draws what was released"),
    ],
)
def test_what_does_not_fit_the_scheme_is_refused(coco: sl.Catalog, options: dict, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        benchmark_split(coco.store, "cat-dog-coco", "coco", **options)


def test_split_typed(cli: Cli, coco: sl.Catalog, tmp_path: Path) -> None:
    at = ("--catalog", coco.path, "subsets", "split", "cat-dog-coco", "--dataset", "coco")
    told = cli(*at, "--feasible", "--format", "csv")
    assert told.stdout.splitlines()[0] == "y,a,role,images,contexts_missing,test,most_minority,most_ratio"
    done = cli(*at, "--name", "animals", "--ratio", "0.05", "--report", "--dry-run", "--format", "csv")
    assert "'animals(train)' would hold" in done.stderr, done.stderr
    assert done.stdout.count("\n") == 9
    nameless = cli(*at)
    assert nameless.returncode == 2
    assert "--feasible" in nameless.stderr


@pytest.mark.parametrize("kind", ["domains", "subpopulation"])
def test_training_holds_nothing_like_a_test_image(coco: sl.Catalog, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(DOMAINS))
    scheme, options = (path, {}) if kind == "domains" else ("cat-dog-coco", {"minority": 20, "test": 100})
    near = 0.35
    parts = [benchmark_split(coco.store, scheme, "coco", near_duplicates=one, space="captions", **options)
             for one in (None, near)]  # fmt: skip
    space = vectors.load(coco.store, "coco", "captions")
    ids = dict(coco.sql("select external_id, item_id from item where dataset = 'coco'").rows())

    def closest(found: Split) -> float:
        sides = []
        for train in (True, False):
            mine = found.table.filter((pl.col("split") == "train") == train)["item"].to_list()
            at = np.sort(np.array([ids[one] for one in mine]))
            sides.append(np.asarray(space.matrix[space.rows(at)], dtype=float))
        return float(nearest_residual(*sides).distance.min())

    assert closest(parts[0]) <= near < closest(parts[1])
    assert parts[1].report["near_duplicates"].sum() > 0
    assert (
        parts[1]
        .table.filter(pl.col("split") == "test")
        .equals(parts[0].table.filter(pl.col("split") == "test"))
    )
