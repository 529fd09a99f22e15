"""The table of docs/which_measure_when.md, written from the registry of measures."""

from __future__ import annotations

import re

import polars as pl

from shiftlab import measures
from shiftlab.measures.registry import KINDS
from tests.docs.documents import ROOT

DOCUMENT = ROOT / "docs" / "which_measure_when.md"
_PART = re.compile(r"(<!-- measures -->\n).*?(<!-- end -->)", flags=re.S)


def table() -> str:
    """Every registered measure below the kind of thing it compares."""
    every = measures.available()
    parts = []
    for kind, told in KINDS.items():
        rows = every.filter(pl.col("kind") == kind)
        if rows.is_empty():
            continue
        parts.append(
            f"### {told[0].upper()}{told[1:]}\n\n| measure | use it when | do not use it when | range |\n|---|---|---|---|"
        )
        columns = rows.select("name", "use_when", "do_not_use_when", "range")
        parts[-1] += "".join(
            f"\n| `{name}` | {use} | {avoid} | {span} |"
            for name, use, avoid, span in columns.with_columns(
                pl.all().str.replace_all(r"\|", r"\\|")
            ).iter_rows()
        )
    return "\n\n".join(parts) + "\n"


def written() -> str:
    """The document with the table as the registry has it now."""
    return _PART.sub(lambda found: found[1] + table() + found[2], DOCUMENT.read_text(encoding="utf-8"))


def write() -> None:
    """Writes it."""
    DOCUMENT.write_text(written(), encoding="utf-8")
