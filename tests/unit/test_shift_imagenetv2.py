"""Published numbers: accuracy falls from ImageNet to ImageNetV2, and what prediction histograms know about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from shiftlab import measures, shift

COUNTS = Path(__file__).parents[1] / "data" / "imagenetv2" / "class_counts.parquet"
TESTS = ["matched_frequency", "threshold0.7", "top_images"]


@pytest.fixture(scope="module")
def counts() -> pl.DataFrame:
    return pl.read_parquet(COUNTS).cast({"test_set": pl.String, "model": pl.String})


def accuracy(counts: pl.DataFrame) -> dict[tuple[str, str], float]:
    table = counts.group_by("test_set", "model").agg(pl.col("correct").sum() / pl.col("n").sum())
    return {(test, model): value for test, model, value in table.iter_rows()}


def histogram(counts: pl.DataFrame, test: str, model: str) -> np.ndarray:
    return counts.filter(test_set=test, model=model).sort("label")["predicted"].to_numpy()


def test_resnet50_falls_as_published(counts: pl.DataFrame) -> None:
    found = accuracy(counts)
    assert found["val", "resnet50"] == pytest.approx(0.7613, abs=5e-5)
    assert found["matched_frequency", "resnet50"] == pytest.approx(0.6333, abs=5e-5)


@pytest.mark.parametrize(("test", "expected"), list(zip(TESTS, [0.864, 0.864, -0.555], strict=True)))
def test_prediction_histograms_rank_accuracy_drops_but_not_on_every_test_set(
    counts: pl.DataFrame, test: str, expected: float
) -> None:
    """On the test set of easy images accuracy rises, and the models that move most gain most: the sign turns."""
    found = accuracy(counts)
    models = sorted({model for _, model in found})
    moved = [
        measures.jensen_shannon(histogram(counts, "val", model), histogram(counts, test, model))
        for model in models
    ]
    fallen = [found["val", model] - found[test, model] for model in models]
    assert spearmanr(moved, fallen).statistic == pytest.approx(expected, abs=2e-3)


def test_histograms_of_balanced_test_sets_are_nearer_than_chance(counts: pl.DataFrame) -> None:
    """A JS of .007 looks like a shift; the null says that random images would differ more: classes are balanced."""
    from scipy.sparse import csr_array

    sides = []
    for test in ("matched_frequency", "top_images"):
        label = np.repeat(np.arange(1000), histogram(counts, test, "resnet50"))
        sides.append(csr_array((np.ones(10_000), (np.arange(10_000), label)), shape=(10_000, 1000)))
    score = shift.compare(*sides, "jensen_shannon", permutations=99, confidence=0)
    assert score.value > 0.005
    assert score.value < score.null_mean
    assert score.p > 0.5
