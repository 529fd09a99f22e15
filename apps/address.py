"""The address bar as the state of a page: what is chosen stands in the URL and is restored from it cold.

The URL is the only truth. A widget shows what the URL says; changing it writes the URL. A name in a link
that the catalog does not have gives a message and the default, never an error. What is chosen on one page
(a data set, a class) is kept when the reader goes to another by the navigation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from shiftlab.names import nearest

_CARRIED = ("dataset", "class", "measure")


def begin(page: str) -> None:
    """Starts a page run: nothing is chosen yet."""
    st.session_state["_entered"] = st.session_state.get("_page") != page
    st.session_state["_page"] = page
    st.session_state["_chosen"] = {}


def settle() -> None:
    """Ends a page run: a page entered with a bare URL writes its choices there.

    Only then: every writing adds a step that the browser's Back has to go through.
    """
    if st.session_state["_entered"] and not st.query_params:
        st.query_params.update({k: v for k, v in st.session_state["_chosen"].items() if v != ""})


def link() -> str:
    """The full link to what is shown, below the server's address."""
    shown = {k: v for k, v in st.session_state["_chosen"].items() if v != ""}
    return f"/{st.session_state['_page']}" + (f"?{urlencode(shown, doseq=True)}" if shown else "")


def write(**values: str | Sequence[str] | None) -> None:
    """Changes the URL; None and a list of nothing take a name out of it.

    A name ending in _ stands for the keyword without it.
    """
    for name, value in values.items():
        name = name.rstrip("_")
        if value is None or value == []:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = value


def text(name: str, default: str = "") -> str:
    """What the URL says about `name`."""
    value = st.query_params.get(name, default)
    st.session_state["_chosen"][name] = value
    return value


def texts(name: str) -> list[str]:
    """All that the URL says about `name`, which it may say several times."""
    values = st.query_params.get_all(name)
    st.session_state["_chosen"][name] = values or ""
    return values


def choice(name: str, options: Sequence[str], default: str | None = None, noun: str | None = None) -> str:
    """The option that the URL names; the carried one or the default where it names none.

    A name that is no option is told in a warning with the nearest ones.
    """
    given = st.query_params.get(name)
    carried = st.session_state.get(f"_carried_{name}")
    fallback = carried if carried in options else default if default in options else options[0]
    if given is not None and given not in options:
        st.warning(
            f"The link names the {noun or name} '{given}', which is not here{nearest(given, options) or '.'} "
            f"Showing {fallback or 'none'} instead.",
            icon=":material/link_off:",
        )
    value = given if given is not None and given in options else str(fallback)
    if name in _CARRIED:
        st.session_state[f"_carried_{name}"] = value
    st.session_state["_chosen"][name] = value
    return value


def _changed(name: str, key: str, also: Sequence[str]) -> None:
    value = st.session_state[key]
    for other in also:
        st.query_params.pop(other, None)
    for kept, shown in st.session_state["_chosen"].items():
        if kept != name and kept not in also and shown != "":
            st.query_params[kept] = shown
    if value is None or value == "":
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = str(value)


def select(
    label: str,
    name: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    shown: Callable[[str], str] = str,
    resets: Sequence[str] = (),
    widget: Callable[..., Any] = st.selectbox,
    **arguments: Any,
) -> str:
    """A choice that stands in the URL under `name`. Changing it takes the names in `resets` out of the URL."""
    key = f"{st.session_state['_page']}_{name}"
    st.session_state[key] = choice(name, options, default, label.lower())
    widget(
        label, options, key=key, format_func=shown, on_change=_changed, args=(name, key, resets), **arguments
    )
    return str(st.session_state["_chosen"][name])


def typed(
    label: str,
    name: str,
    *,
    widget: Callable[..., Any] = st.text_input,
    resets: Sequence[str] = (),
    **arguments: Any,
) -> str:
    """A text that stands in the URL under `name`. Changing it takes the names in `resets` out of the URL."""
    key = f"{st.session_state['_page']}_{name}"
    st.session_state[key] = text(name)
    widget(label, key=key, on_change=_changed, args=(name, key, resets), **arguments)
    return str(st.session_state["_chosen"][name])
