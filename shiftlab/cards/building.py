"""Building and checking a folder of cards: generated files are written whole, or compared with what is there."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import resources
from shiftlab.cards import others
from shiftlab.cards.card import Card, read
from shiftlab.cards.croissant import croissant
from shiftlab.cards.facts import facts, rows_of
from shiftlab.cards.readme import readme
from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

GENERATED = ("README.md", "croissant.json", "stats.json")


@dataclass(frozen=True)
class Finding:
    """What a check found: state is ok, stale (a generated file differs from a fresh build) or wrong (a card)."""

    card: str
    state: str
    file: str
    detail: str


def folder_of(folder: str | Path | None = None) -> Path:
    """The folder of cards: the given one, ``data_cards`` here, or the bundled one.

    BadInputError if the given one is not there.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise BadInputError(
                f"there is no folder '{folder}' of data cards: a card is FOLDER/<id>/card.yaml"
            )
        return Path(folder)
    here = Path("data_cards")
    return here if here.is_dir() else resources.folder("data_cards")


def cards_in(folder: Path) -> list[Path]:
    """The folders with a card, by name."""
    found = sorted(path.parent for path in folder.glob("*/card.yaml"))
    if not found:
        raise BadInputError(f"'{folder}' holds no data card: a card is {folder}/<id>/card.yaml")
    return found


def list_cards(folder: Path) -> pl.DataFrame:
    """id, title, kind, licence, version, rows, bytes of each card, from its stats."""
    import polars as pl

    rows = []
    for one in cards_in(folder):
        card = read(one)
        stats = stored(one)
        files = stats.get("files", [])
        rows.append(
            {
                "id": card.id,
                "title": card.text["title"],
                "kind": card.text["kind"],
                "licence": card.text["licence"],
                "version": card.text["version"],
                "rows": max((rows_of(f) for f in files), default=None),
                "bytes": sum(f["bytes"] for f in files) if files else None,
            }
        )
    return pl.DataFrame(rows)


def stored(folder: Path) -> dict[str, Any]:
    """The numbers of a card as they were built; empty where it was not."""
    path = folder / "stats.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise BadInputError(
            f"{path}: damaged ({error}); write it anew with 'shiftlab cards build'"
        ) from error
    return found


def generated(card: Card) -> dict[str, str]:
    """The text of each generated file."""
    numbers = facts(card)
    return {
        "README.md": readme(card, numbers),
        "croissant.json": _json(croissant(card, numbers)),
        "stats.json": _json(numbers),
    }


def build(folder: Path) -> list[Finding]:
    """Writes the generated files of every card and the index; nothing is written if a card is wrong."""
    cards = [read(one) for one in cards_in(folder)]
    texts = {card.folder / name: text for card in cards for name, text in generated(card).items()}
    texts[folder / "README.md"] = _index(cards)
    found = []
    for path, text in texts.items():
        old = path.read_text(encoding="utf-8") if path.exists() else None
        state = "same" if old == text else "written"
        if old != text:
            _write(path, text)
        found.append(
            Finding(
                path.parent.name if path.parent != folder else "",
                state,
                path.name,
                f"{len(text):,} characters",
            )
        )
    return found


def check(folder: Path) -> list[Finding]:
    """Reads, recomputes and compares every card; raises nothing for a bad one, but says what is wrong with it.

    Croissant files that equal a fresh build are loaded by mlcroissant too, where it is installed.
    """
    found, whole = [], []
    for one in cards_in(folder):
        try:
            card = read(one)
            texts = generated(card)
            whole.append(card)
        except BadInputError as error:
            found.append(Finding(one.name, "wrong", "card.yaml", str(error)))
            continue
        found += [_compared(one.name, one / name, text) for name, text in texts.items()]
        if others.installed() and all(finding.state == "ok" for finding in found if finding.card == one.name):
            wrong = others.load(one / "croissant.json")
            found.append(
                Finding(
                    one.name,
                    "wrong" if wrong else "ok",
                    "croissant.json",
                    f"mlcroissant: {wrong or 'reads the rows of every table'}",
                )
            )
    if len(whole) == len(cards_in(folder)):
        found.append(_compared("", folder / "README.md", _index(whole)))
    return found


def _compared(card: str, path: Path, text: str) -> Finding:
    if not path.exists():
        return Finding(card, "stale", path.name, "not built: run 'shiftlab cards build'")
    old = path.read_text(encoding="utf-8")
    if old == text:
        return Finding(card, "ok", path.name, "equals a fresh build")
    pairs = zip([*old.splitlines(), ""], [*text.splitlines(), ""], strict=False)
    line, (was, now) = next((k, pair) for k, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return Finding(
        card, "stale", path.name,
        f"line {line} says '{was.strip()[:60]}', the data say '{now.strip()[:60]}': run 'shiftlab cards build'",
    )  # fmt: skip


def _index(cards: list[Card]) -> str:
    rows = "\n".join(
        f"| [{c.id}]({c.id}/README.md) | "
        + " | ".join(c.text[key] for key in ("title", "kind", "licence", "version"))
        + " |"
        for c in cards
    )
    return (
        "<!-- Generated by `shiftlab cards build`. -->\n\n# Data cards\n\nOne folder for each data set: `card.yaml` is "
        "written by hand, the rest is generated from it and the data; `shiftlab cards check` recomputes every number "
        "and hash.\n\n"
        f"| data set | what | kind | licence | version |\n|---|---|---|---|---|\n{rows}\n"
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise BadInputError(f"cannot write '{path}': {error.strerror}") from error
