"""Writes what the commands in the documents print now into the documents: python -m tests.docs [FILE ...]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs import measures_table
from tests.docs.console import Shell, filled
from tests.docs.documents import DOCUMENTS, furnish


def main(names: list[str]) -> None:
    measures_table.write()
    with tempfile.TemporaryDirectory() as home:
        for number, path in enumerate(DOCUMENTS):
            if names and path.name not in names:
                continue
            folder = Path(home) / str(number)
            folder.mkdir()
            furnish(folder)
            path.write_text(filled(path.read_text(encoding="utf-8"), Shell(folder)), encoding="utf-8")
            print(f"{path.name}: done")


main(sys.argv[1:])
