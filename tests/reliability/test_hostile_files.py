"""Hostile and damaged files at the doors of the catalog: refused by name, in bounded memory, nothing stored."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import polars as pl
import pytest

import shiftlab as sl
from tests.readers.test_annotations import graph
from tests.readers.test_episodes_readers import craft, lerobot21, minari, robomimic, steps_frame
from tests.readers.test_weights_arrays import tfjs
from tests.readers.test_weights_onnx import W, external, node, save
from tests.readers.test_weights_safetensors import entry
from tests.readers.test_weights_safetensors import write as safetensors
from tests.readers.test_weights_tflite import CONV, F32, INPUT, OUTPUT, model, tensor
from tests.readers.test_weights_torch import legacy, payloads, tensor_pickle, zipped
from tests.reliability.conftest import Tally, content
from tests.reliability.samples import SAMPLES, knock

SLOWEST_SECONDS = 20
MOST_MB = 1400
Make = Callable[[Path], Path]
# What a file tries: the door it comes to, how it is written, what the refusal must say, and the door's options.
HOSTILE: dict[str, tuple[str, Make, str, dict[str, Any]]] = {}


def hostile(door: str, name: str, words: str, **options: Any) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        HOSTILE[name] = (door, make, words, options)
        return make

    return add


def text(name: str, content: str | bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


# -- annotations ---------------------------------------------------------------------------------------
COCO = {"images": [{"id": 1, "width": 9, "height": 9, "file_name": "a.jpg"}], "annotations": [],
        "categories": [{"id": 1, "name": "cat"}]}  # fmt: skip
ONE = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}


def coco(**changes: Any) -> str:
    return json.dumps(COCO | {"annotations": [ONE]} | changes)


for name, words, written in [
    ("JSON nested 100,000 deep", "starts with", "[" * 100_000 + "]" * 100_000),
    ("JSON objects nested 100,000 deep", "JSON|deep|object", '{"a":' * 100_000 + "1" + "}" * 100_000),
    ("a repeated key", "'1' occurs twice", json.dumps(graph()).replace('"2": {"name"', '"1": {"name"')),
    ("NaN as a number", "JSON", json.dumps(graph()).replace("30", "NaN")),
    ("Infinity as a number", "JSON", json.dumps(graph()).replace("30", "-Infinity")),
    ("a number beyond a float", r"JSON|field 'w'|finite|1e999|number", json.dumps(graph()).replace("30", "1e999")),
    ("a number of 100,000 digits", r"JSON|field 'w'|digits|number", json.dumps(graph()).replace("30", "9" * 100_000)),
    ("a name that is a list", "field 'name'", json.dumps(graph(name=["x"]))),
    ("a relation to another image", "relation", json.dumps(graph(relations=[{"name": "on", "object": "9"}]))),
]:  # fmt: skip
    hostile("images", name, words, input="gqa")(text("graphs.json", written))
for name, words, written in [
    ("a box of text", "bbox", coco(annotations=[ONE | {"bbox": "0,0,1,1"}])),
    ("a box of three", "bbox", coco(annotations=[ONE | {"bbox": [0, 0, 1]}])),
    ("a box beyond a float", "bbox|JSON", coco(annotations=[ONE | {"bbox": [0, 0, 1, 1]}]).replace("1]", "1e999]")),
    ("a category that is not there", "category", coco(annotations=[ONE | {"category_id": 7}])),
    ("an image that is not there", "image", coco(annotations=[ONE | {"image_id": 7}])),
    ("annotations that are text", "no usable object", coco(annotations="x")),
    ("images that are numbers", "image", coco(images=[1, 2])),
    ("a repeated image", "unique|twice", coco(images=COCO["images"] * 2)),
]:  # fmt: skip
    hostile("images", name, words, input="coco")(text("instances.json", written))
hostile("images", "gzip under the name of JSON", "gzip")(
    text("instances.json", gzip.compress(coco().encode()))
)
hostile("images", "UTF-16", "UTF-16", input="gqa")(text("graphs.json", json.dumps(graph()).encode("utf-16")))
hostile("images", "bytes that are no text", "UTF|JSON", input="gqa")(text("graphs.json", b'{"\xff\xfe": 1}'))
hostile("images", "a table with a byte that is no text", r"table\.csv")(
    text("table.csv", b"image_id,object\n1,\xff\xfe\n")
)
hostile("images", "a table with NaN in a box", "row 2.*'x'")(
    text("table.csv", "image_id,object,x,y,w,h\n1,cat,nan,0,1,1\n")
)
hostile("images", "a table of ragged rows", r"table\.csv")(
    text("table.csv", "image_id,object\n1,cat\n2,dog,x,y,z\n")
)
hostile("images", "a table with infinite boxes", "row 2.*'w'")(
    text("table.csv", "image_id,object,x,y,w,h\n1,cat,0,0,inf,1\n")
)


@hostile("images", "Parquet that claims more rows than it has", r"table\.parquet")
def parquet_damaged(folder: Path) -> Path:
    path = folder / "table.parquet"
    pl.DataFrame({"image_id": ["1"] * 500, "object": ["cat"] * 500}).write_parquet(path)
    whole = bytearray(path.read_bytes())
    whole[4:60] = b"\xff" * 56
    path.write_bytes(whole)
    return path


@hostile("images", "Parquet of wrong types", "image_id|object")
def parquet_types(folder: Path) -> Path:
    path = folder / "table.parquet"
    pl.DataFrame({"image_id": [[1], [2]], "object": [{"a": 1}, {"a": 2}]}).write_parquet(path)
    return path


# -- vectors -------------------------------------------------------------------------------------------
def npz(**arrays: Any) -> Make:
    def make(folder: Path) -> Path:
        np.savez(folder / "vectors.npz", **{key: np.asarray(value) for key, value in arrays.items()})
        return folder / "vectors.npz"

    return make


SIX = [str(i) for i in range(6)]
MATRIX = np.arange(24.0).reshape(6, 4)
for name, words, made in [
    ("ids that are a pickle", "plain arrays|Object", npz(image_id=np.array(SIX, object), v=MATRIX)),
    ("vectors that are a pickle", "plain arrays|Object", npz(image_id=SIX, v=MATRIX.astype(object))),
    ("vectors with NaN", "row 2.*NaN", npz(image_id=SIX, v=np.where(MATRIX == 8, np.nan, MATRIX))),
    ("vectors with infinity", "row 2.*infinity", npz(image_id=SIX, v=np.where(MATRIX == 8, np.inf, MATRIX))),
    ("vectors of text", "expected numbers", npz(image_id=SIX, v=MATRIX.astype(str))),
    ("vectors of complex numbers", "expected numbers", npz(image_id=SIX, v=MATRIX.astype(complex))),
    ("vectors of times", "expected numbers", npz(image_id=SIX, v=MATRIX.astype("M8[s]"))),
    ("vectors of three dimensions", "two-dimensional", npz(image_id=SIX, v=MATRIX[None])),
    ("vectors without width", "shape", npz(image_id=SIX, v=MATRIX[:, :0])),
    ("more vectors than ids", "6 vectors but 5 ids", npz(image_id=SIX[:5], v=MATRIX)),
    ("ids of two dimensions", "ids are", npz(image_id=[[1, 2]] * 6, v=MATRIX)),
    ("ids that no item has", "none of its ids", npz(image_id=["x" + one for one in SIX], v=MATRIX)),
    ("an id twice", "several vectors", npz(image_id=["1", *SIX[1:]], v=MATRIX)),
    ("vectors beyond float32", "row 0.*float32", npz(image_id=SIX, v=MATRIX * 1e300)),
]:
    hostile("vectors", name, words)(made)


@hostile("vectors", "an archive that inflates a million times", r"vectors\.npz")
def npz_bomb(folder: Path) -> Path:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (6, 2_500_000)}
    )
    with zipfile.ZipFile(folder / "vectors.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image_id.npy", bytes(_npy(np.array(SIX))))
        with archive.open("v.npy", "w", force_zip64=True) as stream:
            stream.write(header.getvalue())
            for _ in range(15):
                stream.write(bytes(8_000_000))
    return folder / "vectors.npz"


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@hostile("vectors", "an array that claims a shape it has not", r"vectors\.npz")
def npz_claim(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "vectors.npz", "w") as archive:
        archive.writestr("image_id.npy", _npy(np.array(SIX)))
        archive.writestr("v.npy", _npy(MATRIX).replace(b"(6, 4)", b"(9999999999, 99)"))
    return folder / "vectors.npz"


@hostile("vectors", "an array header that is code", r"vectors\.npz")
def npz_code(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "vectors.npz", "w") as archive:
        archive.writestr("image_id.npy", _npy(np.array(SIX)))
        archive.writestr("v.npy", _npy(MATRIX).replace(b"(6, 4), }", b"open('x')"))
    return folder / "vectors.npz"


@hostile("vectors", "a raw pickle under the name of an archive", r"vectors\.npz")
def npz_pickle(folder: Path) -> Path:
    (folder / "vectors.npz").write_bytes(pickle.dumps(payloads(folder / "marker")["system"]))
    return folder / "vectors.npz"


@hostile("vectors", "Parquet with vectors of unequal length", "different length.*row 1")
def parquet_ragged(folder: Path) -> Path:
    pl.DataFrame({"image_id": ["1", "2"], "v": [[1.0, 2.0], [1.0]]}).write_parquet(folder / "vectors.parquet")
    return folder / "vectors.parquet"


@hostile("vectors", "Parquet with an empty vector", "empty in row 1")
def parquet_empty(folder: Path) -> Path:
    pl.DataFrame({"image_id": ["1", "2"], "v": [[1.0, 2.0], None]}).write_parquet(folder / "vectors.parquet")
    return folder / "vectors.parquet"


@hostile("vectors", "Parquet with an empty number inside a vector", r"vectors\.parquet")
def parquet_null(folder: Path) -> Path:
    frame = pl.DataFrame({"image_id": ["1", "2"], "v": [[1.0, 2.0], [1.0, None]]})
    frame.write_parquet(folder / "vectors.parquet")
    return folder / "vectors.parquet"


@hostile("vectors", "Parquet with vectors of text", r"expected numbers|'v'")
def parquet_text(folder: Path) -> Path:
    pl.DataFrame({"image_id": ["1", "2"], "v": [["a"], ["b"]]}).write_parquet(folder / "vectors.parquet")
    return folder / "vectors.parquet"


# -- weights -------------------------------------------------------------------------------------------
for payload in payloads(Path("marker")):
    for layout in (zipped, legacy):

        def _evil(folder: Path, payload: str = payload, layout: Any = layout) -> Path:
            return layout(folder / "model.pt", pickle.dumps(payloads(folder / "marker")[payload], 2))

        hostile("models", f"a {layout.__name__} pickle that calls {payload}", "global|calls|opcode")(_evil)
for name, words, numel, offset, last, stride in [
    ("a view before its storage", "reaches|storage", 18, -1, 3, 9),
    ("a view beyond its storage", "reaches|storage", 18, 1, 3, 9),
    ("a view of negative steps", "reaches|storage", 18, 0, 3, -9),
    ("a storage longer than its bytes", "storage", 19, 0, 3, 9),
]:

    def _view(folder: Path, arguments: tuple[int, ...] = (numel, offset, last, stride)) -> Path:
        with zipfile.ZipFile(folder / "model.pt", "w") as archive:
            archive.writestr("a/data.pkl", tensor_pickle(*arguments))
            archive.writestr("a/data/0", np.arange(18, dtype="<f4").tobytes())
        return folder / "model.pt"

    hostile("models", name, words)(_view)


def archive(name: str, entries: dict[str, bytes]) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as written:
            for entry_name, content in entries.items():
                written.writestr(entry_name, content)
        return folder / name

    return make


hostile("models", "a pickle that inflates", "bomb")(archive("model.pt", {"a/data.pkl": bytes(80 << 20)}))
hostile("models", "an archive of an archive", "archive|unpack")(
    archive("model.npz", {"inner.zip": b"PK\x03\x04"})
)
hostile("models", "an archive of arrays that inflates", "bomb")(
    archive("model.npz", {"w.npy": _npy(np.zeros((1200, 1200, 3, 3)))})
)
hostile("models", "keras that inflates", "bomb|inflates")(
    archive("model.keras", {"config.json": bytes(80 << 20), "model.weights.h5": b"", "metadata.json": b"{}"})
)
hostile("models", "an array of objects", "pickled")(
    archive("model.npz", {"w.npy": _npy(np.array([{"a": 1}], object))})
)
hostile("models", "TorchScript", "state_dict")(
    archive("model.pt", {"s/data.pkl": pickle.dumps({}, 2), "s/constants.pkl": pickle.dumps((), 2)})
)
for name, words, header, size in [
    ("overlapping tensors", "'a' and 'b' overlap", {"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, 12),
    ("a tensor beyond the file", "overruns", {"a": entry([2], 0, 8), "b": entry([2], 8, 16)}, 12),
    ("a tensor of 2^80 values", "'a'", {"a": entry([1 << 40, 1 << 40], 0, 8)}, 8),
    ("a negative shape", "'a'", {"a": entry([-1, 2], 0, 8)}, 8),
    ("an unknown dtype", "dtype", {"a": entry([2], 0, 8, "F99")}, 8),
    ("offsets that go back", "'a'", {"a": entry([2], 8, 0)}, 8),
]:

    def _tensors(folder: Path, header: Any = header, size: int = size) -> Path:
        return safetensors(folder / "model.safetensors", header, bytes(size))

    hostile("models", name, words)(_tensors)
hostile("models", "a header of 2^60 bytes", "claims")(
    text("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}")
)
hostile("models", "a header nested 100,000 deep", "JSON|deep")(
    text("model.safetensors", struct.pack("<Q", 200_000) + b"[" * 100_000 + b"]" * 100_000)
)
hostile("models", "a header with a name twice", "twice")(
    text("model.safetensors", struct.pack("<Q", 15) + b'{"a":1,"a":1}  ')
)
for location in ("../secret.bin", "/etc/hosts", "sub/../../secret.bin", "", "link.bin"):

    def _outside(folder: Path, location: str = location) -> Path:
        (folder / "model").mkdir()
        (folder / "secret.bin").write_bytes(bytes(W.nbytes))
        (folder / "model" / "link.bin").symlink_to(folder / "secret.bin")
        return external(folder / "model" / "m.onnx", location)

    hostile(
        "models",
        f"ONNX weights at {location or 'nowhere'}",
        "outside|missing|another file",
        external_data=True,
    )(_outside)
hostile("models", "ONNX weights in another file, unasked", "--external-data")(
    lambda folder: external(folder / "m.onnx", "w.bin")
)


@hostile("models", "an ONNX tensor of 2^40 values", "would take")
def onnx_claim(folder: Path) -> Path:
    path = save(folder / "m.onnx", [node("Conv", "x w", "a")], {"w": W})
    loaded = onnx.load_model(str(path))
    loaded.graph.initializer[0].ClearField("dims")
    loaded.graph.initializer[0].dims.extend([1 << 20, 1 << 20, 3, 3])
    path.write_bytes(loaded.SerializeToString())
    return path


def h5(write: Callable[[h5py.File, Path], Any]) -> Make:
    def make(folder: Path) -> Path:
        with h5py.File(folder / "secret.h5", "w") as secret:
            secret["kernel:0"] = np.ones((3, 3, 2, 4), "f4")
        (folder / "raw.bin").write_bytes(bytes(288))
        with h5py.File(folder / "model.h5", "w") as file:
            write(file, folder)
        return folder / "model.h5"

    return make


for name, words, write in [
    ("a link to another HDF5 file", "is a link", lambda f, d: f.__setitem__("c", h5py.ExternalLink("secret.h5", "/"))),
    ("a link in a circle", "is a link", lambda f, d: f.__setitem__("loop", h5py.SoftLink("/"))),
    ("HDF5 values in another file", "another file", lambda f, d: f.create_dataset(
        "c/kernel:0", (3, 3, 2, 4), "f4", external=[(str(d / "raw.bin"), 0, 288)])),
    ("HDF5 that inflates", "inflates", lambda f, d: f.create_dataset(
        "c/kernel:0", (3, 3, 2000, 4000), "f4", chunks=(3, 3, 100, 100), compression="gzip")),
    ("HDF5 that claims terabytes", "would take", lambda f, d: f.create_dataset(
        "c/kernel:0", (3, 3, 1 << 20, 1 << 20), "f4", chunks=(3, 3, 16, 16))),
]:  # fmt: skip
    hostile("models", name, words)(h5(write))
for name, words, edit in [
    ("a TF.js shard above its folder", "outside", lambda g: g.update(paths=["../secret.bin"])),
    ("a TF.js shard of the system", "outside", lambda g: g.update(paths=["/etc/passwd"])),
    ("a TF.js shard that is missing", "missing", lambda g: g.update(paths=["absent.bin"])),
    ("a TF.js tensor of a wrong shape", "needs bytes", lambda g: g["weights"][0].update(shape=[3, 3, 1, 9])),
    ("a TF.js tensor of terabytes", "would take", lambda g: g["weights"][0].update(shape=[99999, 99999, 9, 9])),
    ("a TF.js tensor of an unknown dtype", "dtype", lambda g: g["weights"][0].update(dtype="complex64")),
]:  # fmt: skip

    def _manifest(folder: Path, edit: Any = edit) -> Path:
        path = tfjs(folder, {"conv/kernel": np.ones((3, 3, 1, 4), "f4")})
        manifest = json.loads(path.read_text())
        edit(manifest["weightsManifest"][0])
        path.write_text(json.dumps(manifest))
        return path

    hostile("models", name, words)(_manifest)


@hostile("models", "a TF.js shard that is a link out", "outside")
def tfjs_link(folder: Path) -> Path:
    (folder / "m").mkdir()
    path = tfjs(folder / "m", {"conv/kernel": np.ones((3, 3, 1, 4), "f4")})
    (folder / "m" / "shard.bin").rename(folder / "secret.bin")
    (folder / "m" / "shard.bin").symlink_to(folder / "secret.bin")
    return path


for name, words, shape, kind in [
    ("a TFLite tensor of terabytes", "would take", (1 << 30, 1 << 30, 9, 9), F32),
    ("a TFLite tensor longer than its buffer", "buffer holds", (4, 3, 3, 3), F32),
    ("a TFLite tensor of an unknown type", "unknown type", (4, 3, 3, 2), 99),
    ("a TFLite tensor of a negative shape", "impossible shape", (4, -3, 3, 2), F32),
]:

    def _flat(folder: Path, shape: tuple[int, ...] = shape, kind: int = kind) -> Path:
        tensors = [INPUT, tensor("w", shape, kind, 1), OUTPUT]
        content = model([CONV], tensors, [np.ones((4, 3, 3, 2), "<f4")], [(0, (0, 1, -1), (2,))])
        (folder / "m.tflite").write_bytes(content)
        return folder / "m.tflite"

    hostile("models", name, words)(_flat)
hostile("models", "text under the name of a model", "format|model")(text("m.onnx", "hello, this is text"))
hostile("models", "an empty model", "empty")(text("m.pt", b""))


# -- demonstrations ------------------------------------------------------------------------------------
for kind in (
    "external storage",
    "external link",
    "soft link",
    "virtual",
    "bomb",
    "objects",
    "link in the path",
):

    def _demo(folder: Path, kind: str = kind) -> Path:
        craft(folder / "d.hdf5", kind)
        return folder / "d.hdf5"

    hostile("episodes", f"demonstrations with {kind}", "demo_1")(_demo)
for template in ("../secret/{episode_index}.parquet", "/etc/{episode_index}.parquet", "data/{robot_type}.parquet",
                 "data/{episode_index.__class__}.parquet", "data/{0.__init__.__globals__}.parquet", "data/{episode_index:999999999d}.parquet"):  # fmt: skip

    def _template(folder: Path, template: str = template) -> Path:
        return lerobot21(folder / "d", steps_frame(), data_path=template)

    hostile("episodes", f"LeRobot with the template {template}", r"inside|fields|data_path|template")(
        _template
    )


@hostile("episodes", "LeRobot with a link out of its folder", "outside")
def lerobot_link(folder: Path) -> Path:
    steps_frame().write_parquet(folder / "outside.parquet")
    root = lerobot21(folder / "d", steps_frame())
    (root / "data/chunk-000/episode_000001.parquet").unlink()
    (root / "data/chunk-000/episode_000001.parquet").symlink_to(folder / "outside.parquet")
    return root


for name, words, change in [
    ("LeRobot metadata with NaN", "NaN", lambda s: s.replace('"fps": 10', '"fps": NaN')),
    ("LeRobot metadata with a key twice", "twice", lambda s: s.replace('"fps": 10', '"fps": 10, "fps": 20')),
    ("LeRobot metadata 100,000 deep", "deep", lambda s: "[" * 100_000 + "]" * 100_000),
    ("LeRobot metadata of a list", r"info\.json", lambda s: "[1]"),
]:

    def _info(folder: Path, change: Any = change) -> Path:
        root = lerobot21(folder / "d", steps_frame())
        info = root / "meta" / "info.json"
        info.write_text(change(info.read_text()))
        return root

    hostile("episodes", name, words)(_info)


@hostile("episodes", "Minari with a link to another file", "ExternalLink|link")
def minari_link(folder: Path) -> Path:
    root = minari(folder / "d")
    robomimic(folder / "other.hdf5")
    with h5py.File(root / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/actions"]
        file["episode_1/actions"] = h5py.ExternalLink(str(folder / "other.hdf5"), "/data/demo_0/actions")
    return root


@hostile("episodes", "steps whose episodes are text", "episode_index")
def steps_text(folder: Path) -> Path:
    frame = steps_frame().with_columns(episode_index=pl.lit("x"))
    frame.write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


for suffix in ("pkl", "npz", "pt", "npy"):

    def _pickle(folder: Path, suffix: str = suffix) -> Path:
        path = folder / f"demos.{suffix}"
        path.write_bytes(pickle.dumps(payloads(folder / "marker")["system"]))
        return path

    hostile("episodes", f"demonstrations in a .{suffix}", "may run code")(_pickle)


def test_hostile_files_are_refused_by_name(stored: sl.Catalog, tmp_path: Path, tally: Tally) -> None:
    before = content(stored)
    files = []
    for number, (door, make, _, options) in enumerate(HOSTILE.values()):
        folder = tmp_path / f"case{number}"
        folder.mkdir()
        files.append((door, make(folder), options))
    outcomes, most = knock(stored.path, files)
    wrong = []
    for (name, (_, _, words, _)), (_, path, _), outcome in zip(HOSTILE.items(), files, outcomes, strict=True):
        named = path.name in outcome.words or any(p.name in outcome.words for p in path.rglob("*"))
        if outcome.what != "refused" or not named or not re.search(words, outcome.words):
            wrong.append((name, outcome.what, outcome.words[:300]))
        assert outcome.seconds < SLOWEST_SECONDS, name
    assert not wrong, "\n".join(map(str, wrong))
    assert not list(tmp_path.rglob("marker"))
    assert most < MOST_MB
    assert content(stored) == before
    slowest = max(outcome.seconds for outcome in outcomes)
    tally("hostile files", refused=len(files), MB_at_most=most, ms_at_most=round(1000 * slowest))


@pytest.mark.parametrize("sixteenths", [(0, 9), pytest.param(range(16), marks=pytest.mark.slow)])
def test_files_cut_at_every_sixteenth(
    stored: sl.Catalog, tmp_path: Path, tally: Tally, sixteenths: Sequence[int]
) -> None:
    """The real file is taken, every cut of it is refused; only texts of lines may be whole when cut."""
    before, files, names = content(stored), [], []
    for name, sample in SAMPLES.items():
        for sixteenth in sixteenths:
            folder = tmp_path / name.replace(" ", "_") / str(sixteenth)
            folder.mkdir(parents=True)
            given, damaged = sample.make(folder)
            os.truncate(damaged, damaged.stat().st_size * sixteenth // 16)
            options = dict(sample.options)
            if name == "vectors npy":
                options["ids"] = str(folder / "ids.npy")
            files.append((sample.door, given, options))
            names.append((name, sixteenth, damaged.name))
    other = sl.open(tmp_path / "other")
    rows = [i for i, one in enumerate(names) if SAMPLES[one[0]].prefix_may_be_valid]
    lines, most_of_lines = knock(other.path, [files[i] for i in rows])
    rest = [i for i in range(len(files)) if i not in set(rows)]
    outcomes, most = knock(stored.path, [files[i] for i in rest])
    wrong = [
        (names[i], outcome.what, outcome.words[:200])
        for i, outcome in zip(rest, outcomes, strict=True)
        if outcome.what != "refused" or names[i][2].split(".")[0] not in outcome.words
    ]
    wrong += [
        (names[i], o.what, o.words[:200]) for i, o in zip(rows, lines, strict=True) if o.what == "crashed"
    ]
    assert not wrong, "\n".join(map(str, wrong))
    assert max(outcome.seconds for outcome in [*outcomes, *lines]) < SLOWEST_SECONDS
    assert max(most, most_of_lines) < MOST_MB
    assert content(stored) == before
    tally("hostile files", cut_of_real_files=len(files), formats=len(SAMPLES))


@pytest.mark.slow
def test_the_samples_are_taken_whole(stored: sl.Catalog, tmp_path: Path) -> None:
    """What is cut above is a file that ShiftLab reads."""
    files, catalog = [], sl.open(tmp_path / "catalog")
    table = tmp_path / "items.csv"
    table.write_text("image_id,object\n" + "".join(f"{i},cat\n" for i in range(6)))
    for name, sample in SAMPLES.items():
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        options = dict(sample.options) | ({"ids": str(folder / "ids.npy")} if name == "vectors npy" else {})
        files.append((sample.door, sample.make(folder)[0], options))
    catalog.ingest_images(table, "small")
    outcomes, _ = knock(catalog.path, files)
    wrong = [
        (name, outcome) for name, outcome in zip(SAMPLES, outcomes, strict=True) if outcome.what != "stored"
    ]
    assert not wrong, "\n".join(map(str, wrong))
