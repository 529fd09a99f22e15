"""Croissant 1.1 metadata of a card (MLCommons), so that other tools load the data without us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from shiftlab.cards.card import Card, licences

_ENCODINGS = {
    ".parquet": "application/x-parquet",
    ".csv": "text/csv",
    ".npz": "application/zip",
    ".txt": "text/plain",
}
_TYPES = {"integer": "sc:Integer", "number": "sc:Float", "boolean": "sc:Boolean", "text": "sc:Text"}
_TERMS = (
    "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes",
    "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform", "citeAs", "isArray", "arrayShape",
)  # fmt: skip
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"


def croissant(card: Card, facts: dict[str, Any]) -> dict[str, Any]:
    """JSON-LD: the files with their hashes, and a record set with a field per column for every table."""
    text = card.text
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": card.id,
        "description": text["summary"],
        "conformsTo": CONFORMS_TO,
        "citeAs": text["citation"],
        "creator": [{"@type": "sc:Organization", "name": name} for name in text["creators"]],
        "datePublished": text["date_published"],
        "license": [f"https://spdx.org/licenses/{name}.html" for name in licences(text["licence"])],
        "url": text["url"],
        "version": text["version"],
        "distribution": [_file(card, about) for about in facts["files"]],
        "recordSet": [
            _records(entry, about)
            for entry, about in zip(text["files"], facts["files"], strict=True)
            if "columns" in about
        ],
    }


def _context() -> dict[str, Any]:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    } | {term: f"cr:{term}" for term in _TERMS}


def _file(card: Card, about: dict[str, Any]) -> dict[str, Any]:
    path = Path(os.path.relpath(card.data(about["name"]), card.folder)).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": about["name"],
        "name": about["name"],
        "contentUrl": path,
        "contentSize": f"{about['bytes']} B",
        "encodingFormat": _ENCODINGS.get(Path(about["name"]).suffix, "application/octet-stream"),
        "sha256": about["sha256"],
    }


def _records(entry: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    name = f"{Path(about['name']).stem}_rows"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": entry["what"],
        "field": [
            _field(name, about["name"], column, entry["columns"][column["name"]])
            for column in about["columns"]
        ],
    }


def _field(records: str, file: str, column: dict[str, Any], told: str) -> dict[str, Any]:
    kind = column["type"].removeprefix("list of ")
    several = {"isArray": True, "arrayShape": str(column.get("length", -1))} if kind != column["type"] else {}
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column['name']}",
        "name": column["name"],
        "description": told,
        "dataType": _TYPES[kind],
        **several,
        "source": {"fileObject": {"@id": file}, "extract": {"column": column["name"]}},
    }
