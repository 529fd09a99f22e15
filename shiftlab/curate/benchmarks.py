"""MetaShift's benchmark splits: domain generalisation and subpopulation shift, as released or without leaks.

A scheme file says which subsets make which group; `schemes/` holds MetaShift's. Mode "parity" follows the released
generator: string sort, its seeds, its order of exclusion, images in several groups of training. Mode "shiftlab" puts
every image in one group of one part, leaves out training images that nearly repeat a test image, and takes a mixing
ratio or a distance instead of counts. `feasible` says what can be asked for.
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

    ``report``: one row a part and group: available, used, contexts_missing (named by the scheme, not built), would_leak
    (images that a split without care would put on two sides), near_duplicates (left out of training for their likeness
    to a test image), distance (domains: mean spectral distance of the training from the test subsets of the class).
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
        options = scheme.get("train_options", {}).values()
        groups = [one for key in (*needed, "additional") for one in scheme.get(key, [])]
        groups += [one for option in options for one in option]
        names = [scheme["name"], *scheme.get("ambiguous", [])]
        for one in groups:
            names += [one["y"], one["a"], *one["contexts"]]
        if not all(scheme[key] for key in needed) or not all(isinstance(name, str) for name in names):
            raise TypeError("names are texts, and no group is empty")
        if not all(isinstance(one["contexts"], list) for one in groups):
            raise TypeError("contexts are a list")
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
    option: str | None = None,
    distance: float | None = None,
    minority: int | None = None,
    ratio: float | None = None,
    test: int | None = None,
    near_duplicates: float | None = None,
    space: str | None = None,
    seed: int = 0,
) -> Split:
    """The split of `scheme` over the built subsets of `dataset`.

    domains: ``option`` names the training groups (the first by default), or ``distance`` takes those whose distance
    from the test group is nearest to it. subpopulation: ``minority`` images of each class among those of training
    (parity: 50 of 850), or ``ratio`` their share; ``test`` images of each group. Parity demands the published numbers
    of images; "shiftlab" takes what is there, equally for all groups. Raises BadInputError with the counts that are
    there when the split cannot be made.
    """
    require_dataset(store, dataset)
    if mode not in MODES:
        raise BadInputError(f"mode is {' or '.join(MODES)}, not '{mode}'")
    told = read_scheme(scheme)
    _require_fitting(told["kind"], mode, option, distance, minority, ratio, test, near_duplicates)
    world = _World(store, dataset, told)
    near = _Near(world, near_duplicates, space)
    if told["kind"] == "domains":
        option = _nearest_option(world, told, distance) if distance is not None else option
        parts, report = _domains(world, told, mode, option, near)
    else:
        sizes = _sizes(world, told, mode, minority, ratio, test)
        parts, report = _subpopulation(world, told, mode, sizes, seed, near)
    params = {"scheme": told["name"], "mode": mode, "option": option, "distance": distance, "minority": minority,
              "ratio": ratio, "test": test, "near_duplicates": near_duplicates, "space": space}  # fmt: skip
    return world.split(parts, report, params, seed)


def feasible(store: Store, scheme: str | Path, dataset: str, *, test: int | None = None) -> pl.DataFrame:
    """What `benchmark_split` can be asked for in mode "shiftlab", without drawing anything.

    subpopulation: one row a group with its images of its own, the largest ``minority`` and ``ratio`` that leave
    ``test`` images of each group (a fifth of the smallest group by default). domains: one row an option with its
    distance from the test group and the images left for training and testing.
    """
    import polars as pl

    require_dataset(store, dataset)
    told = read_scheme(scheme)
    world = _World(store, dataset, told)
    if told["kind"] == "domains":
        rows = [_option_row(world, told, name) for name in told.get("train_options") or {"": []}]
        return pl.DataFrame(rows, infer_schema_length=None)
    small, large = _own_images(world, told, "shiftlab")
    fewest = [min(len(held) for held in groups.values()) for groups in (small, large)]
    held = test if test is not None else max(1, fewest[0] // 5)
    most = min(fewest[0], fewest[1]) - held
    train = fewest[1] - held
    return pl.DataFrame([
        {"y": y, "a": a, "role": role, "images": len(ids), "contexts_missing": world.missing.get((y, a), 0),
         "test": held, "most_minority": max(most, 0), "most_ratio": max(most, 0) / train if train > 0 else None}
        for role, groups in (("minority", small), ("majority", large)) for (y, a), ids in groups.items()
    ])  # fmt: skip


def _require_fitting(kind: str, mode: str, option: str | None, distance: float | None, *counts: Any) -> None:
    """Refuses what the kind of scheme or the mode cannot heed."""
    minority, ratio, test, near = counts
    words = {"option": option, "distance": distance} if kind == "subpopulation" else \
            {"minority": minority, "ratio": ratio, "test": test}  # fmt: skip
    for word, given in words.items():
        if given is not None:
            raise BadInputError(f"'{word}' is for {'domains' if kind == 'subpopulation' else 'subpopulation'}; "
                                f"the scheme is of kind {kind}")  # fmt: skip
    if option is not None and distance is not None:
        raise BadInputError("name an option or a distance, not both")
    if minority is not None and ratio is not None:
        raise BadInputError("name minority, a number of images, or ratio, their share, not both")
    if ratio is not None and not 0 <= ratio < 1:
        raise BadInputError(
            f"ratio is the share of minority images in training, from 0 to below 1, not {ratio:g}"
        )
    if mode == "parity" and (near is not None or distance is not None or ratio is not None):
        raise BadInputError(
            "near_duplicates, distance and ratio are for mode 'shiftlab'; parity draws what was released"
        )


class _World:
    """The images of the subsets that a scheme names."""

    def __init__(self, store: Store, dataset: str, scheme: Mapping[str, Any]) -> None:
        self.store, self.dataset = store, dataset
        with store.read() as con:
            self.members = con.sql(queries.sql("curate_named_members"), params={"dataset": dataset}).pl()
        self.known = dict(self.members.group_by("name").agg("item").iter_rows())
        self.missing: dict[tuple[str, str], int] = {}
        self._distances: dict[frozenset[str], float] | None = None
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

    def distance(self, left: str, right: str) -> float | None:
        """Spectral distance of two subsets in the meta-graph of their class; None where there is none."""
        if self._distances is None:
            with self.store.read() as con:
                rows = con.execute(queries.sql("curate_distances"), {"dataset": self.dataset}).fetchall()
            self._distances = {frozenset(row[:2]): row[2] for row in rows}
        return 0.0 if left == right else self._distances.get(frozenset((left, right)))

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
        drawn = pl.col("item").is_in(list(self.ambiguous))
        rest = (
            pool.filter(~pl.col("item_id").is_in(used))
            .join(self.members.select("item_id", "item").unique(), on="item_id")
            .select("item_id", part=pl.lit(None, pl.String),
                    reason=pl.when(drawn).then(pl.lit("ambiguous: shows both classes")).otherwise(pl.lit("not drawn")))
        )  # fmt: skip
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
        """Every built subset is a parent: the recipe holds the hash of its members."""
        rows = self.members.group_by("subset_id", "name", "class", maintain_order=True).len()
        return tuple(
            SubsetRef(i, self.dataset, name, subject, n)
            for i, name, subject, n in rows.sort("name").iter_rows()
        )


def _domains(
    world: _World, scheme: Mapping[str, Any], mode: str, option: str | None, near: _Near
) -> tuple[dict[str, Groups], list[dict[str, Any]]]:
    options = scheme.get("train_options", {})
    option = option or next(iter(options), None)
    if option is not None and option not in options:
        raise BadInputError(
            f"the scheme has no training option '{option}'; it has {', '.join(options) or 'none'}"
        )
    listed = [*scheme["train"], *options.get(option, [])]
    test = world.groups(scheme["test"])
    in_test = set().union(*test.values())
    named = world.groups(listed)
    train = {key: held - in_test for key, held in named.items()}
    in_train = set().union(*train.values())
    every = world.groups(scheme.get("additional", []))
    additional = {key: held - in_train for key, held in every.items()}
    repeats: dict[tuple[str, str], int] = {}
    if mode == "shiftlab":
        train, test = _one_group_each(train), _one_group_each(test)
        additional = _one_group_each({key: held - in_test for key, held in additional.items()})
        train, repeats = near.apart(train, [test, additional])
    parts = {"train": train, "test": test, "additional": additional}
    report = []
    for part, groups in parts.items():
        for key, held in groups.items():
            # Train: images of the test groups too. Additional: what the generator's last call would leak, which
            # exports these groups again, training images included.
            elsewhere = {"train": (named, in_test), "additional": (every, in_train)}.get(part)
            leak = len(elsewhere[0][key] & elsewhere[1]) if elsewhere else 0
            line = _line(world, part, key, len(held), len(held), leak)
            apart = _distance(
                world, [one for one in listed if one["y"] == key[0] and one["a"] == key[1]], scheme["test"]
            )
            report.append(line | {"near_duplicates": repeats.get(key, 0) if part == "train" else 0,
                                  "distance": apart if part == "train" else None})  # fmt: skip
            if not held:
                raise BadInputError(f"{part} {' '.join(key)} has no image left once other parts have theirs")
    return parts, report


def _option_row(world: _World, scheme: Mapping[str, Any], option: str) -> dict[str, Any]:
    listed = [*scheme["train"], *scheme.get("train_options", {}).get(option, [])]
    in_test = set().union(*world.groups(scheme["test"]).values())
    in_train = set().union(*world.groups(listed).values()) - in_test
    varied = scheme.get("train_options", {}).get(option, listed)
    missing = sum(world.missing.get((one["y"], one["a"]), 0) for one in [*listed, *scheme["test"]])
    return {"option": option, "distance": _distance(world, varied, scheme["test"]), "train": len(in_train),
            "test": len(in_test), "contexts_missing": missing}  # fmt: skip


def _nearest_option(world: _World, scheme: Mapping[str, Any], distance: float) -> str:
    options = scheme.get("train_options", {})
    known = {name: _distance(world, groups, scheme["test"]) for name, groups in options.items()}
    there = {name: one for name, one in known.items() if one is not None}
    if not there:
        raise BadInputError("the scheme's training options have no distance from its test group to choose by")
    return min(there, key=lambda name: (abs(there[name] - distance), name))


def _distance(
    world: _World, train: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]]
) -> float | None:
    """Mean spectral distance of training from test subsets of the same class; None where none is known."""
    pairs = [
        (f"{a['y']}({c})", f"{b['y']}({d})")
        for a in train for b in test if a["y"] == b["y"] for c in a["contexts"] for d in b["contexts"]
    ]  # fmt: skip
    found = [world.distance(*pair) for pair in pairs]
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if known else None


def _one_group_each(groups: Groups) -> Groups:
    """Each image goes to the smallest of its groups, so that none is emptied; ties by name."""
    order = sorted(groups, key=lambda key: (len(groups[key]), key))
    taken: set[str] = set()
    found: Groups = {}
    for key in order:
        found[key] = groups[key] - taken
        taken |= groups[key]
    return {key: found[key] for key in groups}


@dataclass(frozen=True)
class _Sizes:
    """How many images are taken: of each minority and majority group, for testing, of the minority in training."""

    minority: int
    majority: int
    test: int
    mixed: int


def _own_images(world: _World, scheme: Mapping[str, Any], mode: str) -> tuple[Groups, Groups]:
    """Images of the minority and of the majority groups; the minority goes first, ambiguous images are left out."""
    small = world.groups(scheme["minority"])
    in_small = set().union(*small.values())
    large = {key: held - in_small for key, held in world.groups(scheme["majority"]).items()}
    return (small, large) if mode == "parity" else (_one_group_each(small), _one_group_each(large))


def _sizes(
    world: _World, scheme: Mapping[str, Any], mode: str, minority: int | None, ratio: float | None, test: int | None
) -> _Sizes:  # fmt: skip
    small, large = _own_images(world, scheme, mode)
    published = scheme.get("parity", {})
    held = test if test is not None else published.get("test", 144)
    fewest = [min(len(one) for one in groups.values()) for groups in (small, large)]
    sizes = [published.get("minority", 0), published.get("majority", 0)] if mode == "parity" else fewest
    mixed = minority if minority is not None else 50
    if ratio is not None:
        mixed = round(ratio * (sizes[1] - held))
    short = any(have < want for have, want in zip(fewest, sizes, strict=True))
    if short or not 0 < held < sizes[0] or not 0 <= mixed <= sizes[0] - held or mixed > sizes[1] - held:
        counts = ", ".join(f"{' '.join(key)} {len(ids):,}" for key, ids in (small | large).items())
        raise BadInputError(
            f"the split asks for {sizes[0]:,} images of each minority group, {sizes[1]:,} of each majority group, "
            f"{held:,} of each for testing and {mixed:,} minority images for training; there are {counts}: "
            "'shiftlab subsets split ... --feasible' tells what can be asked for"
        )
    return _Sizes(sizes[0], sizes[1], held, mixed)


def _subpopulation(
    world: _World, scheme: Mapping[str, Any], mode: str, sizes: _Sizes, seed: int, near: _Near
) -> tuple[dict[str, Groups], list[dict[str, Any]]]:
    small, large = _own_images(world, scheme, mode)
    drawn_from = scheme.get("parity", {}).get("seed", 42) if mode == "parity" else seed
    test: Groups = {}
    rest: dict[tuple[str, str], list[str]] = {}
    for size, groups in ((sizes.minority, small), (sizes.majority, large)):
        for key, ids in groups.items():
            chosen = parity_order(list(ids), drawn_from, size)
            tested, trained = parity_cut(len(chosen), sizes.test, drawn_from)
            test[key], rest[key] = {chosen[k] for k in tested}, [chosen[k] for k in trained]
    clean, repeats = near.apart({key: set(ids) for key, ids in rest.items()}, [test])
    order = {key: [one for one in ids if one in clean[key]] for key, ids in rest.items()}
    train: Groups = {}
    # Repeats of test images may leave groups uneven: all are cut to what the poorest has.
    rarest = min(len(order[key]) for key in small)
    if rarest < sizes.mixed:
        raise BadInputError(
            f"{sizes.mixed:,} minority images for training are too many once those like a test image are out: "
            f"{rarest:,} are left"
        )
    for key in small:
        train[key] = set(order[key][: sizes.mixed])
    most = min(len(order[key]) for key in large)
    for key in large:
        train[key] = set(order[key][sizes.mixed : most])
    named = world.groups([*scheme["minority"], *scheme["majority"]])
    report = []
    for key in (*small, *large):
        others = set().union(*(held for other, held in named.items() if other != key))
        for name, used in (("train", train[key]), ("test", test[key])):
            line = _line(world, name, key, len((small | large)[key]), len(used), len(named[key] & others))
            report.append(line | {"near_duplicates": repeats.get(key, 0) if name == "train" else 0})
    return {"train": train, "test": test}, report


class _Near:
    """Images that nearly repeat each other, by the distance of their vectors; without a distance nothing does."""

    def __init__(self, world: _World, most: float | None, space: str | None) -> None:
        self.world, self.most, self.space = world, most, space

    def apart(self, train: Groups, tests: Sequence[Groups]) -> tuple[Groups, dict[tuple[str, str], int]]:
        """Training groups without images linked by near-duplicates to a test image, and how many these were."""
        if self.most is None:
            return train, {}
        import polars as pl

        tested = set().union(*(held for groups in tests for held in groups.values()))
        every = sorted(set().union(*train.values()) | tested)
        ids = dict(self.world.members.select("item", "item_id").unique().iter_rows())
        pool = pl.DataFrame({"item_id": [ids[one] for one in every], "item": every}).sort("item_id")
        group = joined(
            self.world.store, self.world.dataset, pool, np.arange(len(pool)), self.most, self.space, "base"
        )
        of = dict(zip(pool["item"], group.tolist(), strict=True))
        with_test = {of[one] for one in tested}
        clean = {key: {one for one in held if of[one] not in with_test} for key, held in train.items()}
        return clean, {key: len(train[key]) - len(clean[key]) for key in train}


def _line(world: _World, part: str, key: tuple[str, str], there: int, used: int, leak: int) -> dict[str, Any]:
    return {"split": part, "y": key[0], "a": key[1], "available": there, "used": used,
            "contexts_missing": world.missing.get(key, 0), "would_leak": leak}  # fmt: skip
