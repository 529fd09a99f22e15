"""The meta-graph of one class: distances, communities and a drawing of its subsets.

Nodes are the kept subsets of a class, edges the overlap coefficients that reach the threshold
(Liang & Zou, MetaShift, ICLR 2022). Everything here is a function of the weight matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

DIM = 5
COMMUNITY_ALGORITHM = "greedy modularity (Clauset, Newman, Moore)"
_SAME_EIGENVALUE = 1e-9


@dataclass(frozen=True)
class Distances:
    """Distances of all pairs i < j of one meta-graph, in the order of ``np.triu_indices(n, 1)``.

    spectral: (m,) float64, Euclidean distance in the spectral layout, NaN where the layout does not exist.
    spectral_valid: whether the layout is determined by the graph.
    resistance: (m,) float64, effective resistance, NaN across components.
    note: why the spectral distance is missing or not to be trusted; empty if it is fine.
    """

    spectral: np.ndarray
    spectral_valid: bool
    resistance: np.ndarray
    note: str


def distances(weights: np.ndarray, dim: int = DIM) -> Distances:
    """Spectral and resistance distances from the (n, n) symmetric weights, zero where there is no edge.

    Spectral (MetaShift's, after networkx ``spectral_layout``): eigenvectors 1..dim of the unnormalised
    Laplacian D - W, centred, scaled by one global scalar; distances are comparable within one graph only.
    Resistance: R(i, j) = L+_ii + L+_jj - 2 L+_ij, additive along paths, 0 for i = j.
    """
    n = len(weights)
    rows, columns = np.triu_indices(n, 1)
    values, vectors = np.linalg.eigh(np.diag(weights.sum(1)) - weights)
    parts = components(weights)
    spectral, note = _spectral(values, vectors, parts, dim)
    positive = values > _SAME_EIGENVALUE * max(values[-1], 1.0)
    root = vectors[:, positive] / np.sqrt(values[positive])
    squared = np.square(root).sum(1)
    resistance = squared[rows] + squared[columns] - 2 * (root @ root.T)[rows, columns]
    resistance[parts[rows] != parts[columns]] = np.nan
    return Distances(spectral[rows, columns], not note, resistance, note)


def _spectral(values: np.ndarray, vectors: np.ndarray, parts: np.ndarray, dim: int) -> tuple[np.ndarray, str]:
    """(n, n) distances in the spectral layout, and what is wrong with them."""
    n = len(values)
    if n == 1:
        return np.zeros((1, 1)), ""
    if n == 2:
        return np.zeros((2, 2)), "two subsets: the layout puts both on one point"
    if n <= dim:
        return np.full((n, n), np.nan), f"{n} subsets are too few for a layout of {dim} dimensions"
    layout = vectors[:, 1 : dim + 1] - vectors[:, 1 : dim + 1].mean(0)
    layout /= np.abs(layout).max()
    squared = np.square(layout[:, None] - layout[None]).sum(2)
    return np.sqrt(squared), _pathology(values, parts, dim)


def _pathology(values: np.ndarray, parts: np.ndarray, dim: int) -> str:
    if parts.max() > 0:
        return f"the graph has {parts.max() + 1} components: the layout is arbitrary"
    if len(values) == dim + 1:
        return f"{dim + 1} subsets fill {dim} dimensions: every distance is one constant"
    if values[dim + 1] - values[dim] <= _SAME_EIGENVALUE * values[-1]:
        return f"eigenvalues {dim} and {dim + 1} are equal: the layout is arbitrary"
    return ""


def components(weights: np.ndarray) -> np.ndarray:
    """(n,) number of the connected component of each node, 0 for the component of the first node."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return connected_components(csr_array(weights > 0), directed=False)[1]


def communities(weights: np.ndarray, *, weighted: bool) -> np.ndarray:
    """(n,) community of each node by greedy modularity, 0 the largest, ties by first node; deterministic."""
    import networkx as nx

    if not weights.any():
        return np.arange(len(weights))
    found = nx.community.greedy_modularity_communities(_graph(weights), weight="weight" if weighted else None)
    label = np.empty(len(weights), dtype=np.int64)
    for number, nodes in enumerate(sorted(found, key=lambda c: (-len(c), min(c)))):
        label[list(nodes)] = number
    return label


def positions(weights: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) drawing of the graph in [-1, 1]^2 by a seeded spring layout."""
    import networkx as nx

    placed = nx.spring_layout(_graph(weights), seed=seed, weight="weight")
    return np.array([placed[i] for i in range(len(weights))])


def _graph(weights: np.ndarray) -> Any:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(len(weights)))
    rows, columns = np.nonzero(np.triu(weights, 1))
    graph.add_weighted_edges_from(
        zip(rows.tolist(), columns.tolist(), weights[rows, columns].tolist(), strict=True)
    )
    return graph
