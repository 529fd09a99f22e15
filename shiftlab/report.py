"""A result as one HTML file that opens anywhere: figures as inline SVG, tables, and how it came about.

No script, no style sheet and no picture from elsewhere: what is in the file is all there is.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shiftlab import __version__, figures

if TYPE_CHECKING:
    import polars as pl

_ROWS = 500
_HEAVY = 2_000_000  # characters of Vega-Lite; a report stays below 5 MB
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328 }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 } figure { margin: 1rem 0; overflow-x: auto }
th, td { border-bottom: 1px solid #d5d9de; padding: .2rem .6rem; text-align: left } td.n { text-align: right }
pre { background: #f4f5f7; padding: .6rem; overflow-x: auto } svg, img { max-width: 100%; height: auto }
"""


@dataclass(frozen=True)
class Section:
    """One part of a report: words, a figure with its text alternative, a table, a command; each may be missing."""

    heading: str
    text: str = ""
    figure: Any = None
    alt: str = ""
    table: pl.DataFrame | None = None
    command: str = ""


@dataclass(frozen=True)
class Report:
    """A title, facts about where the result comes from, and its sections."""

    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    sections: Sequence[Section] = ()

    def html(self) -> bytes:
        """The whole file; without vl-convert (the extra ``figures``) it says so in the place of each figure."""
        facts = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in self.facts.items())
        parts = "\n".join(_section(one) for one in self.sections)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(self.title)}</title>'
            f"<style>{_STYLE}</style></head><body><h1>{_text(self.title)}</h1><table>{facts}</table>\n{parts}\n"
            f"<p>Written by ShiftLab {__version__}.</p></body></html>"
        ).encode()


def _section(one: Section) -> str:
    parts = [f"<section><h2>{_text(one.heading)}</h2>"]
    if one.text:
        parts.append(f"<p>{_text(one.text)}</p>")
    if one.figure is not None and not figures.can_draw():
        parts.append("<p>The figure is left out: it needs <code>pip install 'shiftlab[figures]'</code>.</p>")
    elif one.figure is not None:
        parts.append(f'<figure role="img" aria-label="{_text(one.alt)}">{_drawn(one.figure)}</figure>')
    if one.table is not None:
        parts.append(_table(one.table))
    if one.command:
        parts.append(f"<pre>{_text(one.command)}</pre>")
    return "".join(parts) + "</section>"


def _drawn(figure: Any) -> str:
    """The figure as SVG; as a PNG of 256 colours where that would be heavy, as with a matrix of hundreds of subsets."""
    if len(figures.image(figure, "json")) <= _HEAVY:
        return figures.image(figure, "svg").decode()
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(figures.image(figure, "png"))) as picture:
        picture.convert("RGB").quantize(256).save(out, "PNG", optimize=True)
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


def _table(frame: pl.DataFrame) -> str:
    numeric = [kind.is_numeric() for kind in frame.dtypes]
    head = "".join(f"<th>{_text(name)}</th>" for name in frame.columns)
    body = "".join(
        "<tr>" + "".join(_cell(value, right) for value, right in zip(row, numeric, strict=True)) + "</tr>"
        for row in frame.head(_ROWS).iter_rows()
    )
    more = f"<p>The first {_ROWS:,} of {len(frame):,} rows.</p>" if len(frame) > _ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any, right: bool) -> str:
    shown = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return f'<td class="n">{_text(shown)}</td>' if right else f"<td>{_text(shown)}</td>"


def _text(value: Any) -> str:
    return html.escape(str(value))
