"""Choose which demonstrations to keep, with a reason for each, and a recipe that makes the choice again.

The source is never touched: a selection is rows in the catalog, and writers turn it into what trainers read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import __version__, queries, safe_sql
from shiftlab.catalog import Run, Store
from shiftlab.episodes.metrics import METRICS
from shiftlab.episodes.stored import rows, source_of
from shiftlab.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    import polars as pl

BASELINES = ("shortest", "random")


@dataclass(frozen=True)
class Rule:
    """What to keep. All parts that are given must hold; the budget counts what the other parts leave.

    ``keep`` is a number of episodes, or a share below 1; ``by`` the metric (best first), ``shortest`` or
    ``random`` that the budget goes by. ``where`` is SQL over the view episodes. ``weight_by`` weighs the kept
    episodes by their rank in a metric, mean 1, the best twice the mean.
    """

    keep: float | None = None
    by: str | None = None
    where: str | None = None
    drop_duplicates: bool = False
    drop_review: bool = False
    weight_by: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Selection:
    """``members``: episode_index, src_key, kept, weight, reason. ``recipe``: enough to make it again."""

    name: str
    dataset: str
    members: pl.DataFrame
    recipe: dict[str, Any]

    @property
    def kept(self) -> pl.DataFrame:
        return self.members.filter(self.members["kept"])


def curate(store: Store, dataset: str, name: str, rule: Rule) -> Selection:
    """Apply ``rule`` to a dataset and store the selection ``name``, replacing an earlier one of that name.

    Raises BadInputError for a rule that names nothing, keeps everything by mistake of scale, or drops every
    episode; nothing is stored then.
    """
    import polars as pl

    source = source_of(store, dataset)
    _check(rule, name)
    table = rows(store, "list_episodes", dataset=dataset)
    reason: dict[int, str] = {}
    _by_predicate(store, dataset, rule, table, reason)
    if rule.drop_review:
        for row in table.filter(pl.col("verdict") == "review").rows(named=True):
            reason.setdefault(row["episode_index"], f"review: {', '.join(row['review_by'])}")
    if rule.drop_duplicates:
        _by_duplicates(store, dataset, reason)
    why = _by_budget(store, dataset, table, rule, reason) if rule.keep is not None else {}
    weight = _weights(table, rule, reason)
    members = pl.DataFrame(
        {
            "episode_index": table["episode_index"],
            "src_key": table["src_key"],
            "kept": [e not in reason for e in table["episode_index"]],
            "weight": [weight.get(e, 0.0) for e in table["episode_index"]],
            "reason": [reason.get(e) or why.get(e, "kept by every rule") for e in table["episode_index"]],
        }
    )
    if not members["kept"].any():
        first = members["reason"][0]
        raise BadInputError(
            f"the rule drops every episode of '{dataset}' (the first: {first}): nothing was stored"
        )
    recipe = {
        "shiftlab": __version__,
        "operation": "episodes curate",
        "dataset": dataset,
        "steps": source["steps_file"].removesuffix(".parquet"),
        "rule": asdict(rule),
        "n_kept": int(members["kept"].sum()),
        "n_dropped": int((~members["kept"]).sum()),
    }
    _store(store, name, dataset, members, recipe)
    return Selection(name, dataset, members, recipe)


def load(store: Store, name: str, dataset: str | None = None) -> Selection:
    """A stored selection. NotFoundError if there is none, BadInputError if several datasets have one."""
    found = rows(store, "find_selection", name=name, dataset=dataset)
    if found.is_empty():
        raise NotFoundError(
            f"no selection of episodes is called '{name}': 'shiftlab episodes curate' makes one"
        )
    if found.height > 1:
        raise BadInputError(f"'{name}' is a selection of {', '.join(found['dataset'])}: add --dataset")
    row = found.row(0, named=True)
    members = rows(store, "selection_members", name=name, dataset=row["dataset"])
    return Selection(name, row["dataset"], members, json.loads(row["recipe"]))


def _check(rule: Rule, name: str) -> None:
    if not name.strip() or not name.isprintable() or "/" in name:
        raise BadInputError(f"{name!r} cannot name a selection: use letters, digits, '-', '_' and '.'")
    if rule.keep is None and not (rule.where or rule.drop_duplicates or rule.drop_review):
        raise BadInputError("say what to keep: a budget, a predicate, no duplicates or no episodes to review")
    if rule.keep is not None:
        if not rule.keep > 0 or (rule.keep > 1 and rule.keep != int(rule.keep)):
            raise BadInputError(f"keep must be a number of episodes or a share below 1, not {rule.keep:g}")
        if rule.by is None:
            raise BadInputError(f"keep needs a rule to go by: a metric, {' or '.join(BASELINES)}")
    for given in (rule.by, rule.weight_by):
        if given is None or given in BASELINES:
            continue
        if given not in METRICS:
            raise BadInputError(
                f"no metric is called '{given}'; there are {', '.join([*METRICS, *BASELINES])}"
            )
        if METRICS[given].worse is None:
            raise BadInputError(
                f"neither end of {given} is bad by itself: choose by a predicate over it instead"
            )


def _by_predicate(
    store: Store, dataset: str, rule: Rule, table: pl.DataFrame, reason: dict[int, str]
) -> None:
    if not rule.where:
        return
    narrowed = safe_sql.narrowed(queries.sql("list_episodes"), rule.where)
    passed = set(safe_sql.query(store, narrowed, {"dataset": dataset}).pl()["episode_index"])
    for episode in table["episode_index"]:
        if episode not in passed:
            reason[episode] = f"does not meet: {rule.where}"


def _by_duplicates(store: Store, dataset: str, reason: dict[int, str]) -> None:
    pairs = rows(store, "episode_duplicates", dataset=dataset)
    for row in pairs.rows(named=True):
        if row["left_dataset"] == row["right_dataset"] == dataset and row["left_episode"] not in reason:
            reason.setdefault(row["right_episode"], f"repeats episode {row['left_episode']}")


def _goodness(table: pl.DataFrame, by: str, seed: int) -> Any:
    """Higher is better; -inf without a value."""
    if by == "random":
        return np.random.default_rng([seed, 31]).random(len(table))
    if by in ("shortest", "horizon"):
        return -table["length"].to_numpy().astype(float)
    sign = -1.0 if METRICS[by].worse == "high" else 1.0
    values = table[by].cast(float).fill_null(float("nan")).to_numpy() * sign
    return np.where(np.isfinite(values), values, -np.inf)


def _by_budget(
    store: Store, dataset: str, table: pl.DataFrame, rule: Rule, reason: dict[int, str]
) -> dict[int, str]:
    """Drop what the budget does not reach; say for the kept which rank they have."""
    by = str(rule.by)
    good = _goodness(table, by, rule.seed)
    if not np.isfinite(good).any():
        raise BadInputError(
            f"'{dataset}' has no value of {by}: run 'shiftlab episodes score {dataset}' first"
        )
    notes = {}
    if by in METRICS and by != "horizon":
        scores = rows(store, "episode_scores", dataset=dataset)
        notes = dict(scores.filter(scores["metric"] == by).select("episode_index", "note").iter_rows())
    episodes = table["episode_index"].to_list()
    order = [at for at in np.argsort(-good, kind="stable") if episodes[at] not in reason]
    keep = rule.keep or 0
    budget = round(keep * len(order)) if keep < 1 else int(keep)
    if keep >= 1 and budget > len(order):
        raise BadInputError(f"keep asks for {budget} episodes, but only {len(order)} are left to choose from")
    why = {}
    for rank, at in enumerate(order, start=1):
        place = f"rank {rank} of {len(order)} by {by}"
        if not np.isfinite(good[at]):
            reason[episodes[at]] = f"no value of {by}: {notes.get(episodes[at]) or 'not scored'}"
        elif rank > budget:
            reason[episodes[at]] = f"{place}, the budget is {budget}"
        else:
            why[episodes[at]] = place
    return why


def _weights(table: pl.DataFrame, rule: Rule, reason: dict[int, str]) -> dict[int, float]:
    kept = [at for at, e in enumerate(table["episode_index"]) if e not in reason]
    if rule.weight_by is None or len(kept) < 2:
        return {table["episode_index"][at]: 1.0 for at in kept}
    from scipy.stats import rankdata

    rank = rankdata(_goodness(table, rule.weight_by, rule.seed)[kept])
    return {
        table["episode_index"][at]: float(2 * r / (len(kept) + 1)) for at, r in zip(kept, rank, strict=True)
    }


def _store(store: Store, name: str, dataset: str, members: pl.DataFrame, recipe: dict[str, Any]) -> None:
    run = Run(
        "episodes curate", recipe["rule"] | {"name": name}, dataset=dataset, seed=recipe["rule"]["seed"]
    )
    own = {"name": name, "dataset": dataset}
    with store.write(run) as con:
        con.execute(queries.sql("forget_selection"), own).fetchall()
        con.execute(queries.sql("forget_selection_members"), own).fetchall()
        counts = {"n_kept": recipe["n_kept"], "n_dropped": recipe["n_dropped"], "run_id": run.run_id}
        con.execute(queries.sql("insert_selection"), own | counts | {"recipe": json.dumps(recipe)}).fetchall()
        con.register("staged", members.drop("src_key").to_arrow())
        con.execute(queries.sql("insert_selection_members"), own).fetchall()
        con.unregister("staged")
