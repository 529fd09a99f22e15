"""GQA scene graphs: one JSON object, image id -> width, height, objects with boxes, attributes, relations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shiftlab.errors import BadInputError
from shiftlab.readers import json_stream
from shiftlab.readers.annotations import Batches, Problems, Rows, drain

WHAT = "GQA scene graphs, an object of image ids"
_IMAGE_LABELS = ("location", "weather")


def read(path: Path, problems: Problems) -> Batches:
    """Images, objects and relations of one scene-graph file. Place labels become schemes of the image."""
    images, objects, relations = (Rows(kind, problems) for kind in ("image", "object", "relation"))
    for image_id, graph in json_stream.members(path, what=WHAT):
        if not isinstance(graph, dict) or not isinstance(graph.get("objects"), dict):
            raise BadInputError(f"{path.name}: image {image_id} has no object 'objects'; expected {WHAT}")
        labels = [{"scheme": k, "value": str(graph[k])} for k in _IMAGE_LABELS if graph.get(k)]
        size = [_pixels(graph.get(side), path, image_id, side) for side in ("width", "height")]
        images.add(image_id, image_id, *size, f"{image_id}.jpg", labels)
        for object_id, one in graph["objects"].items():
            _add_object(objects, relations, path, image_id, object_id, one)
        yield from drain(images, objects, relations)
    yield from drain(images, objects, relations, last=True)


def _add_object(objects: Rows, relations: Rows, path: Path, image_id: str, object_id: str, one: Any) -> None:
    if not isinstance(one, dict):
        raise BadInputError(
            f"{path.name}: image {image_id}, object {object_id} is {one!r}; expected an object"
        )
    name, attributes, links = one.get("name"), one.get("attributes") or [], one.get("relations") or []
    if not isinstance(attributes, list) or not all(isinstance(a, str) for a in attributes):
        raise BadInputError(
            f"{path.name}: image {image_id}, object {object_id}: 'attributes' must be a list of texts"
        )
    # GQA's page shows a dict of relations; the files hold lists.
    links = list(links.values()) if isinstance(links, dict) else links
    if not isinstance(links, list):
        raise BadInputError(
            f"{path.name}: image {image_id}, object {object_id}: 'relations' must be a list of relations"
        )
    box = (one.get("x"), one.get("y"), one.get("w"), one.get("h"))
    if None in box:
        side = "xywh"[box.index(None)]
        objects.problems.bad(
            "bad box",
            f"image {image_id}, object {object_id}",
            f"field '{side}' is missing",
            "give a number of pixels",
        )
        return
    described = [{"name": a.strip(), "category": None} for a in attributes if a.strip()]
    objects.add(image_id, object_id, _stripped(name), None, *box, False, described, path.name)
    for link in links:
        if not isinstance(link, dict) or not isinstance(link.get("name"), str) or "object" not in link:
            raise BadInputError(
                f"{path.name}: image {image_id}, object {object_id}: a relation is {link!r}; "
                "expected {'name': ..., 'object': ...}"
            )
        relations.add(image_id, object_id, link["name"].strip(), str(link["object"]))


def _stripped(name: Any) -> Any:
    return name.strip() if isinstance(name, str) else name


def _pixels(value: Any, path: Path, image_id: str, side: str) -> int:
    if type(value) not in (int, float) or not 1 <= value < 1 << 31:
        raise BadInputError(
            f"{path.name}: image {image_id}: '{side}' is {value!r}; expected a number of pixels"
        )
    return int(value)
