"""Shift between subsets of a catalog: one pair, or all pairs of a class; stored as score rows.

Cloud measures compare the vectors of the members in a space; mass measures compare the co-occurring
objects: every object name in the items but the classes of the subsets compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import parallel, queries, safe_sql, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures.inputs import UndefinedMeasureError
from shiftlab.measures.registry import KINDS, Measure, get
from shiftlab.names import SubsetRef, require_subset
from shiftlab.shift import carriers
from shiftlab.shift.blocks import Blocks, pairwise_blocks
from shiftlab.shift.compare import compare
from shiftlab.shift.pairwise import PairMatrix, pairwise
from shiftlab.shift.score import Score
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl

MASSES = ("jensen_shannon", "symmetric_kl", "total_variation", "hellinger")
CLOUDS = ("sliced_wasserstein", "mmd", "energy_distance", "wasserstein")
SPECTRA = ("wasserstein_1d",)
PAIR_KINDS = ("mass", "cloud", "set", "grid")
FEWEST_ITEMS = 2


@dataclass(frozen=True)
class Matrix:
    """All pairs of S subsets: names (S,), value (S, S) symmetric with a zero diagonal, NaN where undefined.

    `pairs` has one row per pair: left_name, right_name and everything that was measured, as stored.
    """

    measure: str
    group: str
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
    signal: str | None = None,
    dataset: str | None = None,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Score]:
    """Scores of two subsets, one per measure, stored as score rows and returned.

    `measures`: names; by default the four of masses, and the four of clouds where the data set has vectors.
    `space`: where a data set has several. `signal`: compares the amplitude spectra of the members' signals by
    wasserstein_1d. Raises `NotFoundError` for unknown names, with the nearest ones.
    """
    refs = require_subset(store, left, dataset), require_subset(store, right, dataset)
    if refs[0].subset_id == refs[1].subset_id:
        raise BadInputError(f"'{left}' and '{right}' are the same subset; name two")
    names = measures or (SPECTRA if signal is not None else _default(store, refs, space))
    specs = [_measure(name, PAIR_KINDS) for name in names]
    params = {"left": left, "right": right, "space": space, "stage": stage, "permutations": permutations}
    params |= {"signal": signal} if signal is not None else {}
    run = Run("shift", params, dataset=refs[0].dataset, seed=seed)
    picked = _as_frame(refs)
    read: dict[str, carriers.Carrier] = {}
    rows, scores = [], []
    for spec in specs:
        progress(f"measuring {spec.name}")
        if spec.kind == "set":
            score, group = _shared(spec, store, picked, seed), "items"
        else:
            if spec.kind not in read:
                read[spec.kind] = _read(store, spec, picked, space, stage, signal)
            score, group = (
                _pair(spec, read[spec.kind], refs, permutations, confidence, seed),
                read[spec.kind].group,
            )
        scores.append(score)
        left_id, right_id = str(refs[0].subset_id), str(refs[1].subset_id)
        rows.append(score_row(spec, "subset", left_id, right_id, group, score.as_dict()))
    store_scores(store, run, rows)
    return scores


def _read(
    store: Store, spec: Measure, picked: pl.DataFrame, space: str | None, stage: str, signal: str | None
) -> carriers.Carrier:
    if spec.kind == "mass":
        return carriers.objects(store, picked)
    if spec.kind == "cloud":
        return carriers.cloud(store, picked, space, stage)
    if signal is None:
        raise BadInputError(f"{spec.name} compares the spectra of signals: name them with --signal")
    return carriers.spectra(store, picked, signal, stage)


def _shared(spec: Measure, store: Store, picked: pl.DataFrame, seed: int) -> Score:
    """Items that both subsets hold, over the smaller one; the union and the left one are its parts."""
    left, right = (set(one) for one in carriers.members(store, picked))
    value, note, parts = None, None, {}
    try:
        value = spec.function(left, right)
        parts = {kind: spec.function(left, right, kind) for kind in ("jaccard", "left")}
    except UndefinedMeasureError as error:
        note = str(error)
    params = {"kind": "min"} | parts
    return Score(
        measure=spec.name, value=value, debiased=None, null_mean=None, null_q95=None, ci_low=None, ci_high=None,
        p=None, q=None, n_left=len(left), n_right=len(right), seed=seed, note=note, params=params, parts=parts,
    )  # fmt: skip


def _pair(
    spec: Measure,
    carrier: carriers.Carrier,
    refs: tuple[SubsetRef, SubsetRef],
    permutations: int,
    confidence: float,
    seed: int,
) -> Score:
    (x, ids_x), (y, ids_y) = carrier.side(0), carrier.side(1)
    missing = [
        f"{n:,} of {ref.n:,} items of {ref.name} have no vector"
        for ref, n in zip(refs, carrier.missing.tolist(), strict=True)
        if n
    ]
    try:
        if min(len(ids_x), len(ids_y)) < FEWEST_ITEMS:
            raise UndefinedMeasureError(
                f"{len(ids_x)} and {len(ids_y)} items to compare; each side needs two"
            )
        score = compare(
            x, y, measure=spec.name, permutations=permutations, confidence=confidence, seed=seed,
            ids_x=ids_x, ids_y=ids_y,
        )  # fmt: skip
    except UndefinedMeasureError as error:
        score = Score(
            measure=spec.name, value=None, debiased=None, null_mean=None, null_q95=None, ci_low=None, ci_high=None,
            p=None, q=None, n_left=len(ids_x), n_right=len(ids_y), seed=seed, note=str(error),
        )  # fmt: skip
    return replace(score, note="; ".join(filter(None, [score.note, *missing])) or None)


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

    Pairs are stored as score rows. Pairs of a subset without two items to compare have NULL with the reason.
    """
    spec = _measure(measure)
    picked = _pick(store, subject, where, dataset)
    carrier = (
        carriers.objects(store, picked)
        if spec.kind == "mass"
        else carriers.cloud(store, picked, space, stage)
    )
    progress(f"measuring {measure} of {len(picked) * (len(picked) - 1) // 2:,} pairs")
    size = np.diff(carrier.membership.indptr)
    enough = np.flatnonzero(size >= FEWEST_ITEMS)
    found = None
    if len(enough) >= 2:
        found = pairwise(
            carrier.rows, carrier.membership[enough], measure, permutations=permutations, seed=seed
        )
    pairs = _all_pairs(picked, size, enough, found)
    params = {
        "class": subject,
        "where": where,
        "measure": measure,
        "group": carrier.group,
        "permutations": permutations,
    }
    run = Run("shift matrix", params, dataset=str(picked["dataset"][0]), seed=seed)
    store_scores(store, run, _score_rows(spec, pairs, picked, carrier.group, seed, found))
    return _as_matrix(measure, carrier.group, picked, pairs)


def subset_blocks(
    store: Store,
    folder: str | Path,
    *,
    subject: str | None = None,
    where: str | None = None,
    dataset: str | None = None,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    seed: int = 0,
    engine: parallel.Engine = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Blocks:
    """Sliced W2 of all pairs of many thousands of subsets, as Parquet files in `folder`; see `pairwise_blocks`.

    The folder's ``subsets.parquet`` names them: position (what left and right of a pair say), subset_id, name, n.
    Subsets without two vectors are left out. Raises BadInputError for a folder that holds anything else.
    """
    picked = _pick(store, subject, where, dataset)
    carrier = carriers.cloud(store, picked, space, stage)
    size = np.diff(carrier.membership.indptr)
    enough = np.flatnonzero(size >= FEWEST_ITEMS)
    run = Run("shift matrix", {"class": subject, "where": where, "group": carrier.group, "blocks": str(folder)},
              dataset=str(picked["dataset"][0]), seed=seed)  # fmt: skip
    try:
        found = pairwise_blocks(
            carrier.rows, carrier.membership[enough], folder, seed=seed, engine=engine,
            progress=lambda done, total: progress(f"blocks of pairs: {done} of {total} steps"),
        )  # fmt: skip
    except ValueError as error:
        raise BadInputError(str(error)) from error
    known = picked[enough.tolist()].select("subset_id", "name").with_row_index("position")
    known.with_columns(n=size[enough]).write_parquet(found.folder / "subsets.parquet")
    run.notes = {"subsets": len(enough), "left_out": len(picked) - len(enough), "pairs": found.n_pairs}
    with store.write(run):
        pass
    return found


def _all_pairs(
    picked: pl.DataFrame, size: np.ndarray, enough: np.ndarray, found: PairMatrix | None
) -> pl.DataFrame:
    """Every pair of positions, with what was measured and, where nothing could be, why."""
    import polars as pl

    left, right = np.triu_indices(len(picked), 1)
    every = pl.DataFrame({"left": left, "right": right, "n_left": size[left], "n_right": size[right]})
    if found is None:
        return every.with_columns(value=pl.lit(None, pl.Float64), note=_too_few())
    measured = found.to_frame().drop("n_left", "n_right")
    position = pl.Series(enough)
    measured = measured.with_columns(
        left=position.gather(measured["left"]), right=position.gather(measured["right"])
    )
    joined = every.join(measured, on=["left", "right"], how="left", maintain_order="left")
    infinite, why = (
        pl.col("value").is_infinite(),
        pl.lit("infinite: a side has mass where the other has none"),
    )
    joined = joined.with_columns(
        value=pl.when(~infinite).then(pl.col("value")),
        note=pl.when(infinite).then(why).otherwise(pl.col("note")),
    )
    return joined.with_columns(
        note=pl.when(pl.col("note").is_null() & pl.col("value").is_null())
        .then(_too_few())
        .otherwise(pl.col("note"))
    )


def _too_few() -> pl.Expr:
    import polars as pl

    return pl.format("{} and {} items to compare; each side needs two", "n_left", "n_right")


def _score_rows(
    spec: Measure, pairs: pl.DataFrame, picked: pl.DataFrame, group: str, seed: int, found: PairMatrix | None
) -> list[dict[str, Any]]:
    """Score rows of a matrix; bounds and the approximation's error stand in params."""
    ids = [str(one) for one in picked["subset_id"]]
    shared = (dict(found.params) | {"design": found.design}) if found else {}
    seconds = found.seconds / max(1, len(pairs)) if found else None
    rows = []
    for pair in pairs.iter_rows(named=True):
        bounds = {name: pair[name] for name in ("lower", "upper", "error") if pair.get(name) is not None}
        known = pair | {"params": shared | bounds, "seed": seed, "seconds": seconds}
        rows.append(score_row(spec, "subset", ids[pair["left"]], ids[pair["right"]], group, known))
    return rows


def _as_matrix(measure: str, group: str, picked: pl.DataFrame, pairs: pl.DataFrame) -> Matrix:
    import polars as pl

    names = picked["name"].to_list()
    value = np.zeros((len(names), len(names)))
    left, right = pairs["left"].to_numpy(), pairs["right"].to_numpy()
    value[left, right] = value[right, left] = pairs["value"].fill_null(float("nan")).to_numpy()
    label = pl.Series(names)
    named = pairs.select(
        label.gather(left).alias("left_name"),
        label.gather(right).alias("right_name"),
        pl.exclude("left", "right"),
    )
    return Matrix(measure, group, names, value, named)


def _measure(name: str, kinds: Sequence[str] = ("mass", "cloud")) -> Measure:
    try:
        spec = get(name)
    except ValueError as error:
        raise NotFoundError(str(error)) from error
    if spec.kind not in kinds:
        raise BadInputError(
            f"'{name}' compares {KINDS[spec.kind]}, not {'two subsets' if 'set' in kinds else 'all pairs of subsets'}: "
            f"'shiftlab measures {name}' tells where it is used"
        )
    return spec


def _default(store: Store, refs: tuple[SubsetRef, SubsetRef], space: str | None) -> tuple[str, ...]:
    with store.read() as con:
        known = con.sql("select distinct dataset from space").pl()["dataset"].to_list()
    return (*CLOUDS, *MASSES) if space or all(ref.dataset in known for ref in refs) else MASSES


def _as_frame(refs: tuple[SubsetRef, SubsetRef]) -> pl.DataFrame:
    import polars as pl

    columns = {"subset_id": "subset_id", "dataset": "dataset", "name": "name", "class": "subject"}
    return pl.DataFrame({column: [getattr(ref, field) for ref in refs] for column, field in columns.items()})


def _pick(store: Store, subject: str | None, where: str | None, dataset: str | None) -> pl.DataFrame:
    """subset_id, dataset, name and class of the subsets to compare, all of one data set."""
    if (subject is None) == (where is None):
        raise BadInputError("choose the subsets by a class or by a predicate: --class C, or --where SQL")
    params = {"class": subject, "dataset": dataset}
    picked = safe_sql.query(store, safe_sql.narrowed(queries.sql("pick_subsets"), where), params).pl()
    if len(picked) < 2:
        chosen = f"class '{subject}'" if subject is not None else f"the predicate {where}"
        raise NotFoundError(
            f"{len(picked)} subsets fit {chosen}; a matrix needs two: see 'shiftlab subsets list'"
        )
    datasets = picked["dataset"].unique().sort().to_list()
    if len(datasets) > 1:
        raise BadInputError(f"the subsets belong to several datasets ({', '.join(datasets)}): add --dataset")
    return picked.sort("name")
