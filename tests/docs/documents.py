"""The documents with commands, and the catalog that these speak of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(
        ROOT / "docs" / name
        for name in (
            "tutorial.md",
            "how_to_shift.md",
            "how_to_backbone.md",
            "how_to_demonstrations.md",
            "sql.md",
            "exports.md",
            "data_cards.md",
        )
    ),
    *sorted((ROOT / "docs" / "seeds").glob("*.md")),
]


def furnish(folder: Path) -> None:
    """The demo catalog, under the name that the documents use."""
    subprocess.run(
        [sys.executable, "-m", "shiftlab", "demo", "--no-open"], cwd=folder, check=True, capture_output=True
    )
