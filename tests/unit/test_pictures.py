"""Pictures of items: from files and from arrays, what is refused, and the bundled garments."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import shiftlab as sl
from shiftlab import integrity, pictures, resources
from shiftlab.data import prepare
from shiftlab.errors import BadInputError, ShiftLabError
from shiftlab.readers import pictures as reader


@pytest.fixture
def cat(tmp_path: Path) -> sl.Catalog:
    """Four items: two name a file, two do not."""
    table = pl.DataFrame(
        {
            "image_id": ["1", "2", "3", "4"],
            "object": ["cat"] * 4,
            "file": ["a/red.png", "b/blue.jpg", None, None],
        }
    )
    table.write_parquet(tmp_path / "items.parquet")
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_images(tmp_path / "items.parquet", "pets")
    return catalog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for name, size, colour in (
        ("a/red.png", (40, 20), (255, 0, 0)),
        ("b/blue.jpg", (900, 300), (0, 0, 255)),
        ("3.webp", (64, 64), (0, 255, 0)),
        ("stranger.png", (8, 8), (9, 9, 9)),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(root / name)
    return root


def kept(catalog: sl.Catalog, dataset: str = "pets") -> dict[str, Image.Image]:
    """The pictures of a data set by the id of their item."""
    files = catalog.sql("select file, index_file from picture_file where dataset = $d", {"d": dataset}).rows()
    ids = dict(catalog.sql("select item_id, external_id from item where dataset = $d", {"d": dataset}).rows())
    found = pictures.load(catalog.store, files, list(ids))
    return {ids[item_id]: Image.open(io.BytesIO(content)) for item_id, (_, content) in found.items()}


def test_files_are_found_by_name_or_by_id_and_made_small(cat: sl.Catalog, folder: Path) -> None:
    done = cat.ingest_pictures(folder, "pets")
    assert (done.pictures, done.unknown, done.without) == (3, 1, 1)
    found = kept(cat)
    assert {name: one.size for name, one in found.items()} == {"1": (40, 20), "2": (256, 85), "3": (64, 64)}
    assert found["1"].format == "PNG"
    assert found["1"].getpixel((3, 3)) == (255, 0, 0)
    red, _, blue = found["2"].getpixel((100, 40))
    assert blue > 240 > 15 > red
    assert cat.ingest_pictures(folder, "pets").already_there
    assert not [one for one in integrity.check(cat.store) if one.violations]


def test_a_file_that_goes_missing_is_told(cat: sl.Catalog, folder: Path) -> None:
    cat.ingest_pictures(folder, "pets")
    next((cat.path / "pictures").glob("*.pack")).unlink()
    assert [one.rule for one in integrity.check(cat.store) if one.violations] == [
        "files that rows name are there"
    ]
    with pytest.raises(ShiftLabError, match=r"missing or damaged.*ingest it again"):
        kept(cat)


def test_items_that_have_a_picture_keep_it(cat: sl.Catalog, folder: Path) -> None:
    cat.ingest_pictures(folder, "pets")
    Image.new("RGB", (4, 4)).save(folder / "4.png")
    with pytest.raises(BadInputError, match="3 items of dataset 'pets' have a picture already"):
        cat.ingest_pictures(folder, "pets")
    for name in ("a/red.png", "b/blue.jpg", "3.webp"):
        (folder / name).unlink()
    assert cat.ingest_pictures(folder, "pets").pictures == 1
    assert set(kept(cat)) == {"1", "2", "3", "4"}


def test_paths_never_leave_the_folder(cat: sl.Catalog, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    Image.new("RGB", (4, 4)).save(outside)
    (folder / "4.png").symlink_to(outside)
    pl.DataFrame({"image_id": ["5"], "object": ["cat"], "file": ["../outside.png"]}).write_csv(
        tmp_path / "more.csv"
    )
    cat.ingest_images(tmp_path / "more.csv", "pets")
    cat.ingest_pictures(folder, "pets")
    assert set(kept(cat)) == {"1", "2", "3"}


def bomb() -> bytes:
    """A PNG that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no picture at all", "cannot identify image file"),
        (b"", "cannot identify image file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", "cannot identify image file"),
        (bomb(), "60,000 x 60,000 pixels|decompression bomb"),
    ],
)
def test_what_is_no_picture_is_refused_by_name_or_skipped(
    cat: sl.Catalog, folder: Path, content: bytes, why: str
) -> None:
    (folder / "4.png").write_bytes(content)
    with pytest.raises(BadInputError, match=rf"4\.png cannot be used: .*({why}).*--on-bad skip"):
        cat.ingest_pictures(folder, "pets")
    assert list((cat.path / "pictures").iterdir()) == []
    assert cat.ingest_pictures(folder, "pets", on_bad="skip").skipped == 1
    assert set(kept(cat)) == {"1", "2", "3"}
    assert cat.sql("select record from ingest_issue where problem like '%picture%'").rows() == [("4.png",)]


def test_a_picture_that_is_cut_off_is_refused(folder: Path) -> None:
    content = (folder / "b" / "blue.jpg").read_bytes()
    for length in range(1, len(content), 97):
        (folder / "b" / "blue.jpg").write_bytes(content[:length])
        (found,) = reader.small([folder / "b" / "blue.jpg"])
        assert isinstance(found, reader.Bad)


def test_transparent_becomes_white_and_turned_ones_stand_up(tmp_path: Path) -> None:
    Image.new("RGBA", (6, 6), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    turned = Image.new("RGB", (30, 10))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    clear, stood = (
        Image.open(io.BytesIO(one)) for one in reader.small([tmp_path / "clear.png", tmp_path / "turned.jpg"])
    )  # type: ignore[arg-type]
    assert clear.getpixel((2, 2)) == (255, 255, 255)
    assert stood.size == (10, 30)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"ids": ["1", "1"], "x": np.zeros((2, 4, 4), np.uint8)}, "id '1' has several pictures"),
        ({"ids": ["8", "9"], "x": np.zeros((2, 4, 4), np.uint8)}, "none of its ids"),
        ({"ids": ["1", "2"], "x": np.zeros((2, 4, 4), np.float32)}, "expected uint8"),
        ({"ids": ["1", "2"], "x": np.zeros((2, 16), np.uint8)}, "expected uint8 of shape"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(
    cat: sl.Catalog, tmp_path: Path, arrays: dict, told: str
) -> None:
    np.savez(tmp_path / "pixels.npz", **arrays)
    with pytest.raises(BadInputError, match=told):
        cat.ingest_pictures(tmp_path / "pixels.npz", "pets")


def test_the_bundled_garments(tmp_path: Path) -> None:
    data = resources.data("fashion_mnist_t10k")
    items = pl.read_parquet(data / "items.parquet")
    with np.load(data / "pictures.npz", allow_pickle=False) as arrays:
        ids, pixels = arrays["image_id"], arrays["pictures"]
    kinds = items.unique("image_id").sort("image_id")["object"]
    labels = np.array([prepare.GARMENTS.index(one) for one in kinds])
    assert items.equals(prepare._garments(ids, labels, pixels))  # attributes are what the pixels say
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_images(data / "items.parquet", "fashion")
    assert catalog.ingest_pictures(data / "pictures.npz", "fashion").pictures == 10_000
    found = kept(catalog, "fashion")
    assert (np.asarray(found["00042"]) == pixels[42]).all()  # PNG: as it was
