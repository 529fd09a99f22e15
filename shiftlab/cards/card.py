"""One `card.yaml`: read safely, checked against the schema, its licence against SPDX."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shiftlab import resources
from shiftlab.errors import BadInputError, ShiftLabError
from shiftlab.names import nearest

# The licences that data and weights commonly have; an unknown one is refused rather than believed.
SPDX = (
    "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-2.0", "ECL-2.0", "EUPL-1.2",
    "GFDL-1.3-only", "GPL-2.0-only", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0",
    "ODC-By-1.0", "ODbL-1.0", "OGL-UK-3.0", "PDDL-1.0", "Unlicense", "Zlib",
)  # fmt: skip
_FILLER = re.compile(r"more information needed|\btodo\b|\btbd\b|lorem ipsum", re.I)


@dataclass(frozen=True)
class Card:
    """A card and where its data lie."""

    folder: Path
    text: dict[str, Any]

    @property
    def id(self) -> str:
        """Name of the card, of its folder and of the data's."""
        return str(self.text["id"])

    def data(self, name: str) -> Path:
        """A file of the data set: beside the card, or among the data bundled with ShiftLab."""
        beside = self.folder / name
        if beside.is_file():
            return beside
        try:
            return resources.data(f"{self.id}/{name}")
        except ShiftLabError as error:
            raise BadInputError(
                f"{self.folder / 'card.yaml'}: its file '{name}' is neither beside the card nor among the bundled data"
            ) from error


def read(folder: Path) -> Card:
    """The card of a folder. Raises BadInputError naming the file, the key and the mend."""
    path = folder / "card.yaml"
    text = _yaml(path)
    _against_schema(path, text)
    if text["id"] != folder.name:
        raise BadInputError(
            f"{path}: id is '{text['id']}' but its folder is called '{folder.name}': make them equal"
        )
    for place, expression in [
        ("licence", text["licence"]),
        *((f"sources[{k}].licence", s["licence"]) for k, s in enumerate(text["sources"])),
    ]:
        _check_licence(path, place, expression)
    return Card(folder, text)


def licences(expression: str) -> list[str]:
    """The identifiers of an SPDX expression such as ``MIT AND (CC-BY-4.0 OR Apache-2.0)``; ValueError if it is none."""
    words = re.findall(r"[()]|[^\s()]+", expression)
    depth, operand, found = 0, True, []
    for word in words:
        if word == "(" and operand:
            depth += 1
        elif word == ")" and not operand and depth:
            depth -= 1
        elif word in ("AND", "OR") and not operand:
            operand = True
        elif operand and word not in ("(", ")", "AND", "OR"):
            found.append(word)
            operand = False
        else:
            raise ValueError(f"'{expression}' is no SPDX expression near '{word}'")
    if operand or depth:
        raise ValueError(f"'{expression}' is no whole SPDX expression")
    return found


def _check_licence(path: Path, place: str, expression: str) -> None:
    try:
        names = licences(expression)
    except ValueError as error:
        raise BadInputError(f"{path}: {place}: {error}; write as 'MIT AND CC-BY-4.0'") from error
    for name in names:
        if name not in SPDX:
            raise BadInputError(
                f"{path}: {place}: '{name}' is no SPDX licence known here{nearest(name, SPDX)}"
            )


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    class Strict(yaml.SafeLoader):
        """Plain data only; a key that stands twice is refused instead of the last one winning."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = {str(key) for key in keys if keys.count(key) > 1}
            if twice:
                raise BadInputError(
                    f"{path}, line {node.start_mark.line + 1}: '{min(twice)}' stands twice; keep one"
                )
            return super().construct_mapping(node, deep)

    # Dates stay the text they are written as.
    Strict.yaml_implicit_resolvers = {
        key: [(tag, regex) for tag, regex in rules if tag != "tag:yaml.org,2002:timestamp"]
        for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        text = yaml.load(path.read_text(encoding="utf-8"), Loader=Strict)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"cannot read '{path}': {error}; every card is a folder with a card.yaml"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BadInputError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise BadInputError(f"{path}: nested too deeply to be a card") from error
    if not isinstance(text, dict):
        raise BadInputError(f"{path}: a card is a mapping of keys to values")
    return text


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of `card.yaml`."""
    found: dict[str, Any] = json.loads(
        (resources.folder("data_cards") / "schema.json").read_text(encoding="utf-8")
    )
    return found


def _against_schema(path: Path, text: dict[str, Any]) -> None:
    import jsonschema

    for error in sorted(
        jsonschema.Draft202012Validator(schema()).iter_errors(text), key=lambda e: list(map(str, e.path))
    ):
        place = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in error.path).lstrip(".")
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        if error.validator == "additionalProperties":
            unknown = min(str(key) for key in set(error.instance) - set(known))
            raise BadInputError(
                f"{path}: {place + ': ' if place else ''}unknown key '{unknown}'{nearest(unknown, known)}"
            )
        if error.validator == "required":
            missing = [one for one in error.validator_value if one not in error.instance]
            raise BadInputError(f"{path}: {place + ': ' if place else ''}'{missing[0]}' is missing")
        raise BadInputError(f"{path}: {place}: {error.message}")
    _refuse_filler(path, text, "")


def _refuse_filler(path: Path, value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, one in value.items():
            _refuse_filler(path, one, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            _refuse_filler(path, one, f"{place}[{number}]")
    elif isinstance(value, str) and _FILLER.search(value):
        raise BadInputError(
            f"{path}: {place}: '{value[:60]}' is a placeholder: say what is known, or that it is not"
        )
