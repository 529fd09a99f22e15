"""How results look in a notebook: a small HTML table, with nothing that could run in it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any


def facts(title: str, rows: Mapping[str, Any], note: str | None = None) -> str:
    """A heading and one row a fact; None is shown as a dash. Every text is escaped."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in rows.items()
    )
    below = f"<p>{_text(note)}</p>" if note else ""
    return f"<div><strong>{_text(title)}</strong><table>{cells}</table>{below}</div>"


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]], more: int = 0) -> str:
    """A heading and a table; `more` says how many rows are not shown."""
    head = "".join(f"<th>{_text(one)}</th>" for one in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    below = f"<p>and {more:,} more</p>" if more > 0 else ""
    return f"<div><strong>{_text(title)}</strong><table><tr>{head}</tr>{body}</table>{below}</div>"


def _cell(value: Any) -> str:
    """Numbers stand right, whatever the notebook's style says."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td style='text-align:{'right' if number else 'left'}'>{_text(value)}</td>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return html.escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
