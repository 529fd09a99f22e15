"""Data cards: the bundled ones are true and load elsewhere; wrong ones are refused by file and key."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import mlcroissant
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftlab import cards
from shiftlab.cards import others
from shiftlab.cards.card import SPDX, licences
from shiftlab.errors import BadInputError
from tests.conftest import Cli

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "data_cards"
DATA = sorted(p.name for p in (ROOT / "shiftlab" / "data").iterdir() if p.is_dir() and any(p.glob("*.*")))

CARD = """
id: mine
title: Mine
kind: table
version: 1.0.0
licence: MIT
summary: Two rows.
url: https://example.org
creators: [me]
date_published: "2026-01-02"
sources: [{name: me, url: "https://example.org", licence: MIT}]
suitable_uses: [tests]
unsuitable_uses: [all else]
collection: By hand.
personal_data: None.
known_defects: []
citation: None.
files:
  - name: rows.csv
    what: The rows.
    columns: {side: left or right, word: a word, n: a number, item: an id}
provenance: {command: by hand}
imitation: {file: rows.csv, episode: item, outcome: n}
filters: {file: rows.csv, model: side, n: n, label: word}
shift: {file: rows.csv, item: item, column: side, left: a, right: b, what: word, measure: total_variation}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with one card of one's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "card.yaml").write_text(CARD)
    rows = [f"{'a' if k < 30 else 'b'},{'x' if k % 3 else 'y'},{k},{k}" for k in range(60)]
    (tmp_path / "mine" / "rows.csv").write_text("side,word,n,item\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_every_bundled_data_set_has_a_card_that_is_true() -> None:
    assert [one.name for one in sorted(p for p in BUNDLED.iterdir() if p.is_dir())] == DATA
    bad = [one for one in cards.check(BUNDLED) if one.state != "ok"]
    assert not bad


@pytest.mark.parametrize("name", DATA)
def test_croissant_loads_the_rows(name: str) -> None:
    """The hash of every file is checked by the other tool; its columns are those of the file."""
    data = mlcroissant.Dataset(jsonld=str(BUNDLED / name / "croissant.json"))
    for records in data.metadata.record_sets:
        first = list(itertools.islice(data.records(records.id), 5))
        assert len(first) == 5
        file = json.loads((BUNDLED / name / "croissant.json").read_text())["recordSet"]
        fields = next(one["field"] for one in file if one["name"] == records.name)
        assert {key.split("/")[-1] for key in first[0]} == {one["name"] for one in fields}


def test_another_tool_notices_changed_data(mine: Path) -> None:
    cards.build(mine)
    rows = mine / "mine" / "rows.csv"
    rows.write_text(rows.read_text().replace(",y,", ",z,", 1))
    data = mlcroissant.Dataset(jsonld=str(mine / "mine" / "croissant.json"))
    with pytest.raises(Exception, match=r"(?s).*"):
        list(data.records("rows_rows"))
    states = {one.file: one for one in cards.check(mine)}
    assert states["stats.json"].state == "stale"
    assert "cards build" in states["stats.json"].detail


def test_numbers_are_those_of_the_data(mine: Path) -> None:
    cards.build(mine)
    stats = json.loads((mine / "mine" / "stats.json").read_text())
    columns = {one["name"]: one for one in stats["files"][0]["columns"]}
    assert stats["files"][0]["rows"] == 60
    assert columns["word"]["values"] == {"x": 40, "y": 20}
    assert (columns["n"]["least"], columns["n"]["largest"]) == (0, 59)
    assert stats["shift"]["value"] == 0
    assert (stats["shift"]["n_left"], stats["shift"]["n_right"]) == (30, 30)
    assert stats["imitation"]["steps_each"] == [1, 1, 1]
    assert stats["imitation"]["outcomes"] == [0, 29.5, 59]
    assert stats["filters"]["models"] == 2
    assert stats["filters"]["filters"] == sum(range(60))
    assert stats["filters"]["labels"] == {"x": 40, "y": 20}
    page = (mine / "mine" / "README.md").read_text()
    assert "60 rows" in page
    assert "p = 1" in page


def test_building_twice_changes_nothing(mine: Path) -> None:
    assert {one.state for one in cards.build(mine)} == {"written"}
    assert {one.state for one in cards.build(mine)} == {"same"}
    assert {one.state for one in cards.check(mine)} == {"ok"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("licence: MIT\n", "licens: MIT\n", "unknown key 'licens'; did you mean 'licence'"),
        ("licence: MIT\n", "", "'licence' is missing"),
        ("licence: MIT\n", "licence: MIT-ish\n", "'MIT-ish' is no SPDX licence"),
        ("licence: MIT\n", "licence: MIT AND\n", "no whole SPDX expression"),
        ("kind: table", "kind: pictures", "kind: 'pictures' is not one of"),
        ("version: 1.0.0", "version: one", "version: 'one' does not match"),
        ("title: Mine", "title: TODO", "is a placeholder"),
        ("title: Mine", "title: Mine\ntitle: Again", "'title' stands twice"),
        ("title: Mine", "title: [Mine", "not YAML"),
        ("title: Mine", "title: !!python/object/apply:os.system [ls]", "not YAML"),
        ("id: mine", "id: other", "its folder is called 'mine'"),
        ("name: rows.csv", "name: rows2.csv", "neither beside the card nor among the bundled data"),
        ("n: a number, ", "", "column 'n' of the file is not described"),
        ("n: a number,", "n: a number, m: none,", "describes a column 'm'"),
        ("column: side", "column: sides", "has no column 'sides'"),
        ("left: a,", "left: q,", "no row has 'q'"),
        ("measure: total_variation", "measure: total_variatio", "did you mean total_variation"),
        ("episode: item,", "episode: items,", "imitation: 'rows.csv' has no column 'items'"),
        ("label: word}", "label: words}", "filters: 'rows.csv' has no column 'words'"),
        ("label: word}", "labels: word}", "filters: unknown key 'labels'; did you mean 'label'"),
        ("known_defects: []", "known_defects: none", "known_defects: 'none' is not of type 'array'"),
    ],
)
def test_a_wrong_card_is_refused_by_key(mine: Path, old: str, new: str, told: str) -> None:
    path = mine / "mine" / "card.yaml"
    assert old in CARD
    path.write_text(CARD.replace(old, new))
    with pytest.raises(BadInputError, match=r"card\.yaml") as error:
        cards.build(mine)
    assert told in str(error.value)
    assert sorted(p.name for p in (mine / "mine").iterdir()) == ["card.yaml", "rows.csv"]
    assert [one.state for one in cards.check(mine)] == ["wrong"]


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("stats.json", '"rows": 60', '"rows": 61', "says '\"rows\": 61,', the data say '\"rows\": 60,'"),
        ("stats.json", '"sha256": "', '"sha256": "0', 'the data say \'"sha256": "'),
        ("README.md", "60 rows", "600 rows", "the data say '| `rows.csv` | 60 rows"),
        ("croissant.json", '"sha256": "', '"sha256": "0', 'the data say \'"sha256": "'),
        ("croissant.json", '"name": "word"', '"name": "words"', 'the data say \'"name": "word"'),
    ],
)
def test_a_generated_file_that_was_changed_is_stale_by_line(
    mine: Path, file: str, old: str, new: str, line: str
) -> None:
    cards.build(mine)
    path = mine / "mine" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    (stale,) = [one for one in cards.check(mine) if one.state != "ok"]
    assert (stale.card, stale.file, stale.state) == ("mine", file, "stale")
    assert line in stale.detail
    assert "shiftlab cards build" in stale.detail


def test_another_tool_is_asked_too(mine: Path) -> None:
    """mlcroissant loads what equals a fresh build, and says what is wrong with a file that names another hash."""
    cards.build(mine)
    told = [one.detail for one in cards.check(mine) if "mlcroissant" in one.detail]
    assert told == ["mlcroissant: reads the rows of every table"]
    path = mine / "mine" / "croissant.json"
    text = path.read_text()
    assert others.load(path) is None
    path.write_text(re.sub(r'"sha256": "\w{4}', '"sha256": "0000', text))
    assert "0000" in str(others.load(path))
    path.write_text(text.replace('"column": "word"', '"column": "nothing"'))
    assert "nothing" in str(others.load(path))


def test_the_size_is_that_of_the_longest_table_or_array() -> None:
    listed = cards.list_cards(BUNDLED).rows(named=True)
    assert {one["id"]: one["rows"] for one in listed}["caption_embeddings"] == 7727
    for one in listed:
        size = next(name for limit, name in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))
                    if one["rows"] < limit)  # fmt: skip
        assert f'size_categories: ["{size}"]' in (BUNDLED / one["id"] / "README.md").read_text()


def test_croissant_says_everything_that_is_asked_of_it() -> None:
    for path in BUNDLED.glob("*/croissant.json"):
        told = json.loads(path.read_text())
        assert told["conformsTo"] == "http://mlcommons.org/croissant/1.1"
        for key in ("name", "description", "license", "version", "url", "creator", "datePublished", "citeAs"):
            assert told[key], (path, key)


@given(st.lists(st.sampled_from(SPDX), min_size=1, max_size=4), st.sampled_from([" AND ", " OR "]))
def test_licence_expressions(names: list[str], word: str) -> None:
    assert licences(word.join(names)) == names
    assert licences("(" + word.join(names) + ")") == names
    for broken in (word.join([*names, ""]), f"({names[0]}", f"{names[0]} {names[0]}", ""):
        with pytest.raises(ValueError, match="SPDX"):
            licences(broken)


def test_the_commands(cli: Cli, mine: Path) -> None:
    assert cli("cards", "check", mine).returncode == 1
    assert cli("cards", "build", mine).returncode == 0
    done = cli("cards", "check", mine, "--format", "json")
    assert done.returncode == 0
    assert pl.read_json(done.stdout.encode())["state"].unique().to_list() == ["ok"]
    assert "Mine" in cli("cards", "list", mine).stdout
    assert "no folder" in cli("cards", "check", mine / "nowhere").stderr
    assert "5" not in cli("cards", "list", mine, "--format", "csv").stdout.splitlines()[0]
