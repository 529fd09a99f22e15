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
from shiftlab.filters import divergence
from shiftlab.filters.basis import axis_variance_share, dct_basis, principal_components
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
from shiftlab.filters.sensitivity import is_degenerate, sensitivity
from shiftlab.filters.sketch import BINS, EPSILONS, Sketch, histogram_range
from shiftlab.names import nearest

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["regular", "depthwise", "all"]
_QUALITY = (
    "model", "layer_id", "name", "kind", "kernel", "n", "depth", "depth_norm", "sparsity", "variance_entropy",
    "threshold", "variance_entropy_ratio", "orthogonality", "label", "reason",
)  # fmt: skip
_MOST_GROUPS = 200


@dataclass(frozen=True, eq=False)
class Grouped:
    """Sketched layers of one kernel shape: frame [layers], names of groups, group of each layer [layers]."""

    frame: pl.DataFrame
    names: list[str]
    group: np.ndarray
    shape: tuple[int, int]

    @property
    def d(self) -> int:
        """Weights of a kernel."""
        return self.shape[0] * self.shape[1]

    def layers(self, index: int) -> np.ndarray:
        """Rows of the layers of one group."""
        return np.flatnonzero(self.group == index)

    def units(self, index: int, counts: np.ndarray) -> Units:
        """The layers of one group as units of resampling, from the histograms [layers, d, bins] of all."""
        rows = self.layers(index)
        return Units(counts[rows], self.frame["model_id"].to_numpy()[rows])

    def moments(self, rows: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """(n, sum [d], Gram [d, d]) of the scaled filters of some layers."""
        part = self.frame[rows]
        gram = full_gram(np.array(part["gram_scaled"].to_list()).sum(axis=0), self.d)
        return int(part["n"].sum()), np.array(part["sum_scaled"].to_list()).sum(axis=0), gram

    def sketch(self, index: int, counts: np.ndarray) -> Sketch:
        """The sum of the sketches of a group with histograms [d, 70]; without raw moments."""
        rows = self.layers(index)
        n, total, gram = self.moments(rows)
        sparse = np.array(self.frame["sparse"][rows].to_list()).sum(axis=0)
        none = np.zeros_like(gram)
        return Sketch(self.shape, n, 0.0, 0, sparse, none[0], none, total, gram, counts)


def list_models(store: Store) -> pl.DataFrame:
    """One row per model: layers, 3x3 filters, quality weighted by filters, licence."""
    with store.read() as con:
        return con.sql(queries.sql("list_models")).pl()


def list_layers(
    store: Store, model: str | None = None, where: str | None = None, kind: Kind = "all", **thresholds: Any
) -> pl.DataFrame:
    """Quality of each layer with a kernel larger than 1x1; `where` is a SQL predicate over the view filter_layers.

    `degenerate` is the joint rule of `is_degenerate`, whose `thresholds` may be given; null for other kernels than 3x3.
    """
    import polars as pl

    if model is not None:
        require_model(store, model)
    query = safe_sql.narrowed(queries.sql("list_layers"), where)
    frame = safe_sql.query(store, query, {"model": model, "kind": kind}).pl()
    frame = frame.sort("model_id", "position").select(_QUALITY)
    entropy, threshold, sparsity = (
        frame[name].cast(float).fill_null(np.nan).to_numpy()
        for name in ("variance_entropy", "threshold", "sparsity")
    )
    found = pl.Series("degenerate", is_degenerate(entropy, threshold, sparsity, **thresholds))
    return frame.with_columns(pl.when(frame["kernel"] == "3x3").then(found).alias("degenerate"))


def show_model(store: Store, model: str) -> pl.DataFrame:
    """Every layer of one model. Raises NotFoundError with the nearest names."""
    require_model(store, model)
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
    label = safe_sql.expression(by)
    text = f"select * from (select cast((\n{label}\n) as varchar) as grp, * from (\n{rows}\n)) where grp is not null"
    frame = safe_sql.query(store, text, {"kernel": kernel, "kind": kind}).pl()
    if frame.is_empty():
        raise BadInputError(
            f"no layer with a {kernel} kernel has a group '{by}'{f' where {where}' if where else ''}: "
            "'shiftlab filters list' shows what is there"
        )
    frame = frame.sort("grp", "model_id", "position")
    names = frame["grp"].unique().sort().to_list()
    if len(names) > _MOST_GROUPS:
        raise BadInputError(f"'{by}' makes {len(names)} groups; the limit is {_MOST_GROUPS}")
    names = sorted(names, key=_natural)
    places = {name: place for place, name in enumerate(names)}
    group = np.array([places[name] for name in frame["grp"]])
    height, width = (int(edge) for edge in kernel.split("x"))
    return Grouped(frame, names, group, (height, width))


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def layer_histograms(store: Store, grouped: Grouped) -> np.ndarray:
    """Histograms [layers, d, 70] on the DCT-II basis, in the order of the grouping's layers."""
    places = np.arange(len(grouped.frame), dtype=np.int32)
    return _histograms(store, "histograms_of_layers", grouped, places, len(places))


def group_histograms(store: Store, grouped: Grouped) -> np.ndarray:
    """Histograms [groups, d, 70] on the DCT-II basis, summed in SQL."""
    places = grouped.group.astype(np.uint8)
    return _histograms(store, "histograms_of_groups", grouped, places, len(grouped.names))


def _histograms(store: Store, query: str, grouped: Grouped, places: np.ndarray, size: int) -> np.ndarray:
    import pyarrow as pa

    chosen = pa.table({"layer_key": grouped.frame["layer_key"].to_numpy(), "place": places})
    with store.read() as con:
        con.register("incoming", chosen)
        # A table of DuckDB's own has statistics, with which it aggregates by array instead of by hash.
        con.execute("create temp table chosen as from incoming").fetchall()
        rows = con.sql(queries.sql(query)).to_arrow_table()
    counts = np.zeros((size, grouped.d, BINS), np.int64)
    place, component, bin, n = (rows[name].to_numpy() for name in ("place", "component", "bin", "n"))
    counts[place, component, bin] = n
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
    null_high, distinguishable, ci_low, ci_high, jensen_shannon, sliced_wasserstein (in mode "published" only: it needs
    the filters), models, layers and filters of both sides, tiny (below 1,000 filters on a side: do not read the value),
    note. Raises BadInputError for fewer than two
    groups, and in mode "published" for models whose filters were not kept.
    """
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    if len(grouped.names) < 2:
        raise BadInputError(f"'{by}' makes one group ({grouped.names[0]}); drift needs two")
    run = Run(
        "filters drift", {"by": by, "where": where, "kind": kind, "kernel": kernel, "mode": mode}, seed=seed
    )
    filters = _read_filters(store, grouped, progress) if mode == "published" else None
    counts, weights, span = _on_basis(store, grouped, mode, filters)
    rows, drifts = [], []
    pairs = [(a, b) for a in range(len(grouped.names)) for b in range(a + 1, len(grouped.names))]
    for done, (a, b) in enumerate(pairs):
        progress(f"pair {done + 1} of {len(pairs)}")
        left, right = grouped.units(a, counts), grouped.units(b, counts)
        result = drift_of_units(left, right, weights, span, mode, resamples=resamples, seed=seed)
        drifts.append((grouped.names[a], grouped.names[b], result))
        row = _pair_row(grouped.names[a], grouped.names[b], left, right, result)
        rows.append(row | {"sliced_wasserstein": filters and _sliced(grouped, filters, a, b, seed)})
    _store_scores(store, run, by, drifts)
    return pl.DataFrame(rows, schema_overrides={"sliced_wasserstein": pl.Float64})


def _sliced(grouped: Grouped, filters: list[np.ndarray], a: int, b: int, seed: int) -> float:
    from shiftlab.filters.sliced import sliced_wasserstein

    left, right = (np.concatenate([filters[row] for row in grouped.layers(index)]) for index in (a, b))
    return sliced_wasserstein(left, right, seed=seed)


def _on_basis(
    store: Store, grouped: Grouped, mode: Mode, filters: list[np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """The histograms [layers, d, bins], component weights [d] and range that a mode asks for."""
    if filters is not None:
        counts, weights, low, high = published_counts(filters, BINS)
        return counts, weights, (low, high)
    half = histogram_range(grouped.shape)
    weights = np.full(grouped.d, 1 / grouped.d)
    if mode == "fixed":
        everything = grouped.moments(np.arange(len(grouped.frame)))
        weights = axis_variance_share(*everything, dct_basis(*grouped.shape))
    return layer_histograms(store, grouped), weights, (-half, half)


def _read_filters(store: Store, grouped: Grouped, progress: Callable[[str], None]) -> list[np.ndarray]:
    """Filters [n, 9] of each layer of a grouping, from the Parquet files of their models."""
    import pyarrow.parquet as pq

    progress("reading the filters")
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
                "its weights again with --keep-filters, or take mode 'fixed'"
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
            "note": _told(result),
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


def _told(result: Drift) -> str | None:
    """The note of a stored drift: the verdict where it is no finding, and what else there is to say."""
    verdict = [] if result.distinguishable else ["not distinguishable from chance"]
    return "; ".join([*verdict, *([result.note] if result.note else [])]) or None


def quality_by(store: Store, by: str, where: str | None = None, kind: Kind = "regular") -> pl.DataFrame:
    """Quality of 3x3 layers per group of `by` (any SQL expression over filter_layers).

    Sparsity and entropy are weighted by filters, orthogonality by output channels; `flagged` counts layers with
    a finding other than being quantised. Do not compare groups of folded and unfolded batch normalisation.
    """
    frame = group_layers(store, by, where, kind).frame
    with store.read() as con:
        con.register("graded", frame.drop("sparse", "sum_scaled", "gram_scaled").to_arrow())
        return con.sql(queries.sql("quality_of_groups")).pl()


def sweep(store: Store, where: str | None = None, kind: Kind = "all") -> pl.DataFrame:
    """Degenerate 3x3 layers under every combination of thresholds; see `sensitivity`."""
    grouped = group_layers(store, "'all'", where, kind)
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
        basis = principal_components(*grouped.moments(grouped.layers(index)))
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


def coefficients_by(
    store: Store, by: str = "'all'", where: str | None = None, kind: Kind = "regular", kernel: str = "3x3"
) -> pl.DataFrame:
    """How the coefficients of each group are distributed on the DCT-II basis, component by component.

    Columns: group, component (from 0, the mean of a filter), coefficient (middle of one of 70 bins, for filters
    divided by their largest absolute weight), share (of the group's filters in the bin, sums to 1), n filters.
    """
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    counts = group_histograms(store, grouped)
    half = histogram_range(grouped.shape)
    middles = -half + (np.arange(BINS) + 0.5) * (2 * half / BINS)
    n = counts.sum(axis=2)
    groups, d, bins = counts.shape
    place = np.repeat(np.arange(groups), d * bins)
    return pl.DataFrame(
        {
            "group": pl.Series(grouped.names).gather(place),
            "component": np.tile(np.repeat(np.arange(d), bins), groups),
            "coefficient": np.tile(middles, groups * d),
            "share": (counts / n[:, :, None]).ravel(),
            "n": np.repeat(n, bins),
        }
    )


def components_of_pair(
    store: Store,
    by: str,
    left: str,
    right: str,
    *,
    where: str | None = None,
    kind: Kind = "regular",
    kernel: str = "3x3",
) -> pl.DataFrame:
    """What makes the drift between two groups of `by`: one row per component of the DCT-II basis.

    Columns: component, weight (share of the variance of all groups' filters, as in `drift_by`), symmetric_kl and
    jensen_shannon (nats), wasserstein (of coefficients), part (weight times symmetric_kl: the parts add up to
    the drift), n_left, n_right. Raises NotFoundError for a group that is not there.
    """
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    for name in (left, right):
        if name not in grouped.names:
            raise NotFoundError(f"'{by}' makes no group '{name}'{nearest(name, grouped.names)}")
    counts = group_histograms(store, grouped)
    a, b = (counts[grouped.names.index(name)] for name in (left, right))
    everything = grouped.moments(np.arange(len(grouped.frame)))
    weight = axis_variance_share(*everything, dct_basis(*grouped.shape))
    width = 2 * histogram_range(grouped.shape) / BINS
    p, q = divergence.probabilities(a, width), divergence.probabilities(b, width)
    kl = divergence.symmetric_kl(p, q)
    return pl.DataFrame(
        {
            "component": np.arange(grouped.d),
            "weight": weight,
            "symmetric_kl": kl,
            "jensen_shannon": divergence.jensen_shannon(p, q),
            "wasserstein": divergence.wasserstein(a, b, width),
            "part": weight * kl,
            "n_left": a.sum(axis=1),
            "n_right": b.sum(axis=1),
        }
    )


def phenotypes_by(
    store: Store, by: str, where: str | None = None, kind: Kind = "regular", kernel: str = "3x3"
) -> pl.DataFrame:
    """Phenotype scores of each group; see `Phenotype`."""
    import polars as pl

    grouped = group_layers(store, by, where, kind, kernel)
    sketches = _sketches(store, grouped)
    return pl.DataFrame([{"group": name} | asdict(phenotype(part)) for name, part in sketches.items()])


def _sketches(store: Store, grouped: Grouped) -> dict[str, Sketch]:
    """The sum of the sketches of each group, by name."""
    counts = group_histograms(store, grouped)
    return {name: grouped.sketch(index, counts[index]) for index, name in enumerate(grouped.names)}


def stored_duplicates(store: Store, where: str | None = None) -> pl.DataFrame:
    """Pairs of models that share layers, or whose 3x3 filters hardly differ; see `Duplicate`."""
    import polars as pl

    grouped = group_layers(store, "model", where, "all")
    sketches = _sketches(store, grouped)
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
    """Write all models as one Parquet file of sketches and quality, without weights; returns the models.

    BadInputError for a catalog without models.
    """
    with store.read() as con:
        frame = con.sql(queries.sql("packed_models")).pl()
    if frame.is_empty():
        raise BadInputError("the catalog holds no models to export: 'shiftlab ingest models' first")
    write_packed([frame], Path(path))
    return frame["sha256"].n_unique()


def require_model(store: Store, model: str) -> None:
    """Raises NotFoundError with the nearest names where there is no such model."""
    with store.read() as con:
        known = [str(row[0]) for row in con.sql(queries.sql("model_names")).fetchall()]
    if model not in known:
        hint = nearest(model, known) if known else "; there are none: 'shiftlab ingest models' first"
        raise NotFoundError(f"there is no model '{model}'{hint}")
