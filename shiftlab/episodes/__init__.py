"""Demonstration quality for imitation learning: scores with doubt, confounds beside them, curation from them.

    frame = sl.episodes.score(states, actions, episode)     # one row per episode and metric
    sl.episodes.confounds(frame)                            # what length, pauses and sparsity explain
    sl.episodes.keep_curve(frame, label)                    # next to "keep the shortest" and "random"

There is no single grade: the metrics measure different things and none promises a better policy.
"""

from __future__ import annotations

from shiftlab.episodes.confounds import confounds, keep_curve
from shiftlab.episodes.consistency import PublishedConsistency, published_consistency
from shiftlab.episodes.groups import compare_groups, dataset_scores
from shiftlab.episodes.information import deminf
from shiftlab.episodes.metrics import CONTRACT, METRICS, Metric
from shiftlab.episodes.scores import Assessment, Settings, assess, score

__all__ = [
    "CONTRACT",
    "METRICS",
    "Assessment",
    "Metric",
    "PublishedConsistency",
    "Settings",
    "assess",
    "compare_groups",
    "confounds",
    "dataset_scores",
    "deminf",
    "keep_curve",
    "published_consistency",
    "score",
]
