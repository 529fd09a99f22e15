"""Plain tables (CSV, TSV, Parquet): one row per image and object [, attribute] [, box]."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from shiftlab import frames
from shiftlab.errors import BadInputError
from shiftlab.readers.annotations import SCHEMAS, Batches, Problems

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    "image_id", "object", "attribute", "attribute_type", "category", "supercategory",
    "object_id", "x", "y", "w", "h", "width", "height", "file",
)  # fmt: skip
_BOX = ("x", "y", "w", "h")
_PIXELS = ("width", "height")
_ROW = "row of the file"  # our own column: a table may well have one called row


def read(path: Path, problems: Problems) -> Batches:
    """Images and objects of a table with the columns `image_id`, `object` and optionally others.

    `category` is accepted for `object`. Rows without an object list an image that holds none. Without boxes
    and object ids, rows of one image and object are one instance with several attributes; with boxes, equal
    boxes are. Every other column becomes a label of the image if it is constant within each image.
    """
    import polars as pl

    frame = _load(path)
    if "object" not in frame.columns and "category" in frame.columns:
        frame = frame.rename({"category": "object"})
    missing = [name for name in ("image_id", "object") if name not in frame.columns]
    if missing:
        raise BadInputError(
            f"{path.name} has no column '{missing[0]}'; it has {', '.join(frame.columns)}: rename the column "
            "(needed: image_id, object; optional: attribute, attribute_type, x, y, w, h, width, height, split)"
        )
    frame = frame.with_row_index(_ROW).with_columns(
        pl.col("image_id").cast(pl.String).str.strip_chars(),
        pl.col("object").cast(pl.String).str.strip_chars(),
    )
    frame = _usable(frame, problems)
    yield "image", _images(frame, problems)
    yield "object", _objects(frame.filter(pl.col("object").is_not_null() & (pl.col("object") != "")))


def _load(path: Path) -> pl.DataFrame:
    import polars as pl

    frame = frames.read_table(path)
    if frame.is_empty():
        raise BadInputError(f"{path.name} has no rows")
    for name, kind in frame.schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration):
            raise BadInputError(
                f"{path.name}: column '{name}' is of type {kind}; expected texts and numbers: leave the column out"
            )
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def _usable(frame: pl.DataFrame, problems: Problems) -> pl.DataFrame:
    """Without rows that cannot be used; numbers as numbers."""
    import polars as pl

    no_id = frame.filter(pl.col("image_id").is_null() | (pl.col("image_id") == ""))
    for row in no_id[_ROW].head(1000):
        problems.bad("no image_id", f"row {row + 2}", "column 'image_id' is empty", "name the image")
    frame = frame.join(no_id, on=_ROW, how="anti", maintain_order="left")
    for name in (*_PIXELS, *_BOX):
        if name not in frame.columns:
            continue
        number = pl.col(name).cast(pl.Float64, strict=False)
        text = pl.col(name).cast(pl.String)
        odd = (number.is_null() & text.is_not_null() & (text != "")) | ~number.is_finite()
        if name in _PIXELS:
            odd |= ~number.is_between(1, (1 << 31) - 1) | (number != number.round())
        broken = frame.filter(odd)
        for row, value in broken.select(_ROW, name).head(1000).rows():
            problems.bad(
                "bad number", f"row {row + 2}", f"column '{name}' is {value!r}", "give a number of pixels"
            )
        frame = frame.join(broken, on=_ROW, how="anti", maintain_order="left").with_columns(number)
    if frame.is_empty():
        raise BadInputError(f"{problems.source.name} has no row that can be used")
    present = [name for name in _BOX if name in frame.columns]
    if present and len(present) < 4:
        raise BadInputError(f"{problems.source.name} has column {present[0]} but not all of x, y, w, h")
    return frame


def _images(frame: pl.DataFrame, problems: Problems) -> pa.Table:
    import polars as pl

    others = [name for name in frame.columns if name not in (*COLUMNS, _ROW)]
    grouped = frame.group_by("image_id", maintain_order=True)
    several = grouped.agg(pl.col(others).drop_nulls().n_unique()) if others else None
    labels = [name for name in others if several is not None and several[name].max() <= 1]  # type: ignore[operator]
    for name in sorted(set(others) - set(labels)):
        problems.flag(
            "column ignored", f"column {name}", "it differs between rows of one image, so it is no label"
        )
    first = grouped.agg(
        pl.col([c for c in ("width", "height", "file", *labels) if c in frame.columns]).drop_nulls().first()
    )
    pairs = [
        pl.struct(pl.lit(name).alias("scheme"), pl.col(name).cast(pl.String).alias("value"))
        for name in labels
    ]
    columns = {
        "image": pl.col("image_id"),
        "external_id": pl.col("image_id"),
        "width": pl.col("width") if "width" in first.columns else pl.lit(None),
        "height": pl.col("height") if "height" in first.columns else pl.lit(None),
        "file": pl.col("file") if "file" in first.columns else pl.lit(None),
        "labels": pl.concat_list(pairs).list.filter(pl.element().struct.field("value").is_not_null())
        if pairs
        else pl.lit(None),
    }
    return _as_arrow(first.select(**columns), SCHEMAS["image"])


def _objects(frame: pl.DataFrame) -> pa.Table:
    import polars as pl

    has = set(frame.columns)
    key = ["image_id", "object", *(["object_id"] if "object_id" in has else _BOX if "x" in has else [])]
    category = "supercategory" if "supercategory" in has else "category" if "category" in has else None
    attribute = [
        pl.struct(
            pl.col("attribute").cast(pl.String).str.strip_chars().alias("name"),
            (
                pl.col("attribute_type").cast(pl.String)
                if "attribute_type" in has
                else pl.lit(None, pl.String)
            ).alias("category"),
        )
        .filter(pl.col("attribute").is_not_null() & (pl.col("attribute").cast(pl.String) != ""))
        .unique(maintain_order=True)
        .alias("attributes")
        if "attribute" in has
        else pl.lit(None).first().alias("attributes")
    ]
    kept = [pl.col(c).first() for c in (*_BOX, category) if c and c in has and c not in key]
    merged = frame.group_by(key, maintain_order=True).agg(*kept, *attribute)

    def column(name: str | None) -> pl.Expr:
        return pl.col(name) if name and name in merged.columns else pl.lit(None)

    return _as_arrow(
        merged.select(
            image=pl.col("image_id"),
            object=column("object_id").cast(pl.String),
            name=pl.col("object"),
            category=column(category).cast(pl.String),
            **{side: column(side) for side in _BOX},
            crowd=pl.lit(False),
            attributes=pl.col("attributes"),
            part=pl.lit(None),
        ),
        SCHEMAS["object"],
    )


def _as_arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return frame.to_arrow().select(schema.names).cast(schema)
