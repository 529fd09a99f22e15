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
PIXEL_DIM = 32
GARMENTS = (
    "t-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_ATTRIBUTES = {  # what is measured in a picture -> the attributes of the fifth with the least and with the most of it
    "tone": ("dim", "bright"),
    "width": ("narrow", "wide"),
    "texture": ("plain", "patterned"),
    "balance": ("top-heavy", "bottom-heavy"),
    "symmetry": ("lopsided", "symmetric"),
}


def main(sources: Path) -> None:
    coco_labels(sources / "coco14_image_labels", HERE / "coco14_image_labels")
    attributes(sources / "metashift_vg_attributes", HERE / "metashift_vg_attributes")
    captions(sources / "caption_embeddings", sources / "coco14_image_labels", HERE / "caption_embeddings")
    fashion(sources / "fashion_mnist_t10k", HERE / "fashion_mnist_t10k")


def coco_labels(source: Path, target: Path) -> None:
    """One row per image and object, with the image's split and whether its labels are exact."""
    with_notices(source, target)
    images = pl.read_parquet(source / "images.parquet").select("image_id", "split", "exact_labels")
    objects = pl.read_parquet(source / "image_objects.parquet")
    rows = objects.select("image_id", object="category", supercategory="supercategory").join(
        images, on="image_id"
    )
    rows.sort("image_id", "object").write_parquet(target / "image_objects.parquet", compression_level=19)


def attributes(source: Path, target: Path) -> None:
    """MetaShift's attribute subsets, as they are."""
    with_notices(source, target)
    shutil.copyfile(source / "attribute_subsets.parquet", target / "attribute_subsets.parquet")


def captions(source: Path, images: Path, target: Path) -> None:
    """Mean caption vector of each image of the COCO labels, first principal components, float16."""
    with_notices(source, target)
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


def fashion(source: Path, target: Path) -> None:
    """The pictures, what each shows with attributes measured in its pixels, and principal components of the pixels."""
    with_notices(source, target)
    with np.load(source / "fashion_mnist_t10k.npz", allow_pickle=False) as arrays:
        pictures, labels = arrays["X"], arrays["y"]
    ids = np.array([f"{number:05d}" for number in range(len(pictures))])
    np.savez_compressed(target / "pictures.npz", image_id=ids, pictures=pictures)
    _garments(ids, labels, pictures).write_parquet(target / "items.parquet", compression_level=19)
    pixels = pictures.reshape(len(pictures), -1) / 255
    centred = pixels - pixels.mean(0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    share = float(np.square(spread[:PIXEL_DIM]).sum() / np.square(spread).sum())
    vectors = (centred @ axes[:PIXEL_DIM].T).astype(np.float16)
    np.savez_compressed(target / "pixel_vectors.npz", image_id=ids, vectors=vectors)
    print(f"{len(ids)} pictures, {PIXEL_DIM} components hold {share:.1%} of the variance")


def _garments(ids: np.ndarray, labels: np.ndarray, pictures: np.ndarray) -> pl.DataFrame:
    """One row per picture and attribute, or one where it has none. An attribute is relative to the picture's class:
    the fifth of the class with the least or the most of what is measured."""
    measured = pl.DataFrame(
        {"image_id": ids, "object": [GARMENTS[one] for one in labels], **_measured(pictures)}
    )
    rows = []
    for kind, (low, high) in _ATTRIBUTES.items():
        bounds = [pl.col(kind).quantile(q, "nearest").over("object") for q in (0.2, 0.8)]
        value = (
            pl.when(pl.col(kind) <= bounds[0])
            .then(pl.lit(low))
            .when(pl.col(kind) >= bounds[1])
            .then(pl.lit(high))
        )
        told = (bounds[0] < bounds[1]).alias("told")  # a class where all are alike has no such attribute
        one = measured.select("image_id", "object", told, attribute=value, attribute_type=pl.lit(kind))
        rows.append(one.filter(pl.col("told") & pl.col("attribute").is_not_null()).drop("told"))
    attributes = pl.concat(rows).drop("object")
    whole = measured.select("image_id", "object", width=pl.lit(28), height=pl.lit(28)).join(
        attributes, on="image_id", how="left"
    )
    return whole.sort("image_id", "attribute_type")


def _measured(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What `_ATTRIBUTES` names, (n,) each. The garment is what is not black, brighter than a tenth of white."""
    values = pictures / 255.0
    garment = values > 0.1
    rows = np.arange(values.shape[1])[None, :, None]
    mass = values.sum((1, 2))
    steps = np.abs(np.diff(values, axis=1))[:, :, 1:] + np.abs(np.diff(values, axis=2))[:, 1:, :]
    inside = garment[:, 1:, 1:] & garment[:, :-1, 1:] & garment[:, 1:, :-1]
    flat = values.reshape(len(values), -1) - values.mean((1, 2))[:, None]
    mirrored = values[:, :, ::-1].reshape(flat.shape) - values.mean((1, 2))[:, None]
    return {
        "tone": (values * garment).sum((1, 2)) / garment.sum((1, 2)),
        "width": garment.any(1).sum(1),
        "texture": (steps * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1),
        "balance": (values * rows).sum((1, 2)) / mass,
        "symmetry": (flat * mirrored).sum(1) / np.square(flat).sum(1),
    }


def with_notices(source: Path, target: Path) -> None:
    """Copies where the files came from, and under which licence, beside them."""
    target.mkdir(parents=True, exist_ok=True)
    for file in [source / "SOURCE.txt", *sorted(source.glob("LICENSE*"))]:
        shutil.copyfile(file, target / file.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
