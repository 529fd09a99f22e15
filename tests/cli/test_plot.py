"""--plot: pictures that other programs open, for every command that draws; wrong files are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import shiftlab as sl
from shiftlab import resources
from tests.conftest import Cli

CONTEXTS = ("bed", "book", "car", "cup", "sink", "sofa", "vase")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog of everything that can be drawn: subsets, vectors, networks, episodes."""
    home = tmp_path_factory.mktemp("plot")
    rng = np.random.default_rng(0)
    rows = [f"{i},{name}" for i in range(280) for name in ("cat", CONTEXTS[i % 7], CONTEXTS[(i * i) % 7])]
    (home / "images.csv").write_text("image_id,object\n" + "\n".join(sorted(set(rows))) + "\n")
    place = np.arange(280)[:, None] % 7
    np.savez(home / "v.npz", vectors=rng.normal(size=(280, 4)) + place, ids=np.arange(280).astype(str))
    (home / "nets").mkdir()
    for name in ("a", "b"):
        layers = {f"conv{k}.weight": rng.normal(size=(64, 32, 3, 3)) for k in range(3)}
        np.savez(home / "nets" / f"{name}.npz", **layers)
    (home / "models.csv").write_text("file,task\na.npz,classification\nb.npz,segmentation\n")
    with sl.open(home / "catalog") as catalog:
        catalog.ingest_images(home / "images.csv", "toy")
        catalog.ingest_vectors(home / "v.npz", "toy", "space")
        catalog.build_subsets("toy", min_images=10, min_subsets=3)
        catalog.ingest_models(home / "nets", home / "models.csv")
        catalog.ingest_episodes(resources.data("adroit_door_human") / "episodes.parquet", "door")
        catalog.score_episodes("door", metrics=["action_variance_loo"])
    return home


COMMANDS = [
    (["shift", "cat(bed)", "cat(vase)", "-m", "mmd", "--permutations", "39"], "Share of the observed value"),
    (["shift", "matrix", "--class", "cat", "-m", "mmd"], "vase"),
    (["subsets", "graph", "cat"], "Community"),
    (["filters", "quality"], "variance entropy"),
    (["filters", "quality", "--by", "task"], "segmentation"),
    (["filters", "drift", "--by", "task", "--resamples", "40"], "Drift"),
    (["filters", "basis", "--by", "task"], "PC1"),
    (["filters", "coefficients", "--by", "task"], "component 1"),
    (["episodes", "score", "door", "--metric", "idle_fraction"], "idle fraction"),
    (["episodes", "report", "door", "--keep-curve"], "Share of episodes kept"),
    (["sql", "select name, n from subsets where class = 'cat'"], "cat(bed)"),
]

_QUICK = ("subsets", "sql")  # the others take seconds each to compute what they draw


@pytest.mark.parametrize(
    ("command", "told"),
    [
        pytest.param(
            command, told, id=" ".join(command[:2]), marks=() if command[0] in _QUICK else pytest.mark.slow
        )
        for command, told in COMMANDS
    ],
)
def test_every_picture_is_an_svg_that_tells_what_it_shows(
    cli: Cli, home: Path, tmp_path: Path, command: list[str], told: str
) -> None:
    copy = shutil.copytree(home / "catalog", tmp_path / "catalog")
    done = cli("--catalog", copy, *command, "--plot", tmp_path / "it.svg")
    assert done.returncode == 0, done.stderr
    assert f"drew {tmp_path / 'it.svg'}" in done.stderr
    assert len(done.stdout.splitlines()) > 1, "the rows are printed as without --plot"
    texts = [
        one.text or "" for one in ElementTree.parse(tmp_path / "it.svg").iter() if one.tag.endswith("text")
    ]
    assert any(told in one for one in texts), texts
    assert sorted(one.name for one in tmp_path.iterdir()) == ["catalog", "it.svg"]


def test_other_formats(cli: Cli, home: Path, tmp_path: Path) -> None:
    query = "select name, n from subsets where class = 'cat' order by n"
    for suffix in ("png", "html", "json"):
        done = cli("sql", query, "--plot", tmp_path / f"it.{suffix}", cwd=home)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "it.html").read_text()
    assert "cat(vase)" in page
    assert 'src="http' not in page, "the page must open without a network"
    specification = json.loads((tmp_path / "it.json").read_text())
    assert "vega-lite" in specification["$schema"]
    assert specification["mark"]["type"] == "bar"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sql", "select 1", "--plot", "x.gif"], "ends in none of .svg, .png, .html, .json"),
        (["sql", "select 1", "--plot", "nowhere/x.svg"], "there is no folder 'nowhere'"),
        (["sql", "select 1", "--plot", "x.svg"], "nothing to draw"),
        (["episodes", "report", "door", "--plot", "x.svg"], "give both"),
    ],
)
def test_what_cannot_be_drawn_is_said(cli: Cli, home: Path, arguments: list[str], told: str) -> None:
    done = cli(*arguments, cwd=home)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (home / "x.svg").exists()
