"""What several test files share: the command line as a process, and catalogs of the bundled data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import shiftlab as sl
from shiftlab import resources

# Many small products: threads of the linear algebra would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ANNOTATIONS = Path(__file__).parent / "data" / "annotations"
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Runs the installed `shiftlab` as users do; stdout, stderr and the exit code come back."""
    home = tmp_path_factory.mktemp("cwd")

    def run(*arguments: str | Path, cwd: Path = home, stdin: str | None = None, **environment: str):
        return subprocess.run(
            [sys.executable, "-m", "shiftlab", *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "SHIFTLAB_DEBUG": "", **environment},
        )

    return run


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """The bundled COCO labels with their subsets and caption vectors. Shared: read, do not change."""
    catalog = sl.open(tmp_path_factory.mktemp("coco") / "catalog")
    catalog.ingest_images(resources.data("coco14_image_labels") / "image_objects.parquet", "coco")
    catalog.ingest_vectors(resources.data("caption_embeddings") / "caption_vectors.npz", "coco", "captions")
    catalog.build_subsets("coco")
    return catalog


@pytest.fixture(scope="session")
def metashift(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """MetaShift's attribute subsets at its thresholds (25 images, more than 5 subsets). Shared."""
    catalog = sl.open(tmp_path_factory.mktemp("metashift") / "catalog")
    catalog.ingest_images(
        resources.data("metashift_vg_attributes") / "attribute_subsets.parquet", "metashift"
    )
    catalog.build_subsets("metashift", "attributes")
    return catalog


@pytest.fixture
def catalog(tmp_path: Path) -> sl.Catalog:
    """An empty catalog of its own for each test."""
    return sl.open(tmp_path / "catalog")


SMALL = """image_id,object,attribute,split
1,cat,black,train
1,sofa,,train
2,cat,white,train
2,sofa,,train
3,cat,black,train
3,bed,,train
4,dog,,test
4,sofa,,test
5,dog,,test
5,sofa,,test
5,cat,black,test
6,cat,white,test
6,bed,soft,test
"""


@pytest.fixture
def small_table(tmp_path: Path) -> Path:
    """Six images in the plain table format."""
    path = tmp_path / "small.csv"
    path.write_text(SMALL, encoding="utf-8")
    return path
