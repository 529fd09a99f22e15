"""npz, npy and TF.js: plain arrays with manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftlab.errors import BadInputError
from shiftlab.readers import weights_npz, weights_tfjs
from shiftlab.readers.weights_open import find_models, open_weights, read_layers
from shiftlab.readers.weights_record import LayerRecord, SkippedLayer


def layers(items: Any) -> list[LayerRecord]:
    return [item for item in items if isinstance(item, LayerRecord)]


# -- npz ---------------------------------------------------------------------------------------------
def test_npz_arrays_are_read_by_shape(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    oihw, hwio = rng.standard_normal((4, 2, 3, 3)), rng.standard_normal((5, 5, 2, 7)).astype("f2")
    np.savez_compressed(
        tmp_path / "m.npz", a=oihw, b=hwio, bias=np.zeros(4), counts=np.ones((4, 2, 3, 3), "i4")
    )
    items = list(weights_npz.read(tmp_path / "m.npz"))
    first, second = layers(items)
    np.testing.assert_array_equal(first.weight, oihw)
    np.testing.assert_array_equal(second.weight, hwio.transpose(3, 2, 0, 1))
    assert (first.axis_order, second.axis_order) == ("OIHW (assumed)", "HWIO (assumed)")
    assert [item.name for item in items if isinstance(item, SkippedLayer)] == ["counts"]


def test_a_single_npy_is_a_model_of_one_layer(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    np.save(tmp_path / "conv.npy", weight)
    (layer,) = layers(read_layers(open_weights(tmp_path / "conv.npy")))
    np.testing.assert_array_equal(layer.weight, weight)


def test_pickled_objects_in_npz_are_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", bad=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadInputError, match=r"m\.npz: tensor 'bad' holds pickled"):
        list(weights_npz.read(tmp_path / "m.npz"))


def test_npz_bombs_absurd_shapes_and_truncation_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", w=np.zeros((1200, 1200, 3, 3)))
    with pytest.raises(BadInputError, match="bomb"):
        list(weights_npz.read(tmp_path / "bomb.npz"))
    np.save(tmp_path / "absurd.npy", np.zeros((4, 2, 3, 3)))
    content = (tmp_path / "absurd.npy").read_bytes().replace(b"(4, 2, 3, 3), }    ", b"(99999999, 99, 3, 3)}")
    (tmp_path / "absurd.npy").write_bytes(content)
    with pytest.raises(BadInputError, match=r"tensor 'absurd' of shape \(99999999"):
        list(weights_npz.read(tmp_path / "absurd.npy"))
    np.save(tmp_path / "cut.npy", np.zeros((4, 2, 3, 3)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    with pytest.raises(BadInputError, match="tensor 'cut' is truncated"):
        list(weights_npz.read(tmp_path / "cut.npy"))


# -- TF.js -------------------------------------------------------------------------------------------
def tfjs(
    folder: Path, weights: dict[str, np.ndarray], topology: Any = None, **packing: dict[str, Any]
) -> Path:
    """A TF.js model with one shard; `packing` gives the quantization of some weights."""
    specs, data = [], b""
    for name, values in weights.items():
        spec: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if name.split("/")[0] in packing:
            spec["quantization"] = packing[name.split("/")[0]]
        specs.append(spec)
        data += values.tobytes()
    folder.mkdir(exist_ok=True)
    (folder / "shard.bin").write_bytes(data)
    manifest = {"modelTopology": topology, "weightsManifest": [{"paths": ["shard.bin"], "weights": specs}]}
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder / "model.json"


def keras_topology() -> dict[str, Any]:
    def layer(kind: str, name: str, inputs: list[str], **config: Any) -> dict[str, Any]:
        inbound = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
        return {
            "class_name": kind,
            "name": name,
            "config": {"name": name, **config},
            "inbound_nodes": inbound,
        }

    layers_ = [
        layer("InputLayer", "in", []),
        layer("Conv2D", "a", ["in"], strides=[2, 2]),
        layer("BatchNormalization", "norm", ["a"], epsilon=0.0),
        layer("DepthwiseConv2D", "dw", ["norm"], strides=[1, 1]),
        layer("Conv2D", "side", ["in"], strides=[1, 1]),
        layer("Add", "add", ["dw", "side"]),
        layer("Conv2DTranspose", "up", ["add"], strides=[2, 2]),
        layer("Conv2D", "last", ["up"], strides=[1, 1]),
    ]
    return {"model_config": {"class_name": "Model", "config": {"layers": layers_}}}


def test_keras_topology_gives_kind_stride_depth_and_batch_normalisation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "a/kernel": rng.standard_normal((3, 3, 3, 4)).astype("f4"),
        "norm/gamma": np.array([1, 2, 3, 4], "f4"),
        "norm/moving_variance": np.array([4, 4, 1, 1], "f4"),
        "dw/depthwise_kernel": rng.standard_normal((3, 3, 4, 2)).astype("f4"),
        "side/kernel": rng.standard_normal((1, 1, 3, 8)).astype("f4"),
        "up/kernel": rng.standard_normal((3, 3, 5, 8)).astype("f4"),
        "last/kernel": rng.standard_normal((3, 3, 5, 2)).astype("f4"),
    }
    found = {x.op: x for x in layers(weights_tfjs.read(tfjs(tmp_path / "m", weights, keras_topology())))}
    by_name = {x.name: x for x in layers(weights_tfjs.read(tmp_path / "m" / "model.json"))}
    assert by_name["a/kernel"].stride == (2, 2)
    np.testing.assert_array_equal(by_name["a/kernel"].bn_scale, [0.5, 1, 3, 4])
    assert by_name["a/kernel"].bn_folded is False
    assert found["DepthwiseConv2D"].kind == "depthwise"
    np.testing.assert_array_equal(
        found["DepthwiseConv2D"].weight[3, 0], weights["dw/depthwise_kernel"][:, :, 1, 1]
    )
    assert found["Conv2DTranspose"].weight.shape == (5, 8, 3, 3)
    depths = {name: layer.depth for name, layer in by_name.items()}
    # Levels: a, side 0; norm 1; dw 2; add 3; up 4; last 5. A transposed convolution makes no level of its own.
    assert depths == {
        "a/kernel": 0,
        "side/kernel": 0,
        "dw/depthwise_kernel": 1,
        "up/kernel": 2,
        "last/kernel": 2,
    }


def test_a_tensorflow_graph_gives_depth_through_identities(tmp_path: Path) -> None:
    strides = {"strides": {"list": {"i": ["1", "2", "2", "1"]}}}
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "w1", "op": "Const"},
        {"name": "w1/read", "op": "Identity", "input": ["w1"]},
        {"name": "c1", "op": "_FusedConv2D", "input": ["x", "w1/read"], "attr": strides},
        {"name": "w2", "op": "Const"},
        {"name": "c2", "op": "DepthwiseConv2dNative", "input": ["c1:0", "w2", "^x"], "attr": strides},
    ]
    weights = {"w1": np.ones((3, 3, 1, 4), "f4"), "w2": np.ones((3, 3, 4, 1), "f4")}
    first, second = layers(weights_tfjs.read(tfjs(tmp_path / "m", weights, {"node": nodes})))
    assert (first.name, first.kind, first.stride, first.depth) == ("w1", "conv", (2, 2), 0)
    assert (second.name, second.kind, second.weight.shape, second.depth) == (
        "w2",
        "depthwise",
        (4, 1, 3, 3),
        1,
    )


def test_quantised_weights_get_their_scale_and_minimum(tmp_path: Path) -> None:
    stored = np.arange(36, dtype="u1").reshape(3, 3, 1, 4)
    packing = {"conv": {"dtype": "uint8", "scale": 0.5, "min": -3.0}}
    (layer,) = layers(weights_tfjs.read(tfjs(tmp_path / "m", {"conv/filters": stored}, **packing)))
    np.testing.assert_allclose(layer.weight, (stored * 0.5 - 3).transpose(3, 2, 0, 1))
    assert (layer.dtype, layer.kind, layer.depth_from) == ("uint8", "unknown", "file order")


def change(path: Path, edit: Any) -> Path:
    content = json.loads(path.read_text())
    edit(content["weightsManifest"][0])
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda g: g.update(paths=["../secret.bin"]), "'../secret.bin' lies outside"),
        (lambda g: g.update(paths=["/etc/passwd"]), "outside"),
        (lambda g: g.update(paths=["absent.bin"]), "'absent.bin' is missing"),
        (lambda g: g["weights"][0].update(shape=[3, 3, 1, 5]), "tensor 'conv/kernel' needs bytes"),
        (lambda g: g["weights"][0].update(shape=[3, 3, 1, 3]), "36 bytes of the shards"),
        (lambda g: g["weights"][0].update(shape=[3, 3, -1, 4]), "impossible shape"),
        (lambda g: g["weights"][0].update(shape=[99999, 99999, 9, 9]), "would take"),
        (lambda g: g["weights"][0].update(dtype="complex64"), "dtype 'complex64'"),
        (
            lambda g: g["weights"][0].update(quantization={"dtype": "float32", "scale": "x"}),
            "no numeric scale",
        ),
        (lambda g: g.pop("paths"), "lacks 'paths'"),
        (lambda g: g["weights"][0].pop("shape"), "lacks name, shape or dtype"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, edit: Any, message: str) -> None:
    path = change(tfjs(tmp_path / "m", {"conv/kernel": np.ones((3, 3, 1, 4), "f4")}), edit)
    with pytest.raises(BadInputError, match=message):
        list(weights_tfjs.read(path))


# -- telling formats apart -----------------------------------------------------------------------------
def test_folders_are_searched_for_models_only(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", w=np.ones((2, 2, 3, 3)))
    path = tfjs(tmp_path / "a", {"conv/kernel": np.ones((3, 3, 1, 4), "f4")})
    (tmp_path / "notes.json").write_text('{"weights": 3}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "readme.txt").write_text("text")
    assert find_models(tmp_path) == [path, tmp_path / "b.npz"]


def test_the_hash_covers_the_shards(tmp_path: Path) -> None:
    path = tfjs(tmp_path / "m", {"conv/kernel": np.ones((3, 3, 1, 4), "f4")})
    before = open_weights(path)
    (tmp_path / "m" / "shard.bin").write_bytes(np.zeros((3, 3, 1, 4), "f4").tobytes())
    after = open_weights(path)
    assert before.files == after.files
    assert before.sha256 != after.sha256


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.onnx", b"", "empty"),
        ("what.xyz", b"hello world, this is text", "no known weight format"),
        ("fake.h5", b"not hdf5 at all", "no known weight format"),
        ("fake.npz", b"PK\x03\x04 broken", "not a readable zip archive"),
        ("fake.tflite", b"0000TFL9....", "no known weight format"),
    ],
)
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=rf"{name}.*{message}"):
        open_weights(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such model file"):
        open_weights(tmp_path / "absent.onnx")
