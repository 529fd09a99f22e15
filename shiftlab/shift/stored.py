"""Scores as rows of the catalog: every shift result of every domain goes through here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.measures.registry import Measure

_TEXTS = ("measure", "what", "how", "left_kind", "left_id", "right_kind", "right_id", "grp", "params", "note")
_NUMBERS = ("value", "debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p", "q", "seconds")
_COUNTS = ("n_left", "n_right", "seed")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.float64()) for name in _NUMBERS]
    + [(name, pa.int64()) for name in _COUNTS]
)


def score_row(
    spec: Measure, kind: str, left: str, right: str, group: str | None, found: Mapping[str, Any]
) -> dict[str, Any]:
    """One row of the table score: `found` holds its numbers (value, p, n_left ...), its params and note.

    `kind` says what `left` and `right` are ids of (subset, model, operator ...), `group` what was compared.
    """
    known = {name: found.get(name) for name in SCHEMA.names}
    sides = {"left_kind": kind, "left_id": left, "right_kind": kind, "right_id": right}
    return known | sides | {"measure": spec.name, "what": spec.what, "how": spec.how, "grp": group}


def store_scores(store: Store, run: Run, rows: list[dict[str, Any]]) -> None:
    """Stores the rows in one transaction; equal scores of an earlier run are replaced.

    Equal are scores of the same measure, sides, group, seed and params.
    """
    if not rows:
        return
    texts = [row | {"params": json.dumps(row["params"] or {}, sort_keys=True, default=str)} for row in rows]
    table = pa.Table.from_pylist(texts, SCHEMA)
    table = table.append_column("position", pa.array(range(len(rows)), pa.int64()))
    with store.write(run) as con:
        con.register("fresh_rows", table)
        con.execute(
            "create temp table fresh as select * replace (params::json as params) from fresh_rows"
        ).fetchall()
        con.execute(queries.sql("replace_scores")).fetchall()
        first = con.sql("select coalesce(max(score_id), 0) + 1 from score").fetchall()[0][0]
        con.execute(queries.sql("insert_scores"), {"first_score": first, "run_id": run.run_id}).fetchall()
        con.execute("drop table temp.fresh").fetchall()
        con.unregister("fresh_rows")
