"""COCO instances: one JSON object with the lists `images`, `annotations` and `categories`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from shiftlab.errors import BadInputError
from shiftlab.readers import json_stream
from shiftlab.readers.annotations import Batches, Problems, Rows, drain

WHAT = "COCO instances, an object with images, annotations and categories"


def read(path: Path, problems: Problems) -> Batches:
    """Images and objects of one instances file; crowd annotations count as members.

    The file is read three times, since its lists come in any order and `annotations` does not fit in memory.
    An image is called by the stem of its file name, as in ``COCO_train2014_000000057870``.
    """
    categories = {str(one["id"]): one for one in _section(path, "categories", ("id", "name"))}
    if not categories:
        raise BadInputError(f"{path.name} has no list 'categories'; expected {WHAT}")
    images, objects = Rows("image", problems), Rows("object", problems)
    for one in _section(path, "images", ("id", "file_name")):
        stem = PurePosixPath(str(one["file_name"])).stem
        images.add(str(one["id"]), stem, one.get("width"), one.get("height"), str(one["file_name"]), [])
        yield from drain(images)
    yield from drain(images, last=True)
    for one in _section(path, "annotations", ("id", "image_id", "category_id")):
        _add_object(objects, one, categories)
        yield from drain(objects)
    yield from drain(objects, last=True)


def _section(path: Path, name: str, fields: tuple[str, ...]) -> Any:
    for one in json_stream.elements(path, f"{name}.item", what=WHAT, opening=b"{"):
        missing = [key for key in fields if key not in one] if isinstance(one, dict) else list(fields)
        if missing:
            raise BadInputError(f"{path.name}: a record of '{name}' lacks '{missing[0]}': {str(one)[:80]}")
        yield one


def _add_object(objects: Rows, one: dict[str, Any], categories: dict[str, dict[str, Any]]) -> None:
    image, ident, category = str(one["image_id"]), str(one["id"]), categories.get(str(one["category_id"]))
    if category is None:
        objects.problems.bad(
            "unlisted category",
            f"annotation {ident} of image {image}",
            f"category {one['category_id']} is not in 'categories'",
            "add the category",
        )
        return
    box = one.get("bbox")
    if box is not None and (not isinstance(box, list) or len(box) != 4):
        objects.problems.bad(
            "bad box",
            f"annotation {ident} of image {image}",
            f"'bbox' is {box!r}",
            "give [x, y, width, height]",
        )
        return
    sides = tuple(box) if box else (None, None, None, None)
    crowd = bool(one.get("iscrowd"))
    objects.add(image, ident, category["name"], category.get("supercategory"), *sides, crowd, [], None)
