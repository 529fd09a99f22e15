"""A concept shift with a known answer: labels of random classes swapped, in a scheme of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.pool import items, labels, parents_of
from shiftlab.errors import BadInputError


def swapped(classes: Sequence[str], times: int, seed: int) -> dict[str, str]:
    """What each class is called after ``times`` swaps of two random distinct classes.

    With K balanced classes the expected share of moved items is (1 - 1/K) (1 - (1 - 2/(K-1))^m).
    ValueError for fewer than two classes.
    """
    if len(classes) < 2:
        raise ValueError(f"swapping needs two classes, not {len(classes)}")
    rng = np.random.default_rng([seed, 811])
    names = list(classes)
    for _ in range(times):
        a, b = rng.choice(len(names), 2, replace=False)
        names[a], names[b] = names[b], names[a]
    return dict(zip(classes, names, strict=True))


def swap_labels(
    store: Store,
    *,
    scheme: str,
    new_scheme: str,
    times: int = 1,
    subsets: Sequence[str] = (),
    dataset: str | None = None,
    seed: int = 0,
) -> Plan:
    """A scheme of labels ``new_scheme`` in which two random classes of ``scheme`` are swapped, ``times`` over.

    Parts ``moved`` (items whose label changed) and ``same``. No label is changed: the new scheme stands beside.
    BadInputError for a name that is taken and a scheme with fewer than two classes.
    """
    import polars as pl

    dataset, refs = parents_of(store, subsets, dataset)
    pool = items(store, dataset, refs)
    known = labels(store, dataset, pool, scheme)
    with store.read() as con:
        taken = con.execute(
            "select count(*) from label join item using (item_id) where dataset = $1 and scheme = $2",
            [dataset, new_scheme],
        ).fetchall()[0][0]
        own = con.execute(
            "select count(*) from recipe where operation = 'swap_labels' and dataset = $1 "
            "and params->>'new_scheme' = $2",
            [dataset, new_scheme],
        ).fetchall()[0][0]
    if times < 1 or not new_scheme.strip() or new_scheme == scheme or (taken and not own):
        raise BadInputError(
            f"swap_labels needs times of at least 1 and a name that no scheme of labels has yet, not '{new_scheme}'"
        )
    classes = known["value"].unique().sort().to_list()
    try:
        new = swapped(classes, times, seed)
    except ValueError as error:
        raise BadInputError(f"{scheme}: {error}") from error
    told = pool.join(known, on="item_id", how="left", maintain_order="left").with_columns(
        new=pl.col("value").replace_strict(new, return_dtype=pl.String)
    )
    moved = pl.col("value") != pl.col("new")
    told = told.with_columns(
        part=pl.when(moved).then(pl.lit("moved")).when(~moved).then(pl.lit("same")),
        reason=pl.when(moved).then(pl.format("{} becomes {}", "value", "new")).when(~moved)
        .then(pl.format("stays {}", "value")).otherwise(pl.lit(f"no single label in {scheme}")),
    )  # fmt: skip
    members = (
        told.filter(pl.col("part").is_not_null()).sort("part", "item_id").select("part", "item_id", "weight")
    )
    fresh = told.filter(pl.col("new").is_not_null()).select("item_id", value="new")
    params = {"scheme": scheme, "new_scheme": new_scheme, "times": times}
    return Plan(
        "swap_labels", dataset, params, refs, members, told.select("item_id", "part", "reason"), seed=seed,
        facts={"moved_share": (members["part"] == "moved").sum() / max(1, len(members))},
        labels=None if taken else fresh,
    )  # fmt: skip
