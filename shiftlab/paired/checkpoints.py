"""Checkpoints of one network, block by block: files (safetensors, torch, npz), or stages kept in the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab import measures, queries, vectors
from shiftlab.catalog import Run, Store
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.measures import weight_shift
from shiftlab.measures.registry import get
from shiftlab.names import nearest
from shiftlab.readers.weights_open import open_weights, read_tensors
from shiftlab.shift.stored import score_row, store_scores

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    Load = Callable[[], np.ndarray]


@dataclass(frozen=True)
class IngestedCheckpoint:
    """What one checkpoint brought: its blocks and their weights."""

    model: str
    stage: str
    blocks: int
    weights: int
    already_there: bool = False


def ingest_checkpoint(
    store: Store, path: str | Path, model: str, *, stage: str = "base"
) -> IngestedCheckpoint:
    """Keeps every named tensor of a safetensors, torch or npz file as stage ``stage`` of the network ``model``.

    One tensor is in memory at a time; a tensor that is equal at two stages is kept once. Raises BadInputError for a
    stage that is there from another file, for no tensor, and naming a tensor that holds no finite numbers.
    """
    for word, name in (("model", model), ("stage", stage)):
        if not name.strip() or not name.isprintable():
            raise BadInputError(f"{word} needs a printable name, not {name!r}")
    file = open_weights(path)
    with store.read() as con:
        there = con.execute(queries.sql("checkpoint_there"), {"model": model, "stage": stage}).fetchall()
    if there:
        if there[0][0] != file.sha256:
            raise BadInputError(
                f"'{model}' has a checkpoint '{stage}' already, from another file: name another stage"
            )
        return IngestedCheckpoint(model, stage, len(there), sum(row[1] for row in there), already_there=True)
    rows: list[list[Any]] = []
    for position, tensor in enumerate(read_tensors(file)):
        weights = _numbers(file.path, tensor.name, tensor.load())
        name = vectors.write_array(store.path / "vectors", weights)
        length = float(np.linalg.norm(weights.astype(np.float64)))
        rows.append(
            [model, stage, position, tensor.name, list(tensor.shape), weights.size, length, name, file.sha256]
        )
    if not rows:
        raise BadInputError(f"{path}: the file holds no tensor")
    run = Run("ingest checkpoints", {"model": model, "stage": stage}, inputs={file.path.name: file.sha256})
    run.notes = {"blocks": len(rows), "weights": sum(row[5] for row in rows)}
    with store.write(run) as con:
        con.executemany("insert into checkpoint_block values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                        [[*row, run.run_id] for row in rows])  # fmt: skip
    return IngestedCheckpoint(model, stage, len(rows), sum(row[5] for row in rows))


def compare_checkpoints(
    store: Store, before: str | Path, after: str | Path, *, model: str | None = None
) -> pl.DataFrame:
    """Change of every block of a network between two checkpoints, in the order of the first; stored as scores.

    ``before`` and ``after`` are files, or with ``model`` stages of it in the catalog. One block of each is in memory
    at a time. Columns block, n, l1_mean, l2, relative, cosine, sign_flip, zeros_before, zeros_after, reason. Raises
    BadInputError naming the block that one side lacks or has in another shape, or that is not finite.
    """
    import polars as pl

    if model is None:
        files = [open_weights(path) for path in (before, after)]
        sides = [{one.name: one.load for one in read_tensors(file)} for file in files]
        told = [str(file.path) for file in files]
        left, right = (f"{file.path.name}:{file.sha256[:16]}" for file in files)
        inputs = {file.path.name: file.sha256 for file in files}
    else:
        stages = stored_blocks(store, model, [str(before), str(after)])
        sides, told, inputs = list(stages.values()), [f"'{model}' at '{stage}'" for stage in stages], {}
        if len(sides) == 1:
            raise BadInputError(f"before and after are both '{before}': name two stages of '{model}'")
        left, right = (f"{model}@{stage}" for stage in stages)
    rows, stored = [], []
    for name, (t0, t1) in _paired(sides, told):
        try:
            (one,) = weight_shift({name: t0}, {name: t1})
        except ValueError as error:
            raise BadInputError(f"{told[0]} and {told[1]}: {error}") from error
        row = asdict(one)
        rows.append(row)
        params = {key: value for key, value in row.items() if key not in ("block", "l2", "reason")}
        found = {"value": one.l2, "n_left": one.n, "n_right": one.n, "params": params, "note": one.reason}
        stored.append(score_row(get("weight_shift"), "checkpoint", left, right, name, found))
    store_scores(store, Run("shift checkpoints", {"blocks": len(rows)}, inputs=inputs), stored)
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"reason": pl.String})


def task_similarity(store: Store, model: str, stages: Sequence[str], *, before: str = "base") -> pl.DataFrame:
    """Cosines of the task vectors (stage less ``before``) of a network's stages, over all blocks; stored as scores.

    Columns left, right, cosine, note: one row a pair, sign kept. A stage equal to ``before`` has no direction: null
    with a note. BadInputError for fewer than two stages, or ``before`` among them.
    """
    import polars as pl

    if len(set(stages)) < 2:
        raise BadInputError("name two stages or more whose changes are to be compared")
    sides = stored_blocks(store, model, [before, *stages])
    base = sides.pop(before)
    if len(sides) < 2:
        raise BadInputError(f"'{before}' is where the task vectors start: name two other stages")
    told = [f"'{model}' at '{stage}'" for stage in (before, *sides)]
    dots = np.zeros((len(sides), len(sides)))
    n = 0
    for name, (t0, *later) in _paired([base, *sides.values()], told):  # one block of every stage in memory
        rows = [_change(name, t0, t1, told[0], where) for t1, where in zip(later, told[1:], strict=True)]
        dots += np.stack(rows) @ np.stack(rows).T
        n += t0.size
    length = np.sqrt(np.diag(dots))
    names, found, stored = list(sides), [], []
    for i, left in enumerate(names):
        for j, right in enumerate(names[i + 1 :], i + 1):
            value = note = None
            if length[i] > 0 and length[j] > 0:
                value = float(np.clip(dots[i, j] / (length[i] * length[j]), -1, 1))
            else:
                still = left if length[i] == 0 else right
                note = f"'{still}' equals '{before}': its task vector is zero and has no direction"
            found.append({"left": left, "right": right, "cosine": value, "note": note})
            row = {"value": value, "note": note, "n_left": n, "n_right": n,
                   "params": {"before": before, "blocks": len(base)}}  # fmt: skip
            ends = (f"{model}@{left}", f"{model}@{right}")
            stored.append(score_row(get("task_similarity"), "checkpoint", *ends, None, row))
    store_scores(store, Run("shift tasks", {"model": model, "stages": names, "before": before}), stored)
    return pl.DataFrame(found, schema_overrides={"cosine": pl.Float64, "note": pl.String})


def block_sensitivity(
    store: Store, model: str, *, between: Sequence[tuple[str, str]], within: Sequence[tuple[str, str]]
) -> pl.DataFrame:
    """Change of each block between tasks over that between epochs of one task, from stages in the catalog; stored.

    ``between`` and ``within`` are pairs of stages (before, after). Columns block, sensitivity, note; above 1 a block
    follows the task. Null with a note where a block never changed within a task.
    BadInputError for fewer than two stages on either side.
    """
    import polars as pl

    pairs = [*between, *within]
    if not between or not within:
        raise BadInputError("name two stages between tasks and two within one: --between t1:t2 --within a:b")
    sides = stored_blocks(store, model, list(dict.fromkeys(stage for pair in pairs for stage in pair)))
    first = next(iter(sides.values()))
    told = [f"'{model}' at '{stage}'" for stage in sides]
    rows, stored = [], []
    for name, _ in _paired(list(sides.values()), told):
        blocks = {stage: {name: side[name]()} for stage, side in sides.items()}
        try:
            found = measures.block_sensitivity(
                [(blocks[a], blocks[b]) for a, b in between], [(blocks[a], blocks[b]) for a, b in within]
            )[name]
        except ValueError as error:
            raise BadInputError(f"'{model}': {error}") from error
        note = None if found is not None else "it did not change within a task"
        rows.append({"block": name, "sensitivity": found, "note": note})
        n = int(np.asarray(blocks[pairs[0][0]][name]).size)
        params = {"between": [":".join(one) for one in between], "within": [":".join(one) for one in within]}
        row = {"value": found, "note": note, "n_left": n, "n_right": n, "params": params}
        stored.append(score_row(get("block_sensitivity"), "checkpoint", model, model, name, row))
    store_scores(store, Run("shift sensitivity", {"model": model, "blocks": len(first)}), stored)
    return pl.DataFrame(rows, schema_overrides={"sensitivity": pl.Float64, "note": pl.String})


def stored_blocks(store: Store, model: str, stages: Sequence[str]) -> dict[str, dict[str, Load]]:
    """Blocks by stage and name, read when asked for. Raises NotFoundError naming what there is."""
    with store.read() as con:
        there = con.sql(queries.sql("checkpoint_blocks")).pl()
    models = there["model"].unique().sort().to_list()
    mine = there.filter(there["model"] == model)
    if mine.is_empty():
        known = ", ".join(models) or "none: 'shiftlab ingest checkpoints' brings some"
        raise NotFoundError(
            f"there are no checkpoints of '{model}'{nearest(model, models) or '; there are ' + known}"
        )
    known_stages = mine["stage"].unique(maintain_order=True).to_list()
    found: dict[str, dict[str, Load]] = {}
    for stage in stages:
        if stage not in known_stages:
            raise NotFoundError(f"'{model}' has no checkpoint '{stage}'; it has {', '.join(known_stages)}")
        rows = mine.filter(mine["stage"] == stage).select("block", "file", "shape")
        found[stage] = {block: _reader(store, file, shape) for block, file, shape in rows.iter_rows()}
    return found


def _reader(store: Store, file: str, shape: list[int]) -> Load:
    return lambda: vectors.mapped(store.path / "vectors" / file).reshape(shape)


def _paired(sides: Sequence[Mapping[str, Load]], told: Sequence[str]) -> Any:
    """Name and arrays of every block, in the order of the first side; BadInputError for one that a side lacks."""
    if not sides[0]:
        raise BadInputError(f"{told[0]}: the checkpoint holds no tensor")
    for name in dict.fromkeys(name for side in sides for name in side):
        for side, where in zip(sides, told, strict=True):
            if name not in side:
                raise BadInputError(f"{where}: has no tensor '{name}', which the other checkpoint has")
    return ((name, [side[name]() for side in sides]) for name in sides[0])


def _change(name: str, t0: np.ndarray, t1: np.ndarray, before: str, after: str) -> np.ndarray:
    if t0.shape != t1.shape:
        raise BadInputError(f"{before} and {after}: block '{name}' has shapes {t0.shape} and {t1.shape}")
    return (t1.astype(np.float64) - t0.astype(np.float64)).ravel()


def _numbers(path: Path, name: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor flat, as it is if float32 or float64, else as float64."""
    try:
        flat = np.ascontiguousarray(tensor).ravel()
        flat = flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float64)
    except (TypeError, ValueError):
        raise BadInputError(f"{path.name}: tensor '{name}' holds no numbers") from None
    if not np.isfinite(flat).all():
        raise BadInputError(f"{path.name}: tensor '{name}' holds NaN or infinity")
    return flat
