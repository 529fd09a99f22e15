"""All pairs of subsets of a class by one measure, and the same by the command line, by SQL and by Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

import gateway
import widgets
from widgets import literal

GRAPH = {
    "overlap": "Overlap coefficient: shared items over those of the smaller subset. 1: one holds the other.",
    "jaccard": "Jaccard index: shared items over the union. 1: the same items.",
    "spectral_distance": "Distance in the spectral layout of the meta-graph. 0: the same place; within one class only.",
    "resistance": "Effective resistance in the meta-graph. 0: the same node; none across components.",
}
SIMILARITIES = ("overlap", "jaccard")
OBJECTS = "objects"


@dataclass(frozen=True)
class Shown:
    """What the matrix shows: all pairs with their `value`, of `measure` over `space` (None for the meta-graph)."""

    dataset: str
    subject: str
    measure: str
    space: str | None
    names: list[str]
    pairs: pl.DataFrame
    where: str = ""

    def filtered(self, where: str, names: Sequence[str]) -> Shown:
        """Only the subsets called `names`, which fit the predicate `where`."""
        both = pl.col("left_name").is_in(names) & pl.col("right_name").is_in(names)
        kept = [one for one in self.names if one in set(names)]
        return replace(self, names=kept, pairs=self.pairs.filter(both), where=where)

    @property
    def title(self) -> str:
        return self.measure.replace("_", " ")

    @property
    def picked(self) -> str:
        """The predicate that picks the subsets shown out of all."""
        return f"dataset = {literal(self.dataset)} and class = {literal(self.subject)} and kept and ({self.where})"

    def command(self) -> list[str]:
        if self.measure in GRAPH:
            return ["subsets", "graph", self.subject, "--dataset", self.dataset]
        command = matrix_command(self.dataset, self.subject, self.measure, self.space)
        if not self.where:
            return command
        at = command.index("--class")
        return [*command[:at], f"--where={self.picked}", *command[at + 2 :]]

    def sql(self) -> str:
        """The statement that gives the rows shown."""
        place = f"dataset = {literal(self.dataset)} and class = {literal(self.subject)}"
        fitting = f"(select name from subsets where {place} and kept and ({self.where}))"
        filtered = f"\n  and left_name in {fitting}\n  and right_name in {fitting}" if self.where else ""
        if self.measure in GRAPH:
            return (
                f"select left_name, right_name, {self.measure}\nfrom subset_distances\nwhere {place}{filtered}\n"
                f"order by {self.measure} desc"
            )
        return (
            "select left_name, right_name, value, p, q, n_left, n_right, note,\n"
            "    arg_max(ci_high - ci_low, score_id) over pair as interval_width\nfrom scores\n"
            f"where dataset = {literal(self.dataset)} and measure = {literal(self.measure)}"
            f" and grp = {literal(self.space or '')}\n"
            f"  and left_name like {literal(self.subject + '(%')}{filtered}\n"
            # a score of all pairs before one of this pair alone, then the newest, as the page shows
            "window pair as (partition by least(left_name, right_name), greatest(left_name, right_name))\n"
            "qualify row_number() over (pair order by params ->> 'design' is not null desc, score_id desc) = 1\n"
            "order by value desc"
        )

    def python(self) -> str:
        """The lines that compute them, below those which open the catalog."""
        if self.measure in GRAPH:
            return f"from shiftlab import subsets\n\nsubsets.graph(cat.store, {self.subject!r}, {self.dataset!r})"
        options = {"where": self.picked} if self.where else {"subject": self.subject}
        options["dataset"] = self.dataset
        if self.space and self.space != OBJECTS:
            options["space"] = self.space
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return f"cat.matrix({self.measure!r}, {given})"


def read(dataset: str, subject: str, measure: str, space: str | None) -> Shown | None:
    """The stored pairs; None where there are none."""
    choice = {"dataset": dataset, "class": subject}
    names = gateway.rows("page_subsets", **choice)["name"].to_list()
    if measure in GRAPH:
        pairs = gateway.rows("page_pairs", **choice).rename({measure: "value"})
    else:
        pairs = gateway.rows("page_scores", **choice, measure=measure, space=space)
        if pairs.is_empty():
            return None
    return Shown(dataset, subject, measure, space, names, pairs)


def matrix_command(dataset: str, subject: str, measure: str, space: str | None) -> list[str]:
    """The command that computes all pairs."""
    command = ["shift", "matrix", "--class", subject, "--measure", measure, "--dataset", dataset]
    return [*command, "--space", space] if space and space != OBJECTS else command


def origin(shown: Shown) -> None:
    """The same result by the command line, by SQL and by Python, and how it was computed."""
    widgets.copy_as(cli=shown.command(), sql=shown.sql(), python=shown.python())
    if shown.measure in GRAPH:
        widgets.computed(None, {"Measure": GRAPH[shown.measure], "Computed by": "`shiftlab subsets build`"})
        return
    runs = shown.pairs["run_id"].unique().sort()
    n = pl.concat([shown.pairs["n_left"], shown.pairs["n_right"]]).to_numpy()
    objects = shown.space == OBJECTS
    facts: dict[str, Any] = {
        "Measure": shown.title,
        "Compared": "co-occurring objects" if objects else f"vectors of the space {shown.space}",
        "Items a side": f"{n.min():,} to {n.max():,}",
        "Runs": ", ".join(map(str, runs)),
    }
    widgets.computed(int(runs[-1]), facts)
