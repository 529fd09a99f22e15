"""Do the scores agree with what policies learn? Trains them in the point-mass world and says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shiftlab.episodes.cloning import clone
from shiftlab.episodes.groups import dataset_scores
from shiftlab.episodes.scores import score
from shiftlab.episodes.worlds import Operator, point_mass, success_rate
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

CONDITIONS: dict[str, Operator] = {
    "clean": Operator(),
    "system .01": Operator(system=0.01),
    "system .02": Operator(system=0.02),
    "system .03": Operator(system=0.03),
    "policy .01": Operator(policy=0.01),
    "policy .02": Operator(policy=0.02),
    "policy .03": Operator(policy=0.03),
    "stops": Operator(system=0.01, stops=0.1),
    "two sides": Operator(sides=2),
}


def operators(conditions: Sequence[str] | None = None) -> dict[str, Operator]:
    """The demonstrators of these conditions, or of all; BadInputError lists them for a name that is none."""
    for name in conditions or ():
        if name not in CONDITIONS:
            raise BadInputError(f"no condition is called '{name}'; there are {', '.join(CONDITIONS)}")
    return {name: CONDITIONS[name] for name in conditions or CONDITIONS}


def validate(
    *,
    conditions: Sequence[str] | None = None,
    n_episodes: int = 50,
    test_noise: Sequence[float] = (0.0, 0.01, 0.02, 0.03),
    n_policies: int = 3,
    n_rollouts: int = 100,
    hidden: int = 200,
    training_steps: int = 3000,
    obstacle: bool = True,
    seed: int = 0,
) -> pl.DataFrame:
    """One row per training condition: dataset scores in raw units, and success of cloned policies.

    Known answers: policy noise sigma gives action variance 2 (sigma / 0.04)^2 and no transition diversity;
    system noise sigma gives transition diversity 2 sigma^2 and little action variance. Without an ``obstacle``, the
    negative control, the kind of noise in training does not decide who succeeds. Columns: condition,
    n_episodes, steps, action_variance, action_variance_loo, transition_diversity, state_similarity,
    mutual_information, success_<test noise> (mean over policies), success_sd (between policies).
    """
    import polars as pl

    rows = []
    for name, operator in operators(conditions).items():
        data = point_mass(n_episodes, operator, seed=seed, obstacle=obstacle)
        scores = score(
            data.states,
            data.actions,
            data.episode,
            eps=0.02,
            standardised=False,
            replicates=20,
            seed=seed,
            metrics=[*_SHOWN],
        )
        shown = dict(dataset_scores(scores, replicates=20).select("metric", "value").iter_rows())
        outcome = np.array(
            [
                [
                    success_rate(policy, system=noise, n_rollouts=n_rollouts, seed=turn, obstacle=obstacle)
                    for noise in test_noise
                ]
                for turn in range(n_policies)
                for policy in [
                    clone(data.states, data.actions, hidden=hidden, steps=training_steps, seed=seed + turn)
                ]
            ]
        )
        rows.append(
            {"condition": name, "n_episodes": n_episodes, "steps": len(data.states)}
            | {metric: shown[metric] for metric in _SHOWN}
            | {
                f"success_{noise:g}": float(v)
                for noise, v in zip(test_noise, outcome.mean(axis=0), strict=True)
            }
            | {"success_sd": float(outcome.mean(axis=1).std())}
        )
    return pl.DataFrame(rows, infer_schema_length=None)


_SHOWN = (
    "action_variance",
    "action_variance_loo",
    "transition_diversity",
    "state_similarity",
    "mutual_information",
)
