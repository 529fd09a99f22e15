"""The subset catalog, after MetaShift: annotations become thousands of named subsets such as cat(sofa)."""

from shiftlab.subsets.build import Built, Parameters, build_subsets
from shiftlab.subsets.ingest import Ingested, ingest_images
from shiftlab.subsets.look import (
    Subset,
    graph,
    list_items,
    list_subsets,
    load,
    members,
    neighbours,
    places,
    read_names,
)
from shiftlab.subsets.metagraph import Distances, communities, distances

__all__ = [
    "Built",
    "Distances",
    "Ingested",
    "Parameters",
    "Subset",
    "build_subsets",
    "communities",
    "distances",
    "graph",
    "ingest_images",
    "list_items",
    "list_subsets",
    "load",
    "members",
    "neighbours",
    "places",
    "read_names",
]
