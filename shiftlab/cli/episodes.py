"""shiftlab episodes, and shiftlab ingest episodes: demonstrations for imitation learning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftlab.cli.plotting import plot_option, save
from shiftlab.cli.settings import Settings, common

if TYPE_CHECKING:
    import polars as pl


@click.command("episodes", epilog="Example: shiftlab ingest episodes lift/ --dataset lift")
@common
@click.argument("path", type=click.Path())
@click.option("--dataset", required=True, help="Name of the new dataset.")
@click.option(
    "--input",
    type=click.Choice(["auto", "lerobot", "robomimic", "minari", "table"]),
    default="auto",
    show_default=True,
    help="Format of PATH. A table has the columns episode_index, frame_index, observation.state, action.",
)
@click.option(
    "--state", multiple=True, help="Feature or observation that makes up the state; may be repeated."
)
@click.option("--action", multiple=True, help="Feature that makes up the action; may be repeated.")
@click.option("--licence", help="Licence of the data, as an SPDX name.")
def ingest_episodes(
    settings: Settings,
    path: str,
    dataset: str,
    input: str,
    state: tuple[str, ...],
    action: tuple[str, ...],
    licence: str | None,
) -> None:
    """Demonstrations: LeRobot 2.0, 2.1, 3.0, robomimic or Minari, or a plain table."""
    with settings.progress() as progress:
        done = settings.open(create=True).ingest_episodes(
            path, dataset, input=input, state=state or None, action=action or None, licence=licence,
            progress=progress,
        )  # fmt: skip
    if done.already_there:
        settings.say(f"{done.source} is in dataset '{dataset}' already: nothing to do")
        return
    settings.say(
        f"{done.source}: {done.episodes:,} episodes, {done.steps:,} steps, state {done.state_dim}, action "
        f"{done.action_dim} -> '{dataset}'"
    )
    if done.problems:
        listed = ", ".join(f"{n:,} {name}" for name, n in done.problems.items())
        settings.say(f"found: {listed} (listed in the table ingest_issue)")
    settings.say(f"next: shiftlab episodes score {dataset}")


@click.group()
def episodes() -> None:
    """Demonstrations: score, report, curate, export."""


@episodes.command(epilog="Example: shiftlab episodes score lift --metric action_variance_loo")
@common
@click.argument("datasets", nargs=-1, required=True)
@click.option("--metric", "metrics", multiple=True, help="Only this metric; may be repeated. Default: all.")
@click.option("--k", type=int, default=16, show_default=True, help="Neighbours from other episodes.")
@click.option(
    "--eps", type=float, default=0.2, show_default=True, help="Radius of the published estimators, in sd."
)
@click.option("--action-kind", type=click.Choice(["absolute", "delta", "velocity", "unknown"]),
              help="Instead of what the data say.")  # fmt: skip
@click.option("--quaternion", "quaternions", type=int, multiple=True,
              help="First state column of a unit quaternion; may be repeated.")  # fmt: skip
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Level of the intervals.")
@click.option("--replicates", type=int, default=200, show_default=True, help="Bootstrap replicates.")
@click.option("--review-share", type=float, default=0.2, show_default=True,
              help="'review' is a rank interval wholly in this worst share.")  # fmt: skip
@click.option("--raw", is_flag=True, help="Variances in the units given instead of standardised ones.")
@click.option("--seed", type=int, default=0, show_default=True)
@plot_option("the episodes ranked by the first --metric (default: action_variance_loo)")
def score(
    settings: Settings,
    datasets: tuple[str, ...],
    metrics: tuple[str, ...],
    action_kind: str | None,
    quaternions: tuple[int, ...],
    raw: bool,
    plot: Path | None,
    **options: float,
) -> None:
    """Score the episodes of DATASETS, several of them against their pooled steps, and show the dataset scores."""
    catalog = settings.open()
    with settings.progress() as progress:
        found = catalog.score_episodes(
            datasets,
            metrics=metrics or None,
            action_kind=action_kind,
            quaternions=quaternions,
            standardised=not raw,
            progress=progress,
            **options,
        )
    for note in found.notes:
        settings.say(note)
    settings.say(f"actions: {found.action_kind}; per episode: shiftlab sql 'from episodes'")
    from shiftlab.episodes import dataset_scores

    settings.emit(
        dataset_scores(found.episodes, confidence=found.settings.confidence, seed=found.settings.seed)
    )
    if plot is not None:
        save(settings, _ranked(found.episodes, metrics[0] if metrics else "action_variance_loo"), plot)


def _ranked(episodes: pl.DataFrame, metric: str) -> Any:
    import polars as pl

    from shiftlab import figures

    several = episodes["dataset"].n_unique() > 1
    label = pl.format("{} {}", "dataset", "episode_index") if several else pl.col("episode_index")
    return figures.ranked(
        episodes.filter(metric=metric).with_columns(episode=label), metric.replace("_", " ")
    )


@episodes.command("list", epilog="Example: shiftlab episodes list lift --where \"verdict = 'review'\"")
@common
@click.argument("dataset")
@click.option("--where", help="SQL predicate over the columns of the view episodes.")
def list_(settings: Settings, dataset: str, where: str | None) -> None:
    """The episodes of DATASET with their scores and verdicts."""
    from shiftlab import queries, safe_sql
    from shiftlab.episodes import stored

    store = settings.open().store
    stored.source_of(store, dataset)
    query = safe_sql.narrowed(queries.sql("list_episodes"), where)
    settings.emit(safe_sql.query(store, query, {"dataset": dataset}).pl())


@episodes.command(epilog="Example: shiftlab episodes report lift -o lift.md")
@common
@click.argument("dataset")
@click.option("--confounds", is_flag=True, help="Only the table of confounds, as rows.")
@click.option(
    "--keep-curve", is_flag=True, help="Only the mean outcome of what each rule would keep, as rows."
)
@plot_option("with --keep-curve the outcome of keeping by action_variance_loo")
def report(settings: Settings, dataset: str, confounds: bool, keep_curve: bool, plot: Path | None) -> None:
    """Scores of DATASET in Markdown, with confounds, baselines, groups and the episodes to look at."""
    from shiftlab import figures
    from shiftlab.episodes import report as package
    from shiftlab.episodes import stored
    from shiftlab.errors import BadInputError

    if plot is not None and not keep_curve:
        raise click.UsageError("--plot draws the curve of --keep-curve: give both")
    store = settings.open().store
    stored.source_of(store, dataset)
    if confounds:
        settings.emit(stored.rows(store, "confounds", dataset=dataset))
    elif keep_curve:
        label = package.outcomes(store, dataset)
        if label is None:
            raise BadInputError(
                f"'{dataset}' has neither successes nor returns that differ: no outcome to compare"
            )
        from shiftlab.episodes import keep_curve as curve

        found = curve(stored.rows(store, "episode_scores", dataset=dataset), label)
        settings.emit(found)
        if plot is not None:
            save(settings, figures.keep_curve(found, "action_variance_loo"), plot)
    elif settings.output:
        Path(settings.output).write_text(package.report(store, dataset), encoding="utf-8")
    else:
        click.echo(package.report(store, dataset), nl=False)


@episodes.command(epilog="Example: shiftlab episodes states lift -o states.parquet")
@common
@click.argument("dataset")
@click.option("--steps", type=int, default=4000, show_default=True, help="About so many of the steps.")
@plot_option("the plane, coloured by how many episodes were there")
def states(settings: Settings, dataset: str, steps: int, plot: Path | None) -> None:
    """Steps of DATASET on the first two principal axes of its states, with coverage and scores."""
    from shiftlab import episode_figures
    from shiftlab.episodes.state_map import state_map

    found = state_map(settings.open().store, dataset, steps=steps)
    settings.emit(found)
    if plot is not None:
        save(settings, episode_figures.state_plane(found), plot)


@episodes.command(
    epilog="Example: shiftlab episodes curate lift --keep 0.5 --by action_variance_loo --name half"
)
@common
@click.argument("dataset")
@click.option("--name", required=True, help="Name of the selection.")
@click.option("--keep", type=float, help="How many episodes, or a share below 1, go by the rule of --by.")
@click.option("--by", help="A metric (best first), shortest or random.")
@click.option("--where", help="SQL predicate over the columns of the view episodes.")
@click.option("--drop-duplicates", is_flag=True, help="Of near-duplicates keep the first.")
@click.option("--drop-review", is_flag=True, help="Drop episodes with the verdict review.")
@click.option("--weight-by", help="Weigh the kept episodes by their rank in this metric, mean 1.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--members", is_flag=True, help="Show every episode with its reason instead of the comparison.")
def curate(settings: Settings, dataset: str, name: str, members: bool, **rule: object) -> None:
    """Choose episodes of DATASET to keep; the source is not changed.

    Shows what length and chance would have kept, where the data set has outcomes to compare.
    """
    catalog = settings.open()
    selection = catalog.curate_episodes(dataset, name, **rule)
    settings.say(
        f"'{name}': {selection.recipe['n_kept']:,} kept, {selection.recipe['n_dropped']:,} dropped; "
        f"next: shiftlab episodes export {name} --to lerobot -o episodes.json"
    )
    if members:
        settings.emit(selection.members)
        return
    from shiftlab.episodes import baselines

    settings.emit(baselines.compare(catalog.store, selection))


@episodes.command(epilog="Example: shiftlab episodes selection half --members")
@common
@click.argument("selection")
@click.option("--dataset", help="Where several datasets have a selection of this name.")
@click.option("--members", is_flag=True, help="Show every episode with its reason instead of the comparison.")
def selection(settings: Settings, selection: str, dataset: str | None, members: bool) -> None:
    """A stored SELECTION beside what length and chance would have kept."""
    from shiftlab.episodes import baselines
    from shiftlab.episodes import curate as package

    store = settings.open().store
    found = package.load(store, selection, dataset)
    settings.emit(found.members if members else baselines.compare(store, found))


@episodes.command(
    epilog="Example: shiftlab episodes export half --to robomimic --source lift.hdf5 -o lift_half.hdf5"
)
@common
@click.argument("selection")
@click.option(
    "--to",
    type=click.Choice(["lerobot", "robomimic", "minari", "weights", "dataset-weights", "parquet"]),
    required=True,
    help="weights: of episodes; dataset-weights: of all datasets with a selection of this name.",
)
@click.option("--dataset", help="Where several datasets have a selection of this name.")
@click.option("--source", type=click.Path(), help="The robomimic file that a filter key goes into a copy of.")
@click.option("--in-place", is_flag=True, help="Write the filter key into --source itself.")
def export(
    settings: Settings, selection: str, to: str, dataset: str | None, source: str | None, in_place: bool
) -> None:
    """Write SELECTION in the form a trainer reads, with its recipe beside it."""
    from shiftlab.episodes import curate as package
    from shiftlab.episodes import export as writers
    from shiftlab.errors import BadInputError

    target = settings.output or (source if in_place else None)
    if target is None:
        raise BadInputError("say where to: -o FILE")
    store = settings.open().store
    if to == writers.DATASET_WEIGHTS:
        written = writers.export_dataset_weights(store, selection, target)
        settings.say(f"wrote {written} and {written}.recipe.json")
        return
    written = writers.export(
        store, package.load(store, selection, dataset), to, target, source=source, in_place=in_place
    )
    settings.say(f"wrote {written} and {written}.recipe.json")


@episodes.command(epilog="Example: shiftlab episodes shift lift --by operator alice bob --side actions")
@common
@click.argument("dataset")
@click.argument("left")
@click.argument("right")
@click.option("--by", type=click.Choice(["operator", "session", "task", "label", "dataset"]), default="operator",
              show_default=True, help="What LEFT and RIGHT are.")  # fmt: skip
@click.option(
    "--side", type=click.Choice(["states", "actions", "state-action"]), default="states", show_default=True
)
@click.option("--measure", default="energy_distance", show_default=True,
              help="Of clouds; or of transitions: dynamics_error, policy_kl. See 'shiftlab measures'.")  # fmt: skip
@click.option("--permutations", type=int, default=199, show_default=True, help="Of whole episodes.")
@click.option("--seed", type=int, default=0, show_default=True)
def shift(settings: Settings, dataset: str, left: str, right: str, **options: object) -> None:
    """How far LEFT and RIGHT are apart, with a null over episodes; stored as a score."""
    import polars as pl

    from shiftlab.episodes import shift as package

    found = package.compare_stored(settings.open().store, dataset, left=left, right=right, **options)  # type: ignore[arg-type]
    found.pop("params")
    settings.emit(pl.DataFrame([found], infer_schema_length=None))


@episodes.command(
    epilog="Example: shiftlab episodes generate --condition clean --condition 'policy .02' -o points.parquet"
)
@common
@click.option(
    "--condition", "conditions", multiple=True, help="Only this demonstrator; may be repeated. Default: all."
)
@click.option(
    "--episodes", "n_episodes", type=int, default=50, show_default=True, help="Demonstrations each."
)
@click.option("--no-obstacle", is_flag=True, help="The negative control: nothing to go round.")
@click.option("--seed", type=int, default=0, show_default=True)
def generate(
    settings: Settings, conditions: tuple[str, ...], n_episodes: int, no_obstacle: bool, seed: int
) -> None:
    """Demonstrations of the point-mass world as a table that 'ingest episodes' reads, an operator a condition."""
    from shiftlab.episodes import worlds
    from shiftlab.episodes.validation import operators

    chosen = operators(conditions or None)
    settings.emit(
        worlds.as_table(
            {
                name: worlds.point_mass(n_episodes, operator, seed=seed, obstacle=not no_obstacle)
                for name, operator in chosen.items()
            }
        )
    )


@episodes.command(epilog="Example: shiftlab episodes validate --condition clean --condition 'system .02'")
@common
@click.option(
    "--condition", "conditions", multiple=True, help="Only this training condition; may be repeated."
)
@click.option(
    "--episodes", "n_episodes", type=int, default=50, show_default=True, help="Demonstrations each."
)
@click.option(
    "--policies", "n_policies", type=int, default=3, show_default=True, help="Policies trained each."
)
@click.option("--training-steps", type=int, default=3000, show_default=True)
@click.option("--no-obstacle", is_flag=True, help="The negative control: nothing to go round.")
@click.option("--seed", type=int, default=0, show_default=True)
def validate(settings: Settings, conditions: tuple[str, ...], no_obstacle: bool, **options: int) -> None:
    """Check the scores against policies trained in a point-mass world with known answers."""
    from shiftlab.episodes.validation import validate as run

    settings.emit(run(conditions=conditions or None, obstacle=not no_obstacle, **options))  # type: ignore[arg-type]
