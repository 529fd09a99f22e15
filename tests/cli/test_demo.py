"""The first command of the README, as typed on a fresh machine: the demo and its explorer."""

from __future__ import annotations

import re
import shlex
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Cli


@pytest.fixture(scope="module")
def demo(cli: Cli, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("demo")
    done = cli("demo", "--no-open", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_three_findings_each_with_command_and_link(demo, cli: Cli) -> None:
    folder, done = demo
    assert len(re.findall(r"^\d\. ", done.stdout, flags=re.M)) == 3
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("   shiftlab")]
    links = re.findall(r"http://127\.0\.0\.1:\d+/\S+", done.stdout)
    assert len(commands) == len(links) == 3
    for command in commands:
        again = cli(*shlex.split(command)[1:], "--format", "csv", cwd=folder)
        assert again.returncode == 0, again.stderr
        assert len(again.stdout.splitlines()) >= 2


def test_the_second_run_reuses_the_catalog(demo, cli: Cli) -> None:
    folder, done = demo
    before = (folder / "shiftlab-demo" / "catalog.duckdb").read_bytes()
    again = cli("demo", "--no-open", cwd=folder)
    assert re.sub(r":\d+/", "", again.stdout) == re.sub(r":\d+/", "", done.stdout)
    assert (folder / "shiftlab-demo" / "catalog.duckdb").read_bytes() == before


def test_the_demo_catalog_is_whole(demo, cli: Cli) -> None:
    folder, _ = demo
    assert cli("--catalog", folder / "shiftlab-demo", "check").returncode == 0


def test_other_files_are_left_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    done = cli("demo", "mine", "--no-open", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds other files" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_the_explorer_answers_and_ends(demo) -> None:
    from shiftlab import explorer

    folder, _ = demo
    with explorer.serve(folder / "shiftlab-demo") as server:
        server.wait_until_healthy()
        with urllib.request.urlopen(server.url, timeout=10) as page:
            assert page.status == 200
    assert server.process.poll() is not None
