"""Two states of the same things: stages of a vector space, predictions of a model, checkpoints of a network."""

from shiftlab.paired.checkpoints import compare_checkpoints
from shiftlab.paired.ingest import Ingested, ingest_labels, ingest_predictions
from shiftlab.paired.predictions import compare_predictions
from shiftlab.paired.stages import compare_stages

__all__ = [
    "Ingested",
    "compare_checkpoints",
    "compare_predictions",
    "compare_stages",
    "ingest_labels",
    "ingest_predictions",
]
