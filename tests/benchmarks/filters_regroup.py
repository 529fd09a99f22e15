"""Regrouping CNN Filter DB's size: 21,436 layers x 630 bins = 13.5 million sketch rows in a catalog.

ShiftLab sums them in SQL by any column; the peer regroups the same layers as pandas does it, by a groupby of the
joined frame. CPU seconds over all threads, and wall seconds; also all pairs of groups as one drift table.

    python -m tests.benchmarks.filters_regroup
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

LAYERS, MODELS, TASKS, BINS = 21_436, 647, 11, 70


def run(layers: int = LAYERS) -> list[dict[str, Any]]:
    """One row per way of regrouping: CPU and wall seconds, and the ratio of CPU to ShiftLab's."""
    from shiftlab import queries
    from shiftlab.catalog import Store
    from shiftlab.filters.divergence import drift_table

    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "catalog")
        task = np.random.default_rng(0).integers(TASKS, size=layers).astype(np.uint8)
        _fill(store, layers)
        chosen = pa.table({"layer_key": pa.array(np.arange(layers, dtype=np.int64)), "place": pa.array(task)})
        with store.read() as con:
            con.execute("set threads = 2").fetchall()
            con.register("incoming", chosen)
            con.execute("create temp table chosen as from incoming").fetchall()
            statement = queries.sql("histograms_of_groups")
            con.sql(statement).to_arrow_table()  # the file's pages into the cache
            rows = [_timed("sql", lambda: con.sql(statement).to_arrow_table())]
            table = con.sql(statement).to_arrow_table()
            counts = np.zeros((TASKS, 9, BINS))
            place, component, bin, n = (table[name].to_numpy() for name in ("place", "component", "bin", "n"))
            counts[place, component, bin] = n
            rows.append(
                _timed("drift of all pairs", lambda: drift_table(counts, np.full(9, 1 / 9), 6 / BINS))
            )
            frame = con.sql("from layer_histogram").to_arrow_table().to_pandas()
        groups = chosen.to_pandas()
        rows.append(
            _timed(
                "pandas",
                lambda: frame.merge(groups, on="layer_key").groupby(["place", "component", "bin"])["n"].sum(),
            )
        )
    for row in rows:
        row["cpu_over_sql"] = round(row["cpu_s"] / rows[0]["cpu_s"], 2)
    return rows


def _fill(store: Any, layers: int) -> None:
    """Histograms with every bin filled, the worst case; values do not matter for the time."""
    from shiftlab.catalog import Run

    with store.write(Run("benchmark")) as con:
        con.execute(
            """insert into layer_histogram
               select layer, component, bin, 1 + (layer * 7 + component * 31 + bin) % 997
               from range($1) l(layer), range(9) c(component), range(70) b(bin) order by layer, component, bin""",
            [layers],
        ).fetchall()


def _timed(what: str, work: Callable[[], Any]) -> dict[str, Any]:
    """The best of three."""
    best = []
    for _ in range(3):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        best.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu_s, wall_s = min(best)
    return {"what": what, "cpu_s": round(cpu_s, 3), "wall_s": round(wall_s, 3)}


if __name__ == "__main__":
    for row in run():
        print(row)
