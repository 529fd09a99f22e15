"""A hundred thousand generated cases at every door; what was found once is tried every time.

``python -m tests.reliability.fuzzing --cases 1000000 --seed 7`` looks further.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.reliability import fuzz_files, fuzz_words
from tests.reliability.conftest import Tally
from tests.reliability.fuzz_targets import prepared, shares
from tests.reliability.fuzzing import fuzz, run_all

CASES = int(os.environ.get("SHIFTLAB_FUZZ_CASES", "100000"))
SEED = int(os.environ.get("SHIFTLAB_FUZZ_SEED", "0"))
QUICK = (
    "coco",
    "table csv",
    "vectors npz",
    "safetensors",
    "torch legacy",
    "steps parquet",
    "labels csv",
    "predicates",
)


@pytest.mark.parametrize("target", QUICK)
def test_some_cases(tmp_path: Path, tally: Tally, target: str) -> None:
    found = fuzz(target, 60, SEED, tmp_path)
    tally("fuzz", cases=found.cases, taken=found.taken)


@pytest.mark.slow
def test_a_hundred_thousand_cases(tmp_path: Path, tally: Tally) -> None:
    found = run_all(CASES, SEED, shares(), tmp_path)
    assert {one.target for one in found} == {*fuzz_files.TARGETS, *fuzz_words.TARGETS}
    assert sum(one.cases for one in found) >= 0.99 * CASES
    assert all(one.taken for one in found), [one.target for one in found if not one.taken]
    tally(
        "fuzz", doors=len(found), cases=sum(one.cases for one in found), taken=sum(one.taken for one in found)
    )


# What was found: the door, the case, whether it is taken. Each was a traceback or a wrong acceptance.
FOUND = [
    ("coco", b'{"images": [{"id": 1, "file_name": "a.jpg", "width": true}], "categories": [{"id": 1, "name": "cat"}], "annotations": []}', True),
    ("coco", b'{"images": [{"id": 1, "file_name": "a.jpg", "width": 2147483648}], "categories": [{"id": 1, "name": "c"}], "annotations": []}', True),
    ("coco", b'{"images": [], "categories": [{"id": [1], "name": "cat"}], "annotations": []}', True),
    ("coco", b'{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat", "supercategory": 7}], '
             b'"annotations": [{"id": 1, "image_id": 1, "category_id": 1}]}', False),
    ("gqa", b'{"7": {"width": 9, "height": 9, "objects": {"1": {"name": "cat", "x": 1, "y": 1, "w": 1, "h": 1, "relations": true}}}}', False),
    ("gqa", b'{"7": {"width": 0.5, "height": 9, "objects": {}}}', False),
    ("gqa", b'{"7": {"width": 1e300, "height": 9, "objects": {}}}', False),
    ("visual genome objects", b'[{"image_id": 1, "objects": [{"object_id": 1, "names": "cat"}]}]', False),
    ("visual genome objects", b'[{"image_id": 1, "objects": [{"object_id": 1, "names": ["cat"], "attributes": 5}]}]', False),
    ("table csv", b"image_id,object,row\n1,cat,7\n", True),
    ("table csv", b"image_id,object,split\n,,", False),
    ("table csv", b"image_id,object,width\n1,cat,1e300\n", False),
    ("table csv", b"image_id,object,height\n1,cat,0.5\n", False),
    ("tfjs manifest", b'{"weightsManifest": null}', False),
    ("tfjs manifest", b'[{"paths": null, "weights": []}]', False),
    ("tfjs manifest", b'[{"paths": ["\\u0000"], "weights": []}]', False),
    ("tfjs manifest", b'[{"paths": ["\\ud800"], "weights": []}]', False),
    ("tfjs manifest", b'[{"paths": ["shard.bin"], "weights": [{"name": "a", "shape": [1], "dtype": ["float32"]}]}]', False),
    ("lerobot 2 info", b"\xfb", False),
    ("lerobot 2 episodes", b'{"episode_index": 0, "tasks": ["\\ud800"], "length": 7}', False),
    ("lerobot 2 episodes", b'{"episode_index": [2], "tasks": [], "length": 7}', False),
    ("lerobot 2 tasks", b'{"task_index": null, "task": "t"}', False),
    ("minari metadata", b"\xfb", False),
    ("steps csv", b"episode_index,frame_index,observation.state.0,action.0,success\n0,0,1,1,yes\n", False),
    ("labels csv", b"item,label,row\n1,a,2\n", True),
    ("losses csv", b'item,ce,ac\n"1', False),
    ("subset names", b'subset\n"', False),
    ("card", b"? \n: 1\n", False),
    ("scheme", b'{"name": "x", "kind": "domains", "train": [{"y": "cat", "a": "b", "contexts": null}], "test": []}', False),
    ("scheme", b'{"kind": "domains", "train": [], "test": []}', False),
]  # fmt: skip


@pytest.mark.parametrize(("target", "case", "taken"), FOUND)
def test_what_was_found_stays_mended(tmp_path: Path, target: str, case: bytes, taken: bool) -> None:
    _, act = prepared(target, tmp_path)
    assert act(case) is taken


TABLES = [
    ("steps parquet", {"episode_index": 8, "observation.state": 1, "action": 8}),
    ("labels parquet", {"item": 0, "label": 8}),
    ("table parquet", {"image_id": 0, "object": 15}),
    ("table parquet", {"image_id": 0, "object": 0, "x": 16}),
    ("steps parquet", {"episode_index": 0, "observation.state": 1, "action": 1, "task": 15}),
    ("lerobot 3 episodes", {"episode_index": 13, "tasks": 5, "length": 0}),
    ("losses parquet", {"item": 0, "ce": 0, "ac": 13}),
    ("vectors parquet", {"image_id": 0, "v": 20}),
    ("labels parquet", {"item": 0, "prob": 13, "label": 0}),
]


@pytest.mark.parametrize(("target", "kinds"), TABLES)
@pytest.mark.parametrize("rows", [0, 1])
def test_columns_of_odd_types_are_refused(
    tmp_path: Path, target: str, kinds: dict[str, int], rows: int
) -> None:
    _, act = prepared(target, tmp_path)
    assert not act(fuzz_files.parquet(kinds, rows))


@pytest.mark.parametrize(
    "predicate",
    ["true) limit (1", "n > 0) union all (from subsets", "true) order by (n", "kept) and (select count(*) > 0 from item where (true"],
)  # fmt: skip
def test_a_predicate_does_no_more_than_narrow(tmp_path: Path, predicate: str) -> None:
    _, act = prepared("predicates", tmp_path)
    assert not act(predicate)
