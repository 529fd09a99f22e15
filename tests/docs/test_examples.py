"""The examples that --help gives, typed into a shell as they stand, over the demo catalog."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.docs.cli_reference import every_command
from tests.docs.documents import furnish

# What only a reader's own data has, by the names that the examples give it; its absence must be all that they lack.
OWN = (
    "lift", "clip", "net", "half", "soft", "truth", "pictures", "facts", "detector", "backup-of-monday", "data_cards",
    "instances_train2017.json", "train2017", "models.csv", "truth.csv", "tuned.csv", "bias.csv", "clip.npy",
    "tuned.safetensors", "base.safetensors", "A", "d", "code",
)  # fmt: skip
SERVES = ("shiftlab explore", "shiftlab demo")


EXAMPLES = {
    path: command.epilog.removeprefix("Example: ").split(" && ")[0]
    for path, command, _ in every_command()
    if command.epilog and command.epilog.startswith("Example: ")
}


def test_every_command_gives_an_example() -> None:
    told = {path for path, command, _ in every_command() if not isinstance(command, click.Group)}
    assert told - set(EXAMPLES) == set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo catalog, and the command on the way to it."""
    folder = tmp_path_factory.mktemp("examples")
    furnish(folder)
    (folder / "bin").mkdir()
    (folder / "bin" / "shiftlab").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m shiftlab "$@"\n')
    (folder / "bin" / "shiftlab").chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(set(EXAMPLES) - set(SERVES)))
def test_an_example_does_what_it_says(path: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "shiftlab-demo", tmp_path / "catalog")
    done = subprocess.run(
        ["bash", "-c", EXAMPLES[path]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
             "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    if done.returncode != 0:
        assert done.returncode == 2, done.stderr
        assert any(f"'{own}" in done.stderr or f"{own}:" in done.stderr for own in OWN), done.stderr
