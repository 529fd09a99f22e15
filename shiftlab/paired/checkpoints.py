"""Two checkpoints of one network, block by block, out of safetensors, torch or npz files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError
from shiftlab.measures import weight_shift
from shiftlab.measures.registry import get
from shiftlab.readers.weights_open import open_weights, read_tensors
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    import polars as pl


def compare_checkpoints(store: Store, before: str | Path, after: str | Path) -> pl.DataFrame:
    """Change of every tensor of a network between two files, in the order of the first; stored as scores.

    One tensor of each file is in memory at a time. Columns block, n, l1_mean, l2, relative, cosine, sign_flip,
    zeros_before, zeros_after, reason. Raises BadInputError naming the tensor that one file lacks or has in
    another shape, or that is not finite.
    """
    import polars as pl

    files = [open_weights(path) for path in (before, after)]
    sides = [{one.name: one for one in read_tensors(file)} for file in files]
    if not sides[0]:
        raise BadInputError(f"{before}: the file holds no tensor")
    for name in [*sides[0], *sides[1]]:
        for side, file in zip(sides, files, strict=True):
            if name not in side:
                raise BadInputError(f"{file.path}: has no tensor '{name}', which the other checkpoint has")
    rows, stored = [], []
    for name, tensor in sides[0].items():
        try:
            (one,) = weight_shift({name: tensor.load()}, {name: sides[1][name].load()})
        except ValueError as error:
            raise BadInputError(f"{before} and {after}: {error}") from error
        row = asdict(one)
        rows.append(row)
        left, right = (f"{file.path.name}:{file.sha256[:16]}" for file in files)
        params = {key: value for key, value in row.items() if key not in ("block", "l2", "reason")}
        found = {"value": one.l2, "n_left": one.n, "n_right": one.n, "params": params, "note": one.reason}
        stored.append(score_row(get("weight_shift"), "checkpoint", left, right, name, found))
    inputs = {file.path.name: file.sha256 for file in files}
    store_scores(store, Run("shift checkpoints", {"blocks": len(rows)}, inputs=inputs), stored)
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"reason": pl.String})
