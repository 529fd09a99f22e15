"""Builds the subset catalog of a dataset: candidates, members, overlaps, meta-graphs, distances.

Counting and set overlap run as SQL (``sql/queries/subsets_build.sql``) in a workspace; eigenproblems and
communities, one small graph a class, in `metagraph`. One transaction stores the whole build.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from shiftlab import parallel, queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.names import require_dataset
from shiftlab.subsets import counting, metagraph

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Contexts = Literal["objects", "attributes", "places", "all"]
_COUNTS = ("subsets", "kept", "classes", "memberships", "overlaps", "edges")
_KINDS = {"objects": "object", "attributes": "attribute", "places": "place"}


@dataclass(frozen=True)
class Parameters:
    """What decides a build. Defaults are MetaShift's thresholds.

    min_images: a subset needs at least so many images. min_subsets: a class is kept with at least so many
    subsets. edge: least overlap coefficient of an edge; exactly the threshold stays. min_side: least share
    of width or height that an object must span for its attributes to count. dim: dimensions of the spectral
    layout. mode: "shiftlab" weighs edges when finding communities, "parity" does not, as in MetaShift's code.
    allow: names class(context) that may be built; None allows all. min_relations: least number of relations
    from class to context (object contexts only); 0 asks for none.
    """

    mode: Literal["shiftlab", "parity"] = "shiftlab"
    min_images: int = 25
    min_subsets: int = 6
    edge: float = 0.2
    min_side: float = 0.2
    dim: int = metagraph.DIM
    allow: tuple[str, ...] | None = None
    min_relations: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Built:
    """One build, by kind of context. `subsets` counts those with enough images, `kept` those of kept classes."""

    dataset: str
    context_kind: str
    subsets: int
    kept: int
    classes: int
    memberships: int
    overlaps: int
    edges: int
    already_there: bool


def build_subsets(
    store: Store,
    dataset: str,
    contexts: Contexts = "objects",
    parameters: Parameters | None = None,
    *,
    engine: parallel.Engine = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Built]:
    """Builds the subsets of `dataset`; replaces an earlier build of the same kind of context.

    Subsets whose members did not change keep their ids and scores. `engine` says where shards of images are
    counted (see `parallel.run`; a cluster must see the catalog's folder) and changes no result. Raises
    `BadInputError` for an unknown dataset and when no subset reaches the thresholds, with the counts that are
    there.
    """
    parameters = parameters or Parameters()
    _check(parameters)
    parallel.check(engine)
    require_dataset(store, dataset)
    built = []
    for name in _KINDS if contexts == "all" else (contexts,):
        try:
            built.append(_build(store, dataset, _KINDS[name], parameters, engine, progress))
        except _NothingBuiltError:
            if contexts != "all":
                raise
    if not built:
        raise BadInputError(f"dataset '{dataset}' has no subset of any kind that reaches the thresholds")
    return built


class _NothingBuiltError(BadInputError):
    """No subset of this kind of context reaches the thresholds."""


def _check(p: Parameters) -> None:
    for name, value, least in (
        ("min_images", p.min_images, 1),
        ("min_subsets", p.min_subsets, 1),
        ("dim", p.dim, 1),
    ):
        if value < least:
            raise BadInputError(f"{name} is {value}; it must be at least {least}")
    for name, share in (("edge", p.edge), ("min_side", p.min_side)):
        if not 0 <= share <= 1:
            raise BadInputError(f"{name} is {share}; it is a share between 0 and 1")


def _build(
    store: Store,
    dataset: str,
    kind: str,
    p: Parameters,
    engine: parallel.Engine,
    progress: Callable[[str], None],
) -> Built:
    run = Run("subsets build", asdict(p) | {"context_kind": kind}, dataset=dataset, seed=p.seed)
    with store.workspace(counting.MEMORY_LIMIT) as con:
        progress(f"loading {kind} contexts")
        with store.attached(con):
            _load(con, dataset, kind, p)
            run.inputs = _inputs(con, dataset, kind, p)
            there = _already_built(con, dataset, kind, run.inputs["build"])
            if there:
                return there
        values = _values(kind, p)
        folder = store.path / "jobs" / f"subsets-{run.inputs['build'][:16]}"
        with counting.finished(folder):
            counting.count(con, kind, values, folder, engine, progress)
            if not con.sql("select count(*) from candidate where kept").fetchall()[0][0]:
                raise _NothingBuiltError(_nothing(con, dataset, kind, p))
            queries.execute(con, "subset_rows", values)
            queries.execute(con, "overlaps", values)
            progress("measuring meta-graphs")
            _measure_graphs(con, p)
            progress("storing")
            return _commit(store, con, run, dataset, kind, p)


def _values(kind: str, p: Parameters) -> dict[str, Any]:
    edge = Fraction(str(p.edge))
    return {
        "min_images": p.min_images,
        "min_subsets": p.min_subsets,
        "filtered": p.allow is not None or (kind == "object" and p.min_relations > 0),
        "mirrors": kind == "object",
        "edge_numerator": edge.numerator,
        "edge_denominator": edge.denominator,
    }


def _load(con: DuckDBPyConnection, dataset: str, kind: str, p: Parameters) -> None:
    """Copies what the build needs out of the catalog."""
    side = Fraction(str(p.min_side))
    values: dict[str, Any] = {
        "dataset": dataset,
        "side_numerator": side.numerator,
        "side_denominator": side.denominator,
        "min_count": p.min_relations,
    }
    names = {
        "object": ["load_presence", "load_names"],
        "attribute": ["load_attribute_pairs"],
        "place": ["load_place_pairs"],
    }
    wanted = [*names[kind], "load_item_keys"]
    if kind == "object" and p.min_relations:
        wanted.append("load_relation_evidence")
    else:
        con.execute("create table allowed (name varchar)").fetchall()
    for name in wanted:
        queries.execute(con, name, values)
    if p.allow is not None:
        import pyarrow as pa

        con.register("names", pa.table({"name": pa.array(sorted(set(p.allow)), pa.string())}))
        con.execute("create or replace table allowed as from names").fetchall()
        con.unregister("names")


def _inputs(con: DuckDBPyConnection, dataset: str, kind: str, p: Parameters) -> dict[str, str]:
    """Hashes of what the build reads: the dataset's batches, and these together with the parameters."""
    batches = con.execute(
        "select batch_key from catalog.batch where dataset = $1 order by batch_key", [dataset]
    ).fetchall()
    content = hashlib.sha256("".join(key for (key,) in batches).encode()).hexdigest()
    settings = json.dumps([dataset, kind, asdict(p), content], sort_keys=True)
    return {"dataset": content, "build": hashlib.sha256(settings.encode()).hexdigest()}


def _already_built(con: DuckDBPyConnection, dataset: str, kind: str, build: str) -> Built | None:
    """The latest build of this kind, if it was made from the same input with the same parameters."""
    rows = con.execute(
        "select inputs->>'build', notes from catalog.run where command = 'subsets build' and dataset = $1 "
        "and params->>'context_kind' = $2 order by run_id desc limit 1",
        [dataset, kind],
    ).fetchall()
    if not rows or rows[0][0] != build:
        return None
    notes = json.loads(rows[0][1])
    return Built(dataset, kind, **{name: notes[name] for name in _COUNTS}, already_there=True)


def _nothing(con: DuckDBPyConnection, dataset: str, kind: str, p: Parameters) -> str:
    n, classes = con.sql("select count(*), count(distinct class) from candidate").fetchall()[0]
    if n == 0:
        return (
            f"dataset '{dataset}' has no subset with {kind} contexts of at least {p.min_images} images; "
            "lower --min-images, or choose other --contexts"
        )
    most = con.sql("select count(*) from candidate group by class order by 1 desc limit 1").fetchall()[0][0]
    return (
        f"dataset '{dataset}' has {n:,} subsets of at least {p.min_images} images in {classes:,} classes, but no class "
        f"with {p.min_subsets} of them (the most is {most}); lower --min-subsets or --min-images"
    )


def _measure_graphs(con: DuckDBPyConnection, p: Parameters) -> None:
    """Distances, communities and positions of every class into the tables `distance` and `layout`."""
    import numpy as np
    import pyarrow as pa

    nodes = con.sql("select subset_no, class from subset_row where kept order by class, name").pl()
    edges = con.sql("select left_no, right_no, overlap from overlap where edge").pl()
    numbers = nodes["subset_no"].to_numpy()
    row_of = np.zeros(int(numbers.max()) + 1, dtype=np.int64)
    row_of[numbers] = np.arange(len(numbers))
    left, right = row_of[edges["left_no"].to_numpy()], row_of[edges["right_no"].to_numpy()]
    weight = edges["overlap"].to_numpy()
    starts = np.flatnonzero((nodes["class"] != nodes["class"].shift(1)).fill_null(True).to_numpy())
    order = np.argsort(left, kind="stable")
    bounds = np.append(starts, len(numbers))
    cuts = np.searchsorted(left[order], bounds)
    pairs: list[Sequence[Any]] = []
    layouts: list[Sequence[Any]] = []
    for k in range(len(starts)):
        start, stop = bounds[k], bounds[k + 1]
        mine = order[cuts[k] : cuts[k + 1]]
        matrix = np.zeros((stop - start, stop - start))
        matrix[left[mine] - start, right[mine] - start] = weight[mine]
        matrix += matrix.T
        pairs.append(_pair_columns(numbers[start:stop], metagraph.distances(matrix, p.dim)))
        place = metagraph.positions(matrix, p.seed)
        group = metagraph.communities(matrix, weighted=p.mode == "shiftlab")
        layouts.append((numbers[start:stop], group, place[:, 0], place[:, 1]))
    for table, names, parts in (
        (
            "distance",
            ["left_no", "right_no", "spectral_distance", "spectral_valid", "resistance", "note"],
            pairs,
        ),
        ("layout", ["subset_no", "community", "x", "y"], layouts),
    ):
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        # Arrow's from_pandas turns NaN into NULL; an empty note becomes NULL in SQL.
        con.register("measured", pa.table([pa.array(c, from_pandas=True) for c in columns], names=names))
        con.execute(f"create table {table} as from measured").fetchall()
        con.unregister("measured")
    con.execute("update distance set note = nullif(note, '')").fetchall()


def _pair_columns(numbers: Any, measured: metagraph.Distances) -> Sequence[Any]:
    import numpy as np

    rows, columns = np.triu_indices(len(numbers), 1)
    apart = np.isnan(measured.resistance)
    notes = np.where(
        apart, "; ".join(filter(None, [measured.note, "resistance: no path between the two"])), measured.note
    )
    return (
        numbers[rows],
        numbers[columns],
        measured.spectral,
        np.full(len(rows), measured.spectral_valid),
        measured.resistance,
        notes.astype(object),
    )


def _commit(store: Store, con: DuckDBPyConnection, run: Run, dataset: str, kind: str, p: Parameters) -> Built:
    counts = con.sql(
        "select (select count(*) from subset_row), (select count(*) from subset_row where kept), "
        "(select count(distinct class) from subset_row where kept), (select count(*) from member), "
        "(select count(*) from overlap), (select count(*) from overlap where edge)"
    ).fetchall()[0]
    found: dict[str, Any] = dict(zip(_COUNTS, map(int, counts), strict=True))
    run.notes = dict(found)
    with store.write(run, con) as out:
        values: dict[str, Any] = {
            "dataset": dataset,
            "context_kind": kind,
            "run_id": run.run_id,
            "algorithm": metagraph.COMMUNITY_ALGORITHM,
            "weighted": p.mode == "shiftlab",
            "seed": p.seed,
            "first_subset": out.sql("select coalesce(max(subset_id), 0) + 1 from subset").fetchall()[0][0],
        }
        queries.execute(out, "match_subsets", values)
        queries.execute(out, "forget_old_subsets", values)
        _forget(out, dataset, kind)
        for name in ("subsets", "memberships", "overlaps", "distances", "communities", "positions"):
            queries.execute(out, f"insert_{name}", values)
        for name in ("key", "gone"):
            out.execute(f"drop table temp.{name}").fetchall()
    return Built(dataset, kind, **found, already_there=False)


def _forget(con: DuckDBPyConnection, dataset: str, kind: str) -> None:
    """Removes the earlier build: all graph rows, and the members and scores of subsets that are gone."""
    con.execute("delete from membership where subset_id in (from gone)").fetchall()
    con.execute(
        "delete from score where (left_kind = 'subset' and left_id in (select subset_id::varchar from gone)) "
        "or (right_kind = 'subset' and right_id in (select subset_id::varchar from gone))"
    ).fetchall()
    con.execute(
        "create temp table old as select subset_id from subset where dataset = $1 and context_kind = $2",
        [dataset, kind],
    ).fetchall()
    for table, column in (
        ("subset_overlap", "left_id"),
        ("subset_distance", "left_id"),
        ("community", "subset_id"),
        ("subset_position", "subset_id"),
        ("subset", "subset_id"),
    ):
        con.execute(f"delete from {table} where {column} in (from old)").fetchall()
    con.execute("drop table temp.old").fetchall()
