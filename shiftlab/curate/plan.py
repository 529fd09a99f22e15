"""What an operation would make, and storing it: subsets, members with weights, fates of all items, the recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shiftlab import __version__, queries
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection

    from shiftlab.names import SubsetRef

_FORGET = ("members", "scores", "subsets", "selections", "selection_members", "recipes")


@dataclass(frozen=True)
class Plan:
    """What an operation would do.

    ``members``: part, item_id, weight; one subset is made for each part. ``fates``: item_id, part (null where
    dropped), reason; every item of the pool has one. ``labels`` (item_id, value) is a new scheme of labels, for the
    operation that makes one. ``facts`` are numbers worth showing. Raises BadInputError where nothing is kept.
    """

    operation: str
    dataset: str
    params: dict[str, Any]
    parents: tuple[SubsetRef, ...]
    members: pl.DataFrame
    fates: pl.DataFrame
    seed: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    labels: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        if self.members.is_empty() and self.labels is None:
            why = self.fates["reason"].value_counts(sort=True)["reason"]
            raise BadInputError(
                f"{self.operation} keeps none of the {len(self.fates):,} items"
                + (f" (most often: {why[0]})" if len(why) else ": the subsets named are empty")
                + "; nothing was stored"
            )

    @property
    def parts(self) -> list[str]:
        """Names of the parts, in order."""
        return list(self.members["part"].unique(maintain_order=True))

    def summary(self) -> pl.DataFrame:
        """What happens to how many items and why: part (null: dropped), items, reason, example.

        Reasons that differ in numbers only are one; numbers then stand as ``#`` and one of them is the example.
        """
        import polars as pl

        alike = pl.col("reason").str.replace_all(r"-?\d+(\.\d+)?(e-?\d+)?", "#").alias("alike")
        told = self.fates.with_columns(alike).group_by("part", "alike")
        counted = told.agg(
            items=pl.len(), example=pl.col("reason").first(), kinds=pl.col("reason").n_unique()
        )
        ordered = counted.sort(
            pl.col("part").is_null(), "part", "items", "alike", descending=[False, False, True, False]
        )
        one = pl.col("kinds") == 1
        return ordered.select(
            "part",
            "items",
            pl.when(one).then("example").otherwise("alike").alias("reason"),
            pl.when(~one).then("example").alias("example"),
        )


@dataclass(frozen=True)
class Made:
    """What stands in the catalog after an operation. ``subsets``: name, part, n, weight (their sum)."""

    operation: str
    dataset: str
    subsets: pl.DataFrame
    summary: pl.DataFrame
    facts: dict[str, Any]
    already_there: bool
    stored: bool


def store_plan(store: Store, plan: Plan, name: str, *, replace: bool = False, dry_run: bool = False) -> Made:
    """Stores what `plan` makes as subset ``name``, or ``name(part)`` where there are several parts.

    The same operation with the same outcome is stored once: run again, nothing is written. Raises BadInputError
    for a name that is taken by something else, unless ``replace`` says to put this in its place (only subsets
    made by curation can be replaced). ``dry_run`` stores nothing.
    """
    import polars as pl

    _check_name(name)
    parts = plan.parts
    names = {part: name if len(parts) == 1 else f"{name}({part})" for part in parts}
    sums = plan.members.group_by("part", maintain_order=True).agg(n=pl.len(), weight=pl.col("weight").sum())
    subsets = sums.with_columns(name=pl.col("part").replace_strict(names, return_dtype=pl.String)).select(
        "name", "part", "n", "weight"
    )
    made = Made(plan.operation, plan.dataset, subsets, plan.summary(), plan.facts, False, not dry_run)
    if dry_run:
        return made
    content = _content(store, plan, names)
    with store.read() as con:
        there = _same_names(con, plan.dataset, names)
        known = _recipes(con, there)
    if (
        len(there)
        and dict(there.select("name", "content").iter_rows())
        == dict(content.select("name", "content").iter_rows())
        and known == [(plan.operation, _json(plan.params), _json(_parents(store, plan)), plan.seed)]
    ):
        return Made(plan.operation, plan.dataset, subsets, made.summary, plan.facts, True, True)
    _refuse_taken(there, plan.dataset, replace)
    _write(store, plan, name, content, there)
    return made


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or "/" in name or len(name) > 200:
        raise BadInputError(
            f"{name!r} cannot name a subset: use up to 200 printable characters without '/', as 'easy_cats'"
        )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _parents(store: Store, plan: Plan) -> dict[str, str]:
    with store.read() as con:
        rows = con.execute(
            "select name, content::varchar from subset where list_contains($1, subset_id) order by name",
            [[one.subset_id for one in plan.parents]],
        ).fetchall()
    return dict(rows)


def _content(store: Store, plan: Plan, names: dict[str, str]) -> pl.DataFrame:
    import polars as pl

    with store.read() as con:
        con.register("member", plan.members.to_arrow())
        found = con.sql(queries.sql("curate_content")).pl()
    name = pl.col("part").replace_strict(names, return_dtype=pl.String)
    # Numbers of 128 bits cross as text: Arrow has no unsigned type for them.
    return found.with_columns(name=name, content=pl.col("content").cast(pl.String))


def _same_names(con: DuckDBPyConnection, dataset: str, names: dict[str, str]) -> pl.DataFrame:
    query = f"select * replace (content::varchar as content) from ({queries.sql('curate_same_name')})"
    return con.sql(query, params={"dataset": dataset, "names": list(names.values())}).pl()


def _recipes(con: DuckDBPyConnection, there: pl.DataFrame) -> list[tuple[Any, ...]]:
    ids = there["recipe_id"].drop_nulls().unique().to_list()
    rows = con.execute(
        "select operation, params, parents, seed from recipe where list_contains($1, recipe_id)", [ids]
    ).fetchall()
    return [(row[0], _json(json.loads(row[1])), _json(json.loads(row[2])), row[3]) for row in rows]


def _refuse_taken(there: pl.DataFrame, dataset: str, replace: bool) -> None:
    built = there.filter(there["recipe_id"].is_null())
    if len(built):
        raise BadInputError(
            f"'{built['name'][0]}' is a subset of '{dataset}' built from its annotations: choose another --name"
        )
    if len(there) and not replace:
        raise BadInputError(
            f"'{there['name'][0]}' is a subset of '{dataset}' with other members or another recipe: "
            "choose another --name, or put this in its place with --replace"
        )


def _write(store: Store, plan: Plan, name: str, content: pl.DataFrame, there: pl.DataFrame) -> None:
    import polars as pl

    params = plan.params | {"name": name}
    run = Run(f"curate {plan.operation}", params, dataset=plan.dataset, seed=plan.seed)
    run.inputs = _parents(store, plan)
    run.notes = plan.facts | {"kept": len(plan.members), "pool": len(plan.fates)}
    fates = plan.fates.select("item_id", pl.col("part").cast(pl.String), "reason")
    with store.write(run) as con:
        con.register("replaced", there.select("subset_id", "recipe_id").to_arrow())
        for table in _FORGET:
            con.execute(queries.sql(f"curate_forget_{table}")).fetchall()
        values: dict[str, Any] = {
            "dataset": plan.dataset,
            "run_id": run.run_id,
            "n_pool": fates["item_id"].n_unique(),
            "recipe_id": _next(con, "recipe", "recipe_id"),
            "first_subset": _next(con, "subset", "subset_id"),
        }
        con.register("content_text", content.to_arrow())
        con.execute(
            "create temp table content as select * replace (content::uhugeint as content) from content_text"
        )
        con.register("member", plan.members.to_arrow())
        con.register("fate", fates.to_arrow())
        con.execute(
            "insert into recipe values ($1, $2, $3, $4, $5, $6, $7, $8)",
            [values["recipe_id"], plan.operation, plan.dataset, _json(plan.params), _json(run.inputs), plan.seed,
             __version__, run.run_id],
        ).fetchall()  # fmt: skip
        for table in ("subsets", "members", "selections", "selection_members"):
            queries.execute(con, f"curate_insert_{table}", values)
        if plan.labels is not None:
            con.register("fresh", plan.labels.to_arrow())
            queries.execute(con, "curate_insert_labels", {"scheme": plan.params["new_scheme"]})
            con.unregister("fresh")
        con.execute("drop table temp.content").fetchall()
        for one in ("replaced", "content_text", "member", "fate"):
            con.unregister(one)


def _next(con: DuckDBPyConnection, table: str, column: str) -> int:
    return int(con.sql(f"select coalesce(max({column}), 0) + 1 from {table}").fetchall()[0][0])
