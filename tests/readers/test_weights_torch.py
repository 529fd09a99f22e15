"""Torch checkpoints: equal to what torch itself reads, and nothing in them ever runs."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_open import open_weights, read_layers
from shiftlab.readers.weights_pickle import read_pickle
from shiftlab.readers.weights_record import LayerRecord, SkippedLayer
from shiftlab.readers.weights_torch import LEGACY_MAGIC, read

WEIGHTS = Path(__file__).parents[1] / "data" / "weights"


class Payload:
    """Pickles to a call of any function: what malware does."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def payloads(marker: Path) -> dict[str, object]:
    code = f"open({str(marker)!r}, 'w')"
    return {
        "system": Payload(os.system, f"touch {marker}"),
        "eval": Payload(eval, code),
        "exec": Payload(exec, code),
        "getattr": Payload(getattr, "text", "upper"),
        "import": Payload(__import__, "os"),
        "loads": Payload(pickle.loads, pickle.dumps(Payload(os.system, f"touch {marker}"))),
        "in a dict": {"state_dict": OrderedDict(weight=[1, {"deep": Payload(eval, code)}])},
    }


NAMES = sorted(payloads(Path("marker")))


def zipped(path: Path, content: bytes, root: str = "archive") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}/data.pkl", content)
        archive.writestr(f"{root}/version", "3\n")
    return path


def legacy(path: Path, content: bytes) -> Path:
    parts = [pickle.dumps(part, 2) for part in (LEGACY_MAGIC, 1001, {"little_endian": True})]
    path.write_bytes(b"".join(parts) + content + pickle.dumps([], 2))
    return path


def records(path: Path) -> dict[str, LayerRecord]:
    return {item.name: item for item in read(path) if isinstance(item, LayerRecord)}


@pytest.mark.parametrize("name", ["checkpoint_zip.pt", "checkpoint_legacy.pth"])
def test_weights_are_those_that_torch_reads(name: str) -> None:
    found = records(WEIGHTS / name)
    with np.load(WEIGHTS / "checkpoint_expected.npz", allow_pickle=False) as expected:
        assert set(found) == set(expected.files)
        for key in expected.files:
            assert found[key].weight.dtype == expected[key].dtype
            np.testing.assert_array_equal(found[key].weight, expected[key])


def test_a_shipped_file_has_its_known_filters() -> None:
    shapes = [layer.weight.shape for layer in records(WEIGHTS / "pnet.pt").values()]
    assert sum(o * i for o, i, h, w in shapes if (h, w) == (3, 3)) == 702
    assert sum((h, w) == (3, 3) for _, _, h, w in shapes) == 3


def test_what_a_state_dict_does_not_tell_is_unknown() -> None:
    layer = records(WEIGHTS / "checkpoint_zip.pt")["state_dict.conv1.weight"]
    assert (layer.kind, layer.groups, layer.stride, layer.depth_from) == ("unknown", None, None, "file order")
    assert layer.bn_folded is False
    # running_var is 1, 4, 9, 16 moved by one training step, gamma 1, 2, -3, 4: near 1, 1, -1, 1
    assert layer.bn_scale is not None
    assert np.sign(layer.bn_scale).tolist() == [1, 1, -1, 1]
    assert records(WEIGHTS / "checkpoint_zip.pt")["state_dict.conv2.weight"].bn_folded is None


def test_optimiser_state_holds_no_weights() -> None:
    skipped = [item for item in read(WEIGHTS / "checkpoint_zip.pt") if isinstance(item, SkippedLayer)]
    assert [item.name for item in skipped] == ["optimizer"]


@pytest.mark.parametrize("layout", [zipped, legacy])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, layout, name: str, protocol: int) -> None:
    marker = tmp_path / "marker"
    path = layout(tmp_path / "model.pt", pickle.dumps(payloads(marker)[name], protocol))
    with pytest.raises(BadInputError, match=r"model\.pt.*(global|calls|opcode)"):
        list(read(path))
    assert not marker.exists()


def test_the_refusal_names_file_and_global(tmp_path: Path) -> None:
    path = zipped(tmp_path / "evil.pt", pickle.dumps(Payload(os.system, "true"), 2))
    with pytest.raises(BadInputError, match=r"evil\.pt.*posix\.system|nt\.system"):
        list(read(path))


@pytest.mark.parametrize("place", range(5))
def test_every_pickle_of_the_older_layout_is_guarded(tmp_path: Path, place: int) -> None:
    marker = tmp_path / "marker"
    parts: list[object] = [LEGACY_MAGIC, 1001, {}, {}, []]
    parts[place] = Payload(os.system, f"touch {marker}")
    path = tmp_path / "model.pth"
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    with pytest.raises(BadInputError):
        list(read(path))
    assert not marker.exists()


def test_nested_pickles_and_archives_are_not_opened(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    inner = zipped(tmp_path / "inner.pt", pickle.dumps(Payload(os.system, f"touch {marker}"), 2)).read_bytes()
    nested = b"\x80\x02ctorch.storage\n_load_from_bytes\n(" + pickle.dumps(inner, 2)[2:-1] + b"tR."
    with pytest.raises(BadInputError, match=r"torch\.storage\._load_from_bytes"):
        list(read(zipped(tmp_path / "outer.pt", nested)))
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.writestr("inner.pt", inner)
    with pytest.raises(BadInputError, match="archives in archives"):
        open_weights(tmp_path / "bundle.zip")
    assert not marker.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"\x80\x02ccollections\nOrderedDict\n}(X\x08\x00\x00\x00__dict__NubN.",  # BUILD on a global
        b"\x80\x02(icollections\nOrderedDict\n.",  # INST
        b"\x80\x02(ccollections\nOrderedDict\no.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x04ccollections\nOrderedDict\n)}\x92.",  # NEWOBJ_EX
        b"\x80\x02ctorch\nFloatStorage\n)R.",  # a storage class is no function
    ],
)
def test_odd_opcodes_are_refused(opcodes: bytes) -> None:
    with pytest.raises(BadInputError, match=r"^here"):
        read_pickle(io.BytesIO(opcodes), "here")


def test_shared_containers_do_not_blow_up(tmp_path: Path) -> None:
    value: object = []
    for _ in range(200):
        value = [value, value]
    assert list(read(zipped(tmp_path / "laughs.pt", pickle.dumps(value, 2)))) == []


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_pickle(io.BytesIO(content), "here")
    except BadInputError as error:
        assert "here" in str(error)


@given(st.integers(0, 28_000), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_gives_weights_or_a_clear_refusal(tmp_path_factory, place: int, value: int) -> None:
    content = bytearray((WEIGHTS / "pnet.pt").read_bytes())
    content[place] = value
    path = tmp_path_factory.getbasetemp() / "flipped.pt"
    path.write_bytes(content)
    try:
        for item in read(path):
            assert isinstance(item, LayerRecord | SkippedLayer)
    except BadInputError as error:
        assert "flipped.pt" in str(error)


@pytest.mark.parametrize("name", ["checkpoint_zip.pt", "checkpoint_legacy.pth"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    content = (WEIGHTS / name).read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInputError, match=r"cut\.pt"):
        list(read_layers(open_weights(path)))


def tensor_pickle(numel: int, offset: int, last: int, stride: int) -> bytes:
    """{"w": tensor of shape (2, 1, 3, last)} on a storage of `numel` floats, as torch pickles it."""
    return (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + b"K%ctQ" % numel
        + b"J%b" % struct.pack("<i", offset)
        + b"(K\x02K\x01K\x03K%ct" % last
        + b"(J%bK\x09K\x03K\x01t" % struct.pack("<i", stride)
        + b"\x89}tRs."
    )


@pytest.mark.parametrize(
    ("numel", "offset", "last", "stride", "ok"),
    [(18, 0, 3, 9, True), (18, 0, 3, 0, True), (18, 1, 3, 9, False), (18, 0, 4, 9, False), (18, 0, 3, 99, False),
     (18, -1, 3, 9, False), (18, 0, 3, -9, False), (19, 0, 3, 9, False)],
)  # fmt: skip
def test_views_that_leave_their_storage_are_refused(
    tmp_path: Path, numel: int, offset: int, last: int, stride: int, ok: bool
) -> None:
    path = tmp_path / "view.pt"
    values = np.arange(18, dtype="<f4")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", tensor_pickle(numel, offset, last, stride))
        archive.writestr("a/data/0", values.tobytes())
    if ok:
        (item,) = read(path)
        assert isinstance(item, LayerRecord)
        np.testing.assert_array_equal(item.weight[0, 0].ravel(), values[:9])
        np.testing.assert_array_equal(item.weight[1, 0].ravel(), values[stride : stride + 9])
    else:
        with pytest.raises(BadInputError, match=r"view\.pt: (tensor 'w' reaches|storage '0')"):
            list(read(path))


def test_zip_bombs_and_overlapping_entries_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (80 << 20))
    with pytest.raises(BadInputError, match="bomb"):
        list(read(tmp_path / "bomb.pt"))
    whole = bytearray(zipped(tmp_path / "overlap.pt", pickle.dumps({}, 2)).read_bytes())
    second = whole.rindex(b"PK\x01\x02")
    whole[second + 42 : second + 46] = struct.pack("<I", 1)  # its header now lies inside the first entry
    (tmp_path / "overlap.pt").write_bytes(whole)
    with pytest.raises(BadInputError, match="overlap"):
        list(read(tmp_path / "overlap.pt"))


def test_torchscript_is_refused_with_the_mend(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/data.pkl", pickle.dumps({}, 2))
        archive.writestr("script/constants.pkl", pickle.dumps((), 2))
    with pytest.raises(BadInputError, match="state_dict"):
        list(read(tmp_path / "script.pt"))


def test_the_reader_never_imports_what_a_pickle_names(tmp_path: Path) -> None:
    code = pickle.dumps(Payload(eval, "1"), 2)
    assert any(op.name == "GLOBAL" for op, _, _ in pickletools.genops(code))
    module = tmp_path / "imported_by_accident.py"
    module.write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    content = b"\x80\x02cimported_by_accident\nanything\n)R."
    with pytest.raises(BadInputError, match="imported_by_accident"):
        list(read(zipped(tmp_path / "import.pt", content)))
    assert not (tmp_path / "marker").exists()
