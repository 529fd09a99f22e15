"""Saved views on pages: what is shown is saved under a name at the foot of every page, and opened from Home."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

import address
import gateway
from shiftlab import saved_views
from shiftlab.errors import ShiftLabError
from shiftlab.saved_views import SavedView
from widgets import plain

_PAGES = Path(__file__).parent / "views"
_OF_FRAMES = ("embed", "embed_options")  # Streamlit's own words in a link, which it lets no page set
_SCROLLED_FROM = 8
_HEIGHT = 420


def save_button() -> None:
    """A name and a note for what is shown. A name that is taken is replaced only when that is said once more."""
    with st.popover("Save this view", icon=":material/bookmark_add:", type="tertiary"):
        if st.session_state["_entered"]:  # the question was about the page before
            st.session_state.pop("_replaced_view", None)
        replaced = st.session_state.get("_replaced_view")
        with st.form("save_view", border=False):
            st.text_input("Name", key="view_name", max_chars=saved_views.NAME_LENGTH)
            st.text_input(
                "Note", key="view_note", max_chars=saved_views.NOTE_LENGTH, help="What to look at, and why."
            )
            if replaced:
                st.warning(
                    f"There is a view called {plain(replaced)}. Replace its link and note, or choose another name.",
                    icon=":material/warning:",
                )
            st.form_submit_button(
                "Replace" if replaced else "Save", type="primary", icon=":material/bookmark:", on_click=_save
            )
        if error := st.session_state.pop("_save_error", None):
            st.error(plain(error), icon=":material/error:")
        if name := st.session_state.pop("_saved_view", None):
            st.success(f"Saved as {plain(name)}. Home lists it.", icon=":material/check:")


def _save() -> None:
    page, _, query = address.link().removeprefix("/").partition("?")
    agreed = st.session_state.pop("_replaced_view", None)
    try:
        view = saved_views.now(st.session_state["view_name"], page, query, st.session_state["view_note"])
        saved = saved_views.save(gateway.path(), view, replace=agreed == view.name)
    except ShiftLabError as error:
        st.session_state["_save_error"] = str(error)
        return
    if not saved:
        st.session_state["_replaced_view"] = view.name
        return
    st.session_state["_saved_view"] = view.name
    st.session_state["view_name"] = st.session_state["view_note"] = ""


def listed() -> None:
    """The saved views: each is opened by a click on its name."""
    if error := st.session_state.pop("_delete_error", None):
        st.error(plain(error), icon=":material/error:")
    try:
        views = saved_views.listed(gateway.path())
    except ShiftLabError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if not views:
        st.caption(
            "None yet. **Save this view**, at the foot of every page, keeps what it shows under a name."
        )
        return
    with st.container(height=_HEIGHT if len(views) > _SCROLLED_FROM else "content", border=False):
        for view in views:
            _row(view)


def _row(view: SavedView) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        page = _PAGES / f"{view.page or 'home'}.py"
        if page.is_file():
            st.page_link(
                f"views/{page.name}", label=plain(view.name), icon=":material/bookmark:",
                query_params={k: v for k, v in view.parameters().items() if k.lower() not in _OF_FRAMES},
            )  # fmt: skip
            told = f"/{view.page}"
        else:
            st.markdown(plain(view.name))
            told = f"its page /{view.page} is not in this version"
        note = f". {view.note}" if view.note else ""
        st.caption(plain(f"{told}, {view.created:%Y-%m-%d %H:%M} UTC{note}"), width="stretch")
        with st.popover("Delete", icon=":material/delete:", type="tertiary"):
            st.markdown(f"Delete the view {plain(view.name)}?")
            st.button(
                "Delete it",
                key=f"delete_view_{view.name}",
                type="primary",
                on_click=_delete,
                args=(view.name,),
            )


def _delete(name: str) -> None:
    try:
        saved_views.delete(gateway.path(), name)
    except ShiftLabError as error:
        st.session_state["_delete_error"] = str(error)
