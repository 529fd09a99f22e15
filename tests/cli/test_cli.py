"""The command line as users type it: a process, its output streams and its exit codes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import polars as pl
import pytest

import shiftlab as sl
from tests.conftest import ANNOTATIONS, Cli

COMMANDS = [
    "demo",
    "ingest",
    "subsets",
    "items",
    "shift",
    "filters",
    "episodes",
    "curate",
    "measures",
    "sql",
    "explore",
    "runs",
    "check",
    "cards",
    "completion",
]


@pytest.fixture(scope="module")
def built(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalog made with commands alone."""
    from tests.conftest import SMALL

    folder = tmp_path_factory.mktemp("cli")
    (folder / "small.csv").write_text(SMALL)
    done = cli("--catalog", folder / "c", "ingest", "images", folder / "small.csv", "--dataset", "small")
    assert (done.returncode, done.stdout) == (0, "")
    assert "6 images, 13 objects, 7 terms" in done.stderr
    built = cli("subsets", "build", "small", "--min-images", 1, "--min-subsets", 1, "--catalog", folder / "c")
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("dataset,context_kind,subsets")
    return folder / "c"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["subsets", "build"], ["ingest", "images"],
                                     ["ingest", "vectors"], ["shift", "pair"], ["shift", "matrix"]])  # fmt: skip
def test_every_command_has_help_with_an_example(cli: Cli, command: list[str]) -> None:
    done = cli(*command, "--help")
    assert done.returncode == 0
    assert "Usage: shiftlab" in done.stdout
    groups = [["ingest"], ["subsets"], ["items"], ["filters"], ["episodes"], ["curate"], ["cards"]]
    assert command in groups or re.search(r"Example: |Start with: ", done.stdout)


def test_version(cli: Cli) -> None:
    assert sl.__version__ in cli("--version").stdout


def test_help_names_every_command_and_loads_nothing_heavy(cli: Cli) -> None:
    assert [name for name in COMMANDS if name not in cli("--help").stdout] == []
    done = cli("--help", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {"numpy", "polars", "duckdb", "scipy", "streamlit", "pyarrow", "rich", "ot"}


@pytest.mark.parametrize(
    ("narrower", "items"),
    [
        ([], ["1", "2", "3", "4", "5", "6"]),
        (["--subset", "cat(sofa)"], ["1", "2", "5"]),
        (["--shows", "dog"], ["4", "5"]),
        (["--where", "labels['split'] = 'test' and list_contains(attributes, 'soft')"], ["6"]),
        (["--shows", "cat", "--subset", "sofa(cat)", "--where", "item <> '2'"], ["1", "5"]),
        (["--where", "len(objects) = 2", "--limit", "2"], ["1", "2"]),
        (["--limit", "0"], []),
    ],
)
def test_items_are_listed(cli: Cli, built: Path, narrower: list[str], items: list[str]) -> None:
    done = cli("--catalog", built, "items", "list", "--dataset", "small", *narrower, "--format", "ndjson")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["item"] for line in done.stdout.splitlines()] == items


def test_items_and_curate_select_take_the_same_predicate(cli: Cli, built: Path) -> None:
    where = "list_contains(objects, 'cat') and labels['split'] = 'train' and len(places) = 0"
    listed = cli("--catalog", built, "items", "list", "--dataset", "small", "--where", where)
    made = cli(
        "--catalog", built, "curate", "select", where, "--dataset", "small", "--name", "x", "--dry-run"
    )
    assert pl.read_csv(listed.stdout.encode())["item"].to_list() == [1, 2, 3]
    assert dict(pl.read_csv(made.stdout.encode()).select("part", "items").rows())["kept"] == 3


def test_list_show_and_graph(cli: Cli, built: Path) -> None:
    listed = cli(
        "subsets", "list", "--catalog", built, "--where", "class = 'cat' and n >= 2", "--format", "json"
    )
    rows = json.loads(listed.stdout)
    assert {row["name"] for row in rows} == {"cat(sofa)", "cat(bed)"}
    shown = cli("--catalog", built, "subsets", "show", "cat(sofa)", "--items", "--format", "ndjson")
    assert [json.loads(line)["external_id"] for line in shown.stdout.splitlines()] == ["1", "2", "5"]
    graph = cli("--catalog", built, "subsets", "graph", "cat", "--format", "csv")
    assert graph.stdout.splitlines()[0].startswith("dataset,left_name,right_name,overlap")
    assert len(graph.stdout.splitlines()) == 4


@pytest.mark.parametrize(("suffix", "read"), [
    ("csv", lambda p: pl.read_csv(p)), ("json", lambda p: pl.read_json(p)), ("ndjson", lambda p: pl.read_ndjson(p)),
    ("parquet", lambda p: pl.read_parquet(p)), ("arrow", lambda p: pl.read_ipc_stream(p)),
])  # fmt: skip
def test_every_format_holds_the_same_rows(cli: Cli, built: Path, tmp_path: Path, suffix: str, read) -> None:
    path = tmp_path / f"out.{suffix}"
    done = cli("--catalog", built, "sql", "select name, n from subsets order by name", "-o", path)
    assert (done.returncode, done.stdout) == (0, "")
    frame = read(path)
    assert frame.columns == ["name", "n"]
    assert frame["name"].to_list() == sorted(frame["name"])
    assert frame.height == 8


def test_markdown_and_table(cli: Cli, built: Path) -> None:
    markdown = cli("--catalog", built, "sql", "select 'a|b' as x, null as y", "--format", "markdown").stdout
    assert markdown == "| x | y |\n| --- | --- |\n| a\\|b |  |\n"
    table = cli("--catalog", built, "sql", "select 1.23456789 as x, 1e9 as big", "--format", "table").stdout
    assert "1.235" in table


def test_binary_formats_can_be_piped(cli: Cli, built: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "shiftlab", "--catalog", built, "sql", "from subsets", "--format", "arrow"],
        capture_output=True,
        check=True,
    )
    assert pl.read_ipc_stream(io.BytesIO(done.stdout)).height == 8


def test_shift_stores_what_it_prints(cli: Cli, built: Path) -> None:
    done = cli("--catalog", built, "shift", "cat(sofa)", "cat(bed)", "-m", "total_variation", "-m", "jensen_shannon",
               "--permutations", 49, "--seed", 3, "--format", "json")  # fmt: skip
    printed = json.loads(done.stdout)
    assert [row["measure"] for row in printed] == ["total_variation", "jensen_shannon"]
    stored = cli("--catalog", built, "sql", "select measure, value, seed from scores", "--format", "json")
    assert json.loads(stored.stdout) == [{k: row[k] for k in ("measure", "value", "seed")} for row in printed]
    again = cli("--catalog", built, "shift", "cat(sofa)", "cat(bed)", "-m", "total_variation", "--permutations", 49,
                "--seed", 3)  # fmt: skip
    assert again.returncode == 0
    count = cli("--catalog", built, "sql", "select count(*) as n from scores")
    assert count.stdout == "n\n2\n"


def test_measures(cli: Cli) -> None:
    assert "sliced_wasserstein" in cli("measures").stdout
    shown = cli("measures", "mmd")
    assert "do not use when" in shown.stdout
    wrong = cli("measures", "mdm")
    assert wrong.returncode == 2
    assert "mmd" in wrong.stderr


def test_sql_parameters_files_and_stdin(cli: Cli, built: Path, tmp_path: Path) -> None:
    query = "select name from subsets where n >= $least and class = $c order by name"
    expected = "name\ncat(bed)\ncat(sofa)\n"
    arguments = ("-p", "least=2", "-p", "c=cat", "--catalog", built)
    assert cli("sql", query, *arguments).stdout == expected
    assert cli("sql", "-", *arguments, stdin=query).stdout == expected
    (tmp_path / "q.sql").write_text(query)
    assert cli("sql", "--file", tmp_path / "q.sql", *arguments).stdout == expected
    assert cli("sql", query, "--catalog", built, "-p", "c").returncode == 2


def test_sql_says_when_there_is_more(cli: Cli, built: Path) -> None:
    done = cli("--catalog", built, "sql", "from subsets", "--limit", 2)
    assert len(done.stdout.splitlines()) == 3
    assert "2 rows shown, there are more" in done.stderr


def test_sql_lists_tables(cli: Cli, built: Path) -> None:
    rows = {
        row["name"]: row
        for row in json.loads(cli("--catalog", built, "sql", "--tables", "--format", "json").stdout)
    }
    assert "overlap" in rows["subset_pairs"]["columns"]
    assert rows["subsets"]["holds"]
    assert all(row["holds"] for row in rows.values() if row["name"] != "migration")


def test_sql_write_is_recorded(cli: Cli, built: Path) -> None:
    done = cli("--catalog", built, "sql", "update dataset set licence = 'CC0-1.0'", "--write")
    assert done.returncode == 0
    assert "recorded as run" in done.stderr
    assert cli("--catalog", built, "sql", "select licence from dataset").stdout == "licence\nCC0-1.0\n"
    assert "update dataset" in cli("--catalog", built, "runs", "--limit", 1, "--format", "json").stdout


@pytest.mark.parametrize(
    "statement",
    [
        "drop table item",
        "with c as (copy item to 'x.csv') select 1",
        "from '/etc/passwd'",
        "select 1; select 2",
    ],
)
def test_sql_is_locked_down(cli: Cli, built: Path, statement: str, tmp_path: Path) -> None:
    done = cli("--catalog", built, "sql", statement, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith("shiftlab: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("statement", [
    "select count(*) from range(1e12::bigint) a, range(1000) b",
    "select levenshtein(repeat('a', 200000), repeat('b', 200000))",
])  # fmt: skip
def test_sql_that_runs_too_long_is_stopped(cli: Cli, built: Path, statement: str) -> None:
    done = cli("--catalog", built, "sql", statement, "--timeout", 1)
    assert done.returncode == 124
    assert "longer than 1 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["subsets", "show", "cat(sofaa)"], 2, "did you mean 'cat(sofa)'"),
        (["subsets", "graph", "cta"], 2, "did you mean 'cat'"),
        (["shift", "cat(sofa)", "cat(sofa)"], 2, "the same subset"),
        (["shift", "cat(sofa)", "cat(bed)", "-m", "mmdd"], 2, "there is no measure 'mmdd'"),
        (["shift", "cat(sofa)", "cat(bed)", "-m", "mmd"], 2, "has no vectors"),
        (["shift", "matrix", "-m", "jensen_shannon"], 2, "--class C, or --where SQL"),
        (
            ["shift", "matrix", "--class", "sofa", "-m", "jensen_shannon", "--dataset", "x"],
            2,
            "0 subsets fit",
        ),
        (["subsets", "list", "--where", "n > "], 2, "is not one SQL expression"),
        (["subsets", "list", "--dataset", "smal"], 2, "did you mean 'small'"),
        (["items", "list"], 2, "Missing option '--dataset'"),
        (["items", "list", "--dataset", "smal"], 2, "did you mean 'small'"),
        (["items", "list", "--dataset", "small", "--shows", "sofaa"], 2, "did you mean 'sofa'"),
        (["items", "list", "--dataset", "small", "--subset", "cat(sofaa)"], 2, "did you mean 'cat(sofa)'"),
        (["items", "list", "--dataset", "small", "--where", "n > "], 2, "is not one SQL expression"),
        (
            ["items", "list", "--dataset", "small", "--where", "true) or (true"],
            2,
            "is not one SQL expression",
        ),
        (
            ["items", "list", "--dataset", "small", "--where", "true; drop table item"],
            2,
            "is not one SQL expression",
        ),
        (["items", "list", "--dataset", "small", "--where", "nothing = 1"], 1, "nothing"),
        (
            ["items", "list", "--dataset", "small", "--where", "item in (from read_text('/etc/passwd'))"],
            1,
            "disabled",
        ),
        (["subsets", "build", "small"], 2, "lower --min-images"),
        (["ingest", "images", "nowhere.json", "--dataset", "x"], 2, "there is no file"),
        (["sql", "select nothing from subsets"], 1, "nothing"),
        (["sql"], 2, "give the SQL as QUERY"),
        (["nothing"], 2, "No such command"),
        (["episodes", "list", "\udcff"], 2, "is no text in UTF-8"),
        (["sql", "select 1", "-o", "out.xyz"], 2, "cannot tell a format"),
        (["sql", "select 1", "-o", "/nowhere/out.csv"], 2, "cannot write '/nowhere/out.csv'"),
    ],
)
def test_wrong_use_is_explained(cli: Cli, built: Path, arguments: list[str], code: int, message: str) -> None:
    done = cli("--catalog", built, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_no_catalog_says_how_to_get_one(cli: Cli, tmp_path: Path) -> None:
    done = cli("subsets", "list", cwd=tmp_path)
    assert done.returncode == 2
    assert "shiftlab demo" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_catalog(cli: Cli, built: Path) -> None:
    assert cli("sql", "select count(*) as n from item", SHIFTLAB_CATALOG=str(built)).stdout == "n\n6\n"


def test_a_busy_catalog_answers_with_its_own_exit_code(
    cli: Cli, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.test_catalog import holding

    process = holding(built, read_only=False)
    try:
        done = cli("--catalog", built, "sql", "select 1")
    finally:
        process.communicate("")
    assert done.returncode == 75
    assert f"process {process.pid}" in done.stderr


def test_quiet_says_nothing(cli: Cli, tmp_path: Path) -> None:
    done = cli("--catalog", tmp_path / "c", "ingest", "images", ANNOTATIONS / "gqa_train_sceneGraphs.json",
               "--dataset", "gqa", "--quiet")  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_passes_and_fails(cli: Cli, built: Path, tmp_path: Path) -> None:
    import shutil

    assert cli("--catalog", built, "check").returncode == 0
    shutil.copytree(built, tmp_path / "c")
    cli("--catalog", tmp_path / "c", "sql", "update subset set n = 0", "--write")
    done = cli("--catalog", tmp_path / "c", "check")
    assert done.returncode == 1
    assert "1 broken" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cli: Cli, shell: str) -> None:
    assert "_SHIFTLAB_COMPLETE" in cli("completion", shell).stdout
