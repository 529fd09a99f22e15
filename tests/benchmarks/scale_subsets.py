"""Subset builds of growing size within 4 GB: COCO's labels repeated, so that the right counts are known.

Each size builds a catalog of its own in a process of its own and reports that process's peak memory. Every
count must be the repeats times the count of one copy (the threshold rises with the repeats).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPEATS = {"small": (2, 6, 20), "full": (28, 84, 287)}  # 287 copies: 100 million rows of presence
MIN_IMAGES = 25
_GROW = (
    "insert into item select item_id + copy * 10000000, 'many', external_id || '-' || copy, width, height, file "
    "from item, range(1, $copies + 1) copies(copy) where dataset = 'coco' order by all",
    "insert into term select term_id + 10000, 'many', kind, name, category from term where dataset = 'coco'",
    "insert into item_term select it.* replace (item_id + copy * 10000000 as item_id, term_id + 10000 as term_id) "
    "from item_term it, range(1, $copies + 1) copies(copy) order by copy, item_id",
    "insert into dataset select 'many', kind, licence, source, version, run_id from dataset where dataset = 'coco'",
    "insert into batch select 'many-' || $copies, run_id, 'many', source, n_rows from batch where dataset = 'coco'",
)


def build(folder: str, copies: int, engine: str | None) -> dict[str, Any]:
    """One size, in this process: seconds, CPU seconds and peak memory of the build alone."""
    import resource

    import shiftlab as sl
    from shiftlab import resources
    from shiftlab.catalog import Run

    if not (Path(folder) / "catalog.duckdb").exists():
        catalog = sl.open(folder)
        catalog.ingest_images(resources.data("coco14_image_labels") / "image_objects.parquet", "coco")
        catalog.build_subsets("coco", min_images=MIN_IMAGES)
        with catalog.store.write(Run("benchmark")) as con:
            con.execute("set memory_limit = '3GB'").fetchall()
            for statement in _GROW:
                con.execute(statement, {"copies": copies} if "$copies" in statement else None).fetchall()
        return {}
    catalog = sl.open(folder)
    cpu, start = time.process_time(), time.perf_counter()
    one = catalog.build_subsets("many", min_images=MIN_IMAGES * copies, engine=engine)[0]
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    wrong = catalog.sql(
        "select count(*) from subset a full join subset b on a.name = b.name and b.dataset = 'coco' "
        "where a.dataset = 'many' and (b.n is null or a.n <> b.n * " + str(copies) + ")"
    ).rows()[0][0]
    assert wrong == 0, wrong
    return {
        "subsets": one.subsets,
        "memberships": one.memberships,
        "cpu": time.process_time() - cpu + usage[1].ru_utime + usage[1].ru_stime,
        "wall": time.perf_counter() - start,
        "peak": usage[0].ru_maxrss / 1e6,
        "presence": catalog.sql(
            "select count(*) from item_term join term using (term_id) where dataset = 'many'"
        ).rows()[0][0],
    }


def run(scale: str = "full") -> list[dict[str, Any]]:
    rows = []
    for copies in REPEATS[scale]:
        with tempfile.TemporaryDirectory() as folder:
            for _ in ("grow", "build"):
                code = f"import json, tests.benchmarks.scale_subsets as m; print(json.dumps(m.build({folder!r}, {copies}, None)))"
                done = subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise RuntimeError(done.stderr)
            found = json.loads(done.stdout.strip().splitlines()[-1])
        rows.append(
            {
                "what": "subset build out of core",
                "size": f"{found['presence']:,} rows, {found['memberships']:,} members, peak {found['peak']:.2f} GB, "
                f"{found['wall']:.0f} s",
                "ours": found["cpu"],
                "peer": None,
                "ratio": None,
            }
        )
    return rows


if __name__ == "__main__":
    for row in run(sys.argv[1] if len(sys.argv) > 1 else "full"):
        print(row)
