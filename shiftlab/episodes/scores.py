"""All episode scores of one or several datasets from arrays: values, intervals, ranks, verdicts, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftlab.episodes.actions import one_hot
from shiftlab.episodes.consistency import (
    LeaveOneOut,
    PublishedConsistency,
    leave_one_out,
    neighbour_table,
    published_consistency,
)
from shiftlab.episodes.duplicates import near_duplicates, silence
from shiftlab.episodes.inference import StepMean, interval, mean_per_episode, rank_interval, verdicts
from shiftlab.episodes.information import (
    ACTION_DIMS,
    CHUNK,
    PASSES,
    STATE_DIMS,
    action_chunks,
    clipped_scores,
    jittered,
    ksg_steps,
)
from shiftlab.episodes.metrics import METRICS
from shiftlab.episodes.motion import cells_seen, smoothness, squared_jerk, state_cells
from shiftlab.episodes.neighbours import Neighbours
from shiftlab.episodes.prepare import Steps, prepare, principal, standardise
from shiftlab.episodes.references import resampled_residuals
from shiftlab.episodes.transition import transition_residual
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

FEWEST_EPISODES = 3
FEWEST_STEPS = 3
LEAST_SUPPORTED = 0.1  # share of steps with near neighbours below which a conditional score is unknown
UNSURE_SUPPORT = 0.5
INFORMATION_PASSES = 2  # every step is in a batch per pass; DemInf's four are kept for deminf_pca


@dataclass(frozen=True)
class Settings:
    """What a scoring was asked to do; stored with its results."""

    k: int = 16
    eps: float = 0.2
    seed: int = 0
    confidence: float = 0.95
    replicates: int = 200
    review_share: float = 0.2
    standardised: bool = True


@dataclass(frozen=True)
class Assessment:
    """Everything one scoring found.

    ``episodes``: one row per episode and metric (see `score`). ``steps``: one row per scored step.
    ``duplicates``: pairs of near-duplicate episodes. ``notes``: what was left out and why.
    """

    episodes: pl.DataFrame
    steps: pl.DataFrame
    duplicates: pl.DataFrame
    action_kind: str
    notes: tuple[str, ...]
    settings: Settings


def score(
    states: ArrayLike,
    actions: ArrayLike,
    episode: ArrayLike,
    *,
    dataset: str | ArrayLike = "",
    frame: ArrayLike | None = None,
    metrics: Sequence[str] | None = None,
    fps: float | None = None,
    quaternions: Sequence[int] = (),
    action_kind: str | None = None,
    weights: ArrayLike | None = None,
    k: int = 16,
    eps: float = 0.2,
    seed: int = 0,
    confidence: float = 0.95,
    replicates: int = 200,
    review_share: float = 0.2,
    standardised: bool = True,
) -> pl.DataFrame:
    """Demonstration quality per episode: one row per episode and metric, sorted by both.

    states (N, ds), actions (N, da), episode labels (N,); ``frame`` (N,) if rows are not in order, and
    ``dataset`` one name or a name per step (all are then scored against the pooled steps).
    Columns: dataset, episode_index, metric, value, ci_low, ci_high, rank_low, rank_high (1 = smallest
    value), n (steps behind the value), n_eff, verdict (review, fine, cannot tell), note (why a value is
    null). Names and units of the metrics: `shiftlab.episodes.METRICS`; variances are in standardised units
    (1 = the variance of the dataset) unless ``standardised`` is false, then in the units given, squared.

    There is no overall grade, and no metric promises that a policy will succeed: see `confounds` and
    `keep_curve` for what length alone explains.
    Raises BadInputError for shapes that disagree, unknown metrics and settings out of range.
    """
    return assess(
        states,
        actions,
        episode,
        dataset=dataset,
        frame=frame,
        metrics=metrics,
        fps=fps,
        quaternions=quaternions,
        action_kind=action_kind,
        weights=weights,
        settings=Settings(k, eps, seed, confidence, replicates, review_share, standardised),
    ).episodes


def assess(
    states: ArrayLike,
    actions: ArrayLike,
    episode: ArrayLike,
    *,
    dataset: str | ArrayLike = "",
    frame: ArrayLike | None = None,
    metrics: Sequence[str] | None = None,
    fps: float | None = None,
    quaternions: Sequence[int] = (),
    action_kind: str | None = None,
    weights: ArrayLike | None = None,
    settings: Settings | None = None,
) -> Assessment:
    """As `score`, with the step scores, near-duplicates and notes behind it."""
    settings = _checked(settings or Settings())
    chosen = _chosen(metrics)
    label, names = _labels(dataset, episode)
    steps = prepare(
        states, actions, label, frame=frame, fps=fps, quaternions=quaternions, action_kind=action_kind
    )
    work = _Scoring(steps, settings, weights)
    found = {name: getattr(work, name)() for name in chosen if hasattr(work, name)}
    return Assessment(
        episodes=_episode_frame(found, work, names),
        steps=_step_frame(work, names, set(chosen)),
        duplicates=_duplicate_frame(work, names) if work.compared else _no_duplicates(),
        action_kind=steps.action_kind.kind,
        notes=(*steps.notes, *work.notes),
        settings=settings,
    )


def _checked(settings: Settings) -> Settings:
    if settings.k < 2:
        raise BadInputError(f"k must be at least 2, not {settings.k}")
    if not settings.eps > 0:
        raise BadInputError(f"eps must be positive, not {settings.eps}")
    if not 0 < settings.confidence < 1:
        raise BadInputError(f"confidence must lie between 0 and 1, not {settings.confidence}")
    if settings.replicates < 20:
        raise BadInputError(f"replicates must be at least 20, not {settings.replicates}")
    if not 0 < settings.review_share < 1:
        raise BadInputError(f"review_share must lie between 0 and 1, not {settings.review_share}")
    return settings


def _chosen(metrics: Sequence[str] | None) -> list[str]:
    if metrics is None:
        return list(METRICS)
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise BadInputError(f"no metric is called {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return [name for name in METRICS if name in set(metrics)]


def _labels(dataset: str | ArrayLike, episode: ArrayLike) -> tuple[NDArray[Any], list[tuple[str, Any]]]:
    """An integer label per step and the (dataset, episode) that each label stands for."""
    given = np.asarray(episode)
    if isinstance(dataset, str):
        names, label = np.unique(given, return_inverse=True)
        return label.reshape(given.shape), [(dataset, name.item()) for name in names]
    where = np.asarray(dataset)
    if where.shape != given.shape:
        raise BadInputError(f"dataset must be one name or one per step, not of shape {where.shape}")
    sets, at = np.unique(where, return_inverse=True)
    names, number = np.unique(given, return_inverse=True)
    both, label = np.unique(at * len(names) + number, return_inverse=True)
    return label, [(str(sets[b // len(names)]), names[b % len(names)].item()) for b in both]


@dataclass(frozen=True)
class _Found:
    """One metric of every episode: value (E,), replicates (E, R) or None, n, n_eff, and why a value lacks."""

    value: Floats
    replicates: Floats | None
    n: Ints
    n_eff: Floats | None = None
    nothing: str = ""


def _standardised(values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    if not len(values):
        return values[:, :0], np.zeros(values.shape[1], dtype=bool)
    return standardise(values)


class _Scoring:
    """The shared parts of one scoring, each computed once; a method per metric returns what it found."""

    def __init__(self, steps: Steps, settings: Settings, weights: ArrayLike | None) -> None:
        self.steps, self.settings, self.weights = steps, settings, weights
        self.rows = np.flatnonzero(steps.kept & steps.scored[steps.episode])
        self.episode = steps.episode[self.rows]
        self.z, self.varies = _standardised(steps.states[self.rows])
        self.compared = len(np.unique(self.episode)) >= FEWEST_EPISODES and self.z.shape[1] > 0
        self.notes: list[str] = []

    # shared parts ------------------------------------------------------------------------------------------

    @cached_property
    def actions(self) -> Floats:
        """Actions of the kept steps in the units of the scores: relative if absolute, one-hot if choices."""
        kept = self.steps.actions if self.steps.discrete else self.steps.relative
        return self._scaled(kept[self.rows])

    def _scaled(self, actions: Floats) -> Floats:
        if self.steps.discrete:
            return one_hot(actions)
        if self.settings.standardised:
            return standardise(actions)[0]
        return actions

    @cached_property
    def table(self) -> Neighbours:
        raw = neighbour_table(self.z, self.episode, self.settings.k)
        return silence(raw, self.episode, self._pairs(raw)[0], self.steps.n_episodes)

    def _pairs(self, table: Neighbours) -> tuple[Ints, Floats]:
        start = np.concatenate([[0], np.flatnonzero(np.diff(self.episode)) + 1])
        place = np.arange(len(self.episode)) - np.repeat(start, np.diff([*start, len(self.episode)]))
        actions = standardise(self.steps.actions[self.rows])[0]
        self.pairs = near_duplicates(self.z, actions, self.episode, place, self.steps.n_episodes, table)
        return self.pairs

    @cached_property
    def axes(self) -> Floats:
        return principal(self.z, STATE_DIMS)

    @cached_property
    def others(self) -> LeaveOneOut:
        return self._others_for(self.actions)

    @cached_property
    def published(self) -> PublishedConsistency:
        return published_consistency(
            self.steps.given,
            self.steps.actions,
            eps=self.settings.eps,
            weights=self.weights if self.weights is not None or self.settings.standardised else 1.0,
            standardised=self.settings.standardised,
        )

    @cached_property
    def support(self) -> Floats:
        """(E,) share of an episode's kept steps whose neighbours are near enough to say something."""
        if not self.compared:
            return np.full(self.steps.n_episodes, np.nan)
        near = np.bincount(self.episode, weights=~self.others.sparse, minlength=self.steps.n_episodes)
        return near / np.maximum(np.bincount(self.episode, minlength=self.steps.n_episodes), 1)

    def _mean(self, values: Floats, episode: Ints, varied: Floats | None = None) -> StepMean:
        return mean_per_episode(
            values,
            episode,
            self.steps.n_episodes,
            replicates=self.settings.replicates,
            seed=self.settings.seed,
            varied=varied,
        )

    def _of_steps(self, values: Floats, episode: Ints, nothing: str = "") -> _Found:
        mean = self._mean(values, episode)
        return _Found(mean.value, mean.replicates, mean.n, mean.n_eff, nothing=nothing)

    def _nothing(self, why: str) -> _Found:
        empty = np.full(self.steps.n_episodes, np.nan)
        return _Found(empty, None, np.zeros(len(empty), dtype=np.int64), nothing=why)

    def _alone(self) -> str:
        if not self.z.shape[1]:
            return "every state dimension is constant: there is no state to compare"
        return f"needs other episodes: fewer than {FEWEST_EPISODES} can be scored"

    def _conditional(self, values: Floats, varied: Floats | None = None) -> _Found:
        """Mean over steps that have near neighbours; unknown where next to none has."""
        usable = np.where(self.others.sparse, np.nan, values)
        if varied is not None:
            varied = np.where(self.others.sparse[:, None], np.nan, varied)
        mean = self._mean(usable, self.episode, varied)
        enough = (mean.n >= FEWEST_STEPS) & (self.support >= LEAST_SUPPORTED)
        value = np.where(enough, mean.value, np.nan)
        return _Found(
            value,
            mean.replicates,
            mean.n,
            mean.n_eff,
            nothing="sparse: unknown, the nearest steps of other episodes are too far or too few to judge",
        )

    # metrics -----------------------------------------------------------------------------------------------

    def action_variance(self) -> _Found:
        return self._of_steps(self.published.step_variance, self.steps.episode)

    def state_similarity(self) -> _Found:
        return self._of_steps(self.published.step_similarity, self.steps.episode)

    def horizon(self) -> _Found:
        length = self.steps.length.astype(float)
        return _Found(length, np.repeat(length[:, None], 2, axis=1), self.steps.length)

    def action_variance_loo(self) -> _Found:
        return self._loo(self.actions) if self.compared else self._nothing(self._alone())

    def _loo(self, actions: Floats) -> _Found:
        varied = resampled_residuals(
            actions,
            self.episode,
            self.table,
            n_episodes=self.steps.n_episodes,
            k=self.settings.k,
            replicates=self.settings.replicates,
            seed=self.settings.seed,
        )
        own = self.others if actions is self.actions else self._others_for(actions)
        return self._conditional(own.residual, varied)

    def _others_for(self, actions: Floats) -> LeaveOneOut:
        k, seed = self.settings.k, self.settings.seed
        return leave_one_out(self.z, self.axes, actions, self.episode, self.table, k=k, seed=seed)

    def action_variance_linear(self) -> _Found:
        return (
            self._conditional(self.others.linear_residual) if self.compared else self._nothing(self._alone())
        )

    def action_variance_loo_absolute(self) -> _Found:
        if self.steps.action_kind.kind != "absolute":
            return self._nothing("actions are not absolute: see action_variance_loo")
        if not self.compared:
            return self._nothing(self._alone())
        return self._loo(self._scaled(self.steps.actions[self.rows]))

    def transition_diversity(self) -> _Found:
        return self._conditional(self.transition) if self.compared else self._nothing(self._alone())

    @cached_property
    def transition(self) -> Floats:
        unit = (
            None if self.settings.standardised else self.steps.states[self.rows][:, self.varies].std(axis=0)
        )
        given = (
            one_hot(self.steps.actions[self.rows]) if self.steps.discrete else self.steps.actions[self.rows]
        )
        return transition_residual(
            self.z,
            standardise(given)[0],
            self.steps.segment[self.rows],
            self.table,
            k=self.settings.k,
            unit=unit,
        )

    def state_coverage(self) -> _Found:
        if not self.z.shape[1]:
            return self._nothing("every state dimension is constant: there is no state to cover")
        cell = state_cells(self.z)
        n = np.bincount(self.episode, minlength=self.steps.n_episodes)
        seen = cells_seen(cell, self.episode, self.steps.n_episodes)
        rng = np.random.default_rng([self.settings.seed, 9])
        drawn = rng.multinomial(
            seen.shape[1], np.full(seen.shape[1], 1 / seen.shape[1]), size=self.settings.replicates
        )
        value = np.where(n > 0, seen.mean(axis=1), np.nan)
        return _Found(value, seen @ drawn.T / seen.shape[1], n)

    def mutual_information(self) -> _Found:
        refusal = self._no_information()
        return self._nothing(refusal) if refusal else self._of_steps(self.information, self.episode)

    @cached_property
    def information(self) -> Floats:
        actions = standardise(self.steps.relative[self.rows])[0]
        return self._ksg(actions, INFORMATION_PASSES)

    def _ksg(self, actions: Floats, passes: int) -> Floats:
        seed = self.settings.seed
        return ksg_steps(
            jittered(self.axes, seed),
            jittered(principal(actions, ACTION_DIMS), seed + 1),
            seed=seed,
            passes=passes,
        )

    def _no_information(self) -> str:
        if self.steps.discrete:
            return "discrete actions tie: the nearest-neighbour estimator is not defined"
        if not self.z.shape[1]:
            return "constant states carry no information"
        if not standardise(self.steps.actions[self.rows])[1].any():
            return "constant actions carry no information"
        if len(self.rows) < 2 * CHUNK:
            return f"{len(self.rows)} steps are too few"
        return ""

    def deminf_pca(self) -> _Found:
        refusal = self._no_information()
        if refusal:
            return self._nothing(refusal)
        chunks = action_chunks(self.steps.relative[self.rows], self.steps.segment[self.rows])
        found = self._of_steps(clipped_scores(self._ksg(standardise(chunks)[0], PASSES)), self.episode)
        long_enough = self.steps.length >= CHUNK
        return _Found(
            np.where(long_enough, found.value, np.nan),
            found.replicates,
            found.n,
            found.n_eff,
            nothing=f"shorter than the action chunk of {CHUNK}",
        )

    def multimodality(self) -> _Found:
        if not self.compared:
            return self._nothing(self._alone())
        return self._conditional(self.others.multimodal.astype(float))

    def idle_fraction(self) -> _Found:
        return self._of_steps((~self.steps.kept).astype(float), self.steps.episode)

    def smoothness(self) -> _Found:
        steps = self.steps
        z, _ = standardise(steps.states)
        if not z.shape[1]:
            return self._nothing("the state never moves")
        jerk, speed = squared_jerk(z, steps.segment)
        mean = self._mean(jerk, steps.episode)
        peak = np.zeros(steps.n_episodes)
        np.maximum.at(peak, steps.episode, np.where(np.isfinite(speed), speed, 0))
        value = smoothness(mean.value * mean.n, peak, steps.length)
        rescaled = smoothness(
            np.maximum(mean.replicates, 1e-300) * mean.n[:, None], peak[:, None], steps.length[:, None]
        )
        return _Found(
            value, rescaled, mean.n, mean.n_eff, nothing="the state never moves, or fewer than 4 steps"
        )

    def neighbour_distance(self) -> _Found:
        if not self.compared:
            return self._nothing(self._alone())
        return self._of_steps(self.others.distance, self.episode, "too few steps in other episodes")

    def sparse_fraction(self) -> _Found:
        if not self.compared:
            return self._nothing(self._alone())
        return self._of_steps(self.others.sparse.astype(float), self.episode)


def _episode_frame(found: dict[str, _Found], work: _Scoring, names: list[tuple[str, Any]]) -> pl.DataFrame:
    import polars as pl

    parts = [_metric_frame(name, what, work, names) for name, what in found.items()]
    if not parts:
        raise BadInputError("choose at least one metric")
    return pl.concat(parts).sort("dataset", "episode_index", "metric")


def _metric_frame(name: str, what: _Found, work: _Scoring, names: list[tuple[str, Any]]) -> pl.DataFrame:
    import polars as pl

    settings, steps, metric = work.settings, work.steps, METRICS[name]
    unscored = ~steps.scored if name != "horizon" else np.zeros(steps.n_episodes, dtype=bool)
    value = np.where(unscored, np.nan, what.value)
    replicates = what.replicates if what.replicates is not None else np.full((len(value), 1), np.nan)
    low, high = interval(value, replicates, settings.confidence)
    rank_low, rank_high = rank_interval(value, replicates, settings.confidence)
    unsure = work.support < UNSURE_SUPPORT if metric.conditional else np.zeros(len(value), dtype=bool)
    if name == "horizon":
        low = high = np.full(len(value), np.nan)
    where = [names[label] for label in steps.labels]
    notes = [
        None if np.isfinite(v) else steps.reasons.get(at, what.nothing or "no step that this metric can use")
        for at, v in enumerate(value)
    ]
    return pl.DataFrame(
        {
            "dataset": [w[0] for w in where],
            "episode_index": [w[1] for w in where],
            "metric": [name] * len(value),
            "value": value,
            "ci_low": low,
            "ci_high": high,
            "rank_low": rank_low,
            "rank_high": rank_high,
            "n": np.where(unscored, 0, what.n).astype(np.int64),
            "n_eff": what.n_eff if what.n_eff is not None else np.full(len(value), np.nan),
            "verdict": verdicts(
                rank_low, rank_high, metric.worse, review_share=settings.review_share, unsure=unsure
            ),
            "note": notes,
        },
        schema_overrides={"verdict": pl.String, "note": pl.String},
    ).with_columns(
        pl.col("value", "ci_low", "ci_high", "n_eff").fill_nan(None),
        pl.when(pl.col("rank_low", "rank_high") > 0).then(pl.col("rank_low", "rank_high")),
    )


def _step_frame(work: _Scoring, names: list[tuple[str, Any]], chosen: set[str]) -> pl.DataFrame:
    import polars as pl

    steps, n = work.steps, len(work.steps.episode)

    def spread(values: NDArray[Any]) -> Floats:
        column = np.full(n, np.nan)
        column[work.rows] = values
        return column

    columns: dict[str, Any] = {
        "dataset": np.array([w[0] for w in names], dtype=object)[steps.labels][steps.episode],
        "episode_index": np.array([w[1] for w in names])[steps.labels][steps.episode],
        "frame_index": steps.frame,
        "is_idle": steps.idle,
        "is_duplicate": steps.duplicate,
    }
    if chosen & {"action_variance", "state_similarity"}:
        columns["action_variance"] = work.published.step_variance
    conditional = {name for name, metric in METRICS.items() if metric.conditional}
    if work.compared and chosen & (conditional | {"neighbour_distance", "sparse_fraction"}):
        columns["action_residual"] = spread(work.others.residual)
        columns["neighbour_distance"] = spread(work.others.distance)
        columns["is_sparse"] = np.where(steps.kept, spread(work.others.sparse) == 1, False)
        columns["is_multimodal"] = np.where(steps.kept, spread(work.others.multimodal) == 1, False)
    if work.compared and "transition_diversity" in chosen:
        columns["transition_residual"] = spread(work.transition)
    if "mutual_information" in chosen and not work._no_information():
        columns["mutual_information"] = spread(work.information)
    frame = pl.DataFrame(columns, schema_overrides={"dataset": pl.String})
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    return frame.with_columns(pl.col(floats).fill_nan(None)).sort("dataset", "episode_index", "frame_index")


def _no_duplicates() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        schema={
            "left_dataset": pl.String,
            "left_episode": pl.Int64,
            "right_dataset": pl.String,
            "right_episode": pl.Int64,
            "share": pl.Float64,
        }
    )


def _duplicate_frame(work: _Scoring, names: list[tuple[str, Any]]) -> pl.DataFrame:
    import polars as pl

    _ = work.table  # the pairs are found on the way to the table
    pairs, share = work.pairs
    if not len(pairs):
        return _no_duplicates()
    left, right = ([names[label] for label in work.steps.labels[pairs[:, side]]] for side in (0, 1))
    return pl.DataFrame(
        {
            "left_dataset": [w[0] for w in left],
            "left_episode": [w[1] for w in left],
            "right_dataset": [w[0] for w in right],
            "right_episode": [w[1] for w in right],
            "share": share,
        }
    ).sort("left_dataset", "left_episode", "right_dataset", "right_episode")
