"""The README's pictures are those that the gallery's command makes, and small."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.browser.gallery import FOLDER, MOST_BYTES, SHOTS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHOTS)
def test_picture(name: str) -> None:
    path = FOLDER / f"{name}.png"
    assert f"](docs/gallery/{name}.png)" in README
    assert path.stat().st_size <= MOST_BYTES
    with Image.open(path) as picture:
        assert picture.size == (1360, 860)


def test_no_picture_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(SHOTS)
