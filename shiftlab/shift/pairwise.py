"""All pairs of subsets: values, bounds, unbiased values, p- and q-values as (S, S) matrices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftlab.measures.distances import median_gamma
from shiftlab.measures.inputs import cloud
from shiftlab.measures.registry import Measure, get
from shiftlab.shift.inference import benjamini_hochberg
from shiftlab.shift.overlap import FEWEST_DISTINCT
from shiftlab.shift.pairs.embedding import Squared
from shiftlab.shift.pairs.fourier import FourierDesign
from shiftlab.shift.pairs.gaussian import GaussianDesign
from shiftlab.shift.pairs.kernel import TILE, KernelDesign
from shiftlab.shift.pairs.loop import LoopDesign, MassDesign
from shiftlab.shift.pairs.membership import Membership, compact
from shiftlab.shift.pairs.sliced import SlicedDesign
from shiftlab.shift.pairs.transport import TransportDesign
from shiftlab.shift.progress import Checkpoint, Progress, fingerprint
from shiftlab.shift.sides import item_counts

if TYPE_CHECKING:
    import polars as pl

Matrix = NDArray[np.float64]
DESIGNS: dict[str, tuple[str, ...]] = {
    "sliced_wasserstein": ("quantiles",),
    "mmd": ("fourier", "tiles"),
    "mmd_sq": ("fourier", "tiles"),
    "energy_distance": ("tiles",),
    "energy_distance_sq": ("tiles",),
    "gaussian_wasserstein": ("linearised",),
    "wasserstein": ("codebook",),
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "quantiles": {"p": 2, "n_projections": 128, "bins": 128},
    "fourier": {"gamma": None, "features": 2048, "estimator": "v"},
    "tiles": {"gamma": None, "estimator": "v"},
    "linearised": {"ddof": 1, "components": None},
    "codebook": {"p": 2, "codes": 128, "calibration": 60},
}


@dataclass(frozen=True)
class PairMatrix:
    """Scores of all pairs of S subsets; matrices (S, S) with zero diagonals, or None where a design has none.

    ``value`` is the plug-in value, NaN with an entry in ``reasons`` where undefined. ``lower`` and ``upper`` are
    certified bounds of what the design approximates, ``error`` a standard error of the approximation.
    ``debiased`` estimates the population's value ** 2 (values of squared and divergence measures as they are)
    with its sign. ``p`` tests that vectors are assigned to items at random, and ``q`` is its false discovery rate
    over the upper triangle; both are NaN where fewer than 30 items are on one side only. ``p_pooled`` is the
    same test with the null of all pairs pooled, which resolves far smaller p-values.
    """

    measure: str
    design: str
    value: Matrix
    overlap: Matrix
    sizes: NDArray[np.int64]
    lower: Matrix | None = None
    upper: Matrix | None = None
    error: Matrix | None = None
    debiased: Matrix | None = None
    null_mean: Matrix | None = None
    null_q95: Matrix | None = None
    p: Matrix | None = None
    p_pooled: Matrix | None = None
    q: Matrix | None = None
    params: dict[str, Any] = field(default_factory=dict)
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    seconds: float = 0.0

    def to_frame(self) -> pl.DataFrame:
        """The upper triangle (all ordered pairs of an asymmetric measure), one row per pair; NaN becomes null."""
        import polars as pl

        count = len(self.sizes)
        left, right = np.triu_indices(count, 1)
        if not get(self.measure).symmetric:
            left, right = np.nonzero(~np.eye(count, dtype=bool))
        columns: dict[str, Any] = {"left": left, "right": right}
        names = (
            "value",
            "lower",
            "upper",
            "error",
            "debiased",
            "null_mean",
            "null_q95",
            "p",
            "p_pooled",
            "q",
        )
        for name in (*names, "overlap"):
            matrix = getattr(self, name)
            columns[name] = np.full(len(left), np.nan) if matrix is None else matrix[left, right]
        columns |= {"n_left": self.sizes[left], "n_right": self.sizes[right]}
        columns["note"] = [
            self.reasons.get((i, j)) for i, j in zip(left.tolist(), right.tolist(), strict=True)
        ]
        frame = pl.DataFrame(columns, schema_overrides={"note": pl.String})
        return frame.with_columns(pl.selectors.float().fill_nan(None))


def pairwise(
    vectors: Any,
    membership: Any,
    measure: str = "sliced_wasserstein",
    *,
    design: str = "auto",
    debias: int = 1,
    permutations: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **params: Any,
) -> PairMatrix:
    """Compare every two of S subsets of N items.

    ``vectors`` (N, d) are the items' vectors, or their counts of categories (N, k), dense or sparse, for a mass
    measure. ``membership`` (S, N), sparse or dense, says which items a subset has; weights within a row may
    differ. Designs: sliced Wasserstein by quantile embedding ("quantiles"), MMD by random features ("fourier") or
    exactly ("tiles"), energy distance exactly ("tiles"), Gaussian W2 linearised ("linearised"), W2 on a codebook
    ("codebook"); every other measure, and ``design="loop"``, by one call per pair.

    ``debias`` is the number of seeded split halves (0: none; unbiased estimates of kernels cost nothing).
    ``permutations`` shuffles which vector belongs to which item, which keeps sizes and overlaps, and recomputes
    all pairs. ``progress(done, total)`` is called as work goes on, ``cancel()`` may stop it (CancelledError),
    and ``checkpoint`` names a file from which an interrupted call goes on.

    ValueError for bad arrays, unknown measures, designs or parameters.
    """
    started = time.perf_counter()
    spec = get(measure)
    chosen = _design_name(spec, design, params)
    rows = item_counts(vectors, "vectors") if spec.batched is not None else cloud(vectors, "vectors")
    members = Membership.of(membership, rows.shape[0])
    if chosen in DEFAULTS:  # these designs do not depend on the origin, and gain digits around the mean
        rows, members = compact(rows, members)
    settings = design_settings(measure, chosen, params, rows)
    about = settings | {"design": chosen, "seed": seed, "permutations": permutations, "debias": debias}
    data = rows.toarray() if hasattr(rows, "toarray") else rows
    key = ""
    if checkpoint is not None:
        w = members.weights
        key = fingerprint([data, w.indptr, w.indices, w.data], about | {"measure": measure})
    store = Checkpoint(Path(checkpoint) if checkpoint is not None else None, key)
    store.load()
    run = _Run(spec, chosen, rows, members, settings, seed, store)
    run.watch = Progress(run.steps() * (1 + permutations) + 2 * debias * run.steps(), progress, cancel)
    found = run.all_pairs(debias, permutations)
    return PairMatrix(
        measure, chosen, overlap=members.overlap(), sizes=members.sizes, params=about, **found,
        seconds=time.perf_counter() - started,
    )  # fmt: skip


def _design_name(spec: Measure, design: str, params: Mapping[str, Any]) -> str:
    if spec.batched is not None:
        fitting: tuple[str, ...] = ("masses",)
    elif spec.kind in ("cloud", "sample"):
        fitting = (*DESIGNS.get(spec.name, ()), "loop")
    else:
        raise ValueError(f"{spec.name} does not compare sets of items; its kind is {spec.kind!r}")
    if design == "auto":
        special = params.get("p", 2) != 2
        return "loop" if special else fitting[0]
    if design not in fitting:
        raise ValueError(f"{spec.name} has no design {design!r}; it has {', '.join(fitting)}")
    return design


def design_settings(measure: str, design: str, params: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """All parameters of a design: its defaults, what was given, and what follows the data; ValueError if unknown."""
    import inspect

    spec = get(measure)
    known = DEFAULTS.get(design)
    if known is None:
        names = list(inspect.signature(spec.function).parameters)[2:]
        known = {name: None for name in names if not name.startswith(("weights_", "labels_"))}
    if design == "tiles" and spec.name.startswith("energy"):
        known = {"estimator": "v"}
    if "estimator" in known:
        known = {k: v for k, v in known.items() if k != "estimator"}
        known |= {"estimator": "u"} if spec.squared else {}
    if unknown := sorted(set(params) - set(known)):
        raise ValueError(
            f"{spec.name} ({design}) has no parameter {unknown[0]!r}; it takes {', '.join(known)}"
        )
    settings = {k: v for k, v in (dict(known) | dict(params)).items() if v is not None or design in DEFAULTS}
    if settings.get("p", 2) != 2 and design in ("quantiles", "codebook"):
        raise ValueError(f"design {design!r} is for p=2; use design='loop'")
    if "gamma" in known and settings.get("gamma") is None and spec.name in ("mmd", "mmd_sq"):
        settings["gamma"] = median_gamma(rows)
    return settings


class _Run:
    """One call: the design fitted once, then asked for the observed subsets, their halves and the permuted ones."""

    def __init__(
        self,
        spec: Measure,
        design: str,
        rows: Any,
        members: Membership,
        settings: dict[str, Any],
        seed: int,
        store: Checkpoint,
    ) -> None:
        self.spec, self.design, self.rows, self.members = spec, design, rows, members
        self.settings, self.seed, self.store = settings, seed, store
        self.watch = Progress(1)
        self.reasons: dict[tuple[int, int], str] = {}
        self.fitted: Any = None

    def steps(self) -> int:
        """Ticks of one pass over all pairs."""
        count, items = self.members.n_subsets, self.rows.shape[0]
        if self.design == "tiles":
            return -(-items // TILE)
        if self.design == "loop":
            return count
        if self.design == "linearised":
            return count
        if self.design == "codebook":
            return count + min(self.settings["calibration"], count * (count - 1) // 2)
        return 1

    def all_pairs(self, debias: int, permutations: int) -> dict[str, Any]:
        """The matrices of a `PairMatrix`."""
        self.fitted = self._fit()
        observed, unbiased = self._observed()
        found: dict[str, Any] = {"value": self._unsquared(observed.value), "reasons": self.reasons}
        for name in ("lower", "upper"):
            bound = getattr(observed, name)
            found[name] = None if bound is None else self._unsquared(bound)
        found["error"] = self._error(observed)
        found["debiased"] = unbiased
        if unbiased is None and debias and self.spec.debias_power is not None:
            found["debiased"] = self._split_halves(debias)
        if permutations:
            found |= self._null(observed.value, permutations)
        return found

    def _fit(self) -> Any:
        s, tick = self.settings, self.watch.tick
        if self.design == "quantiles":
            return SlicedDesign.fit(self.rows, s["n_projections"], s["bins"], self.seed)
        if self.design == "fourier":
            return FourierDesign.fit(self.rows, s["gamma"], s["features"], self.seed)
        if self.design == "tiles":
            return KernelDesign(self.rows, None if self.spec.name.startswith("energy") else s["gamma"], tick)
        if self.design == "linearised":
            return GaussianDesign.fit(self.rows, s["components"], s["ddof"], tick)
        if self.design == "codebook":
            return TransportDesign.fit(self.rows, s["codes"], s["calibration"], self.seed, tick)
        return (MassDesign if self.design == "masses" else LoopDesign)(self.spec, self.rows, s)

    def _observed(self) -> tuple[Squared, Matrix | None]:
        if "value" in self.store.arrays and self.design != "loop":
            stored = {k: self.store.arrays.get(k) for k in ("value", "lower", "upper", "error", "unbiased")}
            unbiased = stored.pop("unbiased")
            self.watch.tick(self.steps())
            return Squared(**stored), unbiased  # type: ignore[arg-type]
        unbiased = None
        if self.design in ("fourier", "tiles"):
            squared, unbiased = self.fitted.with_unbiased(self.members, self.settings.get("estimator", "v"))
        else:
            squared = self._squared(self.members, keep=True)
        same = self.members.spread() <= 1e-12
        for matrix in (squared.value, squared.lower, squared.upper, squared.error, unbiased):
            if matrix is not None:
                matrix[same] = 0.0
        kept = {
            "value": squared.value,
            "lower": squared.lower,
            "upper": squared.upper,
            "error": squared.error,
        }
        self.store.save(**{k: v for k, v in (kept | {"unbiased": unbiased}).items() if v is not None})
        return squared, unbiased

    def _squared(self, members: Membership, keep: bool = False) -> Squared:
        """All pairs on the scale on which the design works: squared, or as they are for loops and masses."""
        if self.design == "loop":
            return Squared(self._loop(members, keep))
        if self.design == "masses":
            return Squared(self.fitted.matrix(members, lambda: None))
        if self.design in ("fourier", "tiles"):
            found: Squared = self.fitted.with_unbiased(members, self.settings.get("estimator", "v"))[0]
        else:
            found = self.fitted.squared(members)
        if self.design in ("quantiles", "fourier"):
            self.watch.tick()
        return found

    def _loop(self, members: Membership, keep: bool) -> Matrix:
        """Row by row; finished rows of the observed matrix are kept in the checkpoint."""
        count = members.n_subsets
        result = np.zeros((count, count))
        start = 0
        if keep and "loop" in self.store.arrays:
            start = int(self.store.arrays["loop_rows"])
            result = self.store.arrays["loop"].copy()
            self.watch.tick(start)
        saved = time.monotonic()
        for i in range(start, count):
            result[i] = self.fitted.row(members, i, self.reasons if keep else {})
            if keep and (time.monotonic() - saved > 5 or i == count - 1):
                self.store.save(loop=result, loop_rows=np.array(i + 1))
                saved = time.monotonic()
            self.watch.tick()
        if not self.spec.symmetric:
            return result
        self.reasons |= {(j, i): why for (i, j), why in self.reasons.items()}
        return result + result.T

    def _unsquared(self, squared: Matrix) -> Matrix:
        if self.design in ("loop", "masses") or self.spec.squared:
            return squared
        return np.sqrt(np.maximum(squared, 0))

    def _error(self, observed: Squared) -> Matrix | None:
        """Standard error on the scale of the value: that of a square, divided by twice the root."""
        if observed.error is None or self.spec.squared:
            return observed.error
        root = np.sqrt(np.maximum(observed.value, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(root > 0, np.minimum(observed.error / (2 * root), np.sqrt(observed.error)), 0.0)

    def _split_halves(self, splits: int) -> Matrix | None:
        """Split halves by item: an item is in the same half of all its subsets, so sides compare different items."""
        rng = np.random.default_rng([self.seed, 601])
        total = np.zeros((self.members.n_subsets, self.members.n_subsets))
        for _ in range(splits):
            first = rng.permutation(self.rows.shape[0]) % 2 == 0
            try:
                halves = [self.members.restricted(half) for half in (first, ~first)]
            except ValueError:
                return None  # a subset lies in one half: too small to be split
            total += self._crossed(*halves)
        return total / splits

    def _crossed(self, first: Membership, second: Membership) -> Matrix:
        from scipy.sparse import vstack

        count = first.n_subsets
        both = Membership(vstack([first.weights, second.weights]).tocsr())
        power = 1 if self.design not in ("loop", "masses") else (self.spec.debias_power or 1)
        table = self._squared(both).value ** power
        cross = (table[:count, count:] + table[:count, count:].T) / 2
        within = np.diag(table[:count, count:])
        same = (table[:count, :count] + table[count:, count:]) / 2
        distinct = self.members.shared_items == 0
        between = np.where(distinct, (cross + same) / 2, cross)
        result = between - (within[:, None] + within) / 2
        np.fill_diagonal(result, 0)
        result[self.members.spread() <= 1e-12] = 0.0
        return result

    def _null(self, plug_in: Matrix, permutations: int) -> dict[str, Any]:
        """Shuffle which item has which vector, B times; p per pair, and with the null of all pairs pooled."""
        count = self.members.n_subsets
        pairs = np.triu_indices(count, 1) if self.spec.symmetric else np.nonzero(~np.eye(count, dtype=bool))
        observed = plug_in[pairs]
        null = np.empty((permutations, len(observed)), np.float32)
        start = 0
        if "null" in self.store.arrays:
            done = self.store.arrays["null"]
            start = len(done)
            null[:start] = done
            self.watch.tick(start * self.steps())
        saved = time.monotonic()
        for b in range(start, permutations):
            order = np.random.default_rng([self.seed, 701, b]).permutation(self.rows.shape[0])
            null[b] = self._squared(self.members.permuted(order)).value[pairs]
            if time.monotonic() - saved > 5:
                self.store.save(null=null[: b + 1])
                saved = time.monotonic()
        reach = observed - 1e-6 * np.abs(observed)
        p = (1 + (null >= reach).sum(axis=0)) / (1 + permutations)
        spread = self.members.spread()[pairs]
        testable = self._testable()[pairs]
        with np.errstate(divide="ignore", invalid="ignore"):
            pool = np.sort((null / spread.astype(np.float32))[:, testable], axis=None)
            above = len(pool) - np.searchsorted(pool, reach / spread)
        pooled = (1 + above) / (1 + len(pool))
        p[~testable] = pooled[~testable] = np.nan
        mean = null.mean(axis=0, dtype=np.float64)
        q95 = np.quantile(null, 0.95, axis=0, method="higher").astype(np.float64)
        columns = {"p": p, "p_pooled": pooled, "q": benjamini_hochberg(p)}
        columns |= {"null_mean": self._unsquared(mean), "null_q95": self._unsquared(q95)}
        return {name: _square(values, pairs, count, self.spec.symmetric) for name, values in columns.items()}

    def _testable(self) -> NDArray[np.bool_]:
        """Pairs with at least 30 items on either side only, or that share none."""
        shared = self.members.shared_items
        alone = np.minimum(self.members.sizes[:, None] - shared, self.members.sizes - shared)
        return (alone >= FEWEST_DISTINCT) | (shared == 0)


def _square(values: Matrix, pairs: tuple[Any, ...], count: int, symmetric: bool) -> Matrix:
    matrix = np.full((count, count), np.nan)
    matrix[pairs] = values
    if symmetric:
        matrix[pairs[::-1]] = values
    return matrix
