"""Curation in a catalog: every item has a fate, parts do not leak, recipes make the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab.curate import stored
from shiftlab.errors import BadInputError, NotFoundError, ShiftLabError

PLACES = ("bed", "sofa", "sink", "grass")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """240 images of cats and dogs in four places by six authors; vectors that follow the place; some without."""
    folder = tmp_path_factory.mktemp("curate")
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for image in range(240):
        place = PLACES[image % 4]
        kind = "cat" if image % 3 else "dog"
        about = {"image_id": str(image), "split": "train" if image % 5 else "test", "author": f"a{image % 6}"}
        rows += [about | {"object": kind}, about | {"object": place}]
        vectors.append(rng.normal(size=4) + 8 * (image % 4 == 3))
    pl.DataFrame(rows).write_csv(folder / "images.csv")
    vectors[10] = vectors[14]
    vectors[20] = np.zeros(4)
    np.savez(
        folder / "v.npz", ids=np.arange(230).astype(str), vectors=np.array(vectors[:230], dtype=np.float32)
    )
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "images.csv", "pets")
    catalog.ingest_vectors(folder / "v.npz", "pets", "toy")
    catalog.build_subsets("pets", min_images=5, min_subsets=2)
    return catalog


CALLS = {
    "select": {"where": "list_contains(objects, 'cat') and labels['split'] = 'test'", "dataset": "pets"},
    "union": {"subsets": ["cat(bed)", "cat(sofa)"]},
    "intersect": {"subsets": ["cat(bed)", "bed(cat)"]},
    "difference": {"subsets": ["cat(bed)", "cat(sofa)"]},
    "split_by_distance": {"subsets": ["cat(grass)"], "reference": "cat(bed)"},
    "group_split": {"dataset": "pets", "by": "author"},
    "match_pairs": {"left": "cat(bed)", "right": "cat(sofa)"},
    "to_label_prior": {"dataset": "pets", "scheme": "split", "target": {"train": 0.5, "test": 0.5}},
    "reweight": {"kind": "gate", "subsets": ["cat(grass)"], "references": ["cat(bed)"]},
    "mixture": {"subsets": ["cat(bed)", "cat(sofa)"], "total": 20, "weights": [3, 1]},
    "mine_subsets": {"dataset": "pets"},
    "flag": {"subsets": ["cat(grass)", "cat(sofa)"], "references": ["cat(bed)"]},
    "drop_degenerate": {"dataset": "pets"},
    "select_nearest": {"subsets": ["cat(grass)"], "target": "cat(bed)", "k": 5},
    "swap_labels": {"dataset": "pets", "scheme": "author", "new_scheme": "author_swapped"},
}


@pytest.mark.parametrize("operation", list(CALLS))
def test_every_item_has_a_fate_and_the_same_again_writes_nothing(filled: sl.Catalog, operation: str) -> None:
    name = f"x_{operation}"
    tried = filled.curate(operation, name, dry_run=True, **CALLS[operation])
    assert not tried.stored
    with pytest.raises(NotFoundError):
        stored.show(filled.store, tried.subsets["name"][0])
    made = filled.curate(operation, name, **CALLS[operation])
    assert made.subsets.equals(tried.subsets)
    assert made.summary.equals(tried.summary)
    for row in made.subsets.rows(named=True):
        fates = stored.show(filled.store, row["name"])
        assert fates.filter(pl.col("part") == row["part"]).height == row["n"] > 0
        assert fates["reason"].null_count() == 0
        kept, dropped = fates.filter(pl.col("part").is_not_null()), fates.filter(pl.col("part").is_null())
        assert set(kept["item"]).isdisjoint(dropped["item"])
        assert made.summary["items"].sum() == len(fates)
        weights = fates.filter(pl.col("part") == row["part"])["weight"]
        assert weights.sum() == pytest.approx(row["weight"], rel=1e-5)
    generation = filled.store.generation()
    again = filled.curate(operation, name, **CALLS[operation])
    assert again.already_there
    assert filled.store.generation() == generation


def test_integrity_after_all_operations(filled: sl.Catalog) -> None:
    from shiftlab import integrity

    broken = [one for one in integrity.check(filled.store) if one.violations]
    assert not broken


def test_select_is_the_count_of_sql(filled: sl.Catalog) -> None:
    made = filled.curate("select", "sql", where=CALLS["select"]["where"], dataset="pets", dry_run=True)
    expected = sum(1 for i in range(240) if i % 3 and i % 5 == 0)
    assert made.subsets["n"].to_list() == [expected]


def test_inclusion_and_exclusion(filled: sl.Catalog) -> None:
    pair = {"subsets": ["cat(bed)", "dog(bed)"]}
    n = {op: filled.curate(op, "n", dry_run=True, **pair).subsets["n"][0] for op in ("union", "difference")}
    sizes = dict(filled.sql("select name, n from subsets where name in ('cat(bed)', 'dog(bed)')").rows())
    assert n["union"] == sum(sizes.values())
    assert n["difference"] == sizes["cat(bed)"]
    with pytest.raises(BadInputError, match="not in all the subsets"):
        filled.curate("intersect", "n", **pair)


def test_no_author_is_on_two_sides_and_duplicates_stay_together(filled: sl.Catalog) -> None:
    made = filled.curate("group_split", "together", dataset="pets", by="author", near_duplicates=0.0)
    assert made.facts["groups"] == 5  # the copies belong to two authors
    sides = [
        set(filled.sql(
            "select distinct l.value from subset join membership using (subset_id) join label l using (item_id) "
            "where name = $name and l.scheme = 'author'", {"name": name}).pl()["value"])
        for name in made.subsets["name"]
    ]  # fmt: skip
    assert sides[0].isdisjoint(sides[1])


def test_mined_parts_are_the_places(filled: sl.Catalog) -> None:
    made = filled.curate("mine_subsets", "mined", dataset="pets")
    assert made.facts["variance_share"] > 0.8
    small = filled.sql(
        "select count(*) filter (p.term = 'grass') as grass, count(distinct item_id) as n from subset "
        "join membership using (subset_id) join presence p using (item_id) where name = 'mined(b)'"
    ).rows()[0]
    assert small[0] / small[1] > 0.95
    with pytest.raises(BadInputError, match="one group"):
        filled.curate("mine_subsets", "none", subsets=["cat(bed)"])


def test_degenerate_vectors_are_named(filled: sl.Catalog) -> None:
    made = filled.curate("drop_degenerate", "whole", dataset="pets")
    assert (made.facts["zero"], made.facts["copies"], made.facts["without"]) == (1, 1, 10)
    reasons = stored.show(filled.store, "whole").filter(pl.col("part").is_null())["reason"]
    assert "its vector repeats that of 10" in set(reasons)


def test_curated_subsets_compare_and_survive_a_rebuild(filled: sl.Catalog) -> None:
    filled.curate("union", "kept_on", subsets=["cat(bed)", "cat(sofa)"])
    score = filled.compare("kept_on", "dog(grass)", measure="mmd", permutations=19)[0]
    assert score.value is not None
    filled.build_subsets("pets", min_images=6, min_subsets=2)
    assert filled.sql("select n from subsets where name = 'kept_on'").rows()[0][0] > 0


def test_losses_come_from_a_table(filled: sl.Catalog, tmp_path: Path) -> None:
    table = tmp_path / "losses.csv"
    table.write_text("item,ce,ac\n1,2.0,0.0\n5,0.0,0.0\n")
    made = filled.curate("reweight", "lossy", kind="losses", dataset="pets", values=table)
    shown = stored.show(filled.store, "lossy").filter(pl.col("part").is_not_null())
    assert dict(shown.select("item", "weight").iter_rows()) == pytest.approx(
        {"1": 0.880797, "5": 0.5}, abs=1e-6
    )
    assert made.subsets["n"].to_list() == [2]
    table.write_text("item,ce\n1,2.0\n")
    with pytest.raises(BadInputError, match="no column 'ac'"):
        filled.curate("reweight", "lossy2", kind="losses", dataset="pets", values=table)


def test_a_prior_is_drawn_by(filled: sl.Catalog) -> None:
    options = {"dataset": "pets", "scheme": "split", "target": {"train": 3, "test": 1}, "total": 81}
    made = filled.curate("to_label_prior", "drawn", **options)
    assert made.facts["split train"] == 61
    counts = filled.sql(
        "select l.value, count(*) from subset s join membership m using (subset_id) join label l using (item_id) "
        "where s.name = 'drawn' and l.scheme = 'split' and m.weight = 1 group by all order by all"
    ).rows()
    assert counts == [("test", 20), ("train", 61)]
    other = filled.curate("to_label_prior", "x", seed=1, dry_run=True, **options)
    assert other.subsets["n"][0] == 81


def test_importance_weights_favour_what_looks_like_the_reference(filled: sl.Catalog) -> None:
    made = filled.curate(
        "reweight", "like_grass", kind="importance", dataset="pets", references=["cat(grass)"]
    )
    assert 1 < made.facts["effective_items"] < 240
    mean = dict(filled.sql(
        "select p.term, avg(m.weight) from subset join membership m using (subset_id) join presence p using (item_id) "
        "where name = 'like_grass' and p.term in ('grass', 'bed') group by p.term").rows())  # fmt: skip
    assert mean["grass"] > 10 * mean["bed"]


@pytest.mark.parametrize(
    ("operation", "options", "told"),
    [
        ("select", {"where": "nonsense > 1", "dataset": "pets"}, "nonsense"),
        ("select", {"where": "width > 99999", "dataset": "pets"}, "keeps none of the 240 items"),
        ("select", {"where": "true"}, "--dataset NAME"),
        ("select", {"where": "true; drop table item", "dataset": "pets"}, ""),
        ("union", {"subsets": ["cat(bed)"]}, "two subsets or more"),
        ("union", {"subsets": ["cat(bed)", "cat(bad)"]}, "did you mean"),
        ("group_split", {"dataset": "pets", "by": "autor"}, "did you mean 'author'"),
        ("group_split", {"dataset": "pets", "by": "split", "shares": (1, 1, 1)}, "cannot fill 3 parts"),
        ("to_label_prior", {"dataset": "pets", "scheme": "split", "target": {"val": 1}}, "no item has the label 'val'"),
        ("to_label_prior", {"dataset": "pets", "scheme": "object", "target": {"cat": 1}}, "several values"),
        ("to_label_prior", {"dataset": "pets", "scheme": "split", "target": {"train": 1, "test": 1}, "total": 120},
         "split 'test' has 48 items and would need 60 of 120: a total of about 96 keeps"),
        ("mixture", {"subsets": ["cat(bed)"], "total": 9999}, "9,999 items are asked for"),
        ("mixture", {"subsets": ["cat(bed)"], "total": 5, "replay": 0.5}, "--old NAME"),
        ("reweight", {"kind": "gate", "dataset": "pets"}, "--reference NAME"),
        ("reweight", {"kind": "magic", "dataset": "pets"}, "not 'magic'"),
        ("select_nearest", {"dataset": "pets", "target": "cat(bed)", "k": 0}, "between 1 and"),
        ("split_by_distance", {"subsets": ["cat(bed)"], "reference": "cat(sofa)", "quantiles": (0.5, 0.2)}, "rise"),
        ("match_pairs", {"left": "cat(bed)", "right": "dog(grass)", "most": 0.0}, "keeps none"),
        ("swap_labels", {"dataset": "pets", "scheme": "split", "new_scheme": "author"}, "no scheme of labels has"),
        ("fold", {}, "no operation is called 'fold'"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_says_why(filled: sl.Catalog, operation: str, options: dict, told: str) -> None:
    generation = filled.store.generation()
    with pytest.raises(ShiftLabError) as error:
        filled.curate(operation, "never", **options)
    assert told in str(error.value)
    assert filled.store.generation() == generation


def test_names_are_not_taken_by_accident(filled: sl.Catalog) -> None:
    filled.curate("union", "mine", subsets=["cat(bed)", "cat(sofa)"])
    with pytest.raises(BadInputError, match="--replace"):
        filled.curate("union", "mine", subsets=["cat(bed)", "cat(sink)"])
    filled.curate("union", "mine", subsets=["cat(bed)", "cat(sink)"], replace=True)
    assert len(stored.list_curated(filled.store).filter(pl.col("name") == "mine")) == 1
    for name in ("cat(bed)", "a/b", " "):
        with pytest.raises(BadInputError):
            filled.curate("union", name, subsets=["cat(bed)", "cat(sofa)"], replace=True)


def test_exports_are_read_back(filled: sl.Catalog, tmp_path: Path) -> None:
    filled.curate("to_label_prior", "even", dataset="pets", scheme="split", target={"train": 1, "test": 1})
    ids = stored.export(filled.store, "even", "ids", tmp_path / "ids.txt").read_text().split()
    assert len(ids) == 240
    table = pl.read_parquet(stored.export(filled.store, "even", "parquet", tmp_path / "even.parquet"))
    assert table["weight"].sum() == pytest.approx(1, abs=1e-5)
    weights = pl.read_csv(stored.export(filled.store, "even", "weights", tmp_path / "weights.csv"))
    assert weights["weight"].mean() == pytest.approx(1)
    folder = stored.export(filled.store, "even", "huggingface", tmp_path / "hub")
    assert pl.read_parquet(folder / "data" / "train.parquet").equals(table)
    assert (folder / "README.md").read_text().startswith("---\npretty_name: ")
    assert (folder / "recipe.json").exists()
    with pytest.raises(BadInputError, match="no file name"):
        stored.export(filled.store, "even", "imagefolder", tmp_path / "images")
    with pytest.raises(BadInputError, match="new or empty"):
        stored.export(filled.store, "even", "huggingface", tmp_path / "hub")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["ids.txt", "ids.txt.recipe.json", "even.parquet", "even.parquet.recipe.json", "weights.csv",
         "weights.csv.recipe.json", "hub"]
    )  # fmt: skip
