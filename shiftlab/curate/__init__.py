"""Curation: operations that make new subsets, each with weights, a reason for every item, and a recipe.

An operation plans (`Plan`: nothing is stored), `store_plan` stores it. No operation edits data.
"""

from shiftlab.curate.benchmarks import Split, benchmark_split, feasible, read_scheme
from shiftlab.curate.matching import match_pairs, select_nearest
from shiftlab.curate.mining import mine_subsets
from shiftlab.curate.mixing import mixture
from shiftlab.curate.plan import Made, Plan, store_plan
from shiftlab.curate.selecting import difference, drop_degenerate, flag, intersect, select, union
from shiftlab.curate.splitting import group_split, split_by_distance
from shiftlab.curate.swapping import swap_labels
from shiftlab.curate.weighing import reweight, to_label_prior

OPERATIONS = {
    one.__name__: one
    for one in (
        select, union, intersect, difference, split_by_distance, group_split, match_pairs, to_label_prior,
        reweight, mixture, mine_subsets, flag, drop_degenerate, select_nearest, swap_labels,
    )
}  # fmt: skip

__all__ = [
    "OPERATIONS",
    "Made",
    "Plan",
    "Split",
    "benchmark_split",
    "feasible",
    "read_scheme",
    "store_plan",
    *OPERATIONS,
]
