"""Keras files: the same model in both formats reads the same; links and external storage are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shiftlab.errors import BadInputError
from shiftlab.readers.weights_keras import read
from shiftlab.readers.weights_record import LayerRecord

h5py = pytest.importorskip("h5py")
WEIGHTS = Path(__file__).parents[1] / "data" / "weights"


def layers(path: Path) -> list[LayerRecord]:
    return [item for item in read(path) if isinstance(item, LayerRecord)]


def test_both_formats_of_one_model_read_the_same() -> None:
    old, new = layers(WEIGHTS / "small.h5"), layers(WEIGHTS / "small.keras")
    assert len(old) == len(new) == 6
    for left, right in zip(old, new, strict=True):
        np.testing.assert_array_equal(left.weight, right.weight)
        assert (left.kind, left.groups, left.stride, left.depth) == (
            right.kind,
            right.groups,
            right.stride,
            right.depth,
        )


def test_the_configuration_tells_kind_groups_stride_and_depth() -> None:
    found = layers(WEIGHTS / "small.keras")
    kinds = ["conv", "depthwise", "conv", "depthwise", "conv", "conv_transpose"]
    assert [layer.kind for layer in found] == kinds
    assert [layer.weight.shape for layer in found] == [
        (4, 3, 3, 3), (4, 1, 3, 3), (4, 4, 1, 1), (8, 1, 3, 3), (4, 4, 3, 3), (2, 4, 3, 3),
    ]  # fmt: skip
    assert [layer.depth for layer in found] == [0, 1, 1, 2, 3, 4]
    assert (found[0].stride, found[4].groups) == ((2, 2), 2)
    assert found[0].bn_folded is False
    np.testing.assert_allclose(found[0].bn_scale, 1 / np.sqrt(np.array([1, 2, 3, 4]) + 1e-3))
    assert found[1].bn_folded is True


def test_kernels_are_those_of_the_file() -> None:
    with h5py.File(WEIGHTS / "small.h5") as file:
        kernel = file["model_weights/first/first/kernel"][()]
        depthwise = file["model_weights/dw/dw/kernel"][()]
    found = layers(WEIGHTS / "small.h5")
    np.testing.assert_array_equal(found[0].weight, kernel.transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(found[3].weight[5, 0], depthwise[:, :, 2, 1])


def test_weights_without_a_configuration_are_unknown(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["conv/conv/kernel:0"] = np.ones((3, 3, 2, 4), "f4")
        file["optimizer_weights/conv/kernel:0"] = np.ones((3, 3, 2, 4), "f4")
    (layer,) = layers(tmp_path / "w.h5")
    assert (layer.kind, layer.stride, layer.depth_from) == ("unknown", None, "file order")


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel:0"] = np.ones((3, 3, 2, 4), "f4")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file["conv"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(BadInputError, match=r"external\.h5: '/conv' is a link to 'secret\.h5'"):
        list(read(tmp_path / "external.h5"))
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["loop"] = h5py.SoftLink("/")
    with pytest.raises(BadInputError, match="is a link"):
        list(read(tmp_path / "soft.h5"))


def test_values_kept_in_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(bytes(72 * 4))
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        outside = [(str(tmp_path / "raw.bin"), 0, 72 * 4)]
        file.create_dataset("conv/kernel:0", (3, 3, 2, 4), "f4", external=outside)
    with pytest.raises(BadInputError, match="in another file; refused"):
        list(read(tmp_path / "outside.h5"))


def test_bombs_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset(
            "conv/kernel:0", (3, 3, 2000, 4000), "f4", chunks=(3, 3, 100, 100), compression="gzip"
        )
    with pytest.raises(BadInputError, match=r"'/conv/kernel:0' inflates"):
        list(read(tmp_path / "bomb.h5"))
    with h5py.File(tmp_path / "absurd.h5", "w") as file:
        file.create_dataset("conv/kernel:0", (3, 3, 1 << 20, 1 << 20), "f4", chunks=(3, 3, 16, 16))
    with pytest.raises(BadInputError, match="would take"):
        list(read(tmp_path / "absurd.h5"))


@pytest.mark.parametrize("name", ["small.h5", "small.keras"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_truncated_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    content = (WEIGHTS / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInputError, match=name):
        list(read(path))


def test_a_lambda_layer_is_data_and_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w')"
    lambda_layer = {
        "class_name": "Lambda",
        "name": "evil",
        "config": {"name": "evil", "function": ["lambda", code]},
    }
    with (
        zipfile.ZipFile(WEIGHTS / "small.keras") as source,
        zipfile.ZipFile(tmp_path / "l.keras", "w") as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"].append(lambda_layer)
                content = json.dumps(config).encode()
            target.writestr(name, content)
    assert len(layers(tmp_path / "l.keras")) == 6
    assert not marker.exists()
