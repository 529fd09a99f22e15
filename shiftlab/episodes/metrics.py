"""The names of the episode metrics, their units, and which end of each is the bad one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """``worse`` is "high", "low", or None where neither end is bad by itself; ``conditional`` metrics need
    neighbours from other episodes and are unsure where most steps are sparse."""

    name: str
    unit: str
    worse: str | None
    conditional: bool
    zero: str
    source: str


_PAPER = "Belkhale, Cui, Sadigh: Data Quality in Imitation Learning, NeurIPS 2023"
_DEMINF = "Hejna et al.: DemInf, RSS 2025"
_KSG = "Kraskov, Stoegbauer, Grassberger: Phys. Rev. E 69, 066138 (2004)"
_OURS = "ShiftLab"

METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("action_variance", "variance", "high", False, "equal actions, or isolated states", _PAPER),
        Metric("state_similarity", "share", None, False, "no step has another in its ball", _PAPER),
        Metric("horizon", "steps", "high", False, "an empty episode", _PAPER),
        Metric("action_variance_loo", "variance", "high", True, "acts as the other episodes do", _OURS),
        Metric(
            "action_variance_linear", "variance", "high", True, "a local-linear policy explains it", _OURS
        ),
        Metric("action_variance_loo_absolute", "variance", "high", True, "targets equal the others'", _OURS),
        Metric("transition_diversity", "variance", None, True, "a deterministic system", _OURS),
        Metric("state_coverage", "share", None, False, "sees none of the dataset's states", _OURS),
        Metric("mutual_information", "nats", "low", False, "actions do not depend on states", _KSG),
        Metric("deminf_pca", "sd of steps", "low", False, "the average step", _DEMINF),
        Metric("multimodality", "share", "high", True, "one strategy everywhere", _OURS),
        Metric("idle_fraction", "share", "high", False, "never pauses", _OURS),
        Metric(
            "smoothness", "log ratio", "low", False, "(not a special value)", "Balasubramanian et al. 2015"
        ),
        Metric(
            "neighbour_distance", "sd per dimension", None, False, "others were in the same states", _OURS
        ),
        Metric("sparse_fraction", "share", None, False, "others vouch for every state", _OURS),
    )
}

CONTRACT = (
    "action_variance",
    "state_similarity",
    "horizon",
    "action_variance_loo",
    "transition_diversity",
    "state_coverage",
    "mutual_information",
    "multimodality",
    "idle_fraction",
    "smoothness",
)
