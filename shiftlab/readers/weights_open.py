"""Any weight file -> its convolution layers: the format is told by content, then by suffix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import LayerItem, checked_archive
from shiftlab.readers.weights_state import StateTensor

Format = Literal["safetensors", "torch", "tfjs", "npz", "onnx", "keras", "tflite"]

SUFFIXES = {
    ".safetensors": "safetensors", ".pt": "torch", ".pth": "torch", ".ckpt": "torch", ".npz": "npz",
    ".npy": "npz", ".onnx": "onnx", ".h5": "keras", ".hdf5": "keras", ".keras": "keras", ".tflite": "tflite",
}  # fmt: skip
_SNIFF = 64
_NAMED = ("safetensors", "torch", "npz")


@dataclass(frozen=True)
class WeightFile:
    """A model on disk: its format, every file it consists of, and the sha256 over their bytes."""

    path: Path
    format: Format
    files: tuple[Path, ...]
    sha256: str


def open_weights(path: str | Path, *, external_data: bool = False) -> WeightFile:
    """Identify a model file and hash its content. Nothing of it is run, no weight is read yet.

    `external_data` allows an ONNX model to keep weights in other files of its own folder. Raises
    BadInputError for a missing file and for content of no known format, naming the file.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInputError(f"{path}: no such model file")
    format = _format(path)
    files = [path]
    if format == "tfjs":
        files += import_module("shiftlab.readers.weights_tfjs").files(path)
    if format == "onnx" and external_data:
        files += import_module("shiftlab.readers.weights_onnx").external_files(path)
    return WeightFile(path, format, tuple(files), _sha256(files))


def read_layers(file: WeightFile, *, external_data: bool = False) -> Iterator[LayerItem]:
    """Yield the convolution layers of a model, one weight in memory at a time.

    Raises BadInputError, naming file and tensor, for anything damaged or dangerous.
    """
    module = import_module(f"shiftlab.readers.weights_{file.format}")
    if file.format == "onnx":
        yield from module.read(file.path, external_data=external_data)
    else:
        yield from module.read(file.path)


def read_tensors(file: WeightFile) -> list[StateTensor]:
    """Every named tensor of a safetensors, torch or npz file, read when asked for.

    Raises BadInputError for other formats, which do not name their weights alike, and as `read_layers` does.
    """
    if file.format not in _NAMED:
        raise BadInputError(f"{file.path}: tensors by name come from {', '.join(_NAMED)}, not {file.format}")
    found: list[StateTensor] = import_module(f"shiftlab.readers.weights_{file.format}").tensors(file.path)
    return found


def find_models(folder: Path) -> list[Path]:
    """Model files below a folder, sorted: known suffixes, and TF.js manifests among the JSON files."""
    found = [p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES]
    found += [p for p in folder.rglob("*.json") if p.is_file() and _is_manifest(p)]
    return sorted(found)


def _is_manifest(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(1).strip()
    if head not in (b"{", b"[") or path.stat().st_size > 100 << 20:
        return False
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    if isinstance(content, dict):
        return "weightsManifest" in content
    return bool(content) and all(isinstance(g, dict) and {"paths", "weights"} <= g.keys() for g in content)


def _format(path: Path) -> Format:
    with path.open("rb") as stream:
        head = stream.read(_SNIFF)
    if not head:
        raise BadInputError(f"{path}: the file is empty")
    if head.startswith(b"PK\x03\x04"):
        return _archive_format(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(b"\x93NUMPY"):
        return "npz"
    if path.suffix.lower() == ".safetensors" or (head[8:9] == b"{" and head[:8].endswith(b"\0\0\0\0")):
        return "safetensors"
    if head[:1] in (b"{", b"[") or path.suffix.lower() == ".json":
        return "tfjs"
    if head[:1] == b"\x80" or SUFFIXES.get(path.suffix.lower()) == "torch":
        return "torch"
    if path.suffix.lower() == ".onnx":
        return "onnx"
    raise BadInputError(f"{path}: no known weight format (its suffix is {path.suffix!r}); known: {_known()}")


def _archive_format(path: Path) -> Format:
    with checked_archive(path) as archive:
        names = archive.namelist()
        if any(name.rsplit("/", 1)[-1] == "data.pkl" for name in names):
            return "torch"
        if "model.weights.h5" in names:
            return "keras"
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
    raise BadInputError(
        f"{path}: an archive of other files ({', '.join(names[:3]) or 'empty'}); archives in archives "
        "are not read: unpack it and name the model files"
    )


def _known() -> str:
    return ", ".join(sorted(SUFFIXES)) + ", TF.js model.json"


def _sha256(files: list[Path]) -> str:
    """Hash over the bytes of all files in order."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
