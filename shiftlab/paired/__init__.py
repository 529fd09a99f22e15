"""Two states of the same things: stages of a space, labels, predictions, signals, checkpoints, lists of effects."""

from shiftlab.paired.boundary import compare_labellings
from shiftlab.paired.checkpoints import (
    block_sensitivity,
    compare_checkpoints,
    ingest_checkpoint,
    task_similarity,
)
from shiftlab.paired.effects import compare_effects
from shiftlab.paired.ingest import Ingested, ingest_labels, ingest_predictions
from shiftlab.paired.predictions import compare_predictions
from shiftlab.paired.right import forgetting, precision_under_prior
from shiftlab.paired.signals import compare_signals
from shiftlab.paired.stages import compare_stages

__all__ = [
    "Ingested",
    "block_sensitivity",
    "compare_checkpoints",
    "compare_effects",
    "compare_labellings",
    "compare_predictions",
    "compare_signals",
    "compare_stages",
    "forgetting",
    "ingest_checkpoint",
    "ingest_labels",
    "ingest_predictions",
    "precision_under_prior",
    "task_similarity",
]
