"""Readers of annotations on real files, and on everything that can be wrong with them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shiftlab as sl
from shiftlab.errors import BadInputError
from tests.conftest import ANNOTATIONS

GQA = ANNOTATIONS / "gqa_train_sceneGraphs.json"
COCO = ANNOTATIONS / "coco_instances_val2014.json"


def graph(**changes: Any) -> dict[str, Any]:
    """One small scene graph; `changes` go into its first object."""
    return {
        "7": {
            "width": 100,
            "height": 50,
            "objects": {
                "1": {
                    "name": "cat",
                    "x": 1,
                    "y": 2,
                    "w": 30,
                    "h": 40,
                    "attributes": ["black"],
                    "relations": [],
                }
                | changes,
                "2": {"name": "sofa", "x": 0, "y": 0, "w": 100, "h": 50, "attributes": [], "relations": []},
            },
        }
    }


def written(tmp_path: Path, content: Any, name: str = "graphs.json") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def stored_nothing(catalog: sl.Catalog) -> bool:
    return catalog.sql("select (select count(*) from item) + (select count(*) from run)").rows() == [(0,)]


def test_scene_graphs(catalog: sl.Catalog) -> None:
    """Counts of the GQA sample; places become labels, repeated names one row with their number."""
    done = catalog.ingest_images(GQA, "gqa")
    assert (done.format, done.images, done.objects) == ("gqa", 100, 1546)
    assert done.flagged == {"boxes beyond the image": 15, "images without objects": 4}
    raw = json.loads(GQA.read_text())
    names = Counter((i, o["name"]) for i, g in raw.items() for o in g["objects"].values())
    assert {(i, t): n for i, t, n in catalog.sql("select external_id, term, n from presence").rows()} == names
    attributes = Counter(a for g in raw.values() for o in g["objects"].values() for a in set(o["attributes"]))
    found = catalog.sql(
        "select t.name, count(*) from object_attribute join term t using (term_id) group by t.name"
    ).rows()
    assert dict(found) == attributes
    relations = sum(len(o["relations"]) for g in raw.values() for o in g["objects"].values())
    assert catalog.sql("select count(*) from relation").rows() == [(relations,)]
    places = Counter(key for g in raw.values() for key in ("location", "weather") if g.get(key))
    assert (
        dict(catalog.sql("select scheme, count(*) from label group by scheme").rows())
        == places
        == {"location": 31, "weather": 8}
    )


def test_area_is_the_clipped_share_of_the_image(catalog: sl.Catalog, tmp_path: Path) -> None:
    catalog.ingest_images(written(tmp_path, graph(x=-10, w=60, y=0, h=25)), "g")
    found = dict(catalog.sql("select term, area from presence").rows())
    assert found == {"cat": pytest.approx(50 * 25 / 5000), "sofa": 1.0}


def test_visual_genome_folder(catalog: sl.Catalog) -> None:
    done = catalog.ingest_images(ANNOTATIONS, "vg", input="visual-genome")
    raw = {
        part: json.loads((ANNOTATIONS / f"vg_{part}.json").read_text())
        for part in ("objects", "attributes", "relationships")
    }
    objects = {
        (r["image_id"], o["object_id"])
        for part in ("objects", "attributes")
        for r in raw[part]
        for o in r[part]
    }
    for record in raw["relationships"]:
        for one in record["relationships"]:
            objects |= {(record["image_id"], one[end]["object_id"]) for end in ("subject", "object")}
    assert (done.images, done.objects) == (30, len(objects))
    assert catalog.sql("select count(*) from relation").rows() == [
        (sum(len(r["relationships"]) for r in raw["relationships"]),)
    ]
    odd = catalog.sql("select count(*) from term where name <> lower(trim(name))").rows()
    assert odd == [(0,)]
    assert done.flagged["several names"] == sum(
        len(o["names"]) > 1 for part in ("objects", "attributes") for r in raw[part] for o in r[part]
    )


def test_coco_refuses_annotations_of_unlisted_images_or_skips_them(catalog: sl.Catalog) -> None:
    """In the published samples, images and annotations are cut independently of each other."""
    raw = json.loads(COCO.read_text())
    listed = {one["id"] for one in raw["images"]}
    unlisted = sum(one["image_id"] not in listed for one in raw["annotations"])
    with pytest.raises(
        BadInputError, match=rf"coco_instances_val2014.json: annotation .* \({unlisted} such records"
    ):
        catalog.ingest_images(COCO, "coco")
    assert stored_nothing(catalog)
    done = catalog.ingest_images(COCO, "coco", on_bad="skip")
    assert done.skipped == {"unlisted image": unlisted}
    assert (done.images, done.objects) == (100, len(raw["annotations"]) - unlisted)
    name = catalog.sql("select external_id from item limit 1").rows()[0][0]
    assert name.startswith("COCO_val2014_0000")


def test_coco_crowd_counts_as_membership_and_categories_keep_their_supercategory(
    catalog: sl.Catalog, tmp_path: Path
) -> None:
    content = {
        "images": [{"id": 1, "file_name": "000000000001.jpg", "width": 10, "height": 10}],
        "categories": [{"id": 3, "name": "car", "supercategory": "vehicle"}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 0], "area": 0, "iscrowd": 1}
        ],
    }
    done = catalog.ingest_images(written(tmp_path, content), "c")
    assert done.flagged == {"boxes without area": 1}
    assert catalog.sql("select term, n from presence").rows() == [("car", 1)]
    assert catalog.sql("select category from term").rows() == [("vehicle",)]
    assert catalog.sql("select external_id from item").rows() == [("000000000001",)]


def test_table_with_attributes_and_labels(catalog: sl.Catalog, small_table: Path) -> None:
    done = catalog.ingest_images(small_table, "small")
    assert (done.format, done.images, done.objects, done.terms) == ("table", 6, 13, 7)
    assert dict(catalog.sql("select value, count(*) from label group by value").rows()) == {
        "train": 3,
        "test": 3,
    }


def test_table_boxes_make_instances(catalog: sl.Catalog, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "image_id,object,attribute,x,y,w,h,width,height\n"
        "a,cat,black,0,0,10,10,20,20\na,cat,big,0,0,10,10,20,20\na,cat,white,5,5,9,9,20,20\nb,,,,,,,20,20\n",
        "boxes.csv",
    )
    done = catalog.ingest_images(path, "boxes")
    assert (done.images, done.objects, done.flagged) == (2, 2, {"images without objects": 1})
    assert catalog.sql("select n, area from presence").rows() == [(2, pytest.approx((100 + 81) / 400))]
    assert catalog.sql("select count(*) from object_attribute").rows() == [(3,)]


def test_table_accepts_category_and_keeps_ids_as_text(catalog: sl.Catalog, tmp_path: Path) -> None:
    catalog.ingest_images(written(tmp_path, "image_id,category\n007,cat\n7,dog\n", "t.csv"), "t")
    assert catalog.sql("select external_id from item order by 1").rows() == [("007",), ("7",)]


def test_names_with_quotes_and_sql_stay_names(catalog: sl.Catalog, tmp_path: Path) -> None:
    odd = ["cat'); drop table item; --", 'see "pole\'s" sign.', "monitor is off.", "(bracket)", "猫", "a/b"]
    rows = pl.DataFrame({"image_id": ["1"] * len(odd), "object": odd})
    rows.write_parquet(tmp_path / "odd.parquet")
    catalog.ingest_images(tmp_path / "odd.parquet", "odd")
    catalog.build_subsets("odd", min_images=1, min_subsets=1)
    assert {row[0] for row in catalog.sql("select term from presence").rows()} == set(odd)
    name = f"{odd[0]}({odd[4]})"
    assert catalog.sql("select n from subsets where name = $n", {"n": name}).rows() == [(1,)]


def test_ingesting_again_changes_nothing(catalog: sl.Catalog) -> None:
    catalog.ingest_images(GQA, "gqa")
    before = catalog.store.generation()
    assert catalog.ingest_images(GQA, "gqa").already_there
    assert catalog.store.generation() == before


def test_the_same_ids_from_another_file_are_refused(catalog: sl.Catalog, tmp_path: Path) -> None:
    catalog.ingest_images(written(tmp_path, graph(), "first.json"), "g")
    with pytest.raises(BadInputError, match=r"unique in dataset 'g': 7 .*another --dataset"):
        catalog.ingest_images(written(tmp_path, graph(name="lion"), "second.json"), "g")


def test_same_input_gives_the_same_rows(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        catalog = sl.open(tmp_path / name)
        catalog.ingest_images(GQA, "gqa")
        catalog.build_subsets("gqa", min_images=3, min_subsets=3)
        queries = ("from item", "from term", "from item_term", "from object", "from relation", "from subset",
                   "from membership", "from subset_overlap", "from subset_distance", "from subset_position")  # fmt: skip
        tables.append([catalog.sql(f"{query} order by all").rows() for query in queries])
    assert tables[0] == tables[1]


BROKEN = [
    ("not json", "x", r"graphs.json starts with 'x'"),
    ("empty file", "", r"graphs.json is empty"),
    ("only spaces", "  \n ", r"graphs.json is empty"),
    ("cut off", json.dumps(graph())[:-20], r"broken JSON before byte"),
    ("trailing text", json.dumps(graph()) + "}", r"broken JSON"),
    ("not a graph", {"7": {"width": 1, "height": 1}}, r"image 7 has no object 'objects'"),
    ("no width", {"7": {"height": 1, "objects": {}}}, r"image 7: 'width' is None"),
    ("no objects at all", {"7": {"width": 1, "height": 1, "objects": {}}}, r"no usable object"),
    ("name missing", graph(name=None), r"image 7, object 1: field 'name' is None"),
    ("name empty", graph(name="  "), r"image 7, object 1: field 'name'"),
    ("name is a number", graph(name=4), r"image 7, object 1: field 'name' is 4"),
    ("box is text", graph(x="left"), r"image 7, object 1: field 'x' is 'left'"),
    ("box missing", graph(w=None), r"image 7, object 1: field 'w' is missing"),
    ("box is true", graph(h=True), r"image 7, object 1: field 'h' is True"),
    ("attributes are no list", graph(attributes="black"), r"object 1: 'attributes' must be a list"),
    (
        "relation to nowhere",
        graph(relations=[{"name": "on", "object": "99"}]),
        r"object 1: relation 'on' to object 99",
    ),
    ("relation without name", graph(relations=[{"object": "2"}]), r"object 1: a relation is"),
    (
        "object is a list",
        {"7": {"width": 1, "height": 1, "objects": {"1": []}}},
        r"image 7, object 1 is \[\]",
    ),
    ("repeated image", '{"7": {}, "7": {}}', r"no object 'objects'"),
    (
        "repeated object",
        '{"7": {"width": 1, "height": 1, "objects": {"1": {"name": "a", "x":0,"y":0,"w":1,"h":1}, "1": {}}}}',
        r"the key '1' occurs twice",
    ),
    ("NaN", json.dumps(graph()).replace("30", "NaN"), r"broken JSON"),
]


@pytest.mark.parametrize(("content", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken_scene_graphs_are_refused_by_name(
    catalog: sl.Catalog, tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        catalog.ingest_images(written(tmp_path, content), "g", input="gqa")
    assert stored_nothing(catalog)


def test_repeated_images_are_refused(catalog: sl.Catalog, tmp_path: Path) -> None:
    one = json.dumps(graph())[1:-1]
    with pytest.raises(BadInputError, match=r"image ids must be unique: 7 \(2 times\)"):
        catalog.ingest_images(
            written(tmp_path, "{" + one + "," + one.replace('"1"', '"3"').replace('"2"', '"4"') + "}"), "g"
        )
    assert stored_nothing(catalog)


def test_wrong_encodings_are_refused(catalog: sl.Catalog, tmp_path: Path) -> None:
    path = tmp_path / "graphs.json"
    path.write_text(json.dumps(graph()), encoding="utf-16")
    with pytest.raises(BadInputError, match="UTF-16"):
        catalog.ingest_images(path, "g", input="gqa")
    path.write_bytes(json.dumps(graph(name="caf")).encode().replace(b"caf", b"caf\xe9"))
    with pytest.raises(BadInputError, match="UTF"):
        catalog.ingest_images(path, "g", input="gqa")
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(graph()).encode())  # a byte order mark is harmless
    assert catalog.ingest_images(path, "g", input="gqa").images == 1


def test_skipping_lists_what_was_left_out(catalog: sl.Catalog, tmp_path: Path) -> None:
    content = graph(name=None) | {"8": graph(relations=[{"name": "on", "object": "99"}])["7"]}
    content["8"]["objects"] = {f"8{key}": one for key, one in content["8"]["objects"].items()}
    done = catalog.ingest_images(written(tmp_path, content), "g", on_bad="skip")
    assert done.skipped == {"no name": 1, "dangling relation": 1}
    rows = catalog.sql("select problem, record from ingest_issue order by problem").rows()
    assert rows == [
        ("skipped: dangling relation", "image 8, object 81"),
        ("skipped: no name", "image 7, object 1"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture,object\n1,cat\n", r"no column 'image_id'; it has picture, object"),
        ("image_id,thing\n1,cat\n", r"no column 'object'"),
        ("", r"t.csv is empty"),
        ("image_id,object\n", r"t.csv has no rows"),
        ("image_id,object\n,cat\n", r"row 2: column 'image_id' is empty"),
        ("image_id,object,x,y,w,h\n1,cat,a,0,1,1\n", r"row 2: column 'x' is 'a'"),
        ("image_id,object,x,y,w,h\n1,cat,nan,0,1,1\n", r"row 2: column 'x' is 'nan'"),
        ("image_id,object,x,y\n1,cat,0,0\n", r"column x but not all of x, y, w, h"),
        ("image_id,object,object_id\n1,cat,5\n1,dog,5\n", r"object ids must be unique: image 1, object 5"),
    ],
)
def test_broken_tables_are_refused_by_name(
    catalog: sl.Catalog, tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        catalog.ingest_images(written(tmp_path, content, "t.csv"), "t")
    assert stored_nothing(catalog)


def test_unknown_files_and_formats(catalog: sl.Catalog, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no file"):
        catalog.ingest_images(tmp_path / "nowhere.json", "x")
    with pytest.raises(BadInputError, match=r"cannot tell what 'a\.xyz' is"):
        catalog.ingest_images(written(tmp_path, "x", "a.xyz"), "x")
    with pytest.raises(BadInputError, match="holds no Visual Genome files"):
        catalog.ingest_images(tmp_path, "x")
    with pytest.raises(BadInputError, match="cannot name a dataset"):
        catalog.ingest_images(GQA, "a/b")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.999), flip=st.integers(0, 255))
def test_damaged_files_never_crash_and_store_nothing_wrong(
    tmp_path_factory: Any, cut: float, flip: int
) -> None:
    """Cut anywhere, one byte changed: refused with a message, or read as what it then says."""
    content = bytearray(json.dumps(graph(relations=[{"name": "on", "object": "2"}])).encode())
    place = int(cut * len(content))
    content[place] = flip
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "graphs.json"
    path.write_bytes(bytes(content))
    catalog = sl.open(folder / "catalog")
    try:
        done = catalog.ingest_images(path, "g", input="gqa")
    except BadInputError as error:
        assert "graphs.json" in str(error)
        assert stored_nothing(catalog)
    else:
        assert done.images == 1
