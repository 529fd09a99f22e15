"""The references are what the code says now, and everything public says what it is."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from shiftlab import api, measures
from shiftlab.cli import root
from tests.docs import api_reference, card_keys, cli_reference

AGAIN = "run python -m tests.docs references"
PAGES = api_reference.pages()


def everything_public() -> Iterator[tuple[str, Any]]:
    """Every public function, class and method by its full name."""
    for module, one in api_reference.modules().items():
        yield from ((f"{module}.{name}", value) for name, value in api_reference.public(one))
    yield from (("open", api.open), ("Catalog", api.Catalog), *api_reference.called())


def with_methods() -> Iterator[tuple[str, Any]]:
    for name, value in everything_public():
        yield name, value
        if inspect.isclass(value):
            yield from ((f"{name}.{method}", one) for method, one in api_reference.methods(value))


def test_the_command_reference_is_what_help_says() -> None:
    assert cli_reference.DOCUMENT.read_text(encoding="utf-8") == cli_reference.text(), AGAIN


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: path.stem)
def test_the_python_reference_is_what_the_code_says(path: Path) -> None:
    assert path.exists(), AGAIN
    assert path.read_text(encoding="utf-8") == PAGES[path], AGAIN


def test_the_keys_of_a_card_are_those_of_its_schema() -> None:
    assert card_keys.DOCUMENT.read_text(encoding="utf-8") == card_keys.written(), AGAIN


def test_no_page_is_left_of_a_module_that_is_gone() -> None:
    assert set(api_reference.FOLDER.glob("*.md")) == set(PAGES), AGAIN


def test_every_public_name_says_what_it_is() -> None:
    """A sentence at least, and not the signature that a dataclass writes for itself."""
    bad = []
    for name, value in with_methods():
        doc = inspect.getdoc(value) or ""
        if len(doc) < 20 or not re.search(r"[.;:)`]$", doc.strip()) or re.match(r"\w+\(\w+:", doc):
            bad.append(name)
    assert bad == []


def test_what_raises_says_so() -> None:
    """A public function whose own body raises tells in its docstring which error, and when."""
    bad = [
        name
        for name, value in everything_public()
        if inspect.isfunction(value)
        and _raises(value)
        and not re.search(r"Error|[Rr]efused", inspect.getdoc(value) or "")
    ]
    assert bad == []


def _raises(function: Any) -> bool:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(one, ast.Raise) and one.exc is not None for one in ast.walk(tree))


@pytest.mark.parametrize("name", measures.available()["name"].to_list())
def test_a_measure_tells_shapes_errors_range_zero_source_and_when_not(name: str) -> None:
    spec = measures.get(name)
    doc = inspect.getdoc(spec.function) or ""
    assert "Error" in doc
    if spec.kind not in ("set", "scalar", "blocks"):
        assert re.search(r"\((?:[a-z0-9]+, ?)*[a-z0-9]+,?\)", doc), "shapes as (n, d)"
    for told in (spec.range, spec.unit, spec.zero_means, spec.source, spec.use_when, spec.do_not_use_when):
        assert told


def test_every_command_has_help_and_an_example() -> None:
    bad = []
    for path, command, _ in cli_reference.every_command():
        if not (command.help or "").strip():
            bad.append(f"{path}: no help")
        if not isinstance(command, click.Group) and not re.search(
            "Example: .*shiftlab ", command.epilog or ""
        ):
            bad.append(f"{path}: no example")
    assert bad == []


def test_examples_are_commands_that_exist() -> None:
    """Every example names a command and options that it takes."""
    import shlex

    for path, command, _ in cli_reference.every_command():
        if not (example := re.search(r"Example: (shiftlab .*)", command.epilog or "")):
            continue
        words = shlex.split(example[1].replace("&& git push", ""))[1:]
        while words and words[0] == "--catalog":
            words = words[2:]
        found: click.Command = root
        while isinstance(found, click.Group) and words:
            _, chosen, words = found.resolve_command(click.Context(found), words)
            assert chosen is not None, path
            found = chosen
        known = {name for one in found.params for name in (*one.opts, *one.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known | {"--help"}, f"{path}: {given - known}"
