"""All episode scores at 10k, 30k and 100k steps x 39 dims, and the neighbour part against scikit-learn.

    python -m tests.benchmarks.episodes_scores [n_steps ...]

CPU seconds of this process (user + system) and the peak resident memory so far. `demonstrations` are smooth
trajectories of 12 hidden factors plus drift, `noise` is white: the worst case, where nothing can be pruned.
Both sides of the comparison look for 16 neighbours; ours leaves the own episode out.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import numpy as np

import shiftlab as sl
from shiftlab.episodes.neighbours import build_blocks, nearest_of_other_groups

LENGTH, DIMS, ACTIONS, NEIGHBOURS = 250, 39, 28, 16


def demonstrations(n_steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    episodes = n_steps // LENGTH
    time_line = np.linspace(0, 1, LENGTH)
    mixing = rng.normal(size=(12, DIMS))
    base = np.stack([np.sin((j + 1) * time_line * 2 + j) for j in range(12)], axis=1)
    states = np.concatenate(
        [
            (base * (1 + 0.2 * rng.normal(size=12)) + 0.3 * rng.normal(size=12)) @ mixing
            + 0.05 * np.cumsum(rng.normal(size=(LENGTH, DIMS)), axis=0)
            for _ in range(episodes)
        ]
    )
    actions = np.tanh(states @ rng.normal(size=(DIMS, ACTIONS)) / 6) + 0.3 * rng.normal(
        size=(len(states), ACTIONS)
    )
    return states, actions, np.repeat(np.arange(episodes), LENGTH)


def noise(n_steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n_steps, DIMS))
    actions = states[:, :ACTIONS] + rng.normal(size=(n_steps, ACTIONS))
    return states, actions, np.arange(n_steps) // LENGTH


def _cpu(work: Any, *arguments: Any, **options: Any) -> float:
    started = time.process_time()
    work(*arguments, **options)
    return time.process_time() - started


def _neighbours(z: np.ndarray, episode: np.ndarray) -> None:
    nearest_of_other_groups(build_blocks(z), episode, NEIGHBOURS)


def _peer(z: np.ndarray) -> None:
    from sklearn.neighbors import NearestNeighbors

    NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(z).kneighbors(z)


def run(sizes: tuple[int, ...] = (10_000, 30_000, 100_000)) -> list[dict[str, Any]]:
    rows = []
    for name, make in (("demonstrations", demonstrations), ("noise", noise)):
        for size in sizes:
            states, actions, episode = make(size)
            scored = _cpu(sl.episodes.score, states, actions, episode)
            z = (states - states.mean(axis=0)) / states.std(axis=0)
            ours, peer = _cpu(_neighbours, z, episode), _cpu(_peer, z)
            rows.append(
                {
                    "data": name,
                    "steps": len(states),
                    "all_scores_cpu_s": scored,
                    "neighbours_cpu_s": ours,
                    "sklearn_brute_cpu_s": peer,
                    "ratio": peer / ours,
                    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
                }
            )
            print({k: round(v, 2) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    return rows


if __name__ == "__main__":
    run(tuple(int(word) for word in sys.argv[1:]) or (10_000, 30_000, 100_000))
