"""New weights for the items of a subset: to a label prior, and towards or away from other subsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import frames, vectors
from shiftlab.catalog import Store
from shiftlab.curate.mixing import quotas
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, labels, matrix, parents_of
from shiftlab.curate.selecting import nearest_other
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

KINDS = ("losses", "gate", "importance", "sources", "background")


def prior_weights(values: Sequence[str], target: Mapping[str, float]) -> np.ndarray:
    """Weight (n,) target(y) / count(y) of each label, sum 1; 0 for labels without a target.

    ValueError for a target label that no row has, and for targets that are negative or sum to 0.
    """
    total = sum(target.values())
    if not total > 0 or min(target.values()) < 0:
        raise ValueError("a target prior has shares of at least 0 that sum to more than 0")
    count: dict[str, int] = {}
    for value in values:
        count[value] = count.get(value, 0) + 1
    for value, share in target.items():
        if share > 0 and value not in count:
            raise ValueError(
                f"no item has the label '{value}' that the target asks for; there are {', '.join(sorted(count))}"
            )
    return np.array([target.get(value, 0.0) / total / count[value] for value in values])


def loss_weights(weight: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """AdaWAC's multiplicative update w e^g / (w e^g + 1 - w) of weights in [0, 1]; 0 and 1 are fixed points."""
    up = weight * np.exp(gain - np.maximum(gain, 0))
    return np.asarray(up / (up + (1 - weight) * np.exp(-np.maximum(gain, 0))))


def source_weights(distance: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(-D / T) of the distances (k,) of sources from a target."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature:g}")
    scaled = -(distance - distance.min()) / temperature
    return np.asarray(np.exp(scaled) / np.exp(scaled).sum())


def to_label_prior(
    store: Store,
    *,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    scheme: str,
    target: Mapping[str, float],
    total: int | None = None,
    seed: int = 0,
) -> Plan:
    """The items with weights that give each label of ``scheme`` its share in ``target``; weights sum to 1.

    With ``total`` so many items are drawn at random in these shares instead, each with weight 1. BadInputError for a
    label that no item has, shares that are not positive, and a total that a label has too few items for.
    """
    import polars as pl

    dataset, refs = parents_of(store, subsets, dataset)
    pool = items(store, dataset, refs)
    told = pool.join(labels(store, dataset, pool, scheme), on="item_id", how="left", maintain_order="left")
    known = told.filter(pl.col("value").is_not_null())
    try:
        weight = prior_weights(known["value"].to_list(), target)
    except ValueError as error:
        raise BadInputError(f"{scheme}: {error}") from error
    quota: dict[str, int] = {}
    if total is not None:
        quota = _prior_quotas(scheme, known["value"], target, total)
        weight = _drawn(known["value"].to_numpy(), quota, seed).astype(np.float64)
    found = told.join(
        known.select("item_id", new=pl.Series(weight)), on="item_id", how="left", maintain_order="left"
    )
    keeps = pl.col("new") > 0
    reason = (
        pl.when(keeps).then(pl.format("{} {}", pl.lit(scheme), "value"))
        .when(pl.col("value").is_null()).then(pl.lit(f"no single label in {scheme}"))
        .when(pl.col("value").is_in([name for name, n in quota.items() if n]))
        .then(pl.format("{} {}, not drawn", pl.lit(scheme), "value"))
        .otherwise(pl.format("{} {} has no share in the target", pl.lit(scheme), "value"))
    )  # fmt: skip
    return _weighted(
        "to_label_prior", dataset, {"scheme": scheme, "target": dict(target), "total": total}, refs,
        found.with_columns(reason=reason), pl.col("new"), None if total is None else seed,
        {f"{scheme} {name}": n for name, n in quota.items()},
    )  # fmt: skip


def _prior_quotas(scheme: str, values: pl.Series, target: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in the shares of the target that sum to the total; raises naming a label that lacks items."""
    if total < 1:
        raise BadInputError(f"total must be at least 1, not {total}")
    names = list(target)
    wanted = dict(
        zip(names, quotas([target[name] for name in names], [total] * len(names), total), strict=True)
    )
    count = {name: int((values == name).sum()) for name in names}
    for name, n in wanted.items():
        if n > count[name]:
            most = min(
                int(count[one] * sum(target.values()) / target[one]) for one in names if target[one] > 0
            )
            raise BadInputError(
                f"{scheme} '{name}' has {count[name]:,} items and would need {n:,} of {total:,}: "
                f"a total of about {most:,} keeps these shares"
            )
    return wanted


def _drawn(values: np.ndarray, quota: Mapping[str, int], seed: int) -> np.ndarray:
    """Which rows (n,) are drawn: so many of each label, at random."""
    chosen = np.zeros(len(values), dtype=bool)
    for number, name in enumerate(sorted(quota)):
        rows = np.flatnonzero(values == name)
        rng = np.random.default_rng([seed, 613, number])
        chosen[rng.choice(rows, quota[name], replace=False)] = True
    return chosen


def reweight(
    store: Store,
    *,
    kind: str,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    references: Sequence[str] = (),
    values: str | Path | None = None,
    tau: float = 1.0,
    rate: float = 1.0,
    temperature: float = 1.0,
    space: str | None = None,
    stage: str = vectors.BASE_STAGE,
    seed: int = 0,
) -> Plan:
    """The items with new weights, mean 1 unless told.

    losses: AdaWAC's update with gain rate * (ce - ac), from a table ``values`` with the columns item, ce, ac and
    optionally weight (start .5); weights in [0, 1], not scaled. gate: exp(-tau d) of the distance d to the nearest
    item of the references. importance: p / (1 - p), p the out-of-fold probability to belong to the reference.
    sources: each of the subsets weighs softmax(-D / temperature), D its sliced W2 from the reference, shared by its
    items. background: 1 - exp(-tau d), d the distance to the nearest centroid of the references.
    BadInputError for an unknown kind, a missing reference or table, and weights that are all 0.
    """
    if kind not in KINDS:
        raise BadInputError(f"reweight by one of {', '.join(KINDS)}, not '{kind}'")
    dataset, refs = parents_of(store, subsets, dataset)
    pool = items(store, dataset, refs)
    params: dict[str, Any] = {"kind": kind, "references": list(references)}
    if kind == "losses":
        return _by_losses(dataset, refs, pool, params | {"rate": rate}, values)
    if not references:
        raise BadInputError(f"reweight by {kind} needs a reference subset: --reference NAME")
    _, against = parents_of(store, references, dataset)
    params |= {"space": space, "stage": stage}
    if kind == "sources":
        return _by_sources(store, dataset, refs, against, params | {"temperature": temperature}, seed)
    have, rows, without = matrix(store, dataset, pool, space, stage)
    known, known_rows, _ = matrix(store, dataset, items(store, dataset, against), space, stage)
    ids, known_ids = have["item_id"].to_numpy(), known["item_id"].to_numpy()
    if kind == "importance":
        weight = _importance(rows, ids, known_rows, known_ids, seed)
    elif kind == "gate":
        params["tau"] = tau
        weight = np.exp(-tau * nearest_other(rows, ids, known_rows, known_ids))
    else:
        params["tau"] = tau
        centres = [
            matrix(store, dataset, items(store, dataset, [one]), space, stage)[1].mean(0) for one in against
        ]
        distance = np.sqrt(((rows[:, None] - np.array(centres)) ** 2).sum(-1)).min(1)
        weight = -np.expm1(-tau * distance)
    if not weight.sum() > 0:
        raise BadInputError(
            f"every weight is 0: the items are far too far from {', '.join(references)} for tau {tau:g}"
        )
    return _of_rows(
        "reweight", dataset, params, (*refs, *against), have, without, weight / weight.mean(), kind, seed
    )


def _read_losses(path: Path) -> pl.DataFrame:
    """item, ce, ac and start (the weight so far, .5 where there is none) of a table; raises naming file and item."""
    import polars as pl

    table = frames.read_table(path)
    for column in ("item", "ce", "ac"):
        if column not in table.columns:
            raise BadInputError(
                f"{path.name} has no column '{column}'; reweight by losses needs item, ce, ac"
            )
    start = pl.col("weight") if "weight" in table.columns else pl.lit(0.5)
    numbers = [name for name in ("ce", "ac", "weight") if name in table.columns]
    odd = [
        name for name in numbers if not (table.schema[name].is_numeric() or table.schema[name] == pl.String)
    ]
    if odd:
        raise BadInputError(f"{path.name}: column '{odd[0]}' holds {table.schema[odd[0]]}, not numbers")
    with frames.explained(path):
        table = table.select(
            pl.col("item").cast(pl.String),
            pl.col("ce", "ac").cast(pl.Float64, strict=False),
            start=start.cast(pl.Float64, strict=False),
        )
    finite = pl.all_horizontal(pl.col("ce", "ac", "start").is_finite()) & pl.col("start").is_between(0, 1)
    bad = table.filter(pl.col("item").is_null() | ~finite.fill_null(False))
    if len(bad):
        raise BadInputError(
            f"{path.name}: item '{bad['item'][0]}' has a loss or weight that is no number, or a weight outside [0, 1]"
        )
    if table["item"].is_duplicated().any():
        raise BadInputError(
            f"{path.name}: item '{table.filter(table['item'].is_duplicated())['item'][0]}' stands twice"
        )
    return table


def _by_losses(
    dataset: str, refs: Any, pool: pl.DataFrame, params: dict[str, Any], values: str | Path | None
) -> Plan:

    if values is None or not Path(values).is_file():
        raise BadInputError("reweight by losses needs a table with the columns item, ce, ac: --values FILE")
    path = Path(values)
    table = _read_losses(path)
    both = pool.join(table, on="item", maintain_order="left")
    if both.is_empty():
        raise BadInputError(
            f"{path.name}: none of its items is among the {len(pool):,} of the pool (as '{pool['item'][0]}')"
        )
    gain = params["rate"] * (both["ce"] - both["ac"]).to_numpy()
    weight = loss_weights(both["start"].to_numpy(), gain)
    without = pool.join(both, on="item_id", how="anti")
    return _of_rows(
        "reweight", dataset, params, refs, both.select(pool.columns), without, weight, "losses", None
    )


def _importance(
    rows: np.ndarray, ids: np.ndarray, known: np.ndarray, known_ids: np.ndarray, seed: int
) -> np.ndarray:
    """Odds p / (1 - p) of the reference side; items on both sides stand on that side when the rule is fitted."""
    from shiftlab.measures.classifier import cross_fitted_scores

    own = ~np.isin(ids, known_ids)
    if own.sum() < 5 or len(known) < 5:
        raise BadInputError(
            f"importance needs 5 items on each side: {own.sum()} and {len(known)} are on one only"
        )
    weight = np.ones(len(rows))
    scores, known_scores = cross_fitted_scores(rows[own], known, 5, seed)
    weight[own] = np.exp(np.clip(scores, -30, 30))
    of = dict(zip(known_ids.tolist(), known_scores.tolist(), strict=True))
    weight[~own] = np.exp(np.clip([of[one] for one in ids[~own].tolist()], -30, 30))
    return weight


def _by_sources(
    store: Store, dataset: str, refs: Any, against: Any, params: dict[str, Any], seed: int
) -> Plan:
    import polars as pl

    from shiftlab.measures import sliced_wasserstein

    if len(refs) < 2:
        raise BadInputError("reweight by sources needs two subsets or more: --from A --from B")
    _, target, _ = matrix(store, dataset, items(store, dataset, against), params["space"], params["stage"])
    sides = [
        matrix(store, dataset, items(store, dataset, [one]), params["space"], params["stage"]) for one in refs
    ]
    distance = np.array([sliced_wasserstein(rows, target, seed=seed) for _, rows, _ in sides])
    try:
        share = source_weights(distance, params["temperature"])
    except ValueError as error:
        raise BadInputError(str(error)) from error
    parts = [
        have.with_columns(weight=pl.lit(s / len(have))) for (have, _, _), s in zip(sides, share, strict=True)
    ]
    summed = (
        pl.concat(parts)
        .group_by("item_id")
        .agg(pl.col("item").first(), pl.col("weight").sum())
        .sort("item_id")
    )
    pool = items(store, dataset, refs)
    without = pool.join(summed, on="item_id", how="anti")
    weight = summed["weight"].to_numpy()
    facts = {f"share {ref.name}": float(s) for ref, s in zip(refs, share, strict=True)}
    return _of_rows(
        "reweight", dataset, params, (*refs, *against), summed, without, weight, "sources", seed, facts
    )


def _of_rows(
    operation: str, dataset: str, params: dict[str, Any], refs: Any, have: pl.DataFrame, without: pl.DataFrame,
    weight: np.ndarray, kind: str, seed: int | None, facts: dict[str, Any] | None = None,
) -> Plan:  # fmt: skip
    import polars as pl

    new = pl.concat([
        have.select("item_id", "item").with_columns(new=pl.Series(weight, dtype=pl.Float64)),
        without.select("item_id", "item").with_columns(new=pl.lit(None, pl.Float64)),
    ])  # fmt: skip
    missing = "no losses in the table" if kind == "losses" else "no vector in this space"
    reason = (
        pl.when(pl.col("new") > 0).then(pl.format("weight {} by {}", pl.col("new").round_sig_figs(4), pl.lit(kind)))
        .when(pl.col("new").is_null()).then(pl.lit(missing)).otherwise(pl.lit(f"weight 0 by {kind}"))
    )  # fmt: skip
    return _weighted(
        operation, dataset, params, refs, new.with_columns(reason=reason), pl.col("new"), seed, facts
    )


def _weighted(
    operation: str, dataset: str, params: dict[str, Any], refs: Any, told: pl.DataFrame, weight: pl.Expr,
    seed: int | None = None, facts: dict[str, Any] | None = None,
) -> Plan:  # fmt: skip
    import polars as pl

    told = told.with_columns(weight=weight, part=pl.when(weight > 0).then(pl.lit("kept")))
    members = told.filter(pl.col("part").is_not_null()).sort("item_id").select("part", "item_id", "weight")
    w = members["weight"].to_numpy()
    effective = {"effective_items": float(w.sum() ** 2 / (w**2).sum())} if len(w) else {}
    return Plan(
        operation, dataset, params, refs, members, told.select("item_id", "part", "reason"), seed=seed,
        facts=effective | (facts or {}),
    )  # fmt: skip
