"""safetensors: values as saved, and every inconsistency of the header refused by name."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_record import LayerRecord, SkippedLayer
from shiftlab.readers.weights_safetensors import read

WEIGHTS = Path(__file__).parents[1] / "data" / "weights"


def write(path: Path, header: dict[str, Any] | bytes, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_saved_file_holds_the_weights_of_the_checkpoint() -> None:
    found = {item.name: item for item in read(WEIGHTS / "small.safetensors") if isinstance(item, LayerRecord)}
    with np.load(WEIGHTS / "checkpoint_expected.npz", allow_pickle=False) as expected:
        for name in ("conv1.weight", "conv2.weight", "up.weight"):
            np.testing.assert_array_equal(found[name].weight, expected[f"state_dict.{name}"])
        for name in ("half", "bfloat"):
            np.testing.assert_array_equal(found[name].weight, expected[f"extra.{name}"])
    assert found["conv1.weight"].axis_order == "OIHW"
    assert found["bfloat"].dtype == "bf16"


@pytest.mark.parametrize(
    ("framework", "shape", "expected", "order"),
    [
        ("tf", [3, 3, 2, 5], (5, 2, 3, 3), "HWIO"),
        ("mlx", [5, 3, 3, 2], (5, 2, 3, 3), "OHWI"),
        (None, [5, 2, 3, 3], (5, 2, 3, 3), "OIHW (assumed)"),
        (None, [3, 3, 2, 5], (5, 2, 3, 3), "HWIO (assumed)"),
    ],
)
def test_axis_order_comes_from_the_metadata_or_is_marked_as_assumed(
    tmp_path: Path, framework: str | None, shape: list[int], expected: tuple[int, ...], order: str
) -> None:
    values = np.arange(90, dtype="<f4")
    header: dict[str, Any] = {"conv.weight": entry(shape, 0, 360)}
    if framework:
        header["__metadata__"] = {"format": framework}
    (item,) = read(write(tmp_path / "m.safetensors", header, values.tobytes()))
    assert isinstance(item, LayerRecord)
    assert (item.weight.shape, item.axis_order) == (expected, order)
    assert sorted(item.weight.ravel()) == sorted(values)


def test_an_ambiguous_axis_order_is_no_guess(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", {"w": entry([3, 3, 3, 3], 0, 324)}, bytes(324))
    (item,) = read(path)
    assert isinstance(item, SkippedLayer)
    assert "ambiguous" in item.reason


BROKEN: dict[str, tuple[dict[str, Any], int, str]] = {
    "overlap": ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, 12, "'a' and 'b' overlap at offset 4"),
    "gap": ({"a": entry([2], 0, 8), "b": entry([2], 12, 20)}, 20, "4 bytes before tensor 'b'"),
    "overrun": ({"a": entry([2], 0, 8), "b": entry([2], 8, 16)}, 12, "'b' at 8:16 overruns"),
    "rest": ({"a": entry([2], 0, 8)}, 12, "4 bytes after the last tensor"),
    "length": ({"a": entry([3], 0, 8)}, 8, "tensor 'a' of shape \\(3,\\) and type F32 needs 12 bytes"),
    "negative": ({"a": entry([2], -8, 0)}, 8, "'a' at -8:0"),
    "reversed": ({"a": entry([2], 8, 0)}, 8, "'a'"),
    "shape": ({"a": entry([-1, 2], 0, 8)}, 8, "tensor 'a' declares the impossible shape"),
    "absurd": ({"a": entry([1 << 40, 1 << 40], 0, 8)}, 8, "tensor 'a' of shape"),
    "dtype": ({"a": entry([2], 0, 8, "F99")}, 8, "'a' has the unknown dtype 'F99'"),
    "text": ({"a": {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]}}, 8, "'a' has a shape or offsets"),
    "lacks": ({"a": {"dtype": "F32"}}, 8, "'a' lacks"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_inconsistent_headers_are_refused_by_tensor(tmp_path: Path, name: str) -> None:
    header, size, message = BROKEN[name]
    with pytest.raises(BadInputError, match=rf"{name}\.safetensors: .*{message}"):
        list(read(write(tmp_path / f"{name}.safetensors", header, bytes(size))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (b"1234567", "too short"),
        (struct.pack("<Q", 1 << 60) + b"{}", "claims"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 4) + b"{\xff\xfe}", "no valid JSON"),
        (struct.pack("<Q", 15) + b'{"a":1,"a":1}  ', "a name stands twice"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        list(read(tmp_path / "x.safetensors"))


def test_deep_json_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        list(read(write(tmp_path / "deep.safetensors", b'{"a":' * 100_000)))


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "F16", "BF16", "I8", "X"]),
                "shape": st.lists(st.integers(-1, 5), max_size=5),
                "data_offsets": st.lists(st.integers(-4, 300), min_size=1, max_size=3),
            }
        ),
        max_size=3,
    ),
    st.binary(max_size=300),
)
@settings(max_examples=150, deadline=None)
def test_any_header_is_read_or_refused(tmp_path_factory, header: dict[str, Any], data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.safetensors", header, data)
    try:
        list(read(path))
    except BadInputError as error:
        assert "any.safetensors" in str(error)


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 5])), min_size=1, max_size=4
    )
)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, shapes: list[tuple[int, int, int]]) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((o, i, k, k)).astype("<f4") for o, i, k in shapes]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for number, weight in enumerate(weights):
        header[f"{number}.weight"] = entry(list(weight.shape), start, start + weight.nbytes)
        start += weight.nbytes
    data = b"".join(weight.tobytes() for weight in weights)
    items = list(read(write(tmp_path_factory.getbasetemp() / "round.safetensors", header, data)))
    for item, weight in zip(items, weights, strict=True):
        assert isinstance(item, LayerRecord)
        np.testing.assert_array_equal(item.weight, weight)
