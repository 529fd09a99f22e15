"""Makes the bundled data from their sources: ``python -m shiftlab.data.prepare SOURCES``.

SOURCES is a folder with the source data sets, one folder each. Run by hand when a source changes; the
results are committed. Each data set keeps its origin and licence beside it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
CAPTION_DIM = 128


def main(sources: Path) -> None:
    coco_labels(sources / "coco14_image_labels", HERE / "coco14_image_labels")
    attributes(sources / "metashift_vg_attributes", HERE / "metashift_vg_attributes")
    captions(sources / "caption_embeddings", sources / "coco14_image_labels", HERE / "caption_embeddings")


def coco_labels(source: Path, target: Path) -> None:
    """One row per image and object, with the image's split and whether its labels are exact."""
    _with_notices(source, target)
    images = pl.read_parquet(source / "images.parquet").select("image_id", "split", "exact_labels")
    objects = pl.read_parquet(source / "image_objects.parquet")
    rows = objects.select("image_id", object="category", supercategory="supercategory").join(
        images, on="image_id"
    )
    rows.sort("image_id", "object").write_parquet(target / "image_objects.parquet", compression_level=19)


def attributes(source: Path, target: Path) -> None:
    """MetaShift's attribute subsets, as they are."""
    _with_notices(source, target)
    shutil.copyfile(source / "attribute_subsets.parquet", target / "attribute_subsets.parquet")


def captions(source: Path, images: Path, target: Path) -> None:
    """Mean caption vector of each image of the COCO labels, first principal components, float16."""
    _with_notices(source, target)
    known = set(pl.read_parquet(images / "images.parquet")["image_id"])
    ids = pl.read_parquet(source / "captions.parquet")["image_id"].to_numpy()
    vectors = np.load(source / "embeddings_f16.npy", allow_pickle=False).astype(np.float64)
    unique, inverse = np.unique(ids, return_inverse=True)
    means = np.zeros((len(unique), vectors.shape[1]))
    np.add.at(means, inverse, vectors)
    means /= np.bincount(inverse)[:, None]
    keep = np.isin(unique, list(known))
    centred = means[keep] - means[keep].mean(0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    share = float(np.square(spread[:CAPTION_DIM]).sum() / np.square(spread).sum())
    vectors = (centred @ axes[:CAPTION_DIM].T).astype(np.float16)
    np.savez_compressed(
        target / "caption_vectors.npz", image_id=unique[keep].astype(np.int64), vectors=vectors
    )
    print(f"{keep.sum()} images, {CAPTION_DIM} components hold {share:.1%} of the variance")


def _with_notices(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in [source / "SOURCE.txt", *sorted(source.glob("LICENSE*"))]:
        shutil.copyfile(file, target / file.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
