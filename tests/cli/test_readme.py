"""The README's examples, run as they stand on files of the names they use."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from shiftlab import resources
from tests.conftest import Cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONTEXTS = ("couch", "car", "bed", "book", "cup", "sink", "vase")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file of 280 images of cats with one other object each, and a vector for every image."""
    folder = tmp_path_factory.mktemp("readme")
    names = ["cat", *CONTEXTS]
    images = [{"id": i, "file_name": f"{i:012d}.jpg", "width": 640, "height": 480} for i in range(280)]
    annotations = [
        {"id": 2 * i + k, "image_id": i, "category_id": category, "bbox": [0, 0, 9, 9], "iscrowd": 0}
        for i in range(280)
        for k, category in enumerate((1, 2 + i % len(CONTEXTS)))
    ]
    categories = [{"id": n, "name": name, "supercategory": "thing"} for n, name in enumerate(names, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances_train2017.json").write_text(json.dumps(content))
    (folder / "items.csv").write_text("image_id\n" + "".join(f"{i:012d}\n" for i in range(280)))
    rng = np.random.default_rng(0)
    np.save(folder / "clip.npy", rng.normal(size=(280, 16)))
    shutil.copyfile(resources.data("adroit_door_human") / "episodes.parquet", folder / "door.parquet")
    for stage, share in (("base", 2), ("tuned", 3)):
        lines = (f"{i:012d},{int(i % share == 0)}" for i in range(280))
        (folder / f"{stage}.csv").write_text("item,label\n" + "\n".join(lines) + "\n")
    (folder / "weights").mkdir()
    for name in ("a", "b"):
        np.savez(folder / "weights" / f"{name}.npz", **{"conv1.weight": rng.normal(size=(64, 32, 3, 3))})
    (folder / "models.csv").write_text("file,task\na.npz,classification\nb.npz,segmentation\n")
    return folder


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_the_two_commands_stand_first() -> None:
    first, second = blocks("console")[:2]
    assert "pip install . && .venv/bin/shiftlab demo" in first
    assert "pip install -e '.[test]' && .venv/bin/python -m pytest" in second
    ci = (Path(__file__).parents[2] / ".ci" / "run").read_text()
    assert "-e '.[test]'" in ci
    assert '/bin/python" -m pytest\n' in ci


def test_commands_run_as_printed(cli: Cli, folder: Path) -> None:
    lines = [
        line for block in blocks("console") for line in block.splitlines() if line.startswith("$ shiftlab")
    ]
    assert len(lines) >= 8
    for line in lines:
        command = shlex.split(line.removeprefix("$ shiftlab"))
        if command[0] == "explore":  # runs until it is ended; the demo's tests start it
            continue
        done = cli(*command, cwd=folder)
        assert done.returncode == 0, (line, done.stderr)


def test_python_runs_as_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (block,) = blocks("python")
    scope: dict = {}
    exec(compile(block, "README.md", "exec"), scope)
    assert [score.measure for score in scope["scores"]] == ["jensen_shannon", "total_variation"]
    assert scope["pairs"].columns[:4] == ["dataset", "class", "left_name", "right_name"]


def test_the_extras_are_those_of_the_package() -> None:
    section = README.partition("## Install")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.M)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(project["optional-dependencies"]) - {"test"}


def test_every_view_named_exists(cli: Cli, folder: Path) -> None:
    section = README.partition("## Views for people")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \| [a-z]", section, flags=re.M))
    listed = {
        row["name"] for row in json.loads(cli("sql", "--tables", "--format", "json", cwd=folder).stdout)
    }
    assert named
    assert named <= listed
