"""The locked versions cover everything that the package can ask for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_that_can_be_installed_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[<>=\[;! ]", one)[0].lower().replace("_", "-") for one in wanted} - {"shiftlab"}
    assert names - locked == set()
    formats = set(project["optional-dependencies"]) - {"all", "test"}
    (every,) = project["optional-dependencies"]["all"]
    assert set(every.removeprefix("shiftlab[").removesuffix("]").split(",")) == formats
