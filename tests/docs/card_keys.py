"""The table of keys in docs/data_cards.md, written from the schema of card.yaml."""

from __future__ import annotations

import re
from typing import Any

from shiftlab.cards.card import schema
from tests.docs.documents import ROOT

DOCUMENT = ROOT / "docs" / "data_cards.md"
_PART = re.compile(r"(<!-- keys -->\n).*?(<!-- end -->)", flags=re.S)


def table() -> str:
    """Every key, what must stand first, with its meaning."""
    found: dict[str, Any] = schema()["properties"]
    required = schema()["required"]
    rows = [*required, *(key for key in found if key not in required)]
    return "| key | must | means |\n|---|---|---|\n" + "".join(
        f"| `{key}` | {'yes' if key in required else ''} | {found[key]['description']} |\n" for key in rows
    )


def written() -> str:
    """The document with the table as the schema has it now."""
    return _PART.sub(lambda found: found[1] + table() + found[2], DOCUMENT.read_text(encoding="utf-8"))
