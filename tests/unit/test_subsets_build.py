"""The subset catalog against MetaShift's released numbers and against Python sets."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest

import shiftlab as sl
from shiftlab import resources
from shiftlab.errors import BadInputError, NotFoundError
from tests.conftest import ANNOTATIONS

ATTRIBUTES = resources.data("metashift_vg_attributes") / "attribute_subsets.parquet"


def test_attribute_subsets_of_100_scene_graphs_equal_metashifts(catalog: sl.Catalog) -> None:
    """219 of 219 pairs of image and subset, none extra, none missed, over the released names."""
    released = pl.read_parquet(ATTRIBUTES).with_columns(
        name=pl.format("{}({})", pl.col("object").cast(pl.String), pl.col("attribute").cast(pl.String))
    )
    catalog.ingest_images(ANNOTATIONS / "gqa_train_sceneGraphs.json", "gqa")
    catalog.build_subsets(
        "gqa", "attributes", min_images=1, min_subsets=1, allow=tuple(released["name"].unique())
    )
    ours = set(
        catalog.sql(
            "select i.external_id, s.name from membership m join item i using (item_id) join subset s using (subset_id)"
        ).rows()
    )
    graphs = {row[0] for row in catalog.sql("select external_id from item").rows()}
    theirs = set(released.filter(pl.col("image_id").is_in(list(graphs))).select("image_id", "name").rows())
    assert len(graphs) == 100
    assert len(theirs) == 219
    assert ours == theirs


def test_without_the_released_names_there_are_146_more_pairs(catalog: sl.Catalog) -> None:
    catalog.ingest_images(ANNOTATIONS / "gqa_train_sceneGraphs.json", "gqa")
    built = catalog.build_subsets("gqa", "attributes", min_images=1, min_subsets=1)
    assert built[0].memberships == 219 + 146


def test_coco_totals(coco: sl.Catalog) -> None:
    """1,315 pairs of categories with at least 25 images; both directions are stored, mirrors marked."""
    pairs, mean, median, rows = coco.sql(
        "select count(*) filter (mirror_of is null), avg(n) filter (mirror_of is null), "
        "median(n) filter (mirror_of is null), count(*) from subsets"
    ).rows()[0]
    assert (pairs, rows) == (1315, 2630)
    assert mean == pytest.approx(390.55, abs=0.005)
    assert median == 123
    images, presence = coco.sql(
        "select (select count(*) from item), (select count(*) from item_term)"
    ).rows()[0]
    assert (images, presence) == (122_218, 350_137)


def test_coco_cells_of_cats_and_dogs(coco: sl.Catalog) -> None:
    """Indoor and outdoor images of cats and dogs, those that are both removed."""
    indoor = "('indoor', 'kitchen', 'electronic', 'appliance', 'furniture')"
    outdoor = "('outdoor', 'vehicle', 'sports')"
    query = f"""
        with side as (
            select p.item_id, bool_or(t.category in {indoor}) as inside, bool_or(t.category in {outdoor}) as outside
            from item_term p join term t using (term_id) group by p.item_id
        )
        select p.term, count(*) filter (outside and not inside), count(*) filter (inside and not outside)
        from presence p join side using (item_id) where p.term in ('cat', 'dog') group by p.term order by p.term
    """
    assert coco.sql(query).rows() == [("cat", 310, 2651), ("dog", 1562, 1444)]


def test_label_gap_of_the_bundle_is_stated_and_stored(coco: sl.Catalog) -> None:
    exact = coco.sql("select count(*) from label where scheme = 'exact_labels' and value = 'true'").rows()[0][
        0
    ]
    assert exact == 15_000
    notice = (resources.data("coco14_image_labels") / "SOURCE.txt").read_text()
    assert "2.36 % missing" in notice


def test_class_cat_of_the_attributes(metashift: sl.Catalog) -> None:
    sizes = dict(metashift.sql("select context, n from subsets where class = 'cat'").rows())
    assert sizes == {
        "black": 195, "brown": 145, "gray": 192, "large": 57, "lying": 146, "orange": 107, "resting": 37,
        "sitting": 140, "sleeping": 110, "small": 38, "standing": 38, "staring": 29, "white": 153,
    }  # fmt: skip
    pairs, edges, all_weights, kept_weights = metashift.sql(
        "select count(*), count(*) filter (edge), sum(overlap), sum(overlap) filter (edge) "
        "from subset_pairs where class = 'cat'"
    ).rows()[0]
    assert (pairs, edges) == (65, 19)
    assert all_weights == pytest.approx(10.308860, abs=1e-6)
    assert kept_weights == pytest.approx(4.986731, abs=1e-6)


@pytest.mark.parametrize(
    ("left", "right", "n_both", "smaller"),
    [
        ("sitting", "staring", 11, 29), ("gray", "staring", 11, 29), ("resting", "sleeping", 13, 37),
        ("lying", "resting", 12, 37), ("sitting", "small", 12, 38), ("brown", "lying", 29, 145),
        ("brown", "sleeping", 22, 110),
    ],
)  # fmt: skip
def test_largest_overlaps_and_exact_ties_of_class_cat(
    metashift: sl.Catalog, left: str, right: str, n_both: int, smaller: int
) -> None:
    """Exactly 0.2 is an edge: 29/145 and 22/110 are ties."""
    row = metashift.sql(
        "select n_both, least(n_left, n_right), edge from subset_pairs where left_name = $l and right_name = $r",
        {"l": f"cat({left})", "r": f"cat({right})"},
    ).rows()
    assert row == [(n_both, smaller, True)]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("resting", "sleeping", 0.307633), ("lying", "sleeping", 0.357102), ("sitting", "staring", 0.483684),
        ("black", "gray", 1.180367), ("black", "brown", 1.285462), ("large", "small", 1.435301),
        ("orange", "white", 1.856470),
    ],
)  # fmt: skip
def test_spectral_distances_of_class_cat(
    metashift: sl.Catalog, left: str, right: str, expected: float
) -> None:
    row = metashift.sql(
        "select spectral_distance, spectral_valid, note from subset_distances where left_name = $l and right_name = $r",
        {"l": f"cat({left})", "r": f"cat({right})"},
    ).rows()
    assert row == [(pytest.approx(expected, abs=1e-6), True, None)]


def test_resistances_and_communities_of_class_cat(metashift: sl.Catalog) -> None:
    found = dict(
        metashift.sql(
            "select left_name || right_name, resistance from subset_distances "
            "where left_name || right_name in ('cat(lying)cat(sleeping)', 'cat(orange)cat(white)')"
        ).rows()
    )
    assert found["cat(lying)cat(sleeping)"] == pytest.approx(1.771978, abs=1e-6)
    assert found["cat(orange)cat(white)"] == pytest.approx(10.253306, abs=1e-6)
    groups = defaultdict(set)
    for context, community in metashift.sql(
        "select context, community from subsets where class = 'cat'"
    ).rows():
        groups[community].add(context)
    assert set(map(frozenset, groups.values())) == {
        frozenset({"brown", "large", "lying", "resting", "sleeping"}),
        frozenset({"gray", "orange", "sitting", "staring", "white"}),
        frozenset({"black", "small", "standing"}),
    }


def test_parity_mode_finds_metashifts_unweighted_communities(catalog: sl.Catalog) -> None:
    catalog.ingest_images(ATTRIBUTES, "metashift")
    catalog.build_subsets("metashift", "attributes", mode="parity")
    groups = defaultdict(set)
    for context, community in catalog.sql(
        "select context, community from subsets where class = 'cat'"
    ).rows():
        groups[community].add(context)
    assert set(map(frozenset, groups.values())) == {
        frozenset({"gray", "orange", "sitting", "standing", "staring", "white"}),
        frozenset({"brown", "large", "lying", "resting", "sleeping"}),
        frozenset({"black", "small"}),
    }
    weighted, algorithm = catalog.sql("select distinct weighted, algorithm from community").rows()[0]
    assert (weighted, "greedy modularity" in algorithm) == (False, True)


def test_totals_of_the_attribute_data(catalog: sl.Catalog) -> None:
    catalog.ingest_images(ATTRIBUTES, "metashift")
    built = catalog.build_subsets("metashift", "attributes", min_images=1, min_subsets=1)
    assert (built[0].subsets, built[0].memberships) == (4962, 172_039)
    sizes = dict(catalog.sql("select name, n from subsets").rows())
    assert (sizes["sky(blue)"], sizes["dog(brown)"], sizes["dog(jumping)"]) == (7713, 357, 41)
    union = catalog.sql(
        "select count(distinct item_id) from membership join subset using (subset_id) where class = 'cat'"
    ).rows()
    assert union == [(908,)]


def test_object_contexts_equal_python_sets(catalog: sl.Catalog) -> None:
    """Candidates, members, overlaps and edges of the scene graphs against dicts of sets."""
    catalog.ingest_images(ANNOTATIONS / "gqa_train_sceneGraphs.json", "gqa")
    catalog.build_subsets("gqa", min_images=5, min_subsets=3, edge=0.5)
    images: dict[str, set[str]] = defaultdict(set)
    for image, term in catalog.sql("select external_id, term from presence").rows():
        images[image].add(term)
    sets: dict[tuple[str, str], set[str]] = defaultdict(set)
    for image, names in images.items():
        for subject in names:
            for context in names - {subject}:
                sets[subject, context].add(image)
    sets = {key: members for key, members in sets.items() if len(members) >= 5}
    per_class = defaultdict(list)
    for subject, context in sets:
        per_class[subject].append(context)
    kept = {s for s, contexts in per_class.items() if len(contexts) >= 3}
    found = {
        (c, x): (n, k) for c, x, n, k in catalog.sql("select class, context, n, kept from subsets").rows()
    }
    assert found == {key: (len(members), key[0] in kept) for key, members in sets.items()}
    expected = {}
    for subject in kept:
        for a, b in combinations(sorted(per_class[subject]), 2):
            both = len(sets[subject, a] & sets[subject, b])
            smaller = min(len(sets[subject, a]), len(sets[subject, b]))
            if both:
                expected[f"{subject}({a})", f"{subject}({b})"] = (both, 2 * both >= smaller)
    rows = catalog.sql("select left_name, right_name, n_both, edge from subset_pairs").rows()
    assert {(left, right): (n, edge) for left, right, n, edge in rows} == expected


def test_place_contexts_and_relation_evidence(catalog: sl.Catalog) -> None:
    catalog.ingest_images(ANNOTATIONS / "gqa_train_sceneGraphs.json", "gqa")
    places = catalog.build_subsets("gqa", "places", min_images=2, min_subsets=2)
    assert places[0].context_kind == "place"
    assert catalog.sql("select count(*) from subsets where context = 'outdoors'").rows()[0][0] > 0
    catalog.build_subsets("gqa", min_images=2, min_subsets=1, min_relations=3)
    names = {row[0] for row in catalog.sql("select name from subsets where context_kind = 'object'").rows()}
    evidence = catalog.sql(
        """
        select s.name || '(' || o.name || ')' from relation r
        join object so on so.object_id = r.subject_id join object oo on oo.object_id = r.object_id
        join term s on s.term_id = so.term_id join term o on o.term_id = oo.term_id
        group by all having count(*) >= 3
        """
    ).rows()
    assert names
    assert names <= {row[0] for row in evidence}


def test_building_again_changes_nothing(catalog: sl.Catalog, small_table: Path) -> None:
    catalog.ingest_images(small_table, "small")
    first = catalog.build_subsets("small", min_images=1, min_subsets=1)
    before = catalog.store.generation()
    again = catalog.build_subsets("small", min_images=1, min_subsets=1)
    assert again[0].already_there
    assert again[0].subsets == first[0].subsets
    assert catalog.store.generation() == before


def test_rebuilding_keeps_ids_and_scores_of_unchanged_subsets(catalog: sl.Catalog, small_table: Path) -> None:
    catalog.ingest_images(small_table, "small")
    catalog.build_subsets("small", min_images=1, min_subsets=1)
    before = dict(catalog.sql("select name, subset_id from subset").rows())
    catalog.compare("cat(sofa)", "cat(bed)", measure="jensen_shannon")
    catalog.compare("dog(cat)", "cat(sofa)", measure="jensen_shannon")
    catalog.build_subsets("small", min_images=2, min_subsets=1)
    after = dict(catalog.sql("select name, subset_id from subset").rows())
    assert "dog(cat)" not in after
    assert all(before[name] == ident for name, ident in after.items())
    assert catalog.sql("select left_name, right_name from scores").rows() == [("cat(sofa)", "cat(bed)")]


def test_nothing_built_says_what_is_there(catalog: sl.Catalog, small_table: Path) -> None:
    catalog.ingest_images(small_table, "small")
    with pytest.raises(BadInputError, match="at least 25 images"):
        catalog.build_subsets("small")
    with pytest.raises(BadInputError, match=r"the most is 3"):
        catalog.build_subsets("small", min_images=1, min_subsets=9)
    with pytest.raises(NotFoundError, match="small"):
        catalog.build_subsets("smal")
    assert catalog.sql("select count(*) from subset").rows() == [(0,)]


@pytest.mark.parametrize(
    ("name", "value"), [("min_images", 0), ("edge", 1.5), ("min_side", -0.1), ("dim", 0)]
)
def test_parameters_out_of_range_are_named(
    catalog: sl.Catalog, small_table: Path, name: str, value: float
) -> None:
    catalog.ingest_images(small_table, "small")
    with pytest.raises(BadInputError, match=name):
        catalog.build_subsets("small", **{name: value})


def test_unknown_subset_suggests_the_nearest(coco: sl.Catalog) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean 'cat\(couch\)'"):
        coco.compare("cat(coach)", "cat(car)")
