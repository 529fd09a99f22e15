"""Vectors out of npy, npz and Parquet into a space, and what is refused on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab import vectors
from shiftlab.errors import BadInputError, NotFoundError

MATRIX = np.arange(24, dtype=np.float64).reshape(6, 4)
IDS = ["3", "1", "2", "6", "5", "4"]


@pytest.fixture
def small(catalog: sl.Catalog, small_table: Path) -> sl.Catalog:
    catalog.ingest_images(small_table, "small")
    return catalog


def expected() -> np.ndarray:
    return MATRIX[np.argsort(IDS)].astype(np.float32)


def test_npz(small: sl.Catalog, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", image_id=np.array(IDS), vectors=MATRIX)
    done = small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    assert (done.vectors, done.dim, done.stage) == (6, 4, "base")
    loaded = vectors.load(small.store, "small")
    assert (loaded.matrix == expected()).all()
    assert loaded.matrix.dtype == np.float32
    assert isinstance(loaded.matrix, np.memmap)


@pytest.mark.parametrize("ids", ["ids.npy", "ids.csv:key", "ids.parquet:key"])
def test_npy_with_a_file_of_ids(small: sl.Catalog, tmp_path: Path, ids: str) -> None:
    np.save(tmp_path / "v.npy", MATRIX.astype(np.float16))
    np.save(tmp_path / "ids.npy", np.array([int(i) for i in IDS]))
    frame = pl.DataFrame({"other": range(6), "key": IDS})
    frame.write_csv(tmp_path / "ids.csv")
    frame.write_parquet(tmp_path / "ids.parquet")
    small.ingest_vectors(tmp_path / "v.npy", "small", "s", ids=str(tmp_path / ids))
    assert (vectors.load(small.store, "small", "s").matrix == expected()).all()


def test_parquet_with_a_vector_column_and_with_flat_columns(small: sl.Catalog, tmp_path: Path) -> None:
    pl.DataFrame({"image_id": IDS, "v": MATRIX.tolist()}).write_parquet(tmp_path / "list.parquet")
    pl.DataFrame({"v": MATRIX, "name": IDS}).write_parquet(tmp_path / "array.parquet")
    flat = pl.DataFrame(MATRIX, schema=["a", "b", "c", "d"]).with_columns(item=pl.Series(IDS))
    flat.write_parquet(tmp_path / "flat.parquet")
    small.ingest_vectors(tmp_path / "list.parquet", "small", "list")
    small.ingest_vectors(tmp_path / "array.parquet", "small", "array", ids="name")
    small.ingest_vectors(tmp_path / "flat.parquet", "small", "flat")
    for space in ("list", "array", "flat"):
        assert (vectors.load(small.store, "small", space).matrix == expected()).all()


def test_rows_finds_the_items_that_have_a_vector(small: sl.Catalog, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", image_id=np.array(["2", "4"]), vectors=MATRIX[:2])
    small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    items = dict(small.sql("select external_id, item_id from item").rows())
    loaded = vectors.load(small.store, "small", "s")
    found = loaded.rows(np.array([items["1"], items["4"], items["6"], items["2"]]))
    assert loaded.item_ids[found].tolist() == [items["4"], items["2"]]


def test_several_vectors_of_an_item_are_averaged_on_request(small: sl.Catalog, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "v.npz", image_id=np.array(["1", "2", "1"]), vectors=np.array([[0.0, 2], [5, 5], [4, 0]])
    )
    with pytest.raises(BadInputError, match="id '1' has several vectors; average them with --average"):
        small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    done = small.ingest_vectors(tmp_path / "v.npz", "small", "s", average=True)
    assert (done.vectors, done.averaged) == (2, 1)
    assert vectors.load(small.store, "small", "s").matrix.tolist() == [[2, 1], [5, 5]]


def test_unknown_ids_are_refused_or_skipped(small: sl.Catalog, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", image_id=np.array(["1", "99"]), vectors=MATRIX[:2])
    with pytest.raises(BadInputError, match=r"1 of 2 ids are no items of dataset 'small' \(as '99'\)"):
        small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    assert small.ingest_vectors(tmp_path / "v.npz", "small", "s", skip_unknown=True).unknown_ids == 1
    np.savez(tmp_path / "w.npz", image_id=np.array(["x", "y"]), vectors=MATRIX[:2])
    with pytest.raises(BadInputError, match="none of its ids"):
        small.ingest_vectors(tmp_path / "w.npz", "small", "s", skip_unknown=True)


def test_again_changes_nothing_and_stages_are_kept_apart(small: sl.Catalog, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", image_id=np.array(IDS), vectors=MATRIX)
    np.savez(tmp_path / "w.npz", image_id=np.array(IDS), vectors=MATRIX + 1)
    small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    before = small.store.generation()
    assert small.ingest_vectors(tmp_path / "v.npz", "small", "s").already_there
    assert small.store.generation() == before
    with pytest.raises(BadInputError, match="6 items of dataset 'small' have a vector in space 's'"):
        small.ingest_vectors(tmp_path / "w.npz", "small", "s")
    small.ingest_vectors(tmp_path / "w.npz", "small", "s", stage="tuned")
    assert (vectors.load(small.store, "small", "s", "tuned").matrix == expected() + 1).all()
    with pytest.raises(NotFoundError, match="stage 'other'"):
        vectors.load(small.store, "small", "s", "other")


def test_shards_are_joined(small: sl.Catalog, tmp_path: Path) -> None:
    for name, part in (("a", slice(0, 3)), ("b", slice(3, 6))):
        np.savez(tmp_path / f"{name}.npz", image_id=np.array(IDS[part]), vectors=MATRIX[part])
        small.ingest_vectors(tmp_path / f"{name}.npz", "small", "s")
    assert (vectors.load(small.store, "small", "s").matrix == expected()).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image_id": IDS, "v": np.where(MATRIX == 9, np.nan, MATRIX)}, "vector in row 2 holds NaN"),
        (
            {"image_id": IDS, "v": np.where(MATRIX == 4, np.inf, MATRIX)},
            "vector in row 1 holds NaN or infinity",
        ),
        ({"image_id": IDS[:5], "v": MATRIX}, "6 vectors but 5 ids"),
        ({"v": MATRIX}, "name the one with the ids"),
        ({"image_id": IDS, "v": MATRIX, "w": MATRIX}, "one two-dimensional array"),
        ({"image_id": IDS, "v": MATRIX[:, :0]}, "shape"),
        ({"image_id": IDS, "v": MATRIX.astype(str)}, "expected numbers"),
        ({"image_id": np.array([[1.0]]), "v": MATRIX}, "ids are float64"),
    ],
)
def test_broken_files_are_refused(small: sl.Catalog, tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "v.npz", **{name: np.asarray(one) for name, one in arrays.items()})
    with pytest.raises(BadInputError, match=message):
        small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    assert small.sql("select count(*) from space").rows() == [(0,)]
    assert list((small.path / "vectors").iterdir()) == []


def test_pickled_arrays_are_not_read(small: sl.Catalog, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", image_id=np.array(IDS, dtype=object), vectors=MATRIX)
    with pytest.raises(BadInputError):
        small.ingest_vectors(tmp_path / "v.npz", "small", "s")
    np.save(tmp_path / "v.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInputError, match="no plain array file"):
        small.ingest_vectors(tmp_path / "v.npy", "small", "s", ids=str(tmp_path / "v.npy"))


def test_ragged_vectors_name_the_row(small: sl.Catalog, tmp_path: Path) -> None:
    pl.DataFrame({"image_id": ["1", "2"], "v": [[1.0, 2.0], [1.0]]}).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(BadInputError, match="2 in row 0, 1 in row 1"):
        small.ingest_vectors(tmp_path / "v.parquet", "small", "s")


@pytest.mark.parametrize("name", ["v.txt", "v.pkl"])
def test_other_formats_are_refused(small: sl.Catalog, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadInputError, match=r"\.npy, \.npz or \.parquet"):
        small.ingest_vectors(tmp_path / name, "small", "s")


def test_truncated_files_are_refused(small: sl.Catalog, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", MATRIX)
    np.save(tmp_path / "ids.npy", np.array(IDS))
    whole = (tmp_path / "v.npy").read_bytes()
    for cut in range(0, len(whole) - 1, len(whole) // 16):
        (tmp_path / "v.npy").write_bytes(whole[:cut])
        with pytest.raises(BadInputError):
            small.ingest_vectors(tmp_path / "v.npy", "small", "s", ids=str(tmp_path / "ids.npy"))


def test_a_data_set_without_vectors_says_so(small: sl.Catalog) -> None:
    with pytest.raises(NotFoundError, match="has no vectors"):
        vectors.load(small.store, "small")
