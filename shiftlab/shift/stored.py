"""Shift between subsets of a catalog: members and vectors in, score rows out.

Cloud measures compare the vectors of the members in a space; mass measures compare which other objects
the members show (the co-occurring objects: every object name of the items but the subset's own class).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shiftlab import queries, safe_sql, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.measures.registry import Measure, get
from shiftlab.names import SubsetRef, require_subset
from shiftlab.shift.compare import compare
from shiftlab.shift.score import Score

if TYPE_CHECKING:
    import polars as pl
    from scipy.sparse import csr_array

OBJECTS = "objects"
MASSES = ("jensen_shannon", "symmetric_kl", "total_variation", "hellinger")
CLOUDS = ("sliced_wasserstein", "mmd", "energy_distance", "wasserstein")
_PAIRS_PER_BLOCK = 4_000_000
_TEXTS = ("measure", "what", "how", "left_kind", "left_id", "right_kind", "right_id", "grp", "params", "note")
_NUMBERS = ("value", "debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p", "q", "seconds")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.float64()) for name in _NUMBERS]
    + [(name, pa.int64()) for name in ("n_left", "n_right", "seed")]
)


@dataclass(frozen=True)
class Matrix:
    """All pairs of S subsets: names (S,), value (S, S) symmetric with a zero diagonal, NaN where undefined.

    `pairs` has one row per pair with everything that was measured, as stored.
    """

    measure: str
    names: list[str]
    value: np.ndarray
    pairs: pl.DataFrame


def compare_subsets(
    store: Store,
    left: str,
    right: str,
    *,
    measures: Sequence[str] | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    dataset: str | None = None,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Score]:
    """Scores of two subsets, one per measure, stored as score rows and returned.

    `measures`: names; by default the four of masses, and the four of clouds where the data set has vectors.
    `space`: where a data set has several. Raises `NotFoundError` for unknown names, with the nearest ones.
    """
    refs = require_subset(store, left, dataset), require_subset(store, right, dataset)
    if refs[0].subset_id == refs[1].subset_id:
        raise BadInputError(f"'{left}' and '{right}' are the same subset; name two")
    specs = [_measure(name) for name in measures or _default(store, refs, space)]
    run = Run(
        "shift",
        {"left": left, "right": right, "space": space, "stage": stage, "permutations": permutations},
        dataset=refs[0].dataset,
        seed=seed,
    )
    options = {"permutations": permutations, "confidence": confidence, "seed": seed}
    sides = _Sides(store, refs, space, stage)
    rows, scores = [], []
    for spec in specs:
        progress(f"measuring {spec.name}")
        score, group = sides.score(spec, options)
        scores.append(score)
        rows.append(_row(spec, score, group, "subset", str(refs[0].subset_id), str(refs[1].subset_id)))
    store_scores(store, run, rows)
    return scores


def subset_matrix(
    store: Store,
    measure: str,
    *,
    subject: str | None = None,
    where: str | None = None,
    dataset: str | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    permutations: int = 0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Matrix:
    """One measure for all pairs of the kept subsets of a class, or of those that fit a SQL predicate.

    Pairs are stored as score rows. Subsets without two vectors in the space have NULL with the reason.
    """
    spec = _measure(measure)
    picked = _pick(store, subject, where, dataset)
    started = time.perf_counter()
    progress(f"measuring {measure} of {len(picked) * (len(picked) - 1) // 2:,} pairs")
    if spec.kind == "mass":
        found, group = _mass_pairs(store, spec, picked), OBJECTS
    else:
        space_of = vectors.load(store, str(picked["dataset"][0]), space, stage)
        group = _group(space_of.space, stage)
        found = _cloud_pairs(store, spec, picked, space_of, permutations, seed)
    seconds = (time.perf_counter() - started) / max(1, len(found))
    params = {
        "subject": subject,
        "where": where,
        "measure": measure,
        "space": group,
        "permutations": permutations,
    }
    run = Run("shift matrix", params, dataset=str(picked["dataset"][0]), seed=seed)
    rows = _pair_rows(spec, found, picked, group, seed, seconds)
    store_scores(store, run, rows)
    return _as_matrix(measure, picked, found)


def store_scores(store: Store, run: Run, rows: list[dict[str, Any]]) -> None:
    """Stores score rows in one transaction; equal scores of an earlier run are replaced.

    A row has the columns of the table score but score_id and run_id; `params` is a mapping.
    """
    if not rows:
        return
    table = pa.Table.from_pylist(
        [row | {"params": json.dumps(row["params"], sort_keys=True)} for row in rows], _SCHEMA
    )
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


class _Sides:
    """What two subsets bring: vectors of a space, or counts of co-occurring objects; each is read once."""

    def __init__(
        self, store: Store, refs: tuple[SubsetRef, SubsetRef], space: str | None, stage: str
    ) -> None:
        self.store, self.refs, self.space, self.stage = store, refs, space, stage
        with store.read() as con:
            self.items = [
                con.sql(queries.sql("subset_items"), params={"subset_id": ref.subset_id})
                .pl()["item_id"]
                .to_numpy()
                for ref in refs
            ]
        self._clouds: tuple[list[np.ndarray], list[np.ndarray], str] | None = None
        self._counts: list[csr_array] | None = None

    def score(self, spec: Measure, options: Mapping[str, Any]) -> tuple[Score, str]:
        """The score by one measure, and what was compared."""
        if spec.kind == "mass":
            return self._measured(spec, self.counts(), self.items, options), OBJECTS
        clouds, ids, group = self.clouds()
        score = self._measured(spec, clouds, ids, options)
        missing = [f"{len(all_) - len(had):,} of {len(all_):,} items of {ref.name} have no vector"
                   for ref, all_, had in zip(self.refs, self.items, ids, strict=True) if len(had) < len(all_)]  # fmt: skip
        return (
            replace(score, note="; ".join(filter(None, [score.note, *missing]))) if missing else score
        ), group

    def _measured(
        self, spec: Measure, sides: Any, ids: list[np.ndarray], options: Mapping[str, Any]
    ) -> Score:
        sizes = [side.shape[0] for side in sides]
        if min(sizes) < 2:
            return _missing(
                spec, sizes, f"{sizes[0]} and {sizes[1]} items to compare; each side needs two", options
            )
        try:
            return compare(*sides, spec.name, ids_x=ids[0], ids_y=ids[1], **options)
        except UndefinedMeasureError as error:
            return _missing(spec, sizes, str(error), options)

    def clouds(self) -> tuple[list[np.ndarray], list[np.ndarray], str]:
        """Vectors of each side, the items they belong to, and the space's name."""
        if self._clouds is None:
            rows, ids, name = [], [], ""
            for ref, items in zip(self.refs, self.items, strict=True):
                space = vectors.load(self.store, ref.dataset, self.space, self.stage)
                at = space.rows(items)
                rows.append(np.asarray(space.matrix[at]))
                ids.append(space.item_ids[at])
                name = space.space
            if rows[0].shape[1] != rows[1].shape[1]:
                raise BadInputError(
                    f"space '{name}' has {rows[0].shape[1]} dimensions in dataset '{self.refs[0].dataset}' "
                    f"and {rows[1].shape[1]} in '{self.refs[1].dataset}'; they cannot be compared"
                )
            self._clouds = rows, ids, _group(name, self.stage)
        return self._clouds

    def counts(self) -> list[csr_array]:
        """Items by co-occurring objects, 0 or 1, one sparse matrix a side over the same columns."""
        from scipy.sparse import csr_array

        if self._counts is None:
            left, right = self.refs
            params = {
                "left_id": left.subset_id,
                "right_id": right.subset_id,
                "left_class": left.subject,
                "right_class": right.subject,
            }
            with self.store.read() as con:
                shown = con.sql(queries.sql("cooccurring_objects"), params=params).pl()
            terms = shown["term"].unique().sort()
            column = shown["term"].to_frame().join(terms.to_frame().with_row_index("at"), on="term")["at"]
            item, column_of = shown["item_id"].to_numpy(), column.to_numpy()
            self._counts = []
            for items in self.items:
                row = np.minimum(np.searchsorted(items, item), len(items) - 1)
                mine = items[row] == item
                ones = np.ones(int(mine.sum()))
                self._counts.append(
                    csr_array((ones, (row[mine], column_of[mine])), shape=(len(items), max(1, len(terms))))
                )
        return self._counts


def _measure(name: str) -> Measure:
    try:
        spec = get(name)
    except ValueError as error:
        raise NotFoundError(str(error)) from error
    if spec.kind not in ("mass", "cloud"):
        raise BadInputError(f"the measure '{name}' takes {spec.kind} input and cannot compare two subsets")
    return spec


def _default(store: Store, refs: tuple[SubsetRef, SubsetRef], space: str | None) -> tuple[str, ...]:
    with store.read() as con:
        known = con.sql("select distinct dataset from space").pl()["dataset"].to_list()
    return (*CLOUDS, *MASSES) if space or all(ref.dataset in known for ref in refs) else MASSES


def _group(space: str, stage: str) -> str:
    return space if stage == vectors.BASE_STAGE else f"{space}@{stage}"


def _missing(spec: Measure, sizes: Sequence[int], note: str, options: Mapping[str, Any]) -> Score:
    nothing = dict.fromkeys(("value", "debiased", "null_mean", "null_q95", "ci_low", "ci_high", "p", "q"))
    return Score(
        measure=spec.name,
        n_left=sizes[0],
        n_right=sizes[1],
        seed=options.get("seed", 0),
        note=note,
        **nothing,
    )


def _row(spec: Measure, score: Score, group: str, kind: str, left: str, right: str) -> dict[str, Any]:
    found = score.as_dict()
    found.pop("parts")
    sides = {"left_kind": kind, "left_id": left, "right_kind": kind, "right_id": right}
    return {**found, **sides, "what": spec.what, "how": spec.how, "grp": group}


def _pick(store: Store, subject: str | None, where: str | None, dataset: str | None) -> pl.DataFrame:
    """subset_id, dataset, name, class, n of the subsets to compare, all of one data set."""
    if (subject is None) == (where is None):
        raise BadInputError(
            "choose the subsets by a class or by a predicate (--class C, or --where SQL), not both"
        )
    if subject is not None:
        with store.read() as con:
            picked = con.sql(queries.sql("pick_subsets"), params={"class": subject, "dataset": dataset}).pl()
    else:
        base = "select subset_id, dataset, name, class, n from subsets"
        narrowed = safe_sql.narrowed("from subsets", where)
        picked = safe_sql.query(
            store, f"{base} where subset_id in (select subset_id from ({narrowed})) order by dataset, name"
        ).pl()
        if dataset is not None:
            picked = picked.filter(picked["dataset"] == dataset)
    if len(picked) < 2:
        chosen = f"class '{subject}'" if subject is not None else f"the predicate {where}"
        raise NotFoundError(
            f"{len(picked)} subsets fit {chosen}; a matrix needs two: see 'shiftlab subsets list'"
        )
    datasets = picked["dataset"].unique().sort().to_list()
    if len(datasets) > 1:
        raise BadInputError(f"the subsets belong to several datasets ({', '.join(datasets)}): add --dataset")
    return picked


def _mass_pairs(store: Store, spec: Measure, picked: pl.DataFrame) -> pl.DataFrame:
    """left, right (positions), value and note for all pairs, by the measure's batched form."""
    import polars as pl

    with store.read() as con:
        con.register("picked", picked.select("subset_id").with_row_index("position").to_arrow())
        counted = con.sql(queries.sql("objects_of_picked")).pl()
    terms = counted["term"].unique().sort()
    column = counted.join(terms.to_frame().with_row_index("at"), on="term", maintain_order="left")["at"]
    mass = np.zeros((len(picked), max(1, len(terms))))
    mass[counted["position"].to_numpy(), column.to_numpy()] = counted["n"].to_numpy()
    total = mass.sum(1)
    share = mass / np.maximum(total, 1)[:, None]
    left, right = np.triu_indices(len(picked), 1)
    value = np.empty(len(left))
    step = max(1, _PAIRS_PER_BLOCK // share.shape[1])
    assert spec.batched is not None
    for start in range(0, len(left), step):
        block = slice(start, start + step)
        value[block] = spec.batched(share[left[block]], share[right[block]])
    empty = (total[left] == 0) | (total[right] == 0)
    value[empty | ~np.isfinite(value)] = np.nan
    note = np.where(
        empty,
        "a side shows no other object",
        np.where(np.isnan(value), "infinite: an object of one side is missing on the other", None),
    )  # type: ignore[arg-type]
    n = picked["n"].to_numpy()
    return pl.DataFrame(
        {
            "left": left,
            "right": right,
            "value": value,
            "n_left": n[left],
            "n_right": n[right],
            "note": note.astype(object),
        },
        schema_overrides={"note": pl.String},
    ).with_columns(pl.col("value").fill_nan(None))


def _cloud_pairs(
    store: Store, spec: Measure, picked: pl.DataFrame, space: vectors.Vectors, permutations: int, seed: int
) -> pl.DataFrame:
    """The same for clouds, by `pairwise` on the vectors of the members that have one."""
    import polars as pl
    from scipy.sparse import csr_array

    from shiftlab.shift.pairwise import pairwise

    with store.read() as con:
        con.register("picked", picked.select("subset_id").with_row_index("position").to_arrow())
        members = con.sql(queries.sql("members_of_picked")).pl()
    item, position = members["item_id"].to_numpy(), members["position"].to_numpy()
    used = space.rows(np.unique(item))
    at = (
        np.minimum(np.searchsorted(space.item_ids[used], item), len(used) - 1)
        if len(used)
        else np.zeros(0, int)
    )
    has = space.item_ids[used][at] == item if len(used) else np.zeros(len(item), bool)
    size = np.bincount(position[has], minlength=len(picked))
    enough = np.flatnonzero(size >= 2)
    row_of = np.cumsum(size >= 2) - 1
    mine = has & (size >= 2)[position]
    left, right = np.triu_indices(len(picked), 1)
    columns: dict[str, Any] = {
        name: np.full(len(left), np.nan) for name in ("value", "debiased", "p", "q", "lower", "upper")
    }
    params: dict[str, Any] = {}
    if len(enough) >= 2:
        weight = members["weight"].to_numpy()[mine].astype(np.float64)
        membership = csr_array((weight, (row_of[position[mine]], at[mine])), shape=(len(enough), len(used)))
        found = pairwise(
            np.asarray(space.matrix[used]), membership, spec.name, permutations=permutations, seed=seed
        )
        params = dict(found.params)
        both = (size[left] >= 2) & (size[right] >= 2)
        for name, column in columns.items():
            matrix = getattr(found, name)
            if matrix is not None:
                column[both] = np.asarray(matrix)[row_of[left[both]], row_of[right[both]]]
    few = np.where(
        np.minimum(size[left], size[right]) < 2,
        np.array(
            [
                f"{size[a]} and {size[b]} items with a vector; each side needs two"
                for a, b in zip(left, right, strict=True)
            ],
            dtype=object,
        ),
        None,  # type: ignore[arg-type]
    )
    frame = pl.DataFrame(
        {"left": left, "right": right, **columns, "n_left": size[left], "n_right": size[right], "note": few},
        schema_overrides={"note": pl.String},
    ).with_columns(pl.col(*columns).fill_nan(None))
    return frame.with_columns(pl.lit(json.dumps(params, default=str)).alias("params"))


def _pair_rows(
    spec: Measure, found: pl.DataFrame, picked: pl.DataFrame, group: str, seed: int, seconds: float
) -> list[dict[str, Any]]:
    """Score rows of a matrix."""
    ids = [str(one) for one in picked["subset_id"]]
    shared = {"measure": spec.name, "what": spec.what, "how": spec.how, "left_kind": "subset", "right_kind": "subset",
              "grp": group, "seed": seed, "seconds": seconds}  # fmt: skip
    empty = dict.fromkeys(_SCHEMA.names)
    rows = []
    for pair in found.iter_rows(named=True):
        left, right = pair.pop("left"), pair.pop("right")
        params = json.loads(pair.pop("params", "{}")) | {
            key: pair.pop(key) for key in ("lower", "upper") if pair.get(key) is not None
        }
        known = {key: value for key, value in pair.items() if key in _SCHEMA.names}
        rows.append(
            empty
            | shared
            | known
            | {"left_id": ids[left], "right_id": ids[right], "params": params | {"design": "matrix"}}
        )
    return rows


def _as_matrix(measure: str, picked: pl.DataFrame, found: pl.DataFrame) -> Matrix:
    import polars as pl

    names = picked["name"].to_list()
    value = np.zeros((len(names), len(names)))
    left, right = found["left"].to_numpy(), found["right"].to_numpy()
    value[left, right] = value[right, left] = found["value"].fill_null(float("nan")).to_numpy()
    label = pl.Series(names)
    pairs = found.drop("left", "right", "params", strict=False)
    pairs = pairs.insert_column(0, label.gather(left).alias("left_name"))
    return Matrix(measure, names, value, pairs.insert_column(1, label.gather(right).alias("right_name")))
