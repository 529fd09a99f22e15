"""A small catalog of its own for the pages, with names that break careless code, and its damaged relatives."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

import shiftlab as sl
from shiftlab import resources

CONTEXTS = ("sofa", "bed", "o'hare *bold*", "Straße", "sink", "car [old]", "grass")
Page = Callable[..., AppTest]


def fill(catalog: sl.Catalog, folder: Path) -> None:
    """Images of cats and dogs, each in one or two of seven contexts, with vectors that follow the context."""
    rng = np.random.default_rng(7)
    rows, vectors = [], []
    for image in range(420):
        first = image % len(CONTEXTS)
        rows += [(image, "cat" if image % 3 else "dog"), (image, CONTEXTS[first])]
        if image % 4 == 0:
            rows.append((image, CONTEXTS[(first + 1) % len(CONTEXTS)]))
        if rng.random() < 0.3:
            rows.append((image, "lamp"))
        vectors.append(rng.normal(size=8) + (first % 3))
    table = folder / "images.parquet"
    pl.DataFrame(rows, schema=["image_id", "object"], orient="row").write_parquet(table)
    np.savez(
        folder / "vectors.npz", ids=np.arange(420).astype(str), vectors=np.array(vectors, dtype=np.float32)
    )
    catalog.ingest_images(table, "pets")
    catalog.ingest_vectors(folder / "vectors.npz", "pets", "toy")
    pixels = rng.integers(0, 255, size=(400, 12, 12), dtype=np.uint8)  # the last twenty have no picture
    np.savez(folder / "pictures.npz", ids=np.arange(400).astype(str), pictures=pixels)
    catalog.ingest_pictures(folder / "pictures.npz", "pets")
    catalog.build_subsets("pets", min_images=10, min_subsets=3)
    catalog.matrix("jensen_shannon", subject="cat", dataset="pets")
    catalog.compare("cat(bed)", "cat(sofa)", measure=["jensen_shannon", "mmd"], permutations=99)


def demonstrate(catalog: sl.Catalog, folder: Path) -> None:
    """Eight demonstrations of reaching a point, two of them shaky, scored; and the bundled networks."""
    rng = np.random.default_rng(3)
    rows = []
    for episode in range(8):
        place, shake = rng.normal(size=2), 0.6 if episode > 5 else 0.05
        for frame in range(40):
            action = -0.2 * place + shake * rng.normal(size=2)
            rows.append((episode, frame, place.tolist(), action.tolist()))
            place = place + action
    columns = ["episode_index", "frame_index", "observation.state", "action"]
    table = folder / "episodes.parquet"
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(table)
    catalog.ingest_episodes(table, "reach")
    catalog.score_episodes("reach")
    catalog.ingest_models([resources.data("cnn_filters") / "sketches.parquet"])


def crowd(catalog: sl.Catalog, folder: Path) -> None:
    """Two classes of many contexts in blocks of ten that share items: 120 of things, tested, and 310 of stuff."""
    rng = np.random.default_rng(0)
    tables, done = [], 0
    for subject, contexts in (("thing", 120), ("stuff", 310)):
        first = np.repeat(np.arange(contexts), 34)
        shared = np.where(
            rng.random(len(first)) < 0.6, first // 10 * 10, rng.integers(0, contexts, len(first))
        )
        ids, names = done + np.arange(len(first)), np.array([f"place {one:03d}" for one in range(contexts)])
        done += len(first)
        columns = (np.repeat(subject, len(first)), names[first], names[shared])
        tables += [pl.DataFrame({"image_id": ids, "object": one}) for one in columns]
    pl.concat(tables).write_parquet(folder / "crowd.parquet")
    np.savez(folder / "crowd.npz", ids=np.arange(done).astype(str), vectors=rng.normal(size=(done, 3)))
    catalog.ingest_images(folder / "crowd.parquet", "crowd")
    catalog.ingest_vectors(folder / "crowd.npz", "crowd", "toy")
    catalog.build_subsets("crowd", min_images=10)
    catalog.matrix("mmd", subject="thing", dataset="crowd", permutations=19)


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a catalog with classes of more subsets than a chart holds well. Shared: read, do not change."""
    folder = tmp_path_factory.mktemp("crowded")
    catalog = sl.open(folder / "catalog")
    crowd(catalog, folder)
    return catalog.path


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit makes the page the main module; processes started by later tests would run it again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a filled catalog. Shared: read, do not change."""
    folder = tmp_path_factory.mktemp("pages")
    catalog = sl.open(folder / "catalog")
    fill(catalog, folder)
    demonstrate(catalog, folder)
    return catalog.path


@pytest.fixture
def own(filled: Path, tmp_path: Path) -> sl.Catalog:
    """A copy of the filled catalog that a test may change."""
    return sl.open(shutil.copytree(filled, tmp_path / "catalog"))


@pytest.fixture(scope="session")
def states(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a filled, an unbuilt (a data set without subsets), an empty, a missing, a newer and a broken catalog."""
    folder = tmp_path_factory.mktemp("states")
    newer = sl.open(folder / "newer").path
    (folder / "unbuilt").mkdir()
    pl.DataFrame({"image_id": [1, 2], "object": ["cat", "dog"]}).write_csv(folder / "unbuilt" / "two.csv")
    unbuilt = sl.open(folder / "unbuilt" / "catalog")
    unbuilt.ingest_images(folder / "unbuilt" / "two.csv", "two")
    with duckdb.connect(str(newer / "catalog.duckdb")) as con:
        con.execute("insert into migration values (9999, '9999_from_the_future', 'x', now())")
    broken = folder / "broken"
    broken.mkdir()
    (broken / "catalog.duckdb").write_bytes(b"this is no database" * 1000)
    return {
        "filled": filled,
        "unbuilt": unbuilt.path,
        "empty": sl.open(folder / "empty").path,
        "missing": folder / "nowhere",
        "newer": newer,
        "broken": broken,
    }


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, filled: Path) -> Page:
    """Opens a page cold at an address, over the filled catalog unless told otherwise."""

    def open_page(name: str, catalog: Path = filled, /, **parameters: str | list[str]) -> AppTest:
        monkeypatch.setenv("SHIFTLAB_CATALOG", str(catalog))
        at = AppTest.from_file(str(resources.folder("apps") / "app.py"), default_timeout=60)
        at.run()
        if name != "home":
            at.switch_page(f"views/{name}.py")
        for key, value in parameters.items():
            at.query_params[key.rstrip("_")] = value
        return at.run()

    return open_page


def shown(at: AppTest) -> str:
    """Every text of a page, for asking whether something is told."""
    kinds = ("title", "header", "markdown", "caption", "error", "warning", "info", "success", "code")
    return "\n".join(str(one.value) for kind in kinds for one in at.get(kind) if hasattr(one, "value"))
