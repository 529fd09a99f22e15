"""A score: the value of a measure with everything needed to trust it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from shiftlab import notebook


@dataclass(frozen=True)
class Score:
    """One comparison of a left and a right side.

    ``value`` is the measure's plug-in value (None always has a ``note``). ``debiased`` estimates the
    population's value without sampling bias, squared where value is a distance (the power is
    ``params["debiased_power"]``), sign kept. ``null_mean`` and ``null_q95`` describe the value of
    exchangeable sides, ``p`` = (1 + b) / (1 + B). ``ci_low`` and ``ci_high`` bound the population's value, on
    the scale of ``value``, which may lie above them by its sampling bias. ``q`` is set where many scores are
    tested together. ``parts`` holds named components of the value, ``seconds`` the time it took.
    """

    measure: str
    value: float | None
    debiased: float | None
    null_mean: float | None
    null_q95: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    q: float | None
    n_left: int
    n_right: int
    seed: int
    note: str | None
    params: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.value is None and not self.note:
            raise ValueError("a score without a value needs a note that says why")

    def _repr_html_(self) -> str:
        interval = None if self.ci_low is None else f"{self.ci_low:.4g} to {self.ci_high:.4g}"
        rows = {
            "value": self.value, "debiased": self.debiased, "interval": interval, "p": self.p, "q": self.q,
            "by chance (mean)": self.null_mean, "by chance (95 % below)": self.null_q95,
            "n": f"{self.n_left:,} and {self.n_right:,}", "seed": self.seed, "seconds": self.seconds,
        }  # fmt: skip
        return notebook.facts(self.measure, rows, self.note)

    def as_dict(self) -> dict[str, Any]:
        """The score as a plain dictionary, for a table row."""
        return asdict(self)
