"""Demonstrations of any known format: which reader fits, and its result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.readers import episodes_lerobot, episodes_minari, episodes_robomimic, episodes_table
from shiftlab.readers.episodes_data import MAX_BYTES, EpisodeData

_READERS = {
    "lerobot": episodes_lerobot.read,
    "robomimic": episodes_robomimic.read,
    "minari": episodes_minari.read,
    "table": episodes_table.read,
}
FORMATS = tuple(_READERS)
_PICKLES = (".pkl", ".pickle", ".npy", ".npz", ".pt", ".pth")


def read_episodes(
    path: str | Path,
    *,
    input: str = "auto",
    state: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> EpisodeData:
    """Demonstrations at ``path``; ``input`` is auto, lerobot, robomimic, minari or table.

    Raises BadInputError naming file, episode, frame and feature at fault, and for formats that can run code
    when they are read (pickles).
    """
    path = Path(path)
    kind = detect(path) if input == "auto" else input
    if kind not in _READERS:
        raise BadInputError(f"input must be auto, {', '.join(FORMATS)}, not {kind!r}")
    if not path.exists():
        raise BadInputError(f"there is no file or folder '{path}'")
    with frames.explained(path):  # columns of types that no reader expects
        return _READERS[kind](path, state=state, action=action, max_bytes=max_bytes)


def detect(path: Path) -> str:
    """The reader for a path, by the files in a folder and by a file's suffix."""
    if not path.exists():
        raise BadInputError(f"there is no file or folder '{path}'")
    if path.is_dir():
        if (path / "meta" / "info.json").is_file():
            return "lerobot"
        if (path / "metadata.json").is_file() or (path / "data" / "metadata.json").is_file():
            return "minari"
        raise BadInputError(
            f"'{path.name}' holds neither meta/info.json (LeRobot) nor metadata.json (Minari): choose --input"
        )
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".csv", ".tsv"):
        return "table"
    if suffix in (".hdf5", ".h5"):
        return "minari" if (path.parent / "metadata.json").is_file() else "robomimic"
    if suffix in _PICKLES:
        raise BadInputError(
            f"'{path.name}' may run code when it is read: convert it to Parquet or HDF5 first"
        )
    raise BadInputError(f"cannot tell what '{path.name}' is: choose one of --input {', '.join(FORMATS)}")
