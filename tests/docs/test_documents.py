"""The documents say what is: their commands run and print what is shown, their tables are those of the registry."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import measures_table
from tests.docs.console import Shell, alike, commands, play
from tests.docs.documents import DOCUMENTS, ROOT, furnish

VIEW = re.compile(r"create or replace view (\w+)")
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


def test_every_page_is_linked() -> None:
    """From the README, or from a page that is linked itself."""
    seen, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page)
        links = (page.parent / target for target in LINK.findall(page.read_text(encoding="utf-8")))
        todo += {link.resolve() for link in links if link.suffix == ".md"} - seen
    assert set((ROOT / "docs").rglob("*.md")) - seen == set()


def test_the_cookbook_names_every_view() -> None:
    views = {
        name for path in (ROOT / "sql" / "views").glob("*.sql") for name in VIEW.findall(path.read_text())
    }
    assert views <= set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "sql.md").read_text(), flags=re.M))


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


@pytest.mark.slow
def test_a_measure_is_added_as_contributing_tells(furnished: Path, tmp_path: Path) -> None:
    """The walk-through of CONTRIBUTING.md, done on a copy of the repository with its own words."""
    told = (
        (ROOT / "CONTRIBUTING.md")
        .read_text(encoding="utf-8")
        .partition("## Add a measure")[2]
        .partition("\n## ")[0]
    )
    for name in ("shiftlab", "apps", "sql", "data_cards", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(furnished / "shiftlab-demo", tmp_path / "shiftlab-demo")
    files = dict(re.findall(r"^`(\S+\.py)`\n\n```python\n(.*?)```", told, flags=re.M | re.S))
    assert len(files) == 2
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (line,) = re.findall(r"```python\n(from \S+ import (\w+)\n)```", told)
    package = tmp_path / "shiftlab" / "measures" / "__init__.py"
    text = package.read_text(encoding="utf-8")
    text = text.replace("\n__all__ = [", f'\n{line[0]}\n__all__ = [\n    "{line[1]}",', 1)
    package.write_text(text, encoding="utf-8")
    printed = {
        one.typed: _run_in(tmp_path, one.typed)
        for one in commands(re.findall(r"```console\n(.*?)```", told, re.S)[0])
    }
    assert len(printed) == 4
    assert " passed" in next(out for typed, out in printed.items() if "pytest" in typed)
    assert "equal masses" in printed["shiftlab measures triangular_discrimination"]
    assert "## triangular_discrimination" in (tmp_path / "docs" / "api" / "measures.md").read_text(
        encoding="utf-8"
    )


def _run_in(folder: Path, typed: str) -> str:
    words = shlex.split(typed)
    command = [sys.executable, *(("-m", *words) if words[0] == "shiftlab" else words[1:])]
    environment = {**os.environ, "PYTHONPATH": str(folder), "SHIFTLAB_DEBUG": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
    return done.stdout
