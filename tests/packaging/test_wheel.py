"""The wheel, installed into an empty environment far from the repository: the demo, its explorer, SQL, data cards.

Needs a package index for the dependencies, and takes minutes: pip installs a gigabyte.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
Installed = Callable[..., "subprocess.CompletedProcess[str]"]
_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SHIFTLAB"))
}


def run(*words: str | Path, cwd: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(one) for one in words],
        cwd=cwd,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, the wheel of the repository, and in again/ the wheel of the archive."""
    home = tmp_path_factory.mktemp("built")
    listed = run("git", "ls-files", cwd=ROOT).stdout.splitlines()
    (home / "tracked.txt").write_text("\n".join(one for one in listed if (ROOT / one).exists()))
    venv.create(home / "venv", with_pip=True)
    python = home / "venv" / "bin" / "python"
    for words in (
        ("-m", "pip", "install", "-q", "hatchling"),
        ("-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", home / "dist"),
    ):
        done = run(python, *words, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    archive = next((home / "dist").glob("*.tar.gz"))
    done = run(
        python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", home / "dist" / "again", archive, cwd=home
    )
    assert done.returncode == 0, done.stderr
    return home / "dist"


@pytest.fixture(scope="module")
def away(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder far from the repository beside an environment with the wheel and no extra."""
    home = tmp_path_factory.mktemp("away")
    venv.create(home / "venv", with_pip=True)
    wheel = next(built.glob("*.whl"))
    constraints = ROOT / ".ci" / "constraints.txt"
    done = run(home / "venv/bin/pip", "install", "-q", "--constraint", constraints, wheel, cwd=home)
    assert done.returncode == 0, done.stderr
    (home / "work").mkdir()
    return home / "work"


@pytest.fixture(scope="module")
def installed(away: Path) -> Installed:
    """Runs the installed `shiftlab` in the folder away."""
    return lambda *words: run(away.parent / "venv/bin/shiftlab", *words, cwd=away)


@pytest.fixture(scope="module")
def demo(installed: Installed, away: Path) -> Path:
    done = installed("demo", "--no-open")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\d\. ", done.stdout, flags=re.M)) == 3
    return away / "shiftlab-demo"


def test_the_version_names_what_it_was_built_from(installed: Installed) -> None:
    told = installed("--version").stdout
    assert re.search(r"^shiftlab \d+\.\d+\.\d+, built from ([0-9a-f]{12}|a source archive)", told)
    assert "duckdb" in told


def test_the_demo_answers_sql_and_is_whole(installed: Installed, demo: Path) -> None:
    rows = installed("--catalog", demo, "sql", "select count(*) as n from subsets", "--format", "json")
    assert json.loads(rows.stdout)[0]["n"] > 3000
    checked = installed("--catalog", demo, "check")
    assert checked.returncode == 0, checked.stdout


def test_the_explorer_answers_its_health_page(away: Path, demo: Path) -> None:
    command = [str(away.parent / "venv/bin/shiftlab"), "--catalog", str(demo), "explore", "--no-open"]
    with subprocess.Popen(command, cwd=away, env=_ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        found = re.search(r"http://\S+", told)
        assert found, told + process.stderr.read()
        try:
            address = found[0].rstrip("/") + "/_stcore/health"
            assert _answer(address, process) == b"ok"
        finally:
            process.terminate()


def _answer(address: str, process: subprocess.Popen[str]) -> bytes:
    """What the page says, asked again for a minute while the process lives."""
    import time

    for _ in range(600):
        assert process.poll() is None, "the explorer ended"
        try:
            with urllib.request.urlopen(address, timeout=1) as page:
                return bytes(page.read())
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the explorer did not answer within a minute")


def test_pages_of_the_explorer_run(away: Path, demo: Path) -> None:
    """Every page, drawn by the installed files: the health page does not run them."""
    program = (
        "import sys; from pathlib import Path; from streamlit.testing.v1 import AppTest\n"
        "from shiftlab import resources\napps = resources.folder('apps')\n"
        "app = AppTest.from_file(str(apps / 'app.py'), default_timeout=120).run()\n"
        "bad, offered = [one.message for one in app.exception], set()\n"
        "for page in sorted((apps / 'views').glob('[a-z]*.py')):\n"
        "    bad += [f'{page.name}: {one.message}' for one in app.switch_page(f'views/{page.name}').run().exception]\n"
        "    offered |= {one.proto.label for one in app.get('download_button')}\n"
        "print(apps, sorted(offered)); sys.exit('\\n'.join(bad) or 0)\n"
    )
    environment = {**_ENVIRONMENT, "SHIFTLAB_CATALOG": str(demo)}
    done = subprocess.run(
        [away.parent / "venv/bin/python", "-c", program],
        cwd=away,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "_apps" in done.stdout
    assert "'Vega-Lite JSON'" in done.stdout
    assert "'PNG'" not in done.stdout, "without the extra no picture is offered that cannot be drawn"


def test_data_cards_hold_where_they_are_installed(installed: Installed, away: Path) -> None:
    done = installed("cards", "check", "--format", "json")
    assert done.returncode == 0, done.stdout
    cards = {one["card"] for one in json.loads(done.stdout)} - {""}
    assert cards == {one.name for one in (ROOT / "data_cards").iterdir() if one.is_dir()}
    (home,) = (away.parent / "venv").glob("lib/python*/site-packages/shiftlab/_data_cards")
    for card in cards:
        for file in json.loads((home / card / "croissant.json").read_text())["distribution"]:
            content = (home / card / file["contentUrl"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["ingest", "models", "x.onnx"], "shiftlab[onnx]"),
        (["ingest", "models", "x.h5"], "shiftlab[keras]"),
        (["ingest", "episodes", "x.hdf5", "--dataset", "x"], "shiftlab[hdf5]"),
        (["sql", "select name, n from subsets limit 9", "--plot", "x.svg"], "shiftlab[figures]"),
        (
            ["shift", "blocks", "b", "--class", "cat", "--dataset", "coco", "--engine", "tcp://127.0.0.1:1"],
            "shiftlab[cluster]",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_needs_an_extra_names_it(
    installed: Installed, away: Path, demo: Path, command: list[str], extra: str
) -> None:
    (away / "x.onnx").write_bytes(b"\x08\x07\x12\x00")
    for name in ("x.h5", "x.hdf5"):
        (away / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    done = installed("--catalog", demo, *command)
    assert done.returncode == 2
    assert f"pip install '{extra}'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (away / "x.svg").exists()


def test_a_figure_as_json_needs_no_extra(installed: Installed, away: Path, demo: Path) -> None:
    query = "select name, n from subsets order by n desc limit 9"
    done = installed("--catalog", demo, "sql", query, "--plot", "x.json")
    assert done.returncode == 0, done.stderr
    assert "vega-lite" in (away / "x.json").read_text()


def test_the_source_archive_holds_every_file_of_the_repository(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set((built.parent / "tracked.txt").read_text().splitlines())
    if not tracked:
        pytest.skip("not a git repository")
    assert tracked - there == set()


def test_the_archive_makes_the_same_wheel(built: Path) -> None:
    contents = []
    for wheel in (next(built.glob("*.whl")), next((built / "again").glob("*.whl"))):
        with zipfile.ZipFile(wheel) as file:
            names = [one for one in file.namelist() if not one.endswith(("/RECORD", "/_build.txt"))]
            contents.append({one: file.read(one) for one in names})
    assert contents[0] == contents[1]
    names = set(contents[0])
    for needed in (
        "_sql/schema/0001_core.sql",
        "_apps/app.py",
        "_apps/.streamlit/config.toml",
        "data/prepare.py",
    ):
        assert f"shiftlab/{needed}" in names
    assert not {one for one in names if not one.startswith("shiftlab")}, "nothing lies beside the package"
