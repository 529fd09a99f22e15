"""shiftlab curate, typed: try, make, list, show, export."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def built(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curate")
    (folder / "small.csv").write_text(SMALL)
    at = ("--catalog", folder / "c")
    assert cli(*at, "ingest", "images", folder / "small.csv", "--dataset", "s").returncode == 0
    done = cli(*at, "subsets", "build", "s", "--min-images", "1", "--min-subsets", "1")
    assert done.returncode == 0, done.stderr
    return folder


def test_from_trying_to_exporting(cli: Cli, built: Path) -> None:
    def run(*words: str | Path):
        return cli("curate", *words, "--catalog", built / "c")

    tried = run("union", "cat(sofa)", "cat(bed)", "--name", "indoors", "--dry-run")
    assert "'indoors' would hold 5 items" in tried.stderr
    assert run("list").stdout.count("\n") == 1
    made = run("union", "cat(sofa)", "cat(bed)", "--name", "indoors")
    assert made.stdout.splitlines() == ["part,items,reason,example", "kept,5,in one of the subsets,"]
    assert "is there already" in run("union", "cat(sofa)", "cat(bed)", "--name", "indoors").stderr
    parts = run("group-split", "--dataset", "s", "--by", "split", "--shares", "0.6,0.4", "--name", "sides")
    assert "'sides(train)' holds 3 items" in parts.stderr
    assert run("list", "--format", "csv").stdout.count("\n") == 4
    assert "sides" not in run("show", "indoors").stdout
    assert run("export", "indoors", "--to", "parquet", "-o", built / "in.parquet").returncode == 0
    assert pl.read_parquet(built / "in.parquet")["item"].to_list() == ["1", "2", "3", "5", "6"]
    check = cli("--catalog", built / "c", "check")
    assert check.returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mixture", "cat(sofa)", "--weights", "a,b", "--total", "3", "--name", "x"], "numbers with commas"),
        (["to-label-prior", "--dataset", "s", "--scheme", "split", "--target", "train", "--name", "x"], "NAME=SHARE"),
        (["select", "nothing = 1", "--dataset", "s", "--name", "x"], "nothing"),
        (["union", "cat(sofa)", "cat(moon)", "--name", "x"], "there is no subset 'cat(moon)'"),
        (["export", "cat(sofa)", "--to", "ids"], "-o"),
        (["show", "cat(sofa)"], "built from annotations"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(cli: Cli, built: Path, words: list[str], told: str) -> None:
    done = cli("curate", *words, "--catalog", built / "c")
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
