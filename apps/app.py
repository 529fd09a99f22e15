"""ShiftLab's explorer: the pages, the catalog they read, and what to show when it cannot be read."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import streamlit as st

import address
import gateway
import saving
import widgets
from shiftlab.errors import ShiftLabError

_HERE = Path(__file__).parent
_log = logging.getLogger("shiftlab.explorer")
_WITHOUT_CATALOG = ("measures", "cards")


# The folder of the pages must not be called "pages": Streamlit would serve its files by itself to whoever opens
# a deep link before anyone has seen Home.
def _page(name: str, title: str, icon: str, help: str) -> st.Page:
    return st.Page(
        f"views/{name}.py", title=title, icon=f":material/{icon}:", url_path="" if name == "home" else name,
        default=name == "home", help=help,
    )  # fmt: skip


def _pages() -> dict[str, list[st.Page]]:
    return {
        "": [_page("home", "Home", "home", "What the catalog holds, what stands out, where to start.")],
        "Catalog": [
            _page(
                "subsets",
                "Subsets",
                "hub",
                "Classes and their subsets: meta-graph, table, one subset with its items.",
            ),
            _page(
                "items", "Items", "photo_library", "The units of a data set; one item with all its subsets."
            ),
        ],
        "Shift": [
            _page("shift", "Matrix", "grid_on", "One measure for all pairs of subsets of a class."),
            _page(
                "pair",
                "Pair",
                "compare_arrows",
                "Two subsets side by side: every stored score and what differs.",
            ),
            _page("measures", "Measures", "straighten", "What can be measured, when to use it and when not."),
        ],
        "Models and demonstrations": [
            _page(
                "filters",
                "Filters",
                "blur_on",
                "Quality and drift of the convolution kernels of trained networks.",
            ),
            _page("episodes", "Episodes", "smart_toy", "Scores of demonstrations, ranked with their doubt."),
        ],
        "Work": [
            _page(
                "cards",
                "Data cards",
                "description",
                "Where data come from, what for, what is wrong.",
            ),
            _page("sql", "SQL console", "terminal", "One SELECT over the catalog, read-only, within limits."),
            _page("runs", "Runs and jobs", "history", "What was done to the catalog, and what is running."),
        ],
    }


def main() -> None:
    st.set_page_config(page_title="ShiftLab", page_icon=str(_HERE / "favicon.png"), layout="wide")
    page = st.navigation(_pages())
    address.begin(page.url_path)
    problem: ShiftLabError | None = None
    with ExitStack() as stack:
        try:
            stack.enter_context(gateway.reading())
        except ShiftLabError as error:
            problem = error
        if problem is not None and page.url_path not in _WITHOUT_CATALOG:
            st.title(page.title, anchor=False)
            widgets.no_catalog(problem)
        else:
            _run(page)
        address.settle()
        with widgets.footer():
            saving.save_button()


def _run(page: st.Page) -> None:
    try:
        page.run()
    except ShiftLabError as error:
        st.error(widgets.plain(str(error)), icon=":material/error:")
    except Exception:
        # A fault of ours: the page shows no details, so the terminal must.
        _log.exception("the page '%s' failed", page.url_path or "home")
        raise


main()
