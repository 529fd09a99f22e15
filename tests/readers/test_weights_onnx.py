"""ONNX: weights wherever a graph keeps them, depth by longest path, zero points honoured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_onnx import external_files, read
from shiftlab.readers.weights_record import LayerRecord, SkippedLayer

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
W = RNG.standard_normal((4, 3, 3, 3)).astype("f4")


def tensor(name: str, values: np.ndarray) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def save(path: Path, nodes: list[Any], initializers: dict[str, np.ndarray], **options: Any) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [tensor(name, values) for name, values in initializers.items()],
    )
    onnx.save(helper.make_model(graph), str(path), **options)
    return path


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


def layers(path: Path, **options: Any) -> list[LayerRecord]:
    return [item for item in read(path, **options) if isinstance(item, LayerRecord)]


def test_initializer_constant_identity_and_cast(tmp_path: Path) -> None:
    half = W.astype("f2")
    nodes = [
        node("Conv", "x w", "a", strides=[2, 1]),
        helper.make_node("Constant", [], ["c"], value=tensor("c", W[:, :1])),
        node("Identity", "c", "ci"),
        node("Conv", "a ci", "b", group=4),
        node("Cast", "h", "hf", to=TensorProto.FLOAT),
        node("Conv", "b hf", "d"),
    ]
    first, second, third = layers(save(tmp_path / "m.onnx", nodes, {"w": W, "h": half}))
    np.testing.assert_array_equal(first.weight, W)
    np.testing.assert_array_equal(second.weight, W[:, :1])
    np.testing.assert_array_equal(third.weight, half.astype("f4"))
    assert (first.kind, second.kind) == ("conv", "depthwise")
    assert (first.stride, first.groups, second.groups) == ((2, 1), 1, 4)
    assert [layer.depth for layer in (first, second, third)] == [0, 1, 2]


def test_depth_is_the_longest_path_and_parallel_layers_share_it(tmp_path: Path) -> None:
    one = np.ones((3, 3, 1, 1), "f4")
    nodes = [
        node("Conv", "x p", "late_in_file_but_first"),
        node("Conv", "x p", "left"),
        node("Relu", "left", "relu"),
        node("Conv", "relu p", "left2"),
        node("Add", "left2 late_in_file_but_first", "sum"),
        node("ConvTranspose", "sum p", "up"),
        node("Conv", "up p", "last"),
    ]
    found = {layer.name: layer for layer in layers(save(tmp_path / "m.onnx", nodes, {"p": one}))}
    assert {name: layer.depth for name, layer in found.items()} == {
        "late_in_file_but_first": 0,
        "left": 0,
        "left2": 1,
        "up": 2,
        "last": 2,
    }
    assert found["up"].kind == "conv_transpose"


def test_transposed_and_grouped_weights_come_as_output_by_input(tmp_path: Path) -> None:
    weight = RNG.standard_normal((4, 3, 2, 2)).astype("f4")  # 4 inputs in 2 groups of 3 outputs each
    path = save(tmp_path / "m.onnx", [node("ConvTranspose", "x w", "up", group=2)], {"w": weight})
    (layer,) = layers(path)
    assert layer.weight.shape == (6, 2, 2, 2)
    np.testing.assert_array_equal(layer.weight[4, 1], weight[3, 1])  # output 1 of group 1, input 1 of group 1


def test_quantised_weights_honour_scale_and_zero_point(tmp_path: Path) -> None:
    stored = RNG.integers(0, 256, W.shape).astype("u1")
    scale, zero = RNG.uniform(0.01, 0.1, 4).astype("f4"), RNG.integers(100, 150, 4).astype("u1")
    expected = (stored.astype("f8") - zero.reshape(4, 1, 1, 1)) * scale.reshape(4, 1, 1, 1)
    inits = {"q": stored, "s": scale, "z": zero, "xs": np.float32(1), "xz": np.uint8(0), "z0": np.uint8(128)}
    nodes = [
        node("DequantizeLinear", "q s z", "w", axis=0),
        node("Conv", "x w", "a"),
        node("QLinearConv", "a xs xz q s z xs xz", "b"),
        node("ConvInteger", "b q xz z0", "c"),
    ]
    behind, linear, integer = layers(save(tmp_path / "m.onnx", nodes, inits))
    np.testing.assert_allclose(behind.weight, expected, rtol=1e-6)
    np.testing.assert_allclose(linear.weight, expected, rtol=1e-6)
    np.testing.assert_array_equal(integer.weight, stored.astype("f4") - 128)
    assert "integer units" in integer.notes[0]


def test_batch_normalisation_after_a_convolution_is_recorded(tmp_path: Path) -> None:
    v = {
        "g": np.array([1, 2, -3, 4], "f4"),
        "b": np.zeros(4, "f4"),
        "m": np.zeros(4, "f4"),
        "v": np.full(4, 4, "f4"),
    }
    nodes = [
        node("Conv", "x w", "a"),
        node("BatchNormalization", "a g b m v", "n", epsilon=0.0),
        node("Conv", "n w2", "c"),
    ]
    first, second = layers(save(tmp_path / "m.onnx", nodes, v | {"w": W, "w2": W[:, :1]}))
    assert (first.bn_folded, second.bn_folded) == (False, True)
    np.testing.assert_array_equal(first.bn_scale, [0.5, 1, -1.5, 2])


def test_a_weight_that_is_computed_is_skipped_with_its_reason(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("Relu", "w", "r"),
        node("Conv", "a r", "b"),
        node("Conv", "b x", "c"),
    ]
    items = list(read(save(tmp_path / "m.onnx", nodes, {"w": W})))
    assert [type(item) for item in items] == [LayerRecord, SkippedLayer, SkippedLayer]
    assert "computed by Relu" in items[1].reason  # type: ignore[union-attr]
    assert "not stored" in items[2].reason  # type: ignore[union-attr]


def test_one_dimensional_convolutions_are_listed_not_counted(tmp_path: Path) -> None:
    items = list(read(save(tmp_path / "m.onnx", [node("Conv", "x w", "a")], {"w": np.ones((4, 3, 5), "f4")})))
    assert items == [SkippedLayer("a", "a 3-D weight is no 2-D convolution")]


def external(path: Path, location: str) -> Path:
    """A model whose weight lies in another file."""
    save(
        path,
        [node("Conv", "x w", "a")],
        {"w": W},
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    model = onnx.load_model(str(path), load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_needs_asking(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx", "w.bin")
    with pytest.raises(BadInputError, match=r"m\.onnx: tensor 'w' lies in another file.*--external-data"):
        list(read(path))
    (layer,) = layers(path, external_data=True)
    np.testing.assert_array_equal(layer.weight, W)
    assert external_files(path) == [tmp_path.resolve() / "w.bin"]


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hosts", "sub/../../secret.bin", ""])
def test_external_data_never_leaves_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(W.nbytes))
    path = external(tmp_path / "model" / "m.onnx", location)
    with pytest.raises(BadInputError, match=r"outside|missing"):
        list(read(path, external_data=True))


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(W.nbytes))
    path = external(tmp_path / "model" / "m.onnx", "link.bin")
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(BadInputError, match="outside"):
        list(read(path, external_data=True))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_models_are_refused(tmp_path: Path, share: float) -> None:
    content = save(tmp_path / "m.onnx", [node("Conv", "x w", "a")], {"w": W}).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInputError, match=r"cut\.onnx"):
        list(read(tmp_path / "cut.onnx"))


def test_tensors_of_the_wrong_length_or_an_absurd_shape_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [node("Conv", "x w", "a")], {"w": W})
    for dims, message in (([4, 3, 3, 4], "cannot be read"), ([1 << 20, 1 << 20, 3, 3], "would take")):
        model = onnx.load_model(str(path))
        model.graph.initializer[0].ClearField("dims")
        model.graph.initializer[0].dims.extend(dims)
        (tmp_path / "bad.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(BadInputError, match=rf"bad\.onnx: tensor 'w' of shape .*{message}"):
            list(read(tmp_path / "bad.onnx"))


def test_text_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("this is not a model")
    with pytest.raises(BadInputError, match=r"m\.onnx"):
        list(read(tmp_path / "m.onnx"))
