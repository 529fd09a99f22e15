"""Data cards: where bundled data come from, what they are for, and what is wrong with them."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import streamlit as st

import address
import widgets
from shiftlab import cards
from shiftlab.cards.building import stored
from shiftlab.errors import ShiftLabError
from widgets import plain

_KEY = "cards_table"


def main() -> None:
    widgets.heading(
        "Data cards", "Where data come from, what they are for, and what is known to be wrong with them."
    )
    try:
        folder = cards.folder_of()
        found = cards.list_cards(folder)
    except ShiftLabError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return

    def clicked() -> None:
        for row in widgets.selected_rows(_KEY):
            address.write(card=found["id"][row])

    widgets.table(found, key=_KEY, name="data_cards", on_select=clicked, alt="Data cards, one a row")
    name = address.choice("card", found["id"].to_list(), noun="card")
    card = cards.read(folder / name)
    numbers = stored(card.folder)
    with st.container(horizontal=True):
        croissant = card.folder / "croissant.json"
        if croissant.exists():
            st.download_button(
                "Croissant", croissant.read_bytes(), f"{name}.croissant.json", icon=":material/download:",
                help="MLCommons metadata that other tools load the data by.",
            )  # fmt: skip
        st.download_button(
            "Numbers", json.dumps(numbers, indent=1), f"{name}.stats.json", icon=":material/download:",
            help="Sizes, hashes and columns as recomputed from the data.",
        )  # fmt: skip
        _built(numbers)
    _unchanged(card, numbers)
    page = card.folder / "README.md"
    if not page.exists():
        st.info("This card was not built yet.", icon=":material/info:")
        widgets.command(["cards", "build", str(folder)])
        return
    _, _, text = page.read_text(encoding="utf-8").partition("-->")
    with st.container(border=True):
        st.markdown(re.sub(r"^#", "##", text, flags=re.M))  # below the heading of the page


def _built(numbers: dict[str, Any]) -> None:
    """By what the numbers of the card came about, and from which files."""
    if not numbers:
        return
    facts = {"Computed by": "`shiftlab cards build`", "Version of the card": plain(numbers["version"])}
    for one in numbers["files"]:
        facts[plain(one["name"])] = f"{one['bytes']:,} bytes, sha256 `{one['sha256']}`"
    if one := numbers.get("shift"):
        facts["Shift"] = (
            f"{plain(one['measure'])} of {plain(one['what'])} between {plain(one['left'])} and {plain(one['right'])}, "
            f"n = {one['n_left']:,} and {one['n_right']:,}, {one['permutations']} permutations"
        )
    widgets.computed(None, facts)


def _unchanged(card: cards.Card, numbers: dict[str, Any]) -> None:
    """Whether the data are those that the card was built from, by their hashes."""
    changed = [
        one["name"]
        for one in numbers.get("files", [])
        if hashlib.sha256(card.data(one["name"]).read_bytes()).hexdigest() != one["sha256"]
    ]
    if changed:
        st.warning(
            f"Changed since the card was built: {plain(', '.join(changed))}", icon=":material/warning:"
        )
    else:
        st.success("The data are those that the card was built from (by sha256).", icon=":material/check:")
    st.caption("Recompute every number of every card:")
    widgets.command(["cards", "check"])


main()
