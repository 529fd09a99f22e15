"""Names that others rely on: columns, attributes and metrics of filters and episodes, as the design promises them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

import shiftlab as sl
from shiftlab.episodes.worlds import Operator, as_table, point_mass

METRICS = {
    "action_variance", "state_similarity", "horizon", "action_variance_loo", "transition_diversity", "state_coverage",
    "mutual_information", "multimodality", "idle_fraction", "smoothness",
}  # fmt: skip


def test_quality_of_a_layer() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3))
    found = sl.filters.layer_quality(weight)
    promised = {
        "n", "sparsity", "variance_entropy", "threshold", "variance_entropy_ratio", "orthogonality", "reason",
    }  # fmt: skip
    assert promised <= {field.name for field in fields(found)}
    assert found.variance_entropy_ratio == pytest.approx(found.variance_entropy / found.threshold)
    with pytest.raises(FrozenInstanceError):
        found.n = 1  # type: ignore[misc]


@pytest.mark.parametrize("mode", ["published", "fixed", "uniform"])
def test_drift_of_two_groups(mode: str) -> None:
    p, q = (np.random.default_rng(seed).standard_normal((3000, 3, 3)) for seed in (0, 1))
    found = sl.filters.drift(p, q, mode=mode, resamples=40)  # type: ignore[arg-type]
    promised = {"value", "corrected", "null_low", "null_high", "distinguishable", "components"}
    assert promised <= {field.name for field in fields(found)}
    assert len(found.components) == 9
    assert found.null_low <= found.null_high
    assert found.distinguishable is False  # two draws of one distribution
    with pytest.raises(FrozenInstanceError):
        found.value = 0.0  # type: ignore[misc]


def test_scores_of_arrays_and_of_the_catalog(catalog: sl.Catalog, tmp_path) -> None:
    world = point_mass(6, Operator(system=0.01))
    steps = (world.states.astype("f4"), world.actions.astype("f4"))  # as the catalog keeps them
    frame = sl.episodes.score(*steps, world.episode, replicates=20)
    columns = {"dataset", "episode_index", "metric", "value", "ci_low", "ci_high", "rank_low", "rank_high"}
    assert columns <= set(frame.columns)
    assert set(frame["metric"]) >= METRICS == set(sl.episodes.CONTRACT)
    assert frame.group_by("metric").len()["len"].unique().to_list() == [6]

    as_table({"one": world}).write_parquet(tmp_path / "world.parquet")
    catalog.ingest_episodes(tmp_path / "world.parquet", "world")
    catalog.score_episodes("world", replicates=20)
    stored = catalog.sql("from episode_score").pl()
    assert columns <= set(stored.columns)
    key = ["episode_index", "metric"]
    both = frame.join(stored, on=key, suffix="_stored", nulls_equal=True)
    assert len(both) == len(frame) == len(stored)
    assert both.filter(both["value"].ne_missing(both["value_stored"])).is_empty()
    of_dataset = catalog.sql("from dataset_score").pl()
    assert {"dataset", "metric", "value", "ci_low", "ci_high", "n"} <= set(of_dataset.columns)
    assert set(of_dataset["metric"]) >= METRICS
