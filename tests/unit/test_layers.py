"""Imports point one way: what users touch, the domains, what these stand on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "shiftlab"
GROUND = {"errors", "frames", "resources", "queries", "catalog", "names", "notebook", "sources"}
# What the modules of a room may import from ShiftLab, besides their own room.
MAY_IMPORT = {
    "measures": set(),
    "notebook": set(),
    "frames": {"errors"},
    "readers": {"errors", "frames"},
    "instances": set(),
    "catalog": {"errors", "instances", "resources"},
    "queries": {"errors", "resources"},
    "names": {"errors", "catalog"},
    "sources": {"errors"},
    "vectors": GROUND | {"readers"},
    "signals": GROUND | {"readers", "vectors"},
    "pictures": GROUND | {"readers"},
    "safe_sql": GROUND,
    "integrity": GROUND,
    "saved_views": {"errors", "catalog"},
    "backup": GROUND | {"saved_views"},
    "parallel": {"errors"},
    "subsets": GROUND | {"readers", "safe_sql", "vectors", "parallel"},
    "shift": GROUND | {"measures", "signals", "vectors", "safe_sql", "parallel"},
    "filters": GROUND | {"readers", "measures", "safe_sql", "vectors", "shift", "parallel"},
    "curate": GROUND | {"measures", "safe_sql", "vectors"},
    "paired": GROUND | {"measures", "readers", "shift", "signals", "vectors"},
    "cards": GROUND | {"shift"},
    "episodes": GROUND | {"readers", "measures", "safe_sql", "vectors", "shift"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms of ShiftLab that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {name.split(".")[1] for name in names if name.startswith("shiftlab.")}
    return {one for one in found if (PACKAGE / one).is_dir() or (PACKAGE / f"{one}.py").is_file()}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    allowed = MAY_IMPORT.get(room(path))
    if allowed is None:  # the command line, the public object, the demo: they may use everything
        assert room(path) in {
            "cli",
            "api",
            "demo",
            "explorer",
            "figures",
            "filter_figures",
            "matrix_figures",
            "subset_figures",
            "episode_figures",
            "report",
            "data",
            "__init__",
            "__main__",
            "errors",
            "resources",
        }
        return
    assert imported(path) - {room(path)} <= allowed


def test_measures_stand_alone() -> None:
    for path in (PACKAGE / "measures").rglob("*.py"):
        assert imported(path) <= {"measures"}
