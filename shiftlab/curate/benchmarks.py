"""MetaShift's benchmark splits: domain generalisation and subpopulation shift, as released or without leaks.

A scheme file says which subsets make which group; `schemes/` holds MetaShift's. Mode "parity" follows the released
generator: string sort, its seeds, its order of exclusion, images in several groups of training. Mode "shiftlab" puts
every image in one group of one part, keeps near-duplicates on one side, and says what is there when a request cannot
be met.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import queries
from shiftlab.catalog import Store
from shiftlab.curate.plan import Plan
from shiftlab.curate.splitting import joined
from shiftlab.errors import BadInputError
from shiftlab.names import SubsetRef, nearest, require_dataset

if TYPE_CHECKING:
    import polars as pl

SCHEMES = Path(__file__).parent / "schemes"
MODES = ("shiftlab", "parity")
Groups = dict[tuple[str, str], set[str]]


@dataclass(frozen=True)
class Split:
    """A benchmark split. ``table``: item, file, split, y (class), a (environment), one row an image and group.

    ``report``: one row a group with what was available, used, missing and leaking.
    """

    plan: Plan
    table: pl.DataFrame
    report: pl.DataFrame


def read_scheme(name: str | Path) -> dict[str, Any]:
    """A scheme by its name or file. Raises BadInputError for an unknown name or a file that is none."""
    known = sorted(path.stem for path in SCHEMES.glob("*.json"))
    path = SCHEMES / f"{name}.json" if str(name) in known else Path(name)
    if not path.is_file():
        raise BadInputError(
            f"no scheme or file is called '{name}'{nearest(str(name), known) or '; there are ' + ', '.join(known)}"
        )
    try:
        scheme = json.loads(path.read_text(encoding="utf-8"))
        needed = {"domains": ("train", "test"), "subpopulation": ("minority", "majority")}[scheme["kind"]]
        groups = [one for key in needed for one in scheme[key]]
        if not all({"y", "a", "contexts"} <= one.keys() for one in groups):
            raise KeyError("y, a, contexts")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{path}: no scheme: it needs kind domains (train, test) or subpopulation (minority, majority), each a "
            f"list of y, a and contexts ({type(error).__name__}: {error})"
        ) from error
    return dict(scheme)


def parity_order(ids: Sequence[str], seed: int, size: int) -> list[str]:
    """Ids sorted as strings, shuffled as the released generator does, cut to `size`."""
    ordered = sorted(ids)
    random.Random(seed).shuffle(ordered)
    return ordered[:size]


def parity_cut(n: int, test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of test and train among `n`, as the released generator draws them."""
    drawn = np.random.RandomState(seed).permutation(n)
    return drawn[:test], drawn[test:]


def benchmark_split(
    store: Store,
    scheme: str | Path,
    dataset: str,
    *,
    mode: str = "shiftlab",
    option: str = "1",
    minority: int | None = None,
    test: int | None = None,
    near_duplicates: float | None = None,
    space: str | None = None,
    seed: int = 0,
) -> Split:
    """The split of `scheme` over the built subsets of `dataset`.

    domains: ``option`` chooses the training groups whose distance from the test group varies. subpopulation:
    ``minority`` images of each class among those of training (parity: 50 of 850), ``test`` images of each group.
    Parity demands the published numbers of images; "shiftlab" takes what is there, equally for all groups.
    Raises BadInputError with the counts that are there when the split cannot be made.
    """
    require_dataset(store, dataset)
    if mode not in MODES:
        raise BadInputError(f"mode is {' or '.join(MODES)}, not '{mode}'")
    told = read_scheme(scheme)
    world = _World(store, dataset, told)
    if told["kind"] == "domains":
        parts, report = _domains(world, told, mode, str(option))
    else:
        parts, report = _subpopulation(world, told, mode, minority, test, seed, near_duplicates, space)
    params = {"scheme": told["name"], "mode": mode, "option": option, "minority": minority, "test": test,
              "near_duplicates": near_duplicates, "space": space}  # fmt: skip
    return world.split(parts, report, params, seed)


class _World:
    """The images of the subsets that a scheme names."""

    def __init__(self, store: Store, dataset: str, scheme: Mapping[str, Any]) -> None:
        self.store, self.dataset = store, dataset
        with store.read() as con:
            self.members = con.sql(queries.sql("curate_named_members"), params={"dataset": dataset}).pl()
        self.known = dict(self.members.group_by("name").agg("item").iter_rows())
        self.missing: dict[tuple[str, str], int] = {}
        self.ambiguous = {one for name in scheme.get("ambiguous", []) for one in self.known.get(name, [])}
        if not self.known:
            raise BadInputError(f"'{dataset}' has no subsets: run 'shiftlab subsets build {dataset}' first")

    def group(self, one: Mapping[str, Any]) -> set[str]:
        """Images of any context of a group, the ambiguous ones left out; BadInputError if no subset of it is there."""
        names = [f"{one['y']}({context})" for context in one["contexts"]]
        there = [name for name in names if name in self.known]
        if not there:
            raise BadInputError(
                f"'{self.dataset}' has none of the {len(names)} subsets of {one['y']} {one['a']} (as {names[0]}); "
                "build with lower --min-images, or name a scheme with the data set's own names"
            )
        self.missing[one["y"], one["a"]] = len(names) - len(there)
        return {item for name in there for item in self.known[name]} - self.ambiguous

    def groups(self, listed: Sequence[Mapping[str, Any]]) -> Groups:
        return {(one["y"], one["a"]): self.group(one) for one in listed}

    def split(
        self, parts: dict[str, Groups], report: list[dict[str, Any]], params: dict[str, Any], seed: int
    ) -> Split:
        import polars as pl

        rows = [
            (item, part, y, a)
            for part, groups in parts.items()
            for (y, a), held in groups.items()
            for item in sorted(held)
        ]
        files = self.members.select("item", "item_id", "file", "subset_id").unique(
            "item", maintain_order=True
        )
        table = pl.DataFrame(rows, schema=["item", "split", "y", "a"], orient="row").join(
            files, on="item", maintain_order="left"
        )
        reason = pl.concat_str(pl.col("y"), pl.lit(" "), pl.col("a"))
        fates = table.group_by("item_id", "split", maintain_order=True).agg(reason=reason.str.join(", "))
        used = fates["item_id"].implode()
        pool = self.members.select("item_id").unique().join(self._named(parts), on="item_id", how="semi")
        rest = pool.filter(~pl.col("item_id").is_in(used)).select(
            "item_id", part=pl.lit(None, pl.String), reason=pl.lit("not drawn, or ambiguous")
        )
        told = fates.select("item_id", part="split", reason="reason")
        members = told.sort("part", "item_id", descending=[True, False]).select(
            "part", "item_id", weight=pl.lit(1.0)
        )
        plan = Plan(
            "benchmark_split", self.dataset, params, self._refs(), members, pl.concat([told, rest]), seed=seed
        )
        return Split(
            plan,
            table.select("item", "file", "split", "y", "a"),
            pl.DataFrame(report, infer_schema_length=None),
        )

    def _named(self, parts: dict[str, Groups]) -> pl.DataFrame:
        """Items of any subset whose class the split is about."""
        import polars as pl

        classes = {y for groups in parts.values() for y, _ in groups}
        return self.members.filter(pl.col("class").is_in(list(classes))).select("item_id").unique()

    def _refs(self) -> tuple[SubsetRef, ...]:
        """The classes' subsets stand as parents by the hash of their members; the largest few would not do."""
        rows = self.members.group_by("subset_id", "name", "class", maintain_order=True).len()
        return tuple(
            SubsetRef(i, self.dataset, name, subject, n)
            for i, name, subject, n in rows.sort("name").iter_rows()
        )


def _domains(
    world: _World, scheme: Mapping[str, Any], mode: str, option: str
) -> tuple[dict[str, Groups], list[dict[str, Any]]]:
    options = scheme.get("train_options", {})
    if options and option not in options:
        raise BadInputError(f"the scheme has no training option '{option}'; it has {', '.join(options)}")
    test = world.groups(scheme["test"])
    in_test = set().union(*test.values())
    train = {
        key: held - in_test
        for key, held in world.groups([*scheme["train"], *options.get(option, [])]).items()
    }
    in_train = set().union(*train.values())
    every = world.groups(scheme.get("additional", []))
    additional = {key: held - in_train for key, held in every.items()}
    if mode == "shiftlab":
        train, test = _one_group_each(train), _one_group_each(test)
        additional = _one_group_each({key: held - in_test for key, held in additional.items()})
    parts = {"train": train, "test": test, "additional": additional}
    report = []
    for part, groups in parts.items():
        for key, held in groups.items():
            # What the generator's last call would leak: it exports these groups again, training images included.
            leak = len(every[key] & in_train) if part == "additional" else 0
            report.append(_line(world, part, key, len(held), len(held), leak))
            if not held:
                raise BadInputError(f"{part} {' '.join(key)} has no image left once other parts have theirs")
    return parts, report


def _one_group_each(groups: Groups) -> Groups:
    """Each image goes to the smallest of its groups, so that none is emptied; ties by name."""
    order = sorted(groups, key=lambda key: (len(groups[key]), key))
    taken: set[str] = set()
    found: Groups = {}
    for key in order:
        found[key] = groups[key] - taken
        taken |= groups[key]
    return {key: found[key] for key in groups}


def _subpopulation(
    world: _World, scheme: Mapping[str, Any], mode: str, minority: int | None, test: int | None, seed: int,
    near: float | None, space: str | None,
) -> tuple[dict[str, Groups], list[dict[str, Any]]]:  # fmt: skip
    small = world.groups(scheme["minority"])
    in_small = set().union(*small.values())
    large = {key: held - in_small for key, held in world.groups(scheme["majority"]).items()}
    if mode == "shiftlab":
        small, large = _one_group_each(small), _one_group_each(large)
    published = scheme.get("parity", {})
    held = test if test is not None else published.get("test", 144)
    mixed = minority if minority is not None else 50
    counts = {key: len(ids) for key, ids in (small | large).items()}
    sizes = {"minority": published.get("minority", 0), "majority": published.get("majority", 0)}
    if mode == "shiftlab":
        sizes = {
            "minority": min(len(v) for v in small.values()),
            "majority": min(len(v) for v in large.values()),
        }
    told = ", ".join(f"{' '.join(key)} {n:,}" for key, n in counts.items())
    short = [
        key
        for part, groups in (("minority", small), ("majority", large))
        for key in groups
        if counts[key] < sizes[part]
    ]
    if short or not 0 < held < sizes["minority"] or not 0 <= mixed <= sizes["minority"] - held:
        raise BadInputError(
            f"the split asks for {sizes['minority']:,} images of each minority group, {sizes['majority']:,} of each "
            f"majority group, {held:,} of each for testing and {mixed:,} minority images for training; there are {told}"
        )
    parts: dict[str, Groups] = {"train": {}, "test": {}}
    report = []
    drawn_from = published.get("seed", 42) if mode == "parity" else seed
    for part, groups in (("minority", small), ("majority", large)):
        for key, ids in groups.items():
            chosen = parity_order(list(ids), drawn_from, sizes[part])
            tested, trained = _cut(world, chosen, held, drawn_from, mode, near, space)
            kept = trained[:mixed] if part == "minority" else trained[mixed:]
            parts["test"][key], parts["train"][key] = set(tested), set(kept)
            for name, used in (("train", kept), ("test", tested)):
                report.append(_line(world, name, key, counts[key], len(used), 0))
    return parts, report


def _cut(
    world: _World, chosen: list[str], test: int, seed: int, mode: str, near: float | None, space: str | None
) -> tuple[list[str], list[str]]:
    """Ids for testing and for training; near-duplicates are not parted in mode "shiftlab"."""
    tested, trained = parity_cut(len(chosen), test, seed)
    if mode == "parity" or near is None:
        return [chosen[k] for k in tested], [chosen[k] for k in trained]
    import polars as pl

    ids = dict(world.members.select("item", "item_id").unique().iter_rows())
    pool = pl.DataFrame({"item_id": [ids[one] for one in chosen], "item": chosen}).sort("item_id")
    group = joined(world.store, world.dataset, pool, np.arange(len(pool)), near, space, "base")
    of = dict(zip(pool["item"], group.tolist(), strict=True))
    with_test = {of[chosen[k]] for k in tested}
    # A near-duplicate of a test image is drawn to its side, so the test part may grow a little.
    return [one for one in chosen if of[one] in with_test], [
        chosen[k] for k in trained if of[chosen[k]] not in with_test
    ]


def _line(world: _World, part: str, key: tuple[str, str], there: int, used: int, leak: int) -> dict[str, Any]:
    return {"split": part, "y": key[0], "a": key[1], "available": there, "used": used,
            "contexts_missing": world.missing.get(key, 0), "would_leak": leak}  # fmt: skip
