"""Pictures of items, made small: from a folder of image files, or from an array of pixels with ids.

Only Pillow decodes, only the formats named here, and only files within the folder: a path that a source names is
looked up among the files that are there, never opened by itself.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SIDE = 256  # pixels of the longer side that are kept
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_MOST_BYTES = 64 << 20
_MOST_PIXELS = 120_000_000
_MOST_FILES = 5_000_000
_AT_ONCE = 256
_TINY = 64 * 64


@dataclass(frozen=True)
class Bad:
    """A picture that cannot be used, and why."""

    name: str
    why: str


def files_below(folder: Path) -> dict[str, Path]:
    """Image files in `folder` and below, by their path relative to it, as ``train/0001.jpg``.

    Links are followed only to files within the folder. Raises `BadInputError` where there is none.
    """
    root = folder.resolve()
    found: dict[str, Path] = {}
    for place, _, names in os.walk(root):
        for name in names:
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and path.resolve().is_relative_to(root) and path.is_file():
                found[path.relative_to(root).as_posix()] = path
        if len(found) > _MOST_FILES:
            raise BadInputError(
                f"'{folder}' holds more than {_MOST_FILES:,} pictures; name a folder of fewer"
            )
    if not found:
        raise BadInputError(f"'{folder}' holds no pictures ({', '.join(SUFFIXES)})")
    return dict(sorted(found.items()))


def small(paths: list[Path]) -> Iterator[bytes | Bad]:
    """Each file as a PNG or JPEG of at most `SIDE` pixels a side, in order; read and decoded on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), _AT_ONCE):
            yield from pool.map(_small, paths[start : start + _AT_ONCE])


def small_arrays(pixels: np.ndarray, path: Path) -> Iterator[bytes | Bad]:
    """The same of grey pictures in an array: (n, h, w), uint8. Raises `BadInputError` for others."""
    from PIL import Image

    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise BadInputError(
            f"{path.name}: pictures are {pixels.dtype} of shape {pixels.shape}; expected uint8 of shape "
            "(items, height, width); pictures in colour come as a folder of files"
        )
    for one in pixels:
        yield _encoded(Image.fromarray(np.ascontiguousarray(one)))


def _small(path: Path) -> bytes | Bad:
    """One file made small. Whatever Pillow says of it is a reason, not an error of ours."""
    from PIL import Image, ImageOps

    try:
        if path.stat().st_size > _MOST_BYTES:
            return Bad(path.name, f"it has more than {_MOST_BYTES >> 20} MB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata; sizes are checked here
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    return Bad(path.name, f"it has {picture.width:,} x {picture.height:,} pixels")
                picture.draft("RGB", (SIDE, SIDE))
                return _encoded(ImageOps.exif_transpose(picture))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, ArithmeticError, Image.DecompressionBombError,
            TypeError, LookupError, AttributeError, NotImplementedError) as error:  # fmt: skip
        return Bad(path.name, " ".join(str(error).split())[:200] or type(error).__name__)


def _encoded(picture: Image.Image) -> bytes:
    """PNG as it is where it is tiny, else JPEG of at most `SIDE` pixels a side; what is transparent becomes white."""
    from PIL import Image

    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    shown = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    out = io.BytesIO()
    if shown.width * shown.height <= _TINY:
        shown.save(out, "PNG")
    else:
        shown.thumbnail((SIDE, SIDE))
        shown.save(out, "JPEG", quality=82)
    return out.getvalue()
