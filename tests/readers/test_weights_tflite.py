"""TensorFlow Lite: a shipped file, and small models written here field by field."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import LayerRecord, SkippedLayer
from shiftlab.readers.weights_tflite import read

WEIGHTS = Path(__file__).parents[1] / "data" / "weights"
F32, F16, INT8 = 0, 1, 9
CONV, DEPTHWISE, DEQUANTIZE, DENSIFY = 3, 4, 6, 124


# -- a flatbuffer writer, as small as the models need ------------------------------------------------
@dataclass
class Number:
    form: str
    value: int


Table = dict[int, Any]  # field number -> Number, Table, list of Tables, numpy array or str


def flatbuffer(root: Table) -> bytes:
    out = bytearray(struct.pack("<I4s", 0, b"TFL3"))
    out[:4] = struct.pack("<I", _table(out, root))
    return bytes(out)


def _table(out: bytearray, fields: Table) -> int:
    """Appends vtable, table and what it refers to; returns the table's position."""
    slots = max(fields, default=-1) + 1
    sizes = [
        struct.calcsize(fields[k].form) if isinstance(fields.get(k), Number) else 4 for k in range(slots)
    ]
    out += bytes(-len(out) % 8)
    vtable = len(out)
    table = vtable + 4 + 2 * slots
    table += -table % 8
    offsets, place = [], 4
    for k in range(slots):
        place += -place % sizes[k]
        offsets.append(place if k in fields else 0)
        place += sizes[k] if k in fields else 0
    out += struct.pack(f"<HH{slots}H", 4 + 2 * slots, place, *offsets).ljust(table - vtable, b"\0")
    out += struct.pack("<i", table - vtable) + bytes(place - 4)
    for k, value in fields.items():
        at = table + offsets[k]
        if isinstance(value, Number):
            struct.pack_into("<" + value.form, out, at, value.value)
        else:
            target = _table(out, value) if isinstance(value, dict) else _vector(out, value)
            struct.pack_into("<I", out, at, target - at)
    return table


def _vector(out: bytearray, value: Any) -> int:
    out += bytes(-(len(out) + 4) % 8)
    start = len(out)
    if isinstance(value, list):
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for k, item in enumerate(value):
            at = start + 4 + 4 * k
            struct.pack_into("<I", out, at, _table(out, item) - at)
    else:
        array = np.frombuffer(value.encode(), "u1") if isinstance(value, str) else np.ascontiguousarray(value)
        out += struct.pack("<I", array.size) + array.tobytes()
    return start


def ints(*values: int) -> np.ndarray:
    return np.array(values, "<i4")


def tensor(name: str, shape: tuple[int, ...], type: int, buffer: int, **more: Any) -> Table:
    fields: Table = {0: ints(*shape), 1: Number("b", type), 2: Number("I", buffer), 3: name}
    return fields | {{"quantization": 4, "sparsity": 6}[key]: value for key, value in more.items()}


def model(
    ops: list[int], tensors: list[Table], buffers: list[np.ndarray], nodes: list[tuple[int, Any, Any]]
) -> bytes:
    """ops: operator codes; nodes: (index of op, inputs, outputs). Tensor 0 is the input."""
    options = {1: Number("i", 2), 2: Number("i", 3)}  # stride_w, stride_h
    operators = [{0: Number("I", op), 1: ints(*i), 2: ints(*o), 4: options} for op, i, o in nodes]
    graph = {0: tensors, 1: ints(0), 2: ints(len(tensors) - 1), 3: operators}
    codes = [{0: Number("b", min(op, 127)), 3: Number("i", op)} for op in ops]
    raw = [{}, *({0: b.view("u1").ravel()} for b in buffers)]
    return flatbuffer({0: Number("I", 3), 1: codes, 2: [graph], 4: raw})


def layers(path: Path) -> list[LayerRecord]:
    return [item for item in read(path) if isinstance(item, LayerRecord)]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


INPUT, OUTPUT = tensor("x", (1, 8, 8, 2), F32, 0), tensor("y", (1, 8, 8, 4), F32, 0)
RNG = np.random.default_rng(0)


# -- tests ---------------------------------------------------------------------------------------------
def test_a_shipped_int8_model_has_its_known_filters() -> None:
    found = layers(WEIGHTS / "fer_int8.tflite")
    three = [layer for layer in found if layer.weight.shape[2:] == (3, 3)]
    assert len(three) == 11
    assert sum(layer.weight.shape[0] * layer.weight.shape[1] for layer in three) == 1328
    assert {layer.dtype for layer in three} <= {"int8", "float32"}
    assert max(layer.depth for layer in found if layer.depth is not None) > 5


def test_float16_behind_dequantize_and_depth(tmp_path: Path) -> None:
    first = RNG.standard_normal((4, 3, 3, 2)).astype("<f2")
    second = RNG.standard_normal((1, 3, 3, 4)).astype("<f4")
    tensors = [
        INPUT,
        tensor("w16", first.shape, F16, 1),
        tensor("w32", first.shape, F32, 0),
        tensor("a", (1, 8, 8, 4), F32, 0),
        tensor("dw", second.shape, F32, 2),
        OUTPUT,
    ]
    nodes = [(0, (1,), (2,)), (1, (0, 2, -1), (3,)), (2, (3, 4, -1), (5,))]
    path = write(tmp_path / "m.tflite", model([DEQUANTIZE, CONV, DEPTHWISE], tensors, [first, second], nodes))
    conv, depthwise = layers(path)
    np.testing.assert_array_equal(conv.weight, first.astype("f4").transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(depthwise.weight, second.transpose(3, 0, 1, 2))
    assert (conv.kind, conv.groups, conv.stride, conv.dtype, conv.depth) == ("conv", 1, (3, 2), "float16", 0)
    assert (depthwise.kind, depthwise.groups, depthwise.depth) == ("depthwise", 4, 1)


def test_int8_weights_have_a_scale_per_channel(tmp_path: Path) -> None:
    stored = RNG.integers(-127, 128, (4, 3, 3, 2)).astype("i1")
    scale, zero = np.array([0.5, 1, 2, 4], "<f4"), np.array([0, 1, -1, 3], "<i8")
    tensors = [
        INPUT,
        tensor("w", stored.shape, INT8, 1, quantization={2: scale, 3: zero, 6: Number("i", 0)}),
        OUTPUT,
    ]
    content = model([CONV], tensors, [stored], [(0, (0, 1, -1), (2,))])
    (layer,) = layers(write(tmp_path / "m.tflite", content))
    expected = (stored.astype("f8") - zero.reshape(4, 1, 1, 1)) * scale.reshape(4, 1, 1, 1)
    np.testing.assert_allclose(layer.weight, expected.transpose(0, 3, 1, 2))


def sparsity(*levels: tuple[int, Any, Any], order: tuple[int, ...], blocks: tuple[int, ...] = ()) -> Table:
    """Levels: (dense size, segments or None, indices or None)."""
    described: list[Table] = []
    for size, segments, indices in levels:
        if segments is None:
            described.append({0: Number("b", 0), 1: Number("i", size)})
        else:
            described.append(
                {
                    0: Number("b", 1), 1: Number("i", size),
                    2: Number("B", 1), 3: {0: np.asarray(segments, "<i4")},
                    4: Number("B", 3), 5: {0: np.asarray(indices, "u1")},
                }
            )  # fmt: skip
    return {0: ints(*order), 1: ints(*blocks), 2: described}


def sparse_model(values: np.ndarray, shape: tuple[int, ...], layout: Table) -> bytes:
    tensors = [
        INPUT,
        tensor("s", shape, F32, 1, sparsity=layout),
        tensor("d", shape, F32, 0),
        OUTPUT,
    ]
    return model([DENSIFY, CONV], tensors, [values], [(0, (1,), (2,)), (1, (0, 2, -1), (3,))])


def test_sparse_weights_are_unpacked(tmp_path: Path) -> None:
    dense = np.zeros((4, 1, 1, 2), "<f4")
    dense[0, 0, 0, 1], dense[2, 0, 0, 0], dense[2, 0, 0, 1], dense[3, 0, 0, 0] = 1, 2, 3, 4
    layout = sparsity(
        (4, None, None),
        (1, None, None),
        (1, None, None),
        (2, [0, 1, 1, 3, 4], [1, 0, 1, 0]),
        order=(0, 1, 2, 3),
    )
    path = write(tmp_path / "m.tflite", sparse_model(np.array([1, 2, 3, 4], "<f4"), dense.shape, layout))
    (layer,) = layers(path)
    np.testing.assert_array_equal(layer.weight, dense.transpose(0, 3, 1, 2))
    assert "stored sparse" in layer.notes


def test_block_sparse_weights_are_unpacked(tmp_path: Path) -> None:
    # Blocks of two input channels: the inner half of axis 3 is a dense block.
    dense = np.zeros((2, 1, 1, 4), "<f4")
    dense[0, 0, 0, 2:], dense[1, 0, 0, :2] = (1, 2), (3, 4)
    layout = sparsity(
        (2, None, None), (1, None, None), (1, None, None), (2, [0, 1, 2], [1, 0]), (2, None, None),
        order=(0, 1, 2, 3, 4), blocks=(3,),
    )  # fmt: skip
    path = write(tmp_path / "m.tflite", sparse_model(np.array([1, 2, 3, 4], "<f4"), dense.shape, layout))
    (layer,) = layers(path)
    np.testing.assert_array_equal(layer.weight, dense.transpose(0, 3, 1, 2))


def test_sparse_indices_beyond_the_tensor_are_refused(tmp_path: Path) -> None:
    plain = [(4, None, None), (1, None, None), (1, None, None)]
    for segments, indices, message in (
        ([0, 1, 1, 3, 4], [1, 0, 9, 0], "beyond axis 3"),
        ([0, 3, 1, 3, 4], [1, 0, 1, 0], "inconsistent segments"),
        ([0, 1], [1], "inconsistent segments"),
        ([0, 1, 1, 1, 1], [1], "holds 4 of 1 values"),
    ):
        layout = sparsity(*plain, (2, segments, indices), order=(0, 1, 2, 3))
        path = write(tmp_path / "m.tflite", sparse_model(np.ones(4, "<f4"), (4, 1, 1, 2), layout))
        with pytest.raises(BadInputError, match=rf"m\.tflite: .*'s'.*{message}"):
            list(read(path))


def test_weights_that_are_computed_are_skipped(tmp_path: Path) -> None:
    tensors = [INPUT, tensor("w", (4, 3, 3, 2), F32, 0), OUTPUT]
    content = model([CONV], tensors, [], [(0, (0, 1, -1), (2,))])
    assert list(read(write(tmp_path / "m.tflite", content))) == [
        SkippedLayer("y", "the weight is computed, not stored")
    ]


def test_wrong_lengths_types_and_shapes_are_refused_by_tensor(tmp_path: Path) -> None:
    for shape, type, message in (
        ((4, 3, 3, 3), F32, "needs 432 bytes, its buffer holds 288"),
        ((4, 3, 3, 2), 99, "unknown type 99"),
        ((1 << 30, 1 << 30, 9, 9), F32, "would take"),
        ((4, -3, 3, 2), F32, "impossible shape"),
        ((4, 3, 3, 8), INT8, "'w' has no scale"),
    ):
        tensors = [INPUT, tensor("w", shape, type, 1), OUTPUT]
        content = model([CONV], tensors, [np.ones((4, 3, 3, 2), "<f4")], [(0, (0, 1, -1), (2,))])
        with pytest.raises(BadInputError, match=rf"m\.tflite: .*'w'.*{message}|{message}"):
            list(read(write(tmp_path / "m.tflite", content)))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    content = (WEIGHTS / "fer_int8.tflite").read_bytes()
    with pytest.raises(BadInputError, match=r"cut\.tflite"):
        list(read(write(tmp_path / "cut.tflite", content[: int(len(content) * share)])))


@given(st.lists(st.tuples(st.integers(0, 93_000), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_flipped_bytes_give_weights_or_a_clear_refusal(
    tmp_path_factory, flips: list[tuple[int, int]]
) -> None:
    content = bytearray((WEIGHTS / "fer_int8.tflite").read_bytes())
    for place, value in flips:
        content[place] = value
    path = write(tmp_path_factory.getbasetemp() / "flipped.tflite", bytes(content))
    try:
        list(read(path))
    except BadInputError as error:
        assert "flipped.tflite" in str(error)
