"""Pictures of items on pages: a grid that is chosen from by mouse and keyboard, and one picture large."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

import gateway
import widgets
from shiftlab import pictures

_HERE = Path(__file__).parent
_LARGE = 224
_grid = st.components.v2.component(
    "shiftlab_thumbnails",
    html='<div id="grid" role="group"></div>',
    css=(_HERE / "thumbnails.css").read_text(encoding="utf-8"),
    js=(_HERE / "thumbnails.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Tile:
    """One tile: the items it shows (one, or two side by side), what is written below it, and its text alternative.

    `name` is what a click chooses.
    """

    item_ids: Sequence[int]
    name: str
    label: str
    alt: str


def tiles(frame: pl.DataFrame) -> list[Tile]:
    """A tile for each row of `frame`: item_id, item, and what it shows in objects and attributes, if they are there."""
    told = [name for name in ("objects", "attributes") if name in frame.columns]
    return [_tile(one, [one[name] for name in told if one[name]]) for one in frame.iter_rows(named=True)]


def _tile(one: dict[str, Any], told: Sequence[str]) -> Tile:
    alt = f"Item {one['item']}" + (f": {', '.join(told)}" if told else "")
    return Tile([one["item_id"]], one["item"], one["item"], alt)


def there(dataset: str) -> bool:
    """Whether items of the data set have pictures."""
    return not gateway.rows("page_picture_files", dataset=dataset).is_empty()


def grid(
    dataset: str,
    tiles: Sequence[Tile],
    *,
    key: str,
    label: str,
    on_choose: Callable[[str], None],
    chosen: str = "",
    size: int = 96,
) -> None:
    """The tiles in rows; `on_choose` is called with the name of the one that is chosen, before the page runs again."""
    key = key.replace("_", "-")  # Streamlit takes two underscores for the end of a component's name
    wanted = tuple(sorted({one for tile in tiles for one in tile.item_ids}))
    sources = _sources(gateway.current().stamp, dataset, wanted)
    items = [
        {"id": one.name, "label": one.label, "alt": one.alt,
         "pictures": [sources[item_id] for item_id in one.item_ids if item_id in sources]}
        for one in tiles
    ]  # fmt: skip

    def changed() -> None:
        if name := st.session_state[key].get("chosen"):
            on_choose(str(name))

    _grid(
        key=key, data={"items": items, "chosen": [chosen] if chosen else [], "size": size, "label": label},
        on_chosen_change=changed,
    )  # fmt: skip


def strip(dataset: str, subset_id: int, name: str, *, most: int, key: str) -> None:
    """A few items of a subset, the same at each visit; a click goes to the item."""
    some = gateway.rows("page_sample_items", subset_id=subset_id, limit=most)
    target = f"{key}_to"

    def chosen(item: str) -> None:
        st.session_state[target] = item

    grid(dataset, tiles(some), key=key, label=f"Some items of {name}", on_choose=chosen, size=64)
    if item := st.session_state.pop(target, None):
        st.switch_page(widgets.ITEMS, query_params={"dataset": dataset, "item": item})


def large(dataset: str, item_id: int, alt: str) -> None:
    """The picture of one item, if it has one; a tiny one is enlarged pixel by pixel."""
    from PIL import Image

    found = _loaded(dataset, (item_id,))
    if item_id not in found:
        return
    picture: Image.Image = Image.open(BytesIO(found[item_id][1]))
    times = _LARGE // max(picture.size)
    if times >= 2:
        picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    st.image(picture, alt=alt)


@st.cache_data(max_entries=30, show_spinner=False)
def _sources(stamp: tuple[str, int, int], dataset: str, item_ids: tuple[int, ...]) -> dict[int, str]:
    """The pictures as data: addresses, which a browser shows without asking anyone."""
    return {
        item_id: f"data:{kind};base64,{base64.b64encode(content).decode()}"
        for item_id, (kind, content) in _loaded(dataset, item_ids).items()
    }


def _loaded(dataset: str, item_ids: tuple[int, ...]) -> dict[int, tuple[str, bytes]]:
    files = list(gateway.rows("page_picture_files", dataset=dataset).iter_rows())
    return pictures.load(gateway.current().store, files, item_ids) if files else {}
