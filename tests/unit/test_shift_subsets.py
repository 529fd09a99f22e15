"""Shift between subsets of a catalog: what is stored, on real data and where nothing can be computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.shift import subsets as shift_subsets
from shiftlab.shift.subsets import CLOUDS, MASSES


@pytest.fixture
def small(catalog: sl.Catalog, tmp_path: Path) -> sl.Catalog:
    """Two disjoint subsets of 40 images each, one dimension a unit apart, and one of a single image."""
    rng = np.random.default_rng(0)
    rows = [(str(i), "cat", "sofa" if i < 40 else "bed", "vase" if i % 4 else "lamp") for i in range(80)] + [
        ("80", "cat", "car", "road")
    ]
    table = pl.DataFrame(
        [(image, name) for image, *names in rows for name in names],
        schema=["image_id", "object"],
        orient="row",
    )
    table.write_csv(tmp_path / "t.csv")
    catalog.ingest_images(tmp_path / "t.csv", "small")
    catalog.build_subsets("small", min_images=1, min_subsets=1)
    vectors = rng.normal(size=(81, 3)) + np.where(np.arange(81) < 40, 0, 1)[:, None]
    np.savez(tmp_path / "v.npz", image_id=[row[0] for row in rows], vectors=vectors)
    catalog.ingest_vectors(tmp_path / "v.npz", "small", "space")
    return catalog


def test_the_first_set_of_scores_is_stored_with_its_terms(small: sl.Catalog) -> None:
    scores = small.compare("cat(sofa)", "cat(bed)", permutations=99, seed=5)
    assert [one.measure for one in scores] == [*CLOUDS, *MASSES]
    stored = small.sql("from scores order by score_id").pl()
    assert stored["measure"].to_list() == [*CLOUDS, *MASSES]
    assert stored["grp"].to_list() == ["space"] * 4 + ["objects"] * 4
    assert set(stored["seed"]) == {5}
    assert set(stored["n_left"]) == set(stored["n_right"]) == {40}
    assert stored["value"].to_list() == [one.value for one in scores]
    assert stored.filter(stored["value"].is_null())["measure"].to_list() == ["symmetric_kl"]  # infinite here
    assert stored["p"].min() == pytest.approx(0.01)  # (1 + 0) / (1 + 99)
    finite = stored.filter(stored["measure"] != "symmetric_kl")
    assert finite["null_mean"].null_count() == 0
    assert stored["seconds"].min() >= 0
    assert all(json.loads(one) for one in stored["params"])
    assert set(stored["version"]) == {sl.__version__}


def test_values_equal_the_measures_on_the_same_arrays(small: sl.Catalog) -> None:
    vectors = np.concatenate(
        [np.load(p) for p in (small.path / "vectors").glob("*.npy") if np.load(p).ndim == 2]
    )
    ids = dict(small.sql("select external_id, item_id from item").rows())
    order = np.argsort([ids[str(i)] for i in range(81)])
    rows = np.empty_like(vectors)
    rows[order] = vectors
    x, y = rows[:40], rows[40:80]
    for name in CLOUDS:
        score = small.compare("cat(sofa)", "cat(bed)", measure=name, permutations=9)[0]
        assert score.value == pytest.approx(getattr(sl.measures, name)(x, y), rel=1e-5)
    # Left: 40 sofas, 10 lamps, 30 vases; right: 40 beds, 10 lamps, 30 vases. Half of the mass differs.
    assert small.compare("cat(sofa)", "cat(bed)", measure="total_variation")[0].value == pytest.approx(0.5)
    assert small.compare("cat(sofa)", "cat(bed)", measure="jensen_shannon")[0].value == pytest.approx(
        0.5 * np.log(2)
    )


def test_a_side_that_is_too_small_is_null_with_its_reason(small: sl.Catalog) -> None:
    score = small.compare("cat(sofa)", "cat(car)", measure="mmd")[0]
    assert (score.value, score.p, score.n_right) == (None, None, 1)
    assert "40 and 1 items to compare" in str(score.note)
    assert small.sql("select value, note from scores").rows() == [(None, score.note)]
    assert small.sql("select count(*) from score where value is null and note is null").rows() == [(0,)]


def test_an_infinite_value_is_null_with_its_reason(small: sl.Catalog) -> None:
    score = small.compare("cat(sofa)", "cat(bed)", measure="symmetric_kl")[0]
    assert (score.value, score.p) == (None, None)
    assert "infinite" in str(score.note)
    pairs = small.matrix("symmetric_kl", subject="cat").pairs
    assert pairs["value"].null_count() == pairs.height - pairs["note"].null_count() > 0
    assert small.sql("select count(*) from score where isinf(value)").rows() == [(0,)]


def test_scores_again_take_the_place_of_the_old_ones(small: sl.Catalog) -> None:
    for _ in range(2):
        small.compare("cat(sofa)", "cat(bed)", measure="mmd", permutations=19)
    assert small.sql("select count(*) from score").rows() == [(1,)]
    small.compare("cat(sofa)", "cat(bed)", measure="mmd", permutations=19, seed=1)
    assert small.sql("select count(*) from score").rows() == [(2,)]


def test_matrix_of_a_class_agrees_with_the_pairs(small: sl.Catalog) -> None:
    matrix = small.matrix("total_variation", subject="cat")
    assert matrix.names == sorted(matrix.names)
    assert (np.diag(matrix.value) == 0).all()
    assert (matrix.value == matrix.value.T)[~np.isnan(matrix.value)].all()
    pair = small.compare("cat(bed)", "cat(sofa)", measure="total_variation", permutations=9)[0]
    at = matrix.names.index("cat(bed)"), matrix.names.index("cat(sofa)")
    assert matrix.value[at] == pytest.approx(pair.value)
    alone = matrix.names.index("cat(car)")
    assert np.isnan(matrix.value[alone, at[0]])
    stored = small.sql(
        "select value, note from scores where right_name = 'cat(car)' or left_name = 'cat(car)'"
    ).pl()
    assert stored["value"].null_count() == stored.height - stored["note"].null_count() == stored.height


def test_matrix_by_predicate(small: sl.Catalog) -> None:
    matrix = small.matrix("mmd", where="class = 'cat' and n >= 40", permutations=19)
    assert matrix.names == ["cat(bed)", "cat(sofa)", "cat(vase)"]
    row = matrix.pairs.row(0, named=True)
    assert (row["left_name"], row["right_name"], row["p"]) == ("cat(bed)", "cat(sofa)", 0.05)


def test_nearest_and_farthest_cats_by_their_captions(coco: sl.Catalog) -> None:
    """On caption vectors the farthest pair of cat is sink and suitcase, the nearest couch and remote."""
    for measure in ("sliced_wasserstein", "mmd"):
        pairs = coco.matrix(measure, subject="cat", dataset="coco").pairs
        large = pairs.filter(pl.min_horizontal("n_left", "n_right") >= 50).sort("value")
        assert large.select("left_name", "right_name").rows()[0] == ("cat(couch)", "cat(remote)")
        assert large.select("left_name", "right_name").rows()[-1] == ("cat(sink)", "cat(suitcase)")


def test_a_mirror_is_at_distance_zero(coco: sl.Catalog) -> None:
    score = coco.compare("cat(dog)", "dog(cat)", measure="energy_distance", permutations=9)[0]
    assert score.value == pytest.approx(0, abs=1e-6)
    assert score.p is None
    assert score.note


def test_items_without_vectors_are_counted(coco: sl.Catalog) -> None:
    score = coco.compare("cat(couch)", "cat(car)", measure="mmd", permutations=9)[0]
    assert (score.n_left, score.n_right) == (145, 65)
    assert "314 of 459 items of cat(couch) have no vector" in str(score.note)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"left": "cat(sofa)", "right": "cat(sofa)"}, BadInputError, "the same subset"),
        ({"left": "cat(sofa)", "right": "cat(bde)"}, NotFoundError, r"did you mean 'cat\(bed\)'"),
        ({"left": "cat(sofa)", "right": "cat(bed)", "measures": ["mdm"]}, NotFoundError, "did you mean"),
        (
            {"left": "cat(sofa)", "right": "cat(bed)", "measures": ["kolmogorov_smirnov"]},
            BadInputError,
            "two samples of one number",
        ),
        ({"left": "cat(sofa)", "right": "cat(bed)", "space": "nowhere"}, NotFoundError, "no space 'nowhere'"),
    ],
)
def test_wrong_comparisons_are_explained(
    small: sl.Catalog, arguments: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        shift_subsets.compare_subsets(small.store, **arguments)
    assert small.sql("select count(*) from score").rows() == [(0,)]


def test_the_same_name_in_two_data_sets_must_be_told_apart(small: sl.Catalog, tmp_path: Path) -> None:
    small.ingest_images(tmp_path / "t.csv", "other")
    small.build_subsets("other", min_images=1, min_subsets=1)
    with pytest.raises(BadInputError, match=r"choose one of 'other/cat\(sofa\)', 'small/cat\(sofa\)'"):
        small.compare("cat(sofa)", "cat(bed)")
    score = small.compare("small/cat(sofa)", "other/cat(sofa)", measure="total_variation")[0]
    assert score.value == 0
    with pytest.raises(BadInputError, match="add --dataset"):
        small.matrix("total_variation", subject="cat")
