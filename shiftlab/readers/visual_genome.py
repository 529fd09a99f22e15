"""Visual Genome's original files: image_data, objects, attributes, relationships, each a JSON list of images.

The files tell of the same objects under the same ids. Their irregularities, and what is done with them:
`name` or `names` (the first name is taken, further ones are flagged), capitals and outer spaces in names
and attributes (folded), objects that only a relationship mentions (kept), no `attributes` key (none).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftlab.errors import BadInputError
from shiftlab.readers import json_stream
from shiftlab.readers.annotations import Batches, Problems, Rows, drain

_PARTS = ("image_data", "objects", "attributes", "relationships")


def parts(path: Path) -> dict[str, Path]:
    """The files that make up one source, by part: `path` itself, or those in folder `path`."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found: dict[str, Path] = {}
    for file in files:
        part = part_of(file)
        if part and part in found:
            raise BadInputError(
                f"both {found[part].name} and {file.name} hold Visual Genome's {part}: keep one"
            )
        if part:
            found[part] = file
    return found


def part_of(file: Path) -> str | None:
    """Which part of Visual Genome a file name stands for: ``attributes.json``, ``vg_attributes.json``."""
    match = re.fullmatch(rf"(?:vg_)?({'|'.join(_PARTS)})(?:_v\d+)?\.json", file.name)
    return match[1] if match else None


def read(path: Path, problems: Problems) -> Batches:
    """Images, objects and relations of the files at `path` (a folder, or one of the files)."""
    found = parts(path)
    if not found or found.keys() == {"image_data"}:
        raise BadInputError(
            f"'{path}' holds no Visual Genome objects.json, attributes.json or relationships.json"
        )
    images, objects, relations = (Rows(kind, problems) for kind in ("image", "object", "relation"))
    listed = "image_data" in found
    seen: set[str] = set()
    add_part: dict[str, Callable[..., None]] = {
        "objects": _add_objects,
        "attributes": _add_objects,
        "relationships": _add_relationships,
    }
    for part, file in found.items():
        for record in json_stream.elements(file, "item", what=f"Visual Genome's {part}, a list of images"):
            image_id = _image_id(record, file, part)
            if part == "image_data":
                images.add(
                    image_id, image_id, record.get("width"), record.get("height"), f"{image_id}.jpg", []
                )
            else:
                if not listed and image_id not in seen:
                    seen.add(image_id)
                    images.add(image_id, image_id, None, None, f"{image_id}.jpg", [])
                add_part[part](record[part], image_id, file, objects, relations)
            yield from drain(images, objects, relations)
    yield from drain(images, objects, relations, last=True)


def _image_id(record: Any, file: Path, part: str) -> str:
    ident = record.get("image_id", record.get("id")) if isinstance(record, dict) else None
    if not isinstance(ident, int | str) or (part != "image_data" and not isinstance(record.get(part), list)):
        raise BadInputError(
            f"{file.name}: a record is {str(record)[:80]!r}; expected 'image_id' and a list '{part}'"
        )
    return str(ident)


def _add_objects(records: list[Any], image_id: str, file: Path, objects: Rows, _: Rows) -> None:
    for one in records:
        _add_object(one, image_id, file, objects)


def _add_relationships(records: list[Any], image_id: str, file: Path, objects: Rows, relations: Rows) -> None:
    told: set[str] = set()  # a relationship repeats its objects: tell each once an image
    for one in records:
        if not isinstance(one, dict) or not all(isinstance(one.get(k), dict) for k in ("subject", "object")):
            raise BadInputError(
                f"{file.name}: image {image_id}: a relationship lacks its 'subject' or 'object'"
            )
        ends = [str(one[k].get("object_id")) for k in ("subject", "object")]
        for end, ident in zip(("subject", "object"), ends, strict=True):
            if ident not in told:
                told.add(ident)
                _add_object(one[end], image_id, file, objects)
        relations.add(image_id, ends[0], str(one.get("predicate") or "").strip().lower(), ends[1])


def _add_object(one: Any, image_id: str, file: Path, objects: Rows) -> None:
    if not isinstance(one, dict) or "object_id" not in one:
        raise BadInputError(
            f"{file.name}: image {image_id}: an object is {str(one)[:80]!r}; expected an 'object_id'"
        )
    ident = str(one["object_id"])
    names = one.get("names") or [one.get("name")]
    given = one.get("attributes") or []
    if not isinstance(names, list) or not isinstance(given, list):
        raise BadInputError(
            f"{file.name}: image {image_id}, object {ident}: 'names' and 'attributes' must be lists of texts"
        )
    if len(names) > 1:
        objects.problems.flag(
            "several names", f"image {image_id}, object {ident}", ", ".join(map(str, names))
        )
    attributes = dict.fromkeys(_folded(a) for a in given if isinstance(a, str) and a.strip())
    box = (one.get("x"), one.get("y"), one.get("w"), one.get("h"))
    described = [{"name": a, "category": None} for a in attributes]
    objects.add(image_id, ident, _folded(names[0]), None, *box, False, described, file.name)


def _folded(text: Any) -> Any:
    return " ".join(text.split()).lower() if isinstance(text, str) else text
