"""Subset builds at the scale of GQA against dicts of sets in Python: candidates, overlaps, memory.

A seeded generator draws 113,018 images with 1.9 million objects of 1,702 names, popular ones more often,
and scenes that make some occur together. Its popularity is fitted to GQA's own scale: about 845 thousand ordered
pairs of names, 75 thousand of them in 25 images or more, 14 to 15 million members. Both sides count the same
thing and must agree.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from itertools import combinations
from typing import Any

import numpy as np

from shiftlab import queries

IMAGES, OBJECTS, NAMES, SCENES = 113_018, 1_924_570, 1_702, 60
CLASSES_COMPARED = 60
SCALES = {"small": 0.1, "full": 1.0}


def presence(images: int, objects: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(image, name) of each object, repeated names of an image kept once, sorted by image."""
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, images, objects))
    popularity = (np.arange(NAMES) + 10.5) ** -1.6
    scene_of_image = rng.integers(0, SCENES, images)
    tilt = np.exp(rng.normal(0, 1.35, (SCENES, NAMES)))
    cumulative = np.cumsum(popularity * tilt, axis=1)
    draw = rng.random(objects)
    name = np.empty(objects, dtype=np.int64)
    for scene in range(SCENES):
        mine = scene_of_image[image] == scene
        name[mine] = np.searchsorted(cumulative[scene], draw[mine] * cumulative[scene, -1])
    pairs = np.unique(image * NAMES + np.minimum(name, NAMES - 1))
    return pairs // NAMES, pairs % NAMES


def candidates_in_python(image: np.ndarray, name: np.ndarray, least: int) -> dict[tuple[int, int], set[str]]:
    """As MetaShift keeps them: a set of image-id strings for every ordered pair of names."""
    names_of: dict[str, list[int]] = defaultdict(list)
    ids = {i: str(2_300_000 + i) for i in range(int(image.max()) + 1)}
    for i, n in zip(image.tolist(), name.tolist(), strict=True):
        names_of[ids[i]].append(n)
    sets: dict[tuple[int, int], set[str]] = defaultdict(set)
    for i, names in names_of.items():
        for s in names:
            for c in names:
                if s != c:
                    sets[s, c].add(i)
    return {key: members for key, members in sets.items() if len(members) >= least}


def overlaps_in_python(
    sets: dict[tuple[int, int], set[str]], classes: list[int]
) -> dict[tuple[int, int, int], int]:
    """Intersection sizes of all pairs of subsets of each class, in the steps of MetaShift's released script:
    for each pair both sets less an (empty) set of excluded images, then their intersection."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for s, c in sets:
        by_class[s].append(c)
    excluded: set[str] = set()
    found = {}
    for s in classes:
        for a, b in combinations(sorted(by_class[s]), 2):
            left, right = sets[s, a] - excluded, sets[s, b] - excluded
            shared = len(left.intersection(right))
            if shared:
                found[s, a, b] = shared
    return found


def _cpu(work: Any) -> tuple[Any, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def run(scale: str = "full") -> list[dict[str, Any]]:
    """Rows of the benchmark book: what, size, ours and theirs in CPU seconds, ratio."""
    import duckdb
    import pyarrow as pa

    factor = SCALES[scale]
    image, name = presence(int(IMAGES * factor), int(OBJECTS * factor))
    con = duckdb.connect()
    con.execute("set threads = 2; set enable_progress_bar = false").fetchall()
    con.register("given", pa.table({"item_id": image, "term_id": name}))
    con.execute("create table presence as from given").fetchall()
    con.execute(
        f"create table name as select range as term_id, printf('%04d', range) as name from range({NAMES})"
    )
    con.execute("create table allowed (name varchar)").fetchall()
    con.execute(
        "create table item_key as select distinct item_id, 0::ubigint as high, item_id::ubigint as low from presence"
    ).fetchall()

    values = {
        "min_images": 25,
        "min_subsets": 6,
        "filtered": False,
        "mirrors": True,
        "edge_numerator": 1,
        "edge_denominator": 5,
    }

    def execute(*names: str) -> None:
        for name in names:
            queries.execute(con, name, values)

    _, ours_candidates = _cpu(lambda: execute("pair_object_names", "object_candidates"))
    _, ours_members = _cpu(lambda: execute("object_members", "subset_contents", "subset_rows"))
    classes = con.sql(
        f"select class from candidate where kept group by class order by hash(class) limit {CLASSES_COMPARED}"
    ).fetchall()
    chosen = [int(row[0]) for row in classes]
    con.execute("create table every as from candidate").fetchall()
    con.execute(
        "create or replace table candidate as select * replace (kept and class in "
        f"({', '.join(repr(r[0]) for r in classes)}) as kept) from every"
    ).fetchall()
    _, ours_overlaps = _cpu(lambda: execute("count_shared", "overlaps"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    ours = {
        (int(c), int(a), int(b)): n
        for c, a, b, n in con.sql(
            "select l.class, l.context, r.context, n_both from overlap "
            "join every l on l.subset_no = left_no join every r on r.subset_no = right_no"
        ).fetchall()
    }
    sets, theirs_candidates = _cpu(lambda: candidates_in_python(image, name, 25))
    theirs, theirs_overlaps = _cpu(lambda: overlaps_in_python(sets, chosen))
    counted = con.sql("select count(*) from candidate").fetchall()[0][0]
    assert counted == len(sets), (counted, len(sets))
    assert ours == theirs
    size = f"{int(IMAGES * factor):,} images, {len(image):,} names, {counted:,} subsets, peak {peak:.2f} GB"
    return [
        {
            "what": "candidate subsets",
            "size": size,
            "ours": ours_candidates,
            "peer": theirs_candidates,
            "ratio": theirs_candidates / ours_candidates,
        },
        {
            "what": f"overlaps of {len(chosen)} classes ({len(ours):,} non-zero)",
            "size": size,
            "ours": ours_overlaps,
            "peer": theirs_overlaps,
            "ratio": theirs_overlaps / ours_overlaps,
        },
        {
            "what": "members of all subsets",
            "size": size,
            "ours": ours_members,
            "peer": None,
            "ratio": None,
        },
    ]


if __name__ == "__main__":
    import sys

    for row in run(sys.argv[1] if len(sys.argv) > 1 else "full"):
        print({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()})
