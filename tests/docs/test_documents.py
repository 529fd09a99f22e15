"""The documents say what is: their commands run and print what is shown, their tables are those of the registry."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs import measures_table
from tests.docs.console import Shell, alike, commands, play
from tests.docs.documents import DOCUMENTS, ROOT, furnish

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    furnish(folder)
    return folder


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_print_what_is_shown(path: Path, furnished: Path, tmp_path: Path) -> None:
    shutil.copytree(furnished, tmp_path / "here")
    play(path.read_text(encoding="utf-8"), Shell(tmp_path / "here"))


def test_which_measure_when_is_the_registry() -> None:
    assert measures_table.DOCUMENT.read_text(encoding="utf-8") == measures_table.written(), (
        "the registry of measures changed: run python -m tests.docs which_measure_when.md"
    )


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda p: p.name,
)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_a_wrong_output_is_noticed() -> None:
    shown = ["name    n", "cat(bed)  479", "..."]
    assert alike(shown, ["name n", "cat(bed) 480", "cat(book) 3"])
    assert not alike(shown, ["name n", "cat(bed) 300"])
    assert not alike(shown, ["name n", "cat(sofa) 479"])


def test_commands_over_several_lines() -> None:
    found = list(commands('$ shiftlab sql "select 1\nas one"\none\n1\n$ shiftlab check'))
    assert [(one.typed, one.printed) for one in found] == [
        ('shiftlab sql "select 1\nas one"', ["one", "1"]), ("shiftlab check", []),
    ]  # fmt: skip
