"""The catalog as users hold it: `shiftlab.open`, and every operation as a method.

Each method is one call into the domain package that does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from shiftlab import __version__, safe_sql
from shiftlab.catalog import Store

if TYPE_CHECKING:
    import polars as pl

    import shiftlab.episodes.curate
    import shiftlab.episodes.ingest
    from shiftlab import paired, parallel, pictures, signals, subsets, vectors
    from shiftlab.curate import Made, Split
    from shiftlab.filters.ingest import IngestedModel
    from shiftlab.shift.blocks import Blocks
    from shiftlab.shift.score import Score
    from shiftlab.shift.subsets import Matrix
    from shiftlab.subsets import build, ingest

_silent: Callable[[str], None] = lambda _: None  # noqa: E731


def open(path: str | Path = "catalog", *, create: bool = True) -> Catalog:
    """The catalog in folder `path`; made if it is not there, unless `create` is False.

    No connection stays open: each operation opens the catalog for its moment. Raises `BadInputError` for a
    folder that cannot be used and for a catalog of a newer version, `NotFoundError` if there is none.
    """
    return Catalog(Store.create(path) if create else Store.open(path))


class Catalog:
    """A catalog and what can be done with it. Usable in a ``with`` block; there is nothing to close."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def path(self) -> Path:
        """Folder of the catalog."""
        return self.store.path

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __repr__(self) -> str:
        return f"Catalog({str(self.path)!r}, generation {self.store.generation()}, shiftlab {__version__})"

    def _repr_html_(self) -> str:
        from shiftlab import notebook, queries

        with self.store.read() as con:
            facts = con.sql(queries.sql("page_facts")).pl().row(0, named=True)
        return notebook.facts(repr(self), facts)

    def subset(self, name: str, dataset: str | None = None) -> subsets.Subset:
        """A subset as an object: its facts, and its items as polars, Arrow, numpy or pandas."""
        from shiftlab import subsets

        return subsets.load(self.store, name, dataset)

    def sql(
        self, query: str, params: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> safe_sql.Result:
        """Rows of one SELECT over the catalog; see `safe_sql.query`."""
        return safe_sql.query(self.store, query, params, limit=limit)

    def ingest_images(
        self, path: str | Path, dataset: str, *, progress: Callable[[str], None] = _silent, **options: Any
    ) -> ingest.Ingested:
        """Annotations of images; see `subsets.ingest_images`."""
        from shiftlab.subsets import ingest

        return ingest.ingest_images(self.store, path, dataset, progress=progress, **options)

    def ingest_vectors(self, path: str | Path, dataset: str, space: str, **options: Any) -> vectors.Ingested:
        """Vectors of items; see `vectors.ingest_vectors`."""
        from shiftlab import vectors

        return vectors.ingest_vectors(self.store, path, dataset, space, **options)

    def ingest_pictures(
        self, path: str | Path, dataset: str, *, progress: Callable[[str], None] = _silent, **options: Any
    ) -> pictures.Ingested:
        """Small copies of the pictures of items; see `pictures.ingest_pictures`."""
        from shiftlab import pictures

        return pictures.ingest_pictures(self.store, path, dataset, progress=progress, **options)

    def ingest_labels(self, path: str | Path, dataset: str, scheme: str, **options: Any) -> paired.Ingested:
        """Labels of items; see `paired.ingest_labels`."""
        from shiftlab import paired

        return paired.ingest_labels(self.store, path, dataset, scheme, **options)

    def ingest_predictions(
        self, path: str | Path, dataset: str, model: str, **options: Any
    ) -> paired.Ingested:
        """Predicted labels of items at a stage; see `paired.ingest_predictions`."""
        from shiftlab import paired

        return paired.ingest_predictions(self.store, path, dataset, model, **options)

    def ingest_signals(self, path: str | Path, dataset: str, signal: str, **options: Any) -> signals.Ingested:
        """Signals of items at a stage; see `signals.ingest_signals`."""
        from shiftlab import signals

        return signals.ingest_signals(self.store, path, dataset, signal, **options)

    def ingest_checkpoint(
        self, path: str | Path, model: str, *, stage: str = "base"
    ) -> paired.checkpoints.IngestedCheckpoint:
        """Weights of a network at a stage, block by block; see `paired.ingest_checkpoint`."""
        from shiftlab import paired

        return paired.ingest_checkpoint(self.store, path, model, stage=stage)

    def ingest_models(
        self,
        paths: str | Path | Sequence[str | Path],
        metadata: str | Path | None = None,
        *,
        progress: Callable[[str], None] = _silent,
        **options: Any,
    ) -> list[IngestedModel]:
        """Weights of trained networks; see `filters.ingest_models`."""
        from shiftlab import filters

        return filters.ingest_models(self.store, paths, metadata, progress=progress, **options)

    def build_subsets(
        self,
        dataset: str,
        contexts: build.Contexts = "objects",
        *,
        engine: parallel.Engine = None,
        progress: Callable[[str], None] = _silent,
        **parameters: Any,
    ) -> list[build.Built]:
        """The subset catalog of a dataset; `parameters` are the fields of `subsets.Parameters`."""
        from shiftlab.subsets import build

        return build.build_subsets(
            self.store, dataset, contexts, build.Parameters(**parameters), engine=engine, progress=progress
        )

    def compare(
        self,
        left: str,
        right: str,
        *,
        space: str | None = None,
        measure: str | Sequence[str] | None = None,
        **options: Any,
    ) -> list[Score]:
        """Scores between two subsets, stored; see `shift.subsets.compare_subsets`."""
        from shiftlab.shift import subsets

        names = [measure] if isinstance(measure, str) else measure
        return subsets.compare_subsets(self.store, left, right, space=space, measures=names, **options)

    def compare_stages(self, dataset: str, space: str | None = None, **options: Any) -> pl.DataFrame:
        """Two stages of a vector space, item by item, stored; see `paired.compare_stages`."""
        from shiftlab import paired

        return paired.compare_stages(self.store, dataset, space, **options)

    def compare_predictions(self, dataset: str, model: str, **options: Any) -> pl.DataFrame:
        """Predictions of a model at two stages, stored; see `paired.compare_predictions`."""
        from shiftlab import paired

        return paired.compare_predictions(self.store, dataset, model, **options)

    def consistency(self, dataset: str, model: str) -> dict[str, Any]:
        """Agreement of all stages of a model, stored; see `paired.predictions.consistency`."""
        from shiftlab.paired import predictions

        return predictions.consistency(self.store, dataset, model)

    def compare_labellings(self, dataset: str, space: str | None = None, **options: Any) -> dict[str, Any]:
        """The boundary of a concept under two labellings, stored; see `paired.compare_labellings`."""
        from shiftlab import paired

        return paired.compare_labellings(self.store, dataset, space, **options)

    def compare_concepts(self, left: str, right: str | None = None, **options: Any) -> pl.DataFrame:
        """What moved: cells, labels, or labels within cells, stored; see `shift.concept.compare_concepts`."""
        from shiftlab.shift import concept

        return concept.compare_concepts(self.store, left, right, **options)

    def compare_signals(self, dataset: str, signal: str, **options: Any) -> pl.DataFrame:
        """Spectra of signals at two stages, stored; see `paired.compare_signals`."""
        from shiftlab import paired

        return paired.compare_signals(self.store, dataset, signal, **options)

    def compare_effects(self, path: str | Path, **options: Any) -> dict[str, Any]:
        """Two columns of effects in a table, stored; see `paired.compare_effects`."""
        from shiftlab import paired

        return paired.compare_effects(self.store, path, **options)

    def forgetting(self, dataset: str, model: str, **options: Any) -> dict[str, Any]:
        """What a model lost of earlier tasks, stored; see `paired.forgetting`."""
        from shiftlab import paired

        return paired.forgetting(self.store, dataset, model, **options)

    def precision_under_prior(self, dataset: str, model: str, **options: Any) -> dict[str, Any]:
        """Precision of a model where its target is rare, stored; see `paired.precision_under_prior`."""
        from shiftlab import paired

        return paired.precision_under_prior(self.store, dataset, model, **options)

    def compare_checkpoints(
        self, before: str | Path, after: str | Path, *, model: str | None = None
    ) -> pl.DataFrame:
        """Two checkpoints of a network, tensor by tensor, stored; see `paired.compare_checkpoints`."""
        from shiftlab import paired

        return paired.compare_checkpoints(self.store, before, after, model=model)

    def task_similarity(self, model: str, stages: Sequence[str], *, before: str = "base") -> pl.DataFrame:
        """Cosines of a network's task vectors, stored; see `paired.task_similarity`."""
        from shiftlab import paired

        return paired.task_similarity(self.store, model, stages, before=before)

    def block_sensitivity(
        self, model: str, *, between: Sequence[tuple[str, str]], within: Sequence[tuple[str, str]]
    ) -> pl.DataFrame:
        """Which blocks of a network follow the task, stored; see `paired.block_sensitivity`."""
        from shiftlab import paired

        return paired.block_sensitivity(self.store, model, between=between, within=within)

    def ingest_episodes(
        self, path: str | Path, dataset: str, *, progress: Callable[[str], None] = _silent, **options: Any
    ) -> shiftlab.episodes.ingest.Ingested:
        """Demonstrations of imitation learning; see `episodes.ingest.ingest_episodes`."""
        from shiftlab.episodes import ingest

        return ingest.ingest_episodes(self.store, path, dataset, progress=progress, **options)

    def score_episodes(
        self, datasets: str | Sequence[str], *, progress: Callable[[str], None] = _silent, **options: Any
    ) -> shiftlab.episodes.Assessment:
        """Scores of demonstrations, stored; see `episodes.stored.score_episodes`."""
        from shiftlab.episodes import stored

        return stored.score_episodes(self.store, datasets, progress=progress, **options)

    def curate_episodes(self, dataset: str, name: str, **rule: Any) -> shiftlab.episodes.curate.Selection:
        """A stored choice of episodes to keep; `rule` are the fields of `episodes.curate.Rule`."""
        from shiftlab.episodes import curate

        return curate.curate(self.store, dataset, name, curate.Rule(**rule))

    def curate(
        self, operation: str, name: str, *, replace: bool = False, dry_run: bool = False, **options: Any
    ) -> Made:
        """A new subset by one of `curate.OPERATIONS`, with a recipe; see `curate.store_plan` and the operations."""
        from shiftlab import curate
        from shiftlab.errors import BadInputError

        if operation not in curate.OPERATIONS:
            raise BadInputError(
                f"no operation is called '{operation}'; there are {', '.join(curate.OPERATIONS)}"
            )
        plan = curate.OPERATIONS[operation](self.store, **options)
        return curate.store_plan(self.store, plan, name, replace=replace, dry_run=dry_run)

    def benchmark_split(
        self,
        scheme: str | Path,
        dataset: str,
        name: str,
        *,
        replace: bool = False,
        dry_run: bool = False,
        **options: Any,
    ) -> tuple[Split, Made]:
        """A benchmark split, its parts stored as subsets with a recipe; see `curate.benchmark_split`."""
        from shiftlab import curate

        found = curate.benchmark_split(self.store, scheme, dataset, **options)
        return found, curate.store_plan(self.store, found.plan, name, replace=replace, dry_run=dry_run)

    def matrix(self, measure: str, **options: Any) -> Matrix:
        """All pairs of a class, or of the subsets of a predicate, stored; see `shift.subsets.subset_matrix`."""
        from shiftlab.shift import subsets

        return subsets.subset_matrix(self.store, measure, **options)

    def blocks(self, folder: str | Path, **options: Any) -> Blocks:
        """Sliced W2 of all pairs of many thousands of subsets, as Parquet; see `shift.subsets.subset_blocks`."""
        from shiftlab.shift import subsets

        return subsets.subset_blocks(self.store, folder, **options)
