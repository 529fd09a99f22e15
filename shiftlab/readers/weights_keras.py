"""Keras models: .h5/.hdf5 files and .keras archives. Only datasets are read; nothing is rebuilt or run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import LayerItem, check_shape, checked_archive, read_entry
from shiftlab.readers.weights_topology import NamedTensor, Topology, keras_layers

if TYPE_CHECKING:
    import h5py

_BOMB_RATIO = 1000
_VARIABLES = {  # order of the numbered variables in a .keras file
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
}


def read(path: Path) -> Iterator[LayerItem]:
    """Yield the convolutions of a Keras file.

    Raises BadInputError for truncated files, links and external storage that lead out of the file, and
    datasets that inflate absurdly.
    """
    h5py = _h5py()
    with path.open("rb") as stream:
        zipped = stream.read(4) == b"PK\x03\x04"
    config: Any = None
    source: Any = str(path)
    if zipped:
        archive = checked_archive(path)
        config = _json(path, read_entry(archive, path, "config.json"))
        source = io.BytesIO(read_entry(archive, path, "model.weights.h5"))
    try:
        with h5py.File(source, "r") as file:
            topology = Topology.parse(config if zipped else _stored_config(path, file))
            tensors = list(_tensors(path, file, topology, zipped))
            yield from keras_layers(path, tensors, topology)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise BadInputError(f"{path}: the HDF5 file cannot be read ({error}); truncated or damaged") from None


def _json(path: Path, text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: the model configuration is no valid JSON ({error})") from None


def _stored_config(path: Path, file: h5py.File) -> Any:
    text = file.attrs.get("model_config")
    return _json(path, text) if isinstance(text, bytes | str) else None


def _tensors(path: Path, file: h5py.File, topology: Topology, zipped: bool) -> Iterator[NamedTensor]:
    """Variables of the model (not of its optimiser), each with its layer."""
    names = topology.saved_names()
    for place, dataset in _datasets(path, file, "", 0):
        parts = [part for part in place.split("/") if part]
        if parts[0] in ("optimizer_weights", "optimizer"):
            continue
        if not zipped:
            owners = parts[1:-1] if parts[0] == "model_weights" else parts[:-1]
            layer, variable = topology.owner(owners), parts[-1].split(":")[0]
        else:
            if "vars" not in parts[1:]:
                continue
            owner, index = parts[parts.index("vars") - 1], parts[-1]
            layer = names.get(owner, owner)
            kind = topology.layers[layer].kind if layer in topology.layers else ""
            order = _variable_order(kind, topology.layers[layer].settings if kind else {})
            variable = order[int(index)] if index.isdigit() and int(index) < len(order) else index
        yield NamedTensor(
            name="/".join(parts),
            layer=layer,
            variable=variable,
            shape=dataset.shape,
            dtype=str(dataset.dtype),
            load=partial(_load, path, dataset),
        )


def _variable_order(kind: str, settings: dict[str, Any]) -> list[str]:
    order = list(_VARIABLES.get(kind, ("kernel", "bias")))
    if settings.get("scale") is False:
        order = [name for name in order if name != "gamma"]
    if settings.get("center") is False:
        order = [name for name in order if name != "beta"]
    return order


def _datasets(path: Path, group: h5py.Group, prefix: str, depth: int) -> Iterator[tuple[str, h5py.Dataset]]:
    """Numeric datasets below `group` in creation order of the listing, hard links only."""
    h5py = _h5py()
    if depth > 32:
        raise BadInputError(f"{path}: groups nested deeper than 32 at {prefix!r}")
    for name in _ordered(group):
        place = f"{prefix}/{name}"
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise BadInputError(
                f"{path}: {place!r} is a link to {getattr(link, 'filename', 'another place')!r}"
            )
        if isinstance(group.get(name, getclass=True), type) and issubclass(
            group.get(name, getclass=True), h5py.Group
        ):
            yield from _datasets(path, group[name], place, depth + 1)
        else:
            dataset = group[name]
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
                continue
            if dataset.is_virtual or dataset.external:
                raise BadInputError(f"{path}: tensor {place!r} keeps its values in another file; refused")
            yield place, dataset


def _ordered(group: h5py.Group) -> list[str]:
    """Names in the order that Keras wrote down (layer_names), else as listed."""
    listed = list(group)
    for attribute in ("layer_names", "weight_names"):
        if attribute in group.attrs:
            wanted = [
                n.decode() if isinstance(n, bytes) else str(n) for n in np.atleast_1d(group.attrs[attribute])
            ]
            heads = list(dict.fromkeys(name.split("/")[0] for name in wanted if name))
            return [n for n in heads if n in listed] + [n for n in listed if n not in heads]
    return listed


def _load(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    count = check_shape(path, dataset.name, dataset.shape, dataset.dtype.itemsize)
    stored = dataset.id.get_storage_size()
    if count * dataset.dtype.itemsize > max(64 << 20, _BOMB_RATIO * stored):
        raise BadInputError(
            f"{path}: tensor {dataset.name!r} inflates from {stored:,} bytes absurdly; refused"
        )
    return dataset[()]


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise BadInputError("reading Keras models needs the extra: pip install 'shiftlab[keras]'") from None
    return h5py
