"""What the wheel needs beyond the files of the repository: where the bundled data lie, and what it was built from."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A Croissant file names its data relative to itself, and the wheel carries the cards one folder deeper.
_HERE, _IN_WHEEL = "../../shiftlab/data/", "../../data/"


class WheelHook(BuildHookInterface):
    """Adds the data cards with their paths as the wheel has them, and the commit."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self.made = tempfile.TemporaryDirectory()
        cards, made = Path(self.root) / "data_cards", Path(self.made.name)
        for path in cards.rglob("*.*"):
            content = path.read_bytes()
            if path.name == "croissant.json":
                content = content.replace(_HERE.encode(), _IN_WHEEL.encode())
            copy = made / path.relative_to(cards)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(content)
            build_data["force_include"][str(copy)] = f"shiftlab/_data_cards/{path.relative_to(cards)}"
        if commit := _commit(self.root):
            (made / "build.txt").write_text(commit + "\n", encoding="utf-8")
            build_data["force_include"][str(made / "build.txt")] = "shiftlab/_build.txt"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.made.cleanup()


def _commit(root: str) -> str | None:
    """The commit, marked where files were changed since; None outside a repository or without git."""
    if not (Path(root) / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty= with changes"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
