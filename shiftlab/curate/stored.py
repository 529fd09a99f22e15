"""Curated subsets as they stand in the catalog: listed, shown item by item, written for other tools."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlab import queries
from shiftlab.catalog import Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.names import SubsetRef, require_subset

if TYPE_CHECKING:
    import polars as pl

FORMATS = ("ids", "csv", "parquet", "weights", "imagefolder", "huggingface")


def list_curated(store: Store, dataset: str | None = None) -> pl.DataFrame:
    """The subsets that curation made: dataset, name, operation, n, n_pool, params, parents, seed, version, run_id."""
    with store.read() as con:
        found = con.sql(queries.sql("curate_list")).pl()
    return found if dataset is None else found.filter(found["dataset"] == dataset)


def show(store: Store, name: str, dataset: str | None = None) -> pl.DataFrame:
    """What the operation behind a curated subset did with every item: item, part, reason, weight."""
    ref = require_subset(store, name, dataset)
    with store.read() as con:
        found = con.sql(queries.sql("curate_show"), params={"subset_id": ref.subset_id}).pl()
    if found.is_empty():
        raise NotFoundError(
            f"'{name}' was built from annotations, not made by curation: 'shiftlab subsets show' tells of it"
        )
    return found


def export(store: Store, name: str, to: str, output: str | Path, *, dataset: str | None = None) -> Path:
    """Writes any subset, curated or built, for other tools; whole or not at all, its recipe beside it.

    ids: one id a line. csv: item, file, weight. parquet: the same. weights: csv of item and weight, mean 1.
    imagefolder: a folder with ``metadata.csv`` (file_name, item, weight) and ``files.txt``, one path a line, as
    copying and linking tools take; needs items with files. huggingface: a folder with ``data/train.parquet`` and a
    card (README.md) that `datasets.load_dataset` reads. Raises BadInputError for what cannot be written.
    """
    if to not in FORMATS:
        raise BadInputError(f"export to one of {', '.join(FORMATS)}, not {to!r}")
    ref = require_subset(store, name, dataset)
    with store.read() as con:
        members = con.sql(queries.sql("curate_export"), params={"subset_id": ref.subset_id}).pl()
    output = Path(output)
    if not output.parent.is_dir():
        raise BadInputError(f"there is no folder '{output.parent}' to write into")
    if to in ("imagefolder", "huggingface"):
        if output.exists() and any(output.iterdir() if output.is_dir() else [output]):
            raise BadInputError(f"'{output}' is there already: name a folder that is new or empty")
        files = (_image_folder if to == "imagefolder" else _hugging_face)(store, ref, members)
    else:
        files = {"": _one_file(members, to)}
    files["recipe.json" if "" not in files else ".recipe.json"] = json.dumps(
        recipe(store, ref), indent=1
    ).encode()
    _write(output, files)
    return output


def recipe(store: Store, ref: SubsetRef) -> dict[str, Any]:
    """Enough to make the subset again: operation, parameters, seed, and what it was made from, with hashes.

    Curated subsets name their parents, built ones the files of annotations.
    """
    about: dict[str, Any] = {"dataset": ref.dataset, "name": ref.name, "n": ref.n}
    found = list_curated(store, ref.dataset)
    row = found.filter(found["name"] == ref.name)
    made_from = "parents"
    if not len(row):
        made_from = "inputs"
        with store.read() as con:
            row = con.sql(queries.sql("curate_built_by"), params={"subset_id": ref.subset_id}).pl()
    told = row.row(0, named=True)
    return about | {
        "operation": told["operation"],
        "params": json.loads(told["params"]),
        made_from: json.loads(told[made_from]),
        "seed": told["seed"],
        "shiftlab": told["version"],
    }


def _one_file(members: pl.DataFrame, to: str) -> bytes:
    import io

    import polars as pl

    if to == "parquet":
        buffer = io.BytesIO()
        members.write_parquet(buffer)
        return buffer.getvalue()
    if to == "ids":
        return ("\n".join(members["item"]) + "\n").encode()
    if to == "weights":
        members = members.select("item", weight=pl.col("weight") / pl.col("weight").mean())
    return members.write_csv().encode()


def _image_folder(_store: Store, ref: SubsetRef, members: pl.DataFrame) -> dict[str, bytes]:
    import polars as pl

    without = members["file"].null_count()
    if without:
        raise BadInputError(
            f"{without:,} of the {len(members):,} items of '{ref.name}' have no file name: export ids or parquet"
        )
    table = members.select(file_name="file", item="item", weight="weight", subset=pl.lit(ref.name))
    return {
        "metadata.csv": table.write_csv().encode(),
        "files.txt": ("\n".join(members["file"]) + "\n").encode(),
    }


def _hugging_face(store: Store, ref: SubsetRef, members: pl.DataFrame) -> dict[str, bytes]:
    with store.read() as con:
        licence, source = con.execute(
            "select any_value(licence), any_value(source) from dataset where dataset = $1", [ref.dataset]
        ).fetchall()[0]
    sizes = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    size = next((name for limit, name in sizes if len(members) < limit), "1M<n<10M")
    front = {
        "pretty_name": f"{ref.dataset}: {ref.name}",
        "license": str(licence).lower() if licence else "unknown",
        "size_categories": [size],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]}
        ],
    }
    # JSON is YAML, and its quoting is safe for any name.
    head = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    text = (
        f"---\n{head}\n---\n\n# {ref.dataset}: {ref.name}\n\n{len(members):,} items of the data set {ref.dataset}"
        + (f" ({source})" if source else "")
        + ": their ids, files and weights. Made by ShiftLab; `recipe.json` tells how.\n"
    )
    return {"data/train.parquet": _one_file(members, "parquet"), "README.md": text.encode()}


def _write(output: Path, files: dict[str, bytes]) -> None:
    """All files or none: a folder is filled under another name and renamed."""
    try:
        if "" in files:
            for suffix, content in files.items():
                with tempfile.NamedTemporaryFile(dir=output.parent, suffix=".tmp", delete=False) as file:
                    try:
                        file.write(content)
                        file.flush()
                        os.chmod(file.name, 0o644)
                        os.replace(file.name, f"{output}{suffix}")
                    except BaseException:
                        Path(file.name).unlink(missing_ok=True)
                        raise
            return
        folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
        try:
            for name, content in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            folder.chmod(0o755)
            os.replace(folder, output)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise BadInputError(f"cannot write '{output}': {error.strerror}") from error
