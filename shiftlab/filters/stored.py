"""Filter statistics of a catalog: lists, quality by group, drift between groups, bases, duplicates.

Groups are any SQL expression over the view filter_layers; they are sums of sketches, no weight is read
(except for the published drift, whose basis depends on the groups and needs the filters themselves).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shiftlab import queries, safe_sql
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.filters.basis import axis_variance_share, dct_basis
from shiftlab.filters.drift import (
    RESAMPLES,
    SMALL_GROUP,
    Drift,
    Mode,
    drift_of_units,
    published_counts,
)
from shiftlab.filters.duplicates import duplicates as find_duplicates
from shiftlab.filters.null import Units
from shiftlab.filters.packing import full_gram, write_packed
from shiftlab.filters.phenotype import phenotype
from shiftlab.filters.sensitivity import sensitivity
from shiftlab.filters.sketch import BINS, EPSILONS, Sketch, histogram_range
from shiftlab.names import nearest

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["regular", "depthwise", "all"]
_MOST_GROUPS = 200


@dataclass(frozen=True, eq=False)
class Grouped:
    """Sketched layers with their group: frame [layers], names of groups, group of each layer [layers].

    `counts` [layers, d, 70] are their histograms on the DCT-II basis.
    """

    frame: pl.DataFrame
    names: list[str]
    group: np.ndarray
    counts: np.ndarray
    shape: tuple[int, int]

    def layers(self, index: int) -> np.ndarray:
        """Rows of the layers of one group."""
        return np.flatnonzero(self.group == index)

    def units(self, index: int) -> Units:
        rows = self.layers(index)
        return Units(self.counts[rows], self.frame["model_id"].to_numpy()[rows])

    def moments(self, rows: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """(n, sum [d], Gram [d, d]) of the scaled filters of some layers."""
        part = self.frame[rows]
        d = self.shape[0] * self.shape[1]
        gram = full_gram(np.array(part["gram_scaled"].to_list()).sum(axis=0), d)
        return int(part["n"].sum()), np.array(part["sum_scaled"].to_list()).sum(axis=0), gram

    def sketch(self, rows: np.ndarray) -> Sketch:
        """The sum of the sketches of some layers; without raw moments, which the groups do not need."""
        n, total, gram = self.moments(rows)
        sparse = np.array(self.frame["sparse"][rows].to_list()).sum(axis=0)
        empty = np.zeros_like(total)
        return Sketch(
            self.shape,
            n,
            0.0,
            0,
            sparse,
            empty,
            np.zeros_like(gram),
            total,
            gram,
            self.counts[rows].sum(axis=0),
        )


def list_models(store: Store) -> pl.DataFrame:
    """One row per model: layers, 3x3 filters, quality weighted by filters, licence."""
    with store.read() as con:
        return con.sql(queries.sql("list_models")).pl()


def list_layers(store: Store, model: str | None = None, where: str | None = None) -> pl.DataFrame:
    """Quality of each layer with a kernel larger than 1x1; `where` is a SQL predicate over the columns."""
    if model is not None:
        _require_model(store, model)
    return safe_sql.query(store, safe_sql.narrowed(queries.sql("list_layers"), where), {"model": model}).pl()


def show_model(store: Store, model: str) -> pl.DataFrame:
    """Every layer of one model. Raises NotFoundError with the nearest names."""
    _require_model(store, model)
    with store.read() as con:
        return con.sql(queries.sql("model_layers"), params={"model": model}).pl()


def group_layers(
    store: Store, by: str, where: str | None = None, kind: Kind = "regular", kernel: str = "3x3"
) -> Grouped:
    """Layers of one kernel size in groups of equal `by`, any SQL expression over the view filter_layers.

    Layers whose group is null are left out. `kind`: "regular" (ordinary convolutions and unknown ones),
    "depthwise", or "all" (as CNN Filter DB, with transposed ones too). Raises BadInputError when nothing is
    left and for SQL that is not one expression.
    """
    rows = safe_sql.narrowed(queries.sql("sketched_layers"), where)
    text = f"select * from (select cast((\n{by}\n) as varchar) as grp, * from (\n{rows}\n)) where grp is not null"
    frame = safe_sql.query(store, text, {"kernel": kernel, "kind": kind}).pl()
    if frame.is_empty():
        raise BadInputError(
            f"no layer with a {kernel} kernel has a group '{by}': 'shiftlab filters list' shows what is there"
        )
    frame = frame.sort("grp", "model_id", "position")
    names = frame["grp"].unique().sort().to_list()
    if len(names) > _MOST_GROUPS:
        raise BadInputError(f"'{by}' makes {len(names)} groups; the limit is {_MOST_GROUPS}")
    names = sorted(names, key=_natural)
    places = {name: place for place, name in enumerate(names)}
    group = np.array([places[name] for name in frame["grp"]])
    height, width = (int(edge) for edge in kernel.split("x"))
    return Grouped(frame, names, group, _histograms(store, frame, height * width), (height, width))


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _histograms(store: Store, frame: pl.DataFrame, d: int) -> np.ndarray:
    """Histograms [layers, d, 70] of the layers of a frame, in its order."""
    import polars as pl

    chosen = frame.select("layer_key", place=pl.int_range(pl.len(), dtype=pl.Int32))
    with store.read() as con:
        con.register("chosen", chosen.to_arrow())
        rows = con.sql(queries.sql("histograms_of_layers")).pl()
    counts = np.zeros((len(frame), d, BINS), np.int64)
    place, component, bin = (rows[name].to_numpy() for name in ("place", "component", "bin"))
    counts[place, component, bin] = rows["n"].to_numpy()
    return counts


def drift_by(
    store: Store,
    by: str,
    *,
    where: str | None = None,
    kind: Kind = "regular",
    kernel: str = "3x3",
    mode: Mode = "fixed",
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> pl.DataFrame:
    """Drift between all pairs of the groups of `by`, with null and verdict; stored as scores.

    One basis and one set of weights serve all pairs. Columns: left, right, drift, corrected, null, null_low,
    null_high, distinguishable, ci_low, ci_high, jensen_shannon, models, layers and filters of both sides,
    tiny (below 1,000 filters on a side: do not read the value), note. Raises BadInputError for fewer than two
    groups, and in mode "published" for models whose filters were not kept.
    """
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    if len(grouped.names) < 2:
        raise BadInputError(f"'{by}' makes one group ({grouped.names[0]}); drift needs two")
    run = Run(
        "filters drift", {"by": by, "where": where, "kind": kind, "kernel": kernel, "mode": mode}, seed=seed
    )
    grouped, weights, span = _on_basis(store, grouped, mode, progress)
    rows, drifts = [], []
    pairs = [(a, b) for a in range(len(grouped.names)) for b in range(a + 1, len(grouped.names))]
    for done, (a, b) in enumerate(pairs):
        progress(f"pair {done + 1} of {len(pairs)}")
        left, right = grouped.units(a), grouped.units(b)
        result = drift_of_units(left, right, weights, span, mode, resamples=resamples, seed=seed)
        drifts.append((grouped.names[a], grouped.names[b], result))
        rows.append(_pair_row(grouped.names[a], grouped.names[b], left, right, result))
    _store_scores(store, run, by, drifts)
    return pl.DataFrame(rows)


def _on_basis(
    store: Store, grouped: Grouped, mode: Mode, progress: Callable[[str], None]
) -> tuple[Grouped, np.ndarray, tuple[float, float]]:
    """The histograms, component weights and range that a mode asks for."""
    d = grouped.shape[0] * grouped.shape[1]
    if mode == "published":
        progress("reading the filters")
        counts, weights, low, high = published_counts(_raw_filters(store, grouped), BINS)
        return (
            Grouped(grouped.frame, grouped.names, grouped.group, counts, grouped.shape),
            weights,
            (low, high),
        )
    half = histogram_range(grouped.shape)
    if mode == "uniform":
        return grouped, np.full(d, 1 / d), (-half, half)
    everything = grouped.moments(np.arange(len(grouped.frame)))
    return grouped, axis_variance_share(*everything, dct_basis(*grouped.shape)), (-half, half)


def _raw_filters(store: Store, grouped: Grouped) -> list[np.ndarray]:
    """Filters [n, 9] of each layer of a grouping, from the Parquet files of their models."""
    import pyarrow.parquet as pq

    if grouped.shape != (3, 3):
        raise BadInputError("mode 'published' takes 3x3 kernels only: the filters of others are not kept")
    with store.read() as con:
        files = dict(con.sql("select model_id, filters_file from model").fetchall())
    layers: dict[tuple[int, int], np.ndarray] = {}
    for model_id in grouped.frame["model_id"].unique().sort():
        if files[model_id] is None:
            name = grouped.frame.filter(grouped.frame["model_id"] == model_id)["model"][0]
            raise BadInputError(
                f"mode 'published' needs the filters themselves, and those of model {name!r} were not kept: ingest "
                "into a new catalog with --keep-filters, or take mode 'fixed'"
            )
        table = pq.read_table(store.path / "filters" / str(files[model_id]))
        rows = np.column_stack([table[f"w{k}"].to_numpy() for k in range(9)])
        layer_id = table["layer_id"].to_numpy()
        for index in np.unique(layer_id):
            layers[int(model_id), int(index)] = rows[layer_id == index]
    keys = zip(grouped.frame["model_id"].to_list(), grouped.frame["layer_id"].to_list(), strict=True)
    return [layers[key] for key in keys]


def _pair_row(left_name: str, right_name: str, left: Units, right: Units, result: Drift) -> dict[str, Any]:
    return {
        "left": left_name,
        "right": right_name,
        "drift": result.value,
        "corrected": result.corrected,
        "null": result.nulls[0].kind,
        "null_low": result.null_low,
        "null_high": result.null_high,
        "distinguishable": result.distinguishable,
        "ci_low": result.ci_low,
        "ci_high": result.ci_high,
        "jensen_shannon": result.jensen_shannon,
        "models_left": len(np.unique(left.model)),
        "models_right": len(np.unique(right.model)),
        "layers_left": result.layers_p,
        "layers_right": result.layers_q,
        "filters_left": result.n_p,
        "filters_right": result.n_q,
        "tiny": min(result.n_p, result.n_q) < SMALL_GROUP,
        "note": result.note,
    }


def _store_scores(store: Store, run: Run, by: str, drifts: list[tuple[str, str, Drift]]) -> None:
    """Drifts as rows of the table score; what was computed before with the same parameters is replaced."""
    import polars as pl

    params = json.dumps(dict(run.params), default=str)
    rows = [
        {
            "position": position,
            "measure": "filter_drift",
            "what": "weights",
            "how": "divergence",
            "left_kind": "filters",
            "left_id": f"{by} = {left}",
            "right_kind": "filters",
            "right_id": f"{by} = {right}",
            "grp": by,
            "params": params,
            "value": result.value,
            "debiased": result.corrected,
            "null_mean": result.nulls[0].mean,
            "null_q95": result.nulls[0].q95,
            "ci_low": result.ci_low,
            "ci_high": result.ci_high,
            "p": None,
            "q": None,
            "n_left": result.n_p,
            "n_right": result.n_q,
            "seed": result.seed,
            "seconds": None,
            "note": result.note or None,
        }
        for position, (left, right, result) in enumerate(drifts)
    ]
    numbers = dict.fromkeys(("p", "q", "seconds", "ci_low", "ci_high"), pl.Float64)
    fresh = pl.DataFrame(rows, schema_overrides=numbers | {"note": pl.String})
    with store.workspace() as con:
        con.register("incoming", fresh.to_arrow())
        con.execute("create table fresh as from incoming").fetchall()
        con.unregister("incoming")
        with store.write(run, con) as out:
            first = out.sql("select coalesce(max(score_id), 0) + 1 from score").fetchall()[0][0]
            out.execute("create temp view fresh as from memory.fresh").fetchall()
            out.execute(queries.sql("replace_scores")).fetchall()
            keys = {"first_score": first, "run_id": run.run_id}
            out.execute(queries.sql("insert_scores"), keys).fetchall()


def quality_by(store: Store, by: str, where: str | None = None, kind: Kind = "regular") -> pl.DataFrame:
    """Quality of 3x3 layers per group of `by` (any SQL expression over filter_layers).

    Sparsity and entropy are weighted by filters, orthogonality by output channels; `flagged` counts layers with
    a finding other than being quantised. Do not compare groups of folded and unfolded batch normalisation.
    """
    frame = group_layers(store, by, where, kind).frame
    with store.read() as con:
        con.register("graded", frame.drop("sparse", "sum_scaled", "gram_scaled").to_arrow())
        return con.sql(queries.sql("quality_of_groups")).pl()


def sweep(store: Store, where: str | None = None) -> pl.DataFrame:
    """Degenerate 3x3 layers under every combination of thresholds; see `sensitivity`."""
    grouped = group_layers(store, "'all'", where, "all")
    frame = grouped.frame
    return sensitivity(
        frame["variance_entropy"].to_numpy(),
        frame["variance_entropy_ratio"].cast(float).fill_null(np.nan).to_numpy(),
        np.array(frame["sparse"].to_list()).reshape(-1, len(EPSILONS)),
        frame["n"].to_numpy(),
    )


def basis_by(
    store: Store, by: str = "'all'", where: str | None = None, kind: Kind = "regular", kernel: str = "3x3"
) -> pl.DataFrame:
    """Principal components of each group, exactly, from summed Gram matrices.

    Columns: group, component (from 0), variance_share, n filters, eigenfilter (list of kh*kw numbers).
    """
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    rows = []
    for index, name in enumerate(grouped.names):
        basis = grouped.sketch(grouped.layers(index)).basis()
        for component, share in enumerate(basis.variance_share):
            rows.append(
                {
                    "group": name,
                    "component": component,
                    "variance_share": float(share),
                    "n": basis.n,
                    "eigenfilter": basis.components[component].tolist(),
                }
            )
    return pl.DataFrame(rows)


def phenotypes_by(
    store: Store, by: str, where: str | None = None, kind: Kind = "regular", kernel: str = "3x3"
) -> pl.DataFrame:
    """Phenotype scores of each group; see `Phenotype`."""
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    return pl.DataFrame(
        [
            {"group": name} | asdict(phenotype(grouped.sketch(grouped.layers(index))))
            for index, name in enumerate(grouped.names)
        ]
    )


def stored_duplicates(store: Store, where: str | None = None) -> pl.DataFrame:
    """Pairs of models that share layers, or whose 3x3 filters hardly differ; see `Duplicate`."""
    import polars as pl

    grouped = group_layers(store, "model", where, "all")
    sketches = {name: grouped.sketch(grouped.layers(index)) for index, name in enumerate(grouped.names)}
    with store.read() as con:
        hashes = dict(con.sql(queries.sql("model_hashes")).fetchall())
    schema = {
        "left": pl.String,
        "right": pl.String,
        "relation": pl.String,
        "shared": pl.Int64,
        "layers": pl.Int64,
    }
    return pl.DataFrame(
        [asdict(pair) for pair in find_duplicates(hashes, sketches)], schema=schema | {"drift": pl.Float64}
    )


def export_sketches(store: Store, path: str | Path) -> int:
    """Write all models as one Parquet file of sketches and quality, without weights; returns the models."""
    with store.read() as con:
        frame = con.sql(queries.sql("packed_models")).pl()
    if frame.is_empty():
        raise BadInputError("the catalog holds no models to export: 'shiftlab ingest models' first")
    write_packed([frame], Path(path))
    return frame["sha256"].n_unique()


def _require_model(store: Store, model: str) -> None:
    with store.read() as con:
        known = [str(row[0]) for row in con.sql(queries.sql("model_names")).fetchall()]
    if model not in known:
        hint = nearest(model, known) if known else "; there are none: 'shiftlab ingest models' first"
        raise NotFoundError(f"there is no model '{model}'{hint}")
