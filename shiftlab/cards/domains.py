"""What a card tells beyond sizes where its data are demonstrations or networks, computed from the named columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shiftlab.cards.card import Card
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl


def imitation(card: Card, frame: pl.DataFrame | None) -> dict[str, Any]:
    """Episodes, steps, steps of an episode and outcomes as least, median, largest; one row of `frame` is a step."""
    import polars as pl

    asked = card.text["imitation"]
    frame = _with_columns(card, "imitation", frame, [v for k, v in asked.items() if k != "file"])
    each = frame.group_by(asked["episode"]).agg(pl.len().alias("steps"), pl.all().first())
    found = asked | {"episodes": len(each), "steps": len(frame), "steps_each": _span(each["steps"])}
    return found | ({"outcomes": _span(each[asked["outcome"]])} if "outcome" in asked else {})


def filters(card: Card, frame: pl.DataFrame | None) -> dict[str, Any]:
    """Networks, layers, kernels, and the layers by what stands out; one row of `frame` is a layer."""
    asked = card.text["filters"]
    frame = _with_columns(card, "filters", frame, [v for k, v in asked.items() if k != "file"])
    graded = frame[asked["label"]].fill_null("not graded")
    labels = graded.value_counts(name="n").sort("n", asked["label"], descending=[True, False])
    return asked | {
        "models": frame[asked["model"]].n_unique(),
        "layers": len(frame),
        "filters": int(frame[asked["n"]].sum()),
        "labels": dict(labels.iter_rows()),
    }


def _with_columns(card: Card, block: str, frame: pl.DataFrame | None, names: list[str]) -> pl.DataFrame:
    where, file = f"{card.folder / 'card.yaml'}: {block}", card.text[block]["file"]
    if frame is None:
        raise BadInputError(f"{where}: '{file}' is no table")
    if missing := [name for name in names if name not in frame.columns]:
        raise BadInputError(f"{where}: '{file}' has no column '{missing[0]}'")
    return frame


def _span(values: pl.Series) -> list[float | None]:
    """Least, median and largest, to five digits."""
    found = (values.min(), values.median(), values.max())
    return [None if one is None else float(f"{float(one):.5g}") for one in found]  # type: ignore[arg-type]
