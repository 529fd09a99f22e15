"""docs/api: every public function and class with its signature and docstring, a page a module."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import shiftlab
from shiftlab import api, errors, measures, safe_sql
from tests.docs.documents import ROOT

FOLDER = ROOT / "docs" / "api"
_WIDTH = 100
_NOTE = "<!-- Written by `python -m tests.docs`: edit the docstrings instead. -->"
_SEE = re.compile(r"\b(?:see|fields of) `([\w.]+)`")
_DECLARED = ("kind", "unit", "range", "zero_means", "use_when", "do_not_use_when", "source")


def modules() -> dict[str, ModuleType]:
    """The public modules by name, those within others as ``shift.explain``."""
    top = {name: getattr(shiftlab, name) for name in shiftlab.__all__}
    found = {name: one for name, one in top.items() if inspect.ismodule(one)}
    for name, module in list(found.items()):
        inner = {one: getattr(module, one) for one in module.__all__}
        found |= {f"{name}.{key}": one for key, one in inner.items() if inspect.ismodule(one)}
    return dict(sorted((found | {"errors": errors}).items()))


def pages() -> dict[Path, str]:
    """The text of every page, by its path."""
    found = {FOLDER / f"{name}.md": _module_page(name, one) for name, one in modules().items()}
    found[FOLDER / "catalog.md"] = _page(
        "Catalog",
        "`shiftlab.open` gives a `Catalog`; its methods call the functions below them and on the other pages, where "
        "their options are described. `Catalog.sql` gives a `Result`.",
        [("open", api.open), ("Catalog", api.Catalog), ("Result", safe_sql.Result), *called()],
    )
    found[FOLDER / "README.md"] = _index(list(found.values()), [one.stem for one in found])
    return found


def called() -> list[tuple[str, Any]]:
    """What methods of `Catalog` refer to and no other page holds."""
    there = {id(one) for module in modules().values() for _, one in public(module)}
    named = {name for _, one in methods(api.Catalog) for name in _SEE.findall(inspect.getdoc(one) or "")}
    return [(name, one) for name in sorted(named) if id(one := resolved(name)) not in there]


def resolved(name: str) -> Any:
    """The function behind a name such as ``episodes.ingest.ingest_episodes``."""
    module, _, attribute = f"shiftlab.{name}".rpartition(".")
    return getattr(import_module(module), attribute)


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The functions and classes that a module offers, constants left out."""
    offered = getattr(module, "__all__", None) or [
        name for name, one in vars(module).items()
        if not name.startswith("_") and getattr(one, "__module__", None) == module.__name__
    ]  # fmt: skip
    for name in sorted(offered, key=str.lower):
        value = getattr(module, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class adds itself, in the order of its source."""
    for name, value in vars(cls).items():
        if not name.startswith("_") and (
            inspect.isfunction(value) or isinstance(value, property | classmethod)
        ):
            yield name, value


def _module_page(name: str, module: ModuleType) -> str:
    return _page(f"shiftlab.{name}", inspect.getdoc(module) or "", list(public(module)))


def _page(title: str, about: str, members: list[tuple[str, Any]]) -> str:
    listed = " · ".join(f"[{name}](#{anchor})" for name, anchor in _anchors([name for name, _ in members]))
    parts = [
        _class(name, one) if inspect.isclass(one) else _function(name, one, "##") for name, one in members
    ]
    return "\n\n".join([_NOTE, f"# {title}", about, listed, *parts]) + "\n"


def _anchors(names: list[str]) -> Iterator[tuple[str, str]]:
    """Each name with the anchor that Markdown gives its heading; the second of two alike ends in -1."""
    seen = Counter[str]()
    for name in names:
        plain = name.lower().replace(".", "")
        yield name, plain + (f"-{seen[plain]}" if seen[plain] else "")
        seen[plain] += 1


def _function(name: str, function: Callable[..., Any], heading: str) -> str:
    text = (
        f"{heading} {name}\n\n```python\n{signature(name, function)}\n```\n\n{inspect.getdoc(function) or ''}"
    )
    return text + _declaration(function)


def _declaration(function: Callable[..., Any]) -> str:
    """What a measure declares about itself."""
    table = measures.available()
    name = getattr(function, "__name__", "")
    if name not in table["name"] or measures.get(name).function is not function:
        return ""
    spec = measures.get(name)
    return "\n\n" + "\n".join(
        f"- *{key.replace('_', ' ')}*: {getattr(spec, key)}" for key in _DECLARED if getattr(spec, key)
    )


def _class(name: str, cls: type) -> str:
    parts = [f"## {name}\n\n```python\n{signature(name, cls)}\n```\n\n{inspect.getdoc(cls) or ''}"]
    for method, value in methods(cls):
        if isinstance(value, property):
            parts.append(f"### {name}.{method}\n\nProperty. {inspect.getdoc(value) or ''}")
        else:
            bound = value.__func__ if isinstance(value, classmethod) else value
            parts.append(_function(f"{name}.{method}", bound, "###"))
    return "\n\n".join(parts)


def signature(name: str, value: Any) -> str:
    """One line where it fits, else a line a parameter; defaults that are functions are shown as ``...``."""
    if inspect.isclass(value) and not dataclasses.is_dataclass(value):
        if issubclass(value, Exception):
            return f"class {name}({value.__base__.__name__ if value.__base__ else 'object'})"
        return f"class {name}"
    found = inspect.signature(value)
    returns = (
        ""
        if found.return_annotation in (inspect.Signature.empty, None)
        else f" -> {_plain(found.return_annotation)}"
    )
    listed = list(_parameters(found))
    head = f"class {name}" if inspect.isclass(value) else f"def {name}"
    if inspect.isclass(value):
        returns = ""
    line = f"{head}({', '.join(listed)}){returns}"
    if len(line) <= _WIDTH:
        return line
    return f"{head}(\n" + "".join(f"    {one},\n" for one in listed) + f"){returns}"


def _parameters(found: inspect.Signature) -> Iterator[str]:
    kinds = inspect.Parameter
    starred = False
    for one in found.parameters.values():
        if one.name == "self":
            continue
        if one.kind is kinds.VAR_POSITIONAL:
            starred = True
        elif one.kind is kinds.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        mark = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(one.kind, "")
        kind = "" if one.annotation is kinds.empty else f": {_plain(one.annotation)}"
        default = "" if one.default is kinds.empty else (" = " if kind else "=") + _default(one.default)
        yield f"{mark}{one.name}{kind}{default}"


def _plain(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    told = repr(value)
    return "..." if " at 0x" in told or told.startswith("<") else told


def _index(texts: list[str], stems: list[str]) -> str:
    rows = []
    for stem, text in sorted(zip(stems, texts, strict=True)):
        title, about = text.split("\n\n")[1:3]
        first = about.split(". ")[0].replace("\n", " ").rstrip(".")
        rows.append(f"| [{title.removeprefix('# ')}]({stem}.md) | {first} |")
    return (
        f"{_NOTE}\n\n# Python reference\n\nEverything public, with signatures and docstrings. `import shiftlab as sl`; "
        "modules are loaded on first use. Results are frozen dataclasses or polars frames; arrays are numpy's, and "
        "anything that numpy takes is taken. Errors are `ValueError` for arrays that cannot be used, "
        "`shiftlab.errors.BadInputError` for files and names, `UndefinedMeasureError` where a number has no value.\n\n"
        "| page | about |\n|---|---|\n" + "\n".join(rows) + "\n"
    )
