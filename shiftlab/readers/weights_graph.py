"""Depth of convolutions in a model graph: the longest path from an input, as ranks.

Source: the extraction rules of CNN Filter DB (Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Collection, Hashable, Sequence


def node_levels(
    inputs: Sequence[Collection[Hashable]],
    outputs: Sequence[Collection[Hashable]],
    graph_inputs: Collection[Hashable],
) -> list[int | None]:
    """Level of each node: the length of its longest path from a graph input.

    `inputs[k]` and `outputs[k]` name the tensors of node k. Level 0 is a node fed by a graph input only; a
    node that no graph input reaches (constants), or one on a cycle, gets None.
    """
    readers: dict[Hashable, list[int]] = defaultdict(list)
    produced = {tensor for names in outputs for tensor in names}
    waiting = [0] * len(inputs)
    for node, names in enumerate(inputs):
        for tensor in set(names):
            if tensor in produced:
                readers[tensor].append(node)
                waiting[node] += 1
    starts = set(graph_inputs)
    levels: list[int | None] = [0 if starts.intersection(names) else None for names in inputs]
    ready = deque(node for node, count in enumerate(waiting) if count == 0)
    done = [False] * len(inputs)
    while ready:
        node = ready.popleft()
        done[node] = True
        level = levels[node]
        for tensor in outputs[node]:
            for reader in readers[tensor]:
                if level is not None:
                    levels[reader] = max(levels[reader] or 0, level + 1)
                waiting[reader] -= 1
                if waiting[reader] == 0:
                    ready.append(reader)
    return [level if finished else None for level, finished in zip(levels, done, strict=True)]


def ranks(levels: Sequence[int | None], counted: Sequence[bool]) -> list[int | None]:
    """Conv depth of each level: the number of counted levels below it; parallel convolutions share one.

    CNN Filter DB counts the levels of ordinary convolutions only, so transposed ones are not `counted`.
    """
    pairs = zip(levels, counted, strict=True)
    order = sorted({level for level, counts in pairs if counts and level is not None})
    return [None if level is None else bisect_left(order, level) for level in levels]
