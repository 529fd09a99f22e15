"""Writes the references, and what the commands in the documents print now, into the documents.

python -m tests.docs                  everything
python -m tests.docs references       only docs/cli.md, docs/api and the tables of measures and card keys: seconds
python -m tests.docs tutorial.md ...  these documents, and the references
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs import api_reference, card_keys, cli_reference, measures_table
from tests.docs.console import Shell, filled
from tests.docs.documents import DOCUMENTS, furnish


def main(names: list[str]) -> None:
    references()
    with tempfile.TemporaryDirectory() as home:
        for number, path in enumerate(DOCUMENTS):
            if names and path.name not in names:
                continue
            folder = Path(home) / str(number)
            folder.mkdir()
            furnish(folder)
            path.write_text(filled(path.read_text(encoding="utf-8"), Shell(folder)), encoding="utf-8")
            print(f"{path.name}: done")


def references() -> None:
    """Writes docs/cli.md, docs/api and the tables of measures and card keys; pages of modules that are gone go."""
    measures_table.write()
    card_keys.DOCUMENT.write_text(card_keys.written(), encoding="utf-8")
    cli_reference.DOCUMENT.write_text(cli_reference.text(), encoding="utf-8")
    api_reference.FOLDER.mkdir(exist_ok=True)
    pages = api_reference.pages()
    for path in set(api_reference.FOLDER.glob("*.md")) - set(pages):
        path.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    print("references: done")


if __name__ == "__main__":
    main(sys.argv[1:])
