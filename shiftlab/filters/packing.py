"""Models as rows, one per layer: the form in which sketches are stored and shared, without any weight."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.filters.duplicates import weight_hash
from shiftlab.filters.quality import layer_quality
from shiftlab.filters.sketch import MAX_KERNEL_AREA, sketch
from shiftlab.readers.weights_open import WeightFile, read_layers
from shiftlab.readers.weights_record import LayerRecord, SkippedLayer, folded

if TYPE_CHECKING:
    import polars as pl

DESCRIPTIONS = ("name", "task", "category", "architecture", "training_data", "licence", "source")
_QUALITY = (
    "sparsity", "variance_entropy", "variance_entropy_clean", "threshold", "variance_entropy_ratio",
    "orthogonality", "rank", "label", "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PackedModel:
    """One model ready to be stored: its description, its layers as rows (`layer_schema`), and what was skipped."""

    description: dict[str, Any]
    layers: pl.DataFrame
    skipped: list[SkippedLayer] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return str(self.description["sha256"])


def model_schema() -> dict[str, Any]:
    """Columns of a model's description."""
    import polars as pl

    text = ("name", "sha256", "format", "file", *DESCRIPTIONS[1:], "metadata", "note")
    return dict.fromkeys(text, pl.String) | {"n_skipped": pl.Int32}


def layer_schema() -> dict[str, Any]:
    """Columns of a layer: what it is, its sketch and its quality (null where there is none)."""
    import polars as pl

    integers = (
        "position",
        "layer_id",
        "out_channels",
        "in_channels",
        "kh",
        "kw",
        "groups",
        "stride_h",
        "stride_w",
    )
    texts = ("name", "kind", "op", "axis_order", "depth_from", "dtype", "weight_hash", "notes")
    numbers = pl.List(pl.Float64)
    return (
        dict.fromkeys((*integers, "depth", "rank"), pl.Int32)
        | dict.fromkeys((*texts, "label", "reason"), pl.String)
        | {
            "depth_norm": pl.Float64,
            "bn_folded": pl.Boolean,
            "n": pl.Int64,
            "peak": pl.Float64,
            "zero": pl.Int64,
        }
        | {"sparse": pl.List(pl.Int64), "counts": pl.List(pl.UInt32)}
        | dict.fromkeys(("sum_raw", "gram_raw", "sum_scaled", "gram_scaled"), numbers)
        | dict.fromkeys(_QUALITY[:6], pl.Float64)
    )


def pack_model(
    file: WeightFile,
    description: Mapping[str, str | None],
    *,
    external_data: bool = False,
    fold_batch_norm: bool = False,
    keep: Any = None,
) -> PackedModel:
    """Read a model once: one row per layer with sketch and quality; one weight in memory at a time.

    `fold_batch_norm` multiplies the batch normalisations that follow into the weights first. `keep`, if
    given, is called with (layer_id, weight) of each 3x3 layer. Layers with NaN or infinite weights are skipped
    with their reason. Raises BadInputError for a file that cannot be read.
    """
    import polars as pl

    rows: list[dict[str, Any]] = []
    skipped: list[SkippedLayer] = []
    of_3x3 = 0
    for item in read_layers(file, external_data=external_data):
        if fold_batch_norm and isinstance(item, LayerRecord):
            item = folded(item)
        if isinstance(item, SkippedLayer):
            skipped.append(item)
        elif not np.isfinite(item.weight).all():
            bad = int((~np.isfinite(item.weight)).sum())
            skipped.append(
                SkippedLayer(item.name, f"{bad:,} of {item.weight.size:,} weights are NaN or infinite")
            )
        else:
            row = _layer_row(item, len(rows))
            if item.weight.shape[2:] == (3, 3):
                row["layer_id"] = of_3x3
                if keep is not None:
                    keep(of_3x3, item.weight)
                of_3x3 += 1
            rows.append(row)
    _normalise_depths(rows)
    known = {name: description.get(name) for name in DESCRIPTIONS}
    further = {
        name: value for name, value in description.items() if name not in DESCRIPTIONS and value is not None
    }
    known["name"] = known["name"] or default_name(file.path)
    note = None if of_3x3 else "no 3x3 layer"
    return PackedModel(
        known
        | {
            "sha256": content_key(file.sha256, fold_batch_norm),
            "format": file.format,
            "file": file.path.name,
            "metadata": json.dumps(further),
            "n_skipped": len(skipped),
            "note": note,
        },
        pl.DataFrame(rows, schema=layer_schema()),
        skipped,
    )


def content_key(sha256: str, fold_batch_norm: bool) -> str:
    """What tells stored models apart: the content, and whether batch normalisation was folded in."""
    return f"{sha256}+folded" if fold_batch_norm else sha256


def default_name(path: Path) -> str:
    """The file's name without suffix; for TF.js manifests, the folder's or what comes before the marker."""
    if path.name == "model.json":
        return path.resolve().parent.name
    return path.name.removesuffix("-weights_manifest.json") if path.suffix == ".json" else path.stem


def _layer_row(layer: LayerRecord, position: int) -> dict[str, Any]:
    out_channels, in_channels, kh, kw = layer.weight.shape
    row: dict[str, Any] = {
        "position": position,
        "layer_id": None,
        "name": layer.name,
        "kind": layer.kind,
        "op": layer.op,
        "out_channels": out_channels,
        "in_channels": in_channels,
        "kh": kh,
        "kw": kw,
        "groups": layer.groups,
        "stride_h": layer.stride[0] if layer.stride else None,
        "stride_w": layer.stride[1] if layer.stride else None,
        "axis_order": layer.axis_order,
        "depth": layer.depth,
        "depth_from": layer.depth_from,
        "dtype": layer.dtype,
        "bn_folded": layer.bn_folded,
        "weight_hash": weight_hash(layer.weight),
        "n": out_channels * in_channels,
        "notes": "; ".join(dict.fromkeys(layer.notes)) or None,
    }
    if 1 < kh * kw <= MAX_KERNEL_AREA:
        row |= _sketch_columns(layer.weight)
        quality = layer_quality(layer.weight)
        row |= {name: getattr(quality, name) for name in _QUALITY}
    return row


def _sketch_columns(weight: np.ndarray) -> dict[str, Any]:
    part = sketch(weight)
    upper = np.triu_indices(len(part.sum_raw))
    return {
        "peak": part.peak,
        "zero": part.zero,
        "sparse": part.sparse.tolist(),
        "sum_raw": part.sum_raw.tolist(),
        "gram_raw": part.gram_raw[upper].tolist(),
        "sum_scaled": part.sum_scaled.tolist(),
        "gram_scaled": part.gram_scaled[upper].tolist(),
        "counts": part.counts.ravel().tolist(),
    }


def full_gram(upper: np.ndarray, d: int) -> np.ndarray:
    """The Gram matrix [..., d, d] of its upper triangle [..., d*(d+1)/2]."""
    gram = np.zeros((*upper.shape[:-1], d, d))
    rows, columns = np.triu_indices(d)
    gram[..., rows, columns] = upper
    gram[..., columns, rows] = upper
    return gram


def _normalise_depths(rows: list[dict[str, Any]]) -> None:
    """depth_norm = depth over the largest depth of the model; 0 when there is one level."""
    deepest = max((row["depth"] for row in rows if row["depth"] is not None), default=0)
    for row in rows:
        row["depth_norm"] = None if row["depth"] is None else row["depth"] / max(deepest, 1)


def write_packed(models: Iterable[pl.DataFrame], path: Path) -> None:
    """Write packed models as one Parquet file, through a temporary name."""
    import polars as pl

    temporary = path.with_name(path.name + ".tmp")
    pl.concat(list(models)).write_parquet(temporary, compression="zstd", compression_level=19)
    temporary.replace(path)


def read_packed(path: Path) -> list[PackedModel]:
    """The models of a sketch file. Raises BadInputError when columns are missing or a list has a wrong length."""
    import polars as pl

    with frames.explained(path):
        frame = pl.read_parquet(path)
    wanted = {"model", "position", *layer_schema(), *model_schema()} - {"model"}
    missing = sorted(wanted - set(frame.columns) - {"name"})
    if missing or "model" not in frame.columns:
        raise BadInputError(f"{path}: no sketch file: column {', '.join(missing or ['model'])} is missing")
    _check_lists(path, frame)
    packed = []
    for _, rows in frame.group_by("sha256", maintain_order=True):
        first = rows.row(0, named=True)
        description = {name: first[name] for name in model_schema() if name != "name"} | {
            "name": first["model"]
        }
        layers = rows.filter(pl.col("position").is_not_null()).select(list(layer_schema()))
        packed.append(PackedModel(description, layers))
    return packed


def _check_lists(path: Path, frame: pl.DataFrame) -> None:
    """Lists must have the lengths that the kernel size asks for; counts must hold every filter."""
    import polars as pl

    d = pl.col("kh") * pl.col("kw")
    triangle = d * (d + 1) // 2
    lengths = {"sparse": pl.lit(5), "sum_raw": d, "sum_scaled": d, "gram_raw": triangle, "gram_scaled": triangle,
               "counts": d * 70}  # fmt: skip
    for name, length in lengths.items():
        wrong = frame.filter(pl.col(name).is_not_null() & (pl.col(name).list.len() != length))
        if len(wrong):
            raise BadInputError(
                f"{path}: model {wrong['model'][0]!r}, layer {wrong['name'][0]!r}: column {name} has "
                f"{len(wrong[name][0])} entries, which do not fit its kernel"
            )
    wrong = frame.filter(pl.col("counts").list.sum() != pl.col("n") * d)
    if len(wrong):
        raise BadInputError(
            f"{path}: model {wrong['model'][0]!r}, layer {wrong['name'][0]!r}: its histograms do not count "
            f"{wrong['n'][0]} filters"
        )
