"""Annotations of images into the catalog: items, terms, presence, attributes, relations.

One source is one transaction: it is stored whole or not at all. A source that is already there (by the
hash of its content and the parameters) is left alone, so a run that was cut off can simply be repeated.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shiftlab import queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.readers import coco, scene_graphs, table, visual_genome
from shiftlab.readers.annotations import SCHEMAS, Batches, OnBad, Problem, Problems
from shiftlab.sources import check_dataset_name, content_hash

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

InputFormat = Literal["auto", "coco", "gqa", "visual-genome", "table"]
_READERS: dict[str, Callable[[Path, Problems], Batches]] = {
    "coco": coco.read,
    "gqa": scene_graphs.read,
    "visual-genome": visual_genome.read,
    "table": table.read,
}
FORMATS = tuple(_READERS)
_TABLES = (".csv", ".tsv", ".parquet")
_SHOWN = 5
MEMORY_LIMIT = "1GB"  # of staged rows; what goes beyond spills to disk


@dataclass(frozen=True)
class Ingested:
    """What one source brought: counts, and how many of its records were flagged or skipped, by problem."""

    dataset: str
    source: str
    format: str
    images: int
    objects: int
    terms: int
    flagged: dict[str, int]
    skipped: dict[str, int]
    already_there: bool


def ingest_images(
    store: Store,
    path: str | Path,
    dataset: str,
    *,
    input: InputFormat = "auto",
    on_bad: OnBad = "error",
    licence: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Ingested:
    """Reads the annotations at `path` (a file, or a folder of Visual Genome files) into `dataset`.

    `on_bad`: "error" refuses the whole source at the first record that cannot be used; "skip" leaves such
    records out and lists each in the table ``ingest_issue``. Repeated ids and broken JSON are always refused.
    Raises `BadInputError` naming file, record and mend; the catalog then stays as it was.
    """
    path = Path(path)
    check_dataset_name(dataset)
    kind = detect(path) if input == "auto" else input
    content = _content_hash(path, kind)
    key = hashlib.blake2b(f"images/{dataset}/{kind}/{on_bad}/{content}".encode(), digest_size=16).hexdigest()
    with store.read() as con:
        known = con.execute("select n_rows from batch where batch_key = $1", [key]).fetchall()
    if known:
        return Ingested(dataset, path.name, kind, int(known[0][0]), 0, 0, {}, {}, already_there=True)
    params = {"input": kind, "on_bad": on_bad, "path": path.name}
    run = Run("ingest images", params, dataset=dataset, inputs={path.name: content})
    problems = Problems(path, on_bad)
    with store.workspace(MEMORY_LIMIT) as con:
        progress(f"reading {path.name}")
        _stage(con, _READERS[kind](path, problems))
        progress("checking")
        _check(con, kind, problems)
        progress("storing")
        return _commit(store, con, run, key, kind, licence, problems)


def detect(path: Path) -> str:
    """Which reader fits a path: by name for Visual Genome and tables, by its first keys for JSON."""
    if not path.exists():
        raise BadInputError(f"there is no file '{path}'")
    if path.is_dir() or visual_genome.part_of(path):
        if not visual_genome.parts(path):
            raise BadInputError(
                f"the folder '{path}' holds no Visual Genome files (objects.json, attributes.json, "
                "relationships.json, image_data.json): name a file"
            )
        return "visual-genome"
    if path.suffix.lower() in _TABLES:
        return "table"
    if path.suffix.lower() == ".json":
        with path.open("rb") as file:
            head = file.read(1 << 16)
        if not head.strip():
            raise BadInputError(f"{path.name} is empty")
        if head.lstrip()[:1] == b"[":
            return "visual-genome"
        return (
            "gqa"
            if b'"objects"' in head and b'"annotations"' not in head and b'"info"' not in head
            else "coco"
        )
    raise BadInputError(f"cannot tell what '{path.name}' is: choose one of --input {', '.join(FORMATS)}")


def _content_hash(path: Path, kind: str) -> str:
    if kind == "visual-genome" and path.is_dir():
        return content_hash(sorted(visual_genome.parts(path).values()), path)
    return content_hash([path])


def _stage(con: DuckDBPyConnection, batches: Batches) -> None:
    for kind, schema in SCHEMAS.items():
        con.register("batch", schema.empty_table())
        con.execute(f"create table stage_{kind} as from batch").fetchall()
        con.unregister("batch")
    with _collector_paused():
        for kind, rows in batches:
            con.register("batch", rows)
            con.execute(f"insert into stage_{kind} from batch").fetchall()
            con.unregister("batch")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Records make no cycles, and looking for some among many thousand rows takes as long as reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check(con: DuckDBPyConnection, kind: str, problems: Problems) -> None:
    """What needs the whole file: repeated ids are refused, dangling records follow the policy."""
    repeated = {
        "find_duplicate_images": "image",
        "find_duplicate_objects_of_an_image" if kind == "table" else "find_duplicate_objects": "object",
    }
    for name, what in repeated.items():
        rows = con.sql(queries.sql(name)).fetchall()
        if rows:
            raise BadInputError(f"{problems.source.name}: {what} ids must be unique: {_listed(rows)}")
    if con.sql("select count(distinct part) > 1 from stage_object").fetchall()[0][0]:
        con.execute(queries.sql("merge_object_parts")).fetchall()
    for name, problem, mend in (
        ("objects_of_unlisted_images", "unlisted image", "list the image"),
        ("dangling_relations", "dangling relation", "add the object"),
    ):
        rows = con.sql(queries.sql(f"find_{name}")).fetchall()
        if rows and problems.on_bad == "error":
            problems.bad(problem, rows[0][0], f"{rows[0][1]} ({len(rows):,} such records in all)", mend)
        problems.met += [Problem(problem, record, detail, skipped=True) for record, detail in rows]
        if rows:
            con.execute(queries.sql(f"drop_{name}")).fetchall()
    for name in ("images_without_objects", "boxes_beyond_the_image", "boxes_without_area"):
        rows = con.sql(queries.sql(f"flag_{name}")).fetchall()
        problems.met += [
            Problem(name.replace("_", " "), record, detail, skipped=False) for record, detail in rows
        ]
    if not con.sql("select count(*) from stage_object").fetchall()[0][0]:
        raise BadInputError(f"{problems.source.name} holds no usable object" + _why_none(problems))


def _why_none(problems: Problems) -> str:
    skipped = _counts(problems, skipped=True)
    return f" (skipped: {', '.join(f'{n:,} {name}' for name, n in skipped.items())})" if skipped else ""


def _commit(
    store: Store,
    con: DuckDBPyConnection,
    run: Run,
    key: str,
    kind: str,
    licence: str | None,
    problems: Problems,
) -> Ingested:
    dataset = run.dataset
    flagged, skipped = _counts(problems, skipped=False), _counts(problems, skipped=True)
    run.notes = {"flagged": flagged, "skipped": skipped}
    for name in ("images", "words", "objects"):
        con.execute(queries.sql(f"number_{name}")).fetchall()
    counts = {
        what: int(con.sql(f"select count(*) from {table}").fetchall()[0][0])
        for what, table in (("images", "item_row"), ("objects", "object_row"), ("terms", "word"))
    }
    with store.write(run, con) as out:
        # Asked again within the transaction: another process may have stored the same source meanwhile.
        there = out.execute("select count(*) from batch where batch_key = $1", [key]).fetchall()[0][0]
        known = out.execute(queries.sql("find_images_already_there"), {"dataset": dataset}).fetchall()
        if there or known:
            raise BadInputError(
                f"{problems.source.name}: image ids must be unique in dataset '{dataset}': "
                f"{_listed(known)}; ingest it under another --dataset name"
            )
        keys = _next_keys(out) | {"dataset": dataset}
        for name in ("items", "labels", "terms", "item_terms", "objects", "object_attributes", "relations"):
            queries.execute(out, f"insert_{name}", keys)
        _record(out, run, key, licence, problems, counts["images"])
    return Ingested(
        str(dataset),
        problems.source.name,
        kind,
        counts["images"],
        counts["objects"],
        counts["terms"],
        flagged,
        skipped,
        already_there=False,
    )


def _next_keys(con: DuckDBPyConnection) -> dict[str, int]:
    """The first keys that the catalog has not given yet."""
    keys = (("item", "item_id", "item"), ("term", "term_id", "term"), ("object", "object_id", "object"))
    return {
        f"first_{name}": int(con.sql(f"select coalesce(max({column}), 0) + 1 from {table}").fetchall()[0][0])
        for name, column, table in keys
    }


def _record(
    con: DuckDBPyConnection, run: Run, key: str, licence: str | None, problems: Problems, n_images: int
) -> None:
    """The ledger, the dataset's row and what was flagged or skipped."""
    import pyarrow as pa

    con.execute(
        "insert into batch values ($1, $2, $3, $4, $5)",
        [key, run.run_id, run.dataset, problems.source.name, n_images],
    ).fetchall()
    con.execute(
        "insert into dataset select $1, 'images', $2, $3, $4, $5 where $1 not in (select dataset from dataset)",
        [run.dataset, licence, problems.source.name, key, run.run_id],
    ).fetchall()
    issues: dict[str, list[Any]] = {
        "run_id": [run.run_id] * len(problems.met),
        "source": [problems.source.name] * len(problems.met),
        "problem": [("skipped: " if one.skipped else "") + one.problem for one in problems.met],
        "record": [one.record for one in problems.met],
        "detail": [one.detail for one in problems.met],
    }
    if problems.met:
        con.register("issues", pa.table(issues))
        con.execute("insert into ingest_issue from issues").fetchall()
        con.unregister("issues")


def _counts(problems: Problems, *, skipped: bool) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in problems.met:
        if one.skipped == skipped:
            counts[one.problem] = counts.get(one.problem, 0) + 1
    return dict(sorted(counts.items()))


def _listed(rows: list[Any]) -> str:
    shown = ", ".join(f"{record} ({detail})" for record, detail in rows[:_SHOWN])
    return shown + (f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else "")
