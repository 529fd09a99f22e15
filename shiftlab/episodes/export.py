"""Selections in the form that each trainer reads. Every file is written beside its recipe, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.catalog import Store
from shiftlab.episodes.curate import Selection, load
from shiftlab.episodes.stored import read_steps, rows, source_of
from shiftlab.errors import BadInputError, NotFoundError
from shiftlab.readers import episodes_hdf5 as hdf5

if TYPE_CHECKING:
    import polars as pl

DATASET_WEIGHTS = "dataset-weights"
FORMATS = ("lerobot", "robomimic", "minari", "weights", "parquet")
_MAKES = {"lerobot": "lerobot", "robomimic": "robomimic", "minari": "minari"}


def export(
    store: Store,
    selection: Selection,
    to: str,
    output: str | Path,
    *,
    source: str | Path | None = None,
    in_place: bool = False,
) -> Path:
    """Write ``selection`` as ``to`` into ``output`` and its recipe into ``<output>.recipe.json``.

    lerobot: JSON list of indices for ``--dataset.episodes``. minari: JSON list of ids for
    ``iterate_episodes``. robomimic: a copy of ``source`` with the filter key ``mask/<name>`` (or ``source``
    itself with ``in_place``). weights: CSV of episode_index, src_key, kept, weight, reason. parquet: the kept
    steps with their weight. Raises BadInputError where the dataset came from another format.
    """
    output = Path(output)
    if to not in FORMATS:
        raise BadInputError(f"export to one of {', '.join(FORMATS)}, not {to!r}")
    came_from = source_of(store, selection.dataset)["format"]
    if to in _MAKES and came_from != _MAKES[to]:
        raise BadInputError(f"'{selection.dataset}' came from {came_from}: it has no {to} episodes to name")
    if not output.parent.is_dir():
        raise BadInputError(f"there is no folder '{output.parent}' to write into")
    kept = selection.kept
    if to == "lerobot":
        _text(output, json.dumps(kept["episode_index"].to_list()) + "\n")
    elif to == "minari":
        _text(output, json.dumps([int(key) for key in kept["src_key"]]) + "\n")
    elif to == "weights":
        _text(output, selection.members.write_csv())
    elif to == "parquet":
        _parquet(store, selection, output)
    else:
        output = _filter_key(selection, output, source, in_place)
    _text(Path(f"{output}.recipe.json"), json.dumps(recipe(selection), indent=1) + "\n")
    return output


def export_dataset_weights(store: Store, name: str, output: str | Path) -> Path:
    """Write what each dataset that has a selection ``name`` is to weigh in training on all of them together.

    CSV of dataset, n_kept, n_episodes, steps (kept, times their weight) and weight: its share of these steps, so that
    every kept step counts by the weight of its episode; the weights add up to 1. The recipes stand in
    ``<output>.recipe.json``. Raises NotFoundError where no dataset has such a selection.
    """
    table = rows(store, "dataset_weights", name=name)
    if table.is_empty():
        raise NotFoundError(
            f"no selection of episodes is called '{name}': 'shiftlab episodes curate' makes one"
        )
    output = Path(output)
    if not output.parent.is_dir():
        raise BadInputError(f"there is no folder '{output.parent}' to write into")
    recipes = [recipe(load(store, name, dataset)) for dataset in table["dataset"]]
    _text(output, table.write_csv())
    _text(Path(f"{output}.recipe.json"), json.dumps(recipes, indent=1) + "\n")
    return output


def recipe(selection: Selection) -> dict[str, Any]:
    """The rule with the outcome: kept keys, and dropped keys with their reasons."""
    dropped = selection.members.filter(~selection.members["kept"])
    return selection.recipe | {
        "name": selection.name,
        "kept": selection.kept["src_key"].to_list(),
        "dropped": dict(dropped.select("src_key", "reason").iter_rows()),
    }


def _text(path: Path, content: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        part.write_text(content, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise BadInputError(f"cannot write '{path}': {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _parquet(store: Store, selection: Selection, output: Path) -> None:
    kept: pl.DataFrame = selection.kept.select("episode_index", "weight")
    steps = read_steps(store, selection.dataset).join(kept, on="episode_index", maintain_order="left")
    part = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    try:
        steps.rename({"state": "observation.state"}).write_parquet(part)
        os.replace(part, output)
    except OSError as error:
        raise BadInputError(f"cannot write '{output}': {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _filter_key(selection: Selection, output: Path, source: str | Path | None, in_place: bool) -> Path:
    if source is None or not Path(source).is_file():
        raise BadInputError("a filter key goes into a copy of the robomimic file: name it with --source")
    source = Path(source)
    wanted = selection.kept["src_key"].to_list()
    with hdf5.opened(source) as file:
        present = set(hdf5.names(hdf5.subgroup(file, "data")))
    if missing := [key for key in wanted if key not in present]:
        raise BadInputError(
            f"{source.name} has no {missing[0]}: it is not the source of '{selection.dataset}'"
        )
    if in_place:
        _write_mask(source, selection.name, wanted)
        return source
    if output.exists() and output.samefile(source):
        raise BadInputError("the output is the source: name another file, or say --in-place")
    part = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, part)
        _write_mask(part, selection.name, wanted)
        os.replace(part, output)
    except OSError as error:
        raise BadInputError(f"cannot write '{output}': {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return output


def _write_mask(path: Path, name: str, keys: list[str]) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        if hdf5.member(file, "mask") is None:
            file.create_group("mask")
        mask = hdf5.subgroup(file, "mask")
        if name in mask:
            del mask[name]
        mask[name] = np.array(keys, dtype="S")
