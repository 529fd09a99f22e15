"""What every ingest asks of its source: a usable name for the data set, and the hash of what is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from shiftlab.errors import BadInputError


def check_dataset_name(dataset: str) -> None:
    """Raises `BadInputError` for a name that could not be typed, printed or put before a slash."""
    if not dataset.strip() or dataset != dataset.strip() or "/" in dataset or not dataset.isprintable():
        raise BadInputError(f"{dataset!r} cannot name a dataset: use letters, digits, '-', '_' and '.'")


def content_hash(files: Sequence[Path], root: Path | None = None) -> str:
    """sha256 over the bytes of `files`, in their order; with a `root`, over their names below it too."""
    digest = hashlib.sha256()
    for file in files:
        if root is not None:
            digest.update(str(file.relative_to(root)).encode())
        try:
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise BadInputError(f"cannot read '{file}': {error.strerror}") from error
    return digest.hexdigest()
