"""Files that hypothesis damages or makes up, at every reader: refused in words, or taken and taken alike twice."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import yaml
from hypothesis import strategies as st
from PIL import Image

from shiftlab import resources
from shiftlab.cards import card
from shiftlab.curate.benchmarks import SCHEMES, read_scheme
from shiftlab.curate.weighing import _read_losses as read_losses
from shiftlab.errors import BadInputError
from shiftlab.filters.ingest import _read_metadata
from shiftlab.filters.packing import read_packed
from shiftlab.paired.ingest import _rows as read_labels
from shiftlab.readers import pictures, vectors
from shiftlab.readers.annotations import SCHEMAS, Problems
from shiftlab.readers.episodes_open import read_episodes
from shiftlab.readers.weights_open import open_weights, read_layers, read_tensors
from shiftlab.readers.weights_record import LayerRecord
from shiftlab.subsets.ingest import _READERS, detect
from shiftlab.subsets.look import read_names
from tests.readers.test_annotations import graph
from tests.reliability.samples import SAMPLES

Read = Callable[[Path], Any]
Make = Callable[[Path], tuple[Path, Path]]


@dataclass(frozen=True)
class FileTarget:
    """`make` writes a good sample into a folder (what the reader is given, the file to change); `changed` draws
    from the file's bytes what to write in their place."""

    make: Make
    read: Read
    changed: Callable[[bytes], st.SearchStrategy[bytes]]


# -- what is read, and what must hold of it --------------------------------------------------------------
def annotations(path: Path) -> Any:
    found = []
    for kind, table in _READERS[detect(path)](path, Problems(path, "skip")):
        assert table.schema.equals(SCHEMAS[kind]), kind
        if kind == "object":
            assert all(name.strip() for name in table["name"].to_pylist())
            for side in "xywh":
                assert np.isfinite(table[side].drop_null().to_numpy()).all(), side
        found.append((kind, table))
    return found


def vectors_and_ids(path: Path) -> Any:
    ids = path.parent / "ids.npy"
    found = vectors.read(path, str(ids) if path.suffix == ".npy" else None)
    assert found.matrix.ndim == 2
    assert found.matrix.size
    assert found.matrix.dtype.kind in "fiu"
    assert found.ids.shape == (len(found.matrix),)
    return found


def picture(path: Path) -> Any:
    (kept,) = pictures.small([path])
    if isinstance(kept, pictures.Bad):
        raise BadInputError(f"{path.name}: {kept.why}")
    return _shown(kept)


def picture_arrays(path: Path) -> Any:
    found = vectors.read(path, pictures=True)
    return [_shown(one) for one in pictures.small_arrays(found.matrix, path)]


def _shown(kept: Any) -> bytes:
    with Image.open(io.BytesIO(kept)) as small:
        assert max(small.size) <= pictures.SIDE
        return small.tobytes()


def weights(path: Path) -> Any:
    file = open_weights(path)
    layers = list(read_layers(file))
    for layer in layers:
        if isinstance(layer, LayerRecord):
            assert layer.weight.ndim == 4, layer.name
            assert layer.weight.dtype in (np.float32, np.float64), layer.name
            assert layer.bn_scale is None or layer.bn_scale.shape == (len(layer.weight),), layer.name
    tensors = []
    if file.format in ("safetensors", "torch", "npz"):
        tensors = [(one.name, one.shape, one.dtype) for one in read_tensors(file)]
    return layers, tensors


def episodes(path: Path) -> Any:
    found = read_episodes(path)
    steps = found.steps
    assert found.state_dim
    assert found.action_dim
    assert steps["episode_index"].null_count() == steps["frame_index"].null_count() == 0
    assert found.episodes["length"].sum() == len(steps)
    assert not found.episodes["episode_index"].is_duplicated().any()
    return found


def labels(path: Path) -> Any:
    rows = read_labels(path, "label", "prob")
    assert not rows["item"].is_duplicated().any()
    assert rows["item"].null_count() == rows["value"].null_count() == 0
    assert rows["prob"].drop_nulls().is_between(0, 1).all()
    return rows


def losses(path: Path) -> Any:
    table = read_losses(path)
    assert not table["item"].is_duplicated().any()
    assert table.select(pl.col("ce", "ac", "start").is_finite().all()).row(0) == (True,) * 3
    return table


def card_of(path: Path) -> Any:
    found = card.read(path.parent)
    assert found.id == path.parent.name
    return found.text


def scheme(path: Path) -> Any:
    found = read_scheme(path)
    needed = ("train", "test") if found["kind"] == "domains" else ("minority", "majority")
    for one in (one for key in needed for one in found[key]):
        assert isinstance(one["contexts"], list)
    return found


def fingerprint(value: Any) -> Any:
    """What two readings of one file must agree in, comparable with ==."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tolist() if value.dtype == object else value.tobytes()
    if isinstance(value, pl.DataFrame):
        return str(value.schema), repr(value.rows())
    if isinstance(value, pa.Table):
        return repr(value.to_pydict())
    if is_dataclass(value):
        return tuple(fingerprint(getattr(value, one.name)) for one in fields(value))
    if isinstance(value, list | tuple):
        return tuple(map(fingerprint, value))
    return repr(value)


# -- how files are changed -------------------------------------------------------------------------------
_WORDS = [b"\x00" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80", b"\x00\x00\x00\x80", b"-1", b"1e999", b"NaN", b"null",
          b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\\", b"\xed\xa0\x80", b"9" * 30, b"../", b"\xc3"]  # fmt: skip
_BYTES = st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(_WORDS))
_EDITS = st.lists(
    st.tuples(st.sampled_from("owidrc"), st.integers(0, 1 << 20), _BYTES), min_size=1, max_size=5
)
_INSIDE = st.integers(0, 7)
_NODES = st.lists(
    st.tuples(
        st.integers(0, 1 << 16),
        st.sampled_from("rrrdnka"),
        st.one_of(
            st.sampled_from(
                [None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, -0.5, 1.5, float("nan"), float("inf"), "", " ", "0", "1",
                 "../x", "/etc/passwd", "{}", "\x00", "\ud800", "a" * 5000, [], {}, [[]], [None], [1, "a"], {"": {}}, {"id": 1}]
            ),
            st.integers(),
            st.floats(),
            st.text(max_size=6),
        ),
    ),
    min_size=1, max_size=3,
)  # fmt: skip


def edited(content: bytes, edits: Sequence[tuple[str, int, bytes]]) -> bytes:
    """Overwritten, inserted, deleted, repeated or cut off at places given as shares of the length."""
    data = bytearray(content)
    for how, place, word in edits:
        at = place * (len(data) + 1) >> 20
        if how == "o" and data:
            data[min(at, len(data) - 1)] ^= word[0] or 1
        elif how == "w":
            data[at : at + len(word)] = word
        elif how == "i":
            data[at:at] = word
        elif how == "d":
            del data[at : at + 4 * len(word)]
        elif how == "r":
            data[at:at] = data[at : at + 16 * len(word)]
        elif how == "c" and word[0] < 64:
            del data[at:]
    return bytes(data)


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    return _EDITS.map(lambda edits: edited(content, edits))


def repacked(content: bytes) -> st.SearchStrategy[bytes]:
    """Half of the edits go into a member of the archive, whose checksum then fits again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = sorted(members, key=lambda name: len(members[name]))

    def pack(drawn: tuple[int, list[tuple[str, int, bytes]]]) -> bytes:
        number, edits = drawn
        if number >= 2 * len(names) or number % 2:
            return edited(content, edits)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, edited(member, edits) if name == names[number // 2] else member)
        return out.getvalue()

    return st.tuples(_INSIDE, _EDITS).map(pack)


def headed(content: bytes) -> st.SearchStrategy[bytes]:
    """Most edits go into the first quarter, where formats of arrays say what follows."""

    def put(drawn: tuple[bool, list[tuple[str, int, bytes]]]) -> bytes:
        near, edits = drawn
        return edited(content, [(how, place >> 2 if near else place, word) for how, place, word in edits])

    return st.tuples(st.booleans(), _EDITS).map(put)


def tailed(content: bytes) -> st.SearchStrategy[bytes]:
    """As `headed`, for formats whose description stands at the end."""
    last = (1 << 20) - (1 << 18)

    def put(drawn: tuple[bool, list[tuple[str, int, bytes]]]) -> bytes:
        near, edits = drawn
        return edited(
            content, [(how, last + (place >> 2) if near else place, word) for how, place, word in edits]
        )

    return st.tuples(st.booleans(), _EDITS).map(put)


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Every place in nested lists and dicts as (container, key), in order."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if len(found) > 5000:
            break
        for key in list(one) if isinstance(one, dict) else range(len(one)):
            found.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])
    return found


def grown(tree: Any, changes: Sequence[tuple[int, str, Any]]) -> Any:
    """A copy whose nodes were replaced, deleted, wrapped, renamed or added to."""
    tree = json.loads(json.dumps(tree))
    for place, how, value in changes:
        nodes = _nodes(tree)
        if not nodes:
            return value
        holder, key = nodes[place % len(nodes)]
        value = copy.deepcopy(value)
        if how == "r":
            holder[key] = value
        elif how == "d":
            del holder[key]
        elif how == "n":
            holder[key] = [holder[key]]
        elif how == "k" and isinstance(holder, dict):
            holder[str(value)] = holder.pop(key)
        elif how == "a":
            holder.append(value) if isinstance(holder, list) else holder.update({str(place): value})
    return tree


def as_json(content: bytes) -> st.SearchStrategy[bytes]:
    tree = json.loads(content)
    whole = _NODES.map(lambda changes: json.dumps(grown(tree, changes)).encode())
    return st.one_of(whole, damaged(content))


def as_lines(content: bytes) -> st.SearchStrategy[bytes]:
    trees = [json.loads(line) for line in content.splitlines()]
    whole = _NODES.map(lambda changes: "\n".join(map(json.dumps, grown(trees, changes))).encode()
                       if isinstance(grown(trees, changes), list) else b"")  # fmt: skip
    return st.one_of(whole, damaged(content))


def as_yaml(content: bytes) -> st.SearchStrategy[bytes]:
    tree = json.loads(json.dumps(yaml.safe_load(content), default=str))

    def dumped(changes: Any) -> bytes:
        return yaml.safe_dump(grown(tree, changes), sort_keys=False).encode(errors="surrogatepass")

    return st.one_of(_NODES.map(dumped), damaged(content))


_CELLS = st.one_of(
    st.sampled_from(["", " ", "1", "2", "cat", "cat(sofa)", "nan", "inf", "-1", "1e999", "null", "true", '"', "a,b", "\n", "\x00", "é" * 3,
                     "0.5", "1.0", "00", "9" * 25, "=1+1", "\u202e", "\ufeff"]),
    st.text(max_size=5), st.integers().map(str), st.floats().map(str),
)  # fmt: skip


def table_of(*columns: str) -> Callable[[bytes], st.SearchStrategy[bytes]]:
    """CSV of some of these columns, with any cells; quoted as it should be, mostly."""

    def strategy(content: bytes) -> st.SearchStrategy[bytes]:
        named = st.lists(st.sampled_from(columns), min_size=1, max_size=len(columns) + 1)

        def whole(drawn: tuple[list[str], list[list[str]], bool, list[int]]) -> bytes:
            header, rows, quoted, cut = drawn
            lines = [header, *[(row * len(header))[: len(header)] for row in rows]]
            if cut and rows:
                lines[-1] = lines[-1][: cut[0]]
            if quoted:
                lines = [['"' + cell.replace('"', '""') + '"' for cell in line] for line in lines]
            return "\n".join(",".join(line) for line in lines).encode(errors="surrogatepass")

        cells = st.lists(st.lists(_CELLS, min_size=1, max_size=6), max_size=5)
        tables = st.tuples(named, cells, st.booleans(), st.lists(st.integers(0, 6), max_size=1)).map(whole)
        return st.one_of(tables, tables, damaged(content))

    return strategy


_SERIES: list[Callable[[], pl.Series]] = [
    lambda: pl.Series(["1", "2", "3"]), lambda: pl.Series([1, 2, 3]), lambda: pl.Series([0, 0, 1]), lambda: pl.Series([0.5, 0.25, 1.0]),
    lambda: pl.Series([1.0, float("nan"), float("inf")]), lambda: pl.Series([None, "a", "b"]), lambda: pl.Series([None] * 3),
    lambda: pl.Series([True, False, None]), lambda: pl.Series([[1.0], [2.0], [3.0]]), lambda: pl.Series([[1.0], [], None]),
    lambda: pl.Series([[1.0, 2.0]] * 3, dtype=pl.Array(pl.Float64, 2)), lambda: pl.Series([["a"], ["b"], []]), lambda: pl.Series([b"\xff", b"", b"a"]),
    lambda: pl.Series([{"a": 1}, {"a": 2}, None]), lambda: pl.Series([1, 2, 3], dtype=pl.Datetime), lambda: pl.Series([1, 2, 3], dtype=pl.Duration),
    lambda: pl.Series(["a", "b", "a"], dtype=pl.Categorical), lambda: pl.Series([1, 2, 3], dtype=pl.Decimal(10, 2)), lambda: pl.Series([2**63] * 3, dtype=pl.UInt64),
    lambda: pl.Series([-(2**63), 2**62, 0]), lambda: pl.Series([[[1.0]], [[2.0]], [[3.0]]]), lambda: pl.Series([[1, None], [2, 3], [4, 5]]),
    lambda: pl.Series([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=pl.Array(pl.Float32, 2)), lambda: pl.Series([1, 2, 3], dtype=pl.Date), lambda: pl.Series(["", " ", "x"]),
    lambda: pl.Series([[]] * 3, dtype=pl.List(pl.Float64)), lambda: pl.Series([1, 2, 3], dtype=pl.Time), lambda: pl.Series([0, 1, 2], dtype=pl.Int8),
]  # fmt: skip


def parquet(kinds: Mapping[str, int], rows: int) -> bytes:
    """A file of columns by the number of their type."""
    frame = pl.DataFrame({name: _SERIES[kind]() for name, kind in kinds.items()}).head(rows)
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def parquet_of(*columns: str) -> Callable[[bytes], st.SearchStrategy[bytes]]:
    """Parquet of some of these columns, each of any type."""

    def strategy(content: bytes) -> st.SearchStrategy[bytes]:
        chosen = st.dictionaries(st.sampled_from(columns), st.integers(0, len(_SERIES) - 1), min_size=1)

        tables = st.tuples(chosen, st.integers(0, 3)).map(lambda drawn: parquet(*drawn))
        return st.one_of(tables, tables, tailed(content))

    return strategy


def _array() -> st.SearchStrategy[np.ndarray]:
    dtypes = st.sampled_from(
        ["<f4", "<f8", ">f8", "<f2", "<i8", "|u1", "|b1", "<c8", "<U3", "|S2", "<M8[s]", "|V3"]
    )
    shapes = st.lists(st.integers(0, 3), max_size=5).map(tuple)

    def made(drawn: tuple[str, tuple[int, ...], bool]) -> np.ndarray:
        dtype, shape, fortran = drawn
        array = np.frombuffer(bytes(np.dtype(dtype).itemsize * int(np.prod(shape))), dtype).reshape(shape)
        return np.asfortranarray(array) if fortran else array

    return st.tuples(dtypes, shapes, st.booleans()).map(made)


def arrays_of(*names: str) -> Callable[[bytes], st.SearchStrategy[bytes]]:
    """npz of some of these names, with arrays of any type and shape."""

    def strategy(content: bytes) -> st.SearchStrategy[bytes]:
        def whole(arrays: dict[str, np.ndarray]) -> bytes:
            out = io.BytesIO()
            np.savez(out, **arrays)
            return out.getvalue()

        archives = st.dictionaries(st.sampled_from(names), _array(), min_size=1).map(whole)
        return st.one_of(archives, repacked(content))

    return strategy


def _npy(content: bytes) -> st.SearchStrategy[bytes]:
    def whole(array: np.ndarray) -> bytes:
        out = io.BytesIO()
        np.save(out, array)
        return out.getvalue()

    return st.one_of(_array().map(whole), headed(content))


# -- samples ---------------------------------------------------------------------------------------------
def text(name: str, content: Any) -> Make:
    def make(folder: Path) -> tuple[Path, Path]:
        path = folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path, path

    return make


def frame_of(name: str, **columns: Any) -> Make:
    def make(folder: Path) -> tuple[Path, Path]:
        path, frame = folder / name, pl.DataFrame(columns)
        frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
        return path, path

    return make


def _picture(name: str) -> Make:
    def make(folder: Path) -> tuple[Path, Path]:
        pixels = np.arange(90 * 70 * 3, dtype=np.uint32).reshape(90, 70, 3) % 251
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        return folder / name, folder / name

    return make


def _picture_arrays(folder: Path) -> tuple[Path, Path]:
    path = folder / "pictures.npz"
    np.savez(path, image_id=np.array(["1", "2"]), pictures=np.arange(128, dtype=np.uint8).reshape(2, 8, 8))
    return path, path


def _vg(part: str) -> Make:
    sofa = {"object_id": 2, "names": ["sofa"], "x": 1, "y": 2, "w": 3, "h": 4, "synsets": []}
    cat = sofa | {"object_id": 1, "names": ["Cat"], "attributes": ["black "]}
    records = {
        "objects": [{"image_id": 1, "objects": [cat, sofa]}],
        "attributes": [{"image_id": 1, "attributes": [cat, sofa]}],
        "relationships": [{"image_id": 1, "relationships": [
            {"relationship_id": 5, "predicate": "ON", "subject": cat | {"name": "cat"}, "object": sofa | {"name": "sofa"}}]}],
        "image_data": [{"image_id": 1, "width": 9, "height": 9}, {"image_id": 2, "width": 9, "height": 9}],
    }  # fmt: skip

    def make(folder: Path) -> tuple[Path, Path]:
        for name, content in records.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder, folder / f"{part}.json"

    return make


def _card(folder: Path) -> tuple[Path, Path]:
    source = resources.folder("data_cards") / "adroit_door_human"
    (folder / source.name).mkdir()
    path = folder / source.name / "card.yaml"
    path.write_bytes((source / "card.yaml").read_bytes())
    return path, path


def _sketches(folder: Path) -> tuple[Path, Path]:
    frame = pl.read_parquet(resources.data("cnn_filters") / "sketches.parquet")
    few = frame.filter(pl.col("sha256") == frame["sha256"][0]).head(2)
    few.write_parquet(folder / "sketches.parquet")
    return folder / "sketches.parquet", folder / "sketches.parquet"


COCO = {
    "info": {}, "images": [{"id": 1, "width": 9, "height": 9, "file_name": "a.jpg"}, {"id": 2, "width": 9, "height": 9, "file_name": "b.jpg"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0},
                    {"id": 2, "image_id": 2, "category_id": 2, "bbox": [0.5, 0, 1, 1], "area": 1, "iscrowd": 1}],
    "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],
}  # fmt: skip
IMAGE_COLUMNS = ("image_id", "object", "attribute", "attribute_type", "x", "y", "w", "h", "width", "height", "split", "object_id",
                 "supercategory", "category", "location", "row", "file", "other")  # fmt: skip
STEP_COLUMNS = ("episode_index", "frame_index", "observation.state", "action", "observation.state.0", "observation.state.1", "action.0",
                "timestamp", "reward", "done", "success", "task", "operator", "session", "label", "episode_return")  # fmt: skip
LABEL_COLUMNS = ("item", "image_id", "id", "label", "prob", "value")
_STEPS = "\n".join(
    ["episode_index,frame_index,observation.state.0,action.0,success,task",
     *(f"{e},{f},{e + f / 7},{f * 0.5},{e},t" for e in range(2) for f in range(3))]
)  # fmt: skip


def _sample(name: str, read: Read, changed: Callable[[bytes], st.SearchStrategy[bytes]]) -> FileTarget:
    return FileTarget(SAMPLES[name].make, read, changed)


TARGETS: dict[str, FileTarget] = {
    "coco": FileTarget(text("instances.json", COCO), annotations, as_json),
    "gqa": FileTarget(text("graphs.json", graph()), annotations, as_json),
    **{f"visual genome {part}": FileTarget(_vg(part), annotations, as_json)
       for part in ("objects", "attributes", "relationships", "image_data")},
    "table csv": FileTarget(frame_of("table.csv", image_id=[1, 2], object=["cat", "dog"], x=[0, 1], y=[0, 1], w=[1, 1], h=[1, 1]),
                            annotations, table_of(*IMAGE_COLUMNS)),
    "table parquet": FileTarget(frame_of("table.parquet", image_id=["1", "2"], object=["cat", "dog"]), annotations, parquet_of(*IMAGE_COLUMNS)),
    "vectors npy": _sample("vectors npy", vectors_and_ids, _npy),
    "vectors npz": _sample("vectors npz", vectors_and_ids, arrays_of("image_id", "v", "w", "id")),
    "vectors parquet": _sample("vectors parquet", vectors_and_ids, parquet_of("image_id", "v", "w", "id", "x")),
    **{f"picture {suffix}": FileTarget(_picture(f"a.{suffix}"), picture, damaged)
       for suffix in ("png", "jpeg", "gif", "bmp", "tiff", "webp")},
    "picture arrays": FileTarget(_picture_arrays, picture_arrays, arrays_of("image_id", "pictures", "id")),
    "safetensors": _sample("weights small.safetensors", weights, headed),
    "torch zip": _sample("weights checkpoint_zip.pt", weights, repacked),
    "torch legacy": _sample("weights checkpoint_legacy.pth", weights, headed),
    "weights npz": _sample("weights npz", weights, arrays_of("w", "v", "conv/kernel")),
    "weights npy": _sample("weights npy", weights, _npy),
    "onnx": _sample("weights onnx", weights, damaged),
    "tflite": _sample("weights fer_int8.tflite", weights, tailed),
    "tfjs manifest": _sample("weights tfjs manifest", weights, as_json),
    "keras h5": _sample("weights small.h5", weights, damaged),
    "keras archive": _sample("weights small.keras", weights, repacked),
    "sketches": FileTarget(_sketches, read_packed, tailed),
    "model metadata": FileTarget(frame_of("models.csv", file=["a.pt", "b.pt"], task=["x", "y"]), _read_metadata,
                                 table_of("file", "sha256", "task", "licence", "other")),
    "lerobot 2 info": _sample("lerobot 2 info", episodes, as_json),
    "lerobot 2 episodes": _sample("lerobot 2 episodes", episodes, as_lines),
    "lerobot 2 tasks": _sample("lerobot 2 tasks", episodes, as_lines),
    "lerobot 2 steps": _sample("lerobot 2 steps", episodes, parquet_of(*STEP_COLUMNS, "task_index")),
    "lerobot 3 episodes": _sample("lerobot 3 episodes", episodes, parquet_of("episode_index", "tasks", "length", "x")),
    "lerobot 3 tasks": _sample("lerobot 3 tasks", episodes, parquet_of("task_index", "task", "__index_level_0__")),
    "robomimic": _sample("robomimic", episodes, damaged),
    "minari metadata": _sample("minari metadata", episodes, as_json),
    "minari hdf5": _sample("minari hdf5", episodes, damaged),
    "steps parquet": _sample("steps parquet", episodes, parquet_of(*STEP_COLUMNS)),
    "steps csv": FileTarget(text("steps.csv", _STEPS), episodes, table_of(*STEP_COLUMNS)),
    "labels csv": FileTarget(frame_of("labels.csv", item=["1", "2"], label=["a", "b"], prob=[0.5, 1.0]), labels, table_of(*LABEL_COLUMNS)),
    "labels parquet": FileTarget(frame_of("labels.parquet", item=["1", "2"], label=["a", "b"], prob=[0.5, 1.0]), labels, parquet_of(*LABEL_COLUMNS)),
    "losses csv": FileTarget(frame_of("losses.csv", item=["1", "2"], ce=[0.5, 1.0], ac=[0.5, 1.0]), losses, table_of("item", "ce", "ac", "weight", "x")),
    "losses parquet": FileTarget(frame_of("losses.parquet", item=["1", "2"], ce=[0.5, 1.0], ac=[0.5, 1.0]), losses,
                                 parquet_of("item", "ce", "ac", "weight", "x")),
    "card": FileTarget(_card, card_of, as_yaml),
    "scheme": FileTarget(text("scheme.json", (SCHEMES / "cat-dog-domains.json").read_text()), scheme, as_json),
    "subset names": FileTarget(text("names.txt", "cat(sofa)\ndog(bed)\n"), read_names, table_of("subset", "x", "cat(sofa)")),
}  # fmt: skip
