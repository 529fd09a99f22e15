"""Looking at the subset catalog: lists of subsets and items, one subset, one class's graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import frames, notebook, queries, safe_sql
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.names import nearest, require_dataset, require_subset

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Subset:
    """A named set of items: ``n`` of them in ``items`` (external_id, weight, file, width, height)."""

    dataset: str
    name: str
    subject: str | None
    n: int
    items: pl.DataFrame

    def pl(self) -> pl.DataFrame:
        """The items as a polars frame."""
        return self.items

    def arrow(self) -> Any:
        """The items as an Arrow table."""
        return self.items.to_arrow()

    def pandas(self) -> Any:
        """The items as a pandas frame; ImportError where pandas is not installed."""
        return self.items.to_arrow().to_pandas()

    def numpy(self) -> dict[str, Any]:
        """One numpy array a column, by name."""
        return {name: self.items[name].to_numpy() for name in self.items.columns}

    def _repr_html_(self) -> str:
        shown = self.items.head(10)
        title = f"{self.dataset}: {self.name}, {self.n:,} items"
        return notebook.table(title, shown.columns, shown.rows(), self.n - len(shown))


def load(store: Store, name: str, dataset: str | None = None) -> Subset:
    """The subset called `name` with its items; NotFoundError with the nearest names."""
    ref = require_subset(store, name, dataset)
    return Subset(ref.dataset, ref.name, ref.subject, ref.n, members(store, name, ref.dataset))


def list_subsets(
    store: Store, dataset: str | None = None, subject: str | None = None, where: str | None = None
) -> pl.DataFrame:
    """Rows of the view subsets; `where` is a SQL predicate over its columns."""
    if dataset is not None:
        require_dataset(store, dataset)
    if subject is not None:
        _require_class(store, subject, dataset)
    params = {"dataset": dataset, "class": subject}
    return safe_sql.query(store, safe_sql.narrowed(queries.sql("list_subsets"), where), params).pl()


def list_items(
    store: Store,
    dataset: str,
    *,
    where: str | None = None,
    subset: str | None = None,
    shows: str | None = None,
    limit: int | None = None,
) -> pl.DataFrame:
    """Rows of the view items: those of a subset, those that show an object, at most `limit` of them.

    `where` is a SQL predicate over the columns of the view.
    """
    require_dataset(store, dataset)
    if shows is not None:
        _require_object(store, shows, dataset)
    subset_id = None if subset is None else require_subset(store, subset, dataset).subset_id
    params = {"dataset": dataset, "subset_id": subset_id, "shows": shows}
    # Ordered last of all: a predicate with a sub-select is a join, which keeps no order.
    query = safe_sql.narrowed(queries.sql("list_items"), where) + "\norder by item"
    return safe_sql.query(store, query, params, limit=limit).pl()


def members(store: Store, name: str, dataset: str | None = None) -> pl.DataFrame:
    """The items of one subset: external_id, weight, file, width, height."""
    subset = require_subset(store, name, dataset)
    with store.read() as con:
        return con.sql(queries.sql("subset_members"), params={"subset_id": subset.subset_id}).pl()


def neighbours(store: Store, name: str, dataset: str | None = None) -> pl.DataFrame:
    """Subsets that share items with one subset: overlap, Jaccard, edge, distances."""
    subset = require_subset(store, name, dataset)
    with store.read() as con:
        return con.sql(queries.sql("subset_neighbours"), params={"subset_id": subset.subset_id}).pl()


def graph(
    store: Store, subject: str, dataset: str | None = None, *, edges_only: bool = False
) -> pl.DataFrame:
    """Every pair of kept subsets of a class with overlap and distances."""
    _require_class(store, subject, dataset)
    with store.read() as con:
        return con.sql(
            queries.sql("class_graph"),
            params={"class": subject, "dataset": dataset, "edges_only": edges_only},
        ).pl()


def places(store: Store, subject: str, dataset: str | None = None) -> pl.DataFrame:
    """Where the kept subsets of a class stand in its meta-graph: dataset, name, context, n, community, x, y."""
    _require_class(store, subject, dataset)
    with store.read() as con:
        return con.sql(queries.sql("class_places"), params={"class": subject, "dataset": dataset}).pl()


def read_names(path: str | Path) -> tuple[str, ...]:
    """Names of subsets from a file: one a line, or the column `subset` of a CSV.

    BadInputError for a file or a line that holds no names.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read the names in '{path}': {error}") from error
    if lines and "subset" in lines[0].split(","):
        return tuple(frames.read_table(path)["subset"].drop_nulls())
    names = tuple(line.strip() for line in lines if line.strip())
    for number, name in enumerate(names, 1):
        if not (name.endswith(")") and "(" in name[1:]):
            raise BadInputError(
                f"{path.name}: line {number} is '{name[:60]}'; expected a name such as cat(sofa)"
            )
    return names


def _require_class(store: Store, subject: str, dataset: str | None) -> None:
    with store.read() as con:
        known = con.sql(queries.sql("class_names"), params={"dataset": dataset}).pl()["name"].to_list()
    if subject not in known:
        hint = nearest(subject, known) if known else ": build them with 'shiftlab subsets build'"
        raise NotFoundError(f"there is no class '{subject}' with subsets{hint}")


def _require_object(store: Store, name: str, dataset: str) -> None:
    with store.read() as con:
        known = con.sql(queries.sql("object_names"), params={"dataset": dataset}).pl()["name"].to_list()
    if name not in known:
        raise NotFoundError(f"no item of '{dataset}' shows '{name}'{nearest(name, known)}")
