"""The list of seeds is whole: 37 papers, an example for each that has a measure, links that lead to it."""

from __future__ import annotations

import re

from tests.docs.documents import ROOT

FOLDER = ROOT / "docs" / "seeds"
CONTEXT = {4, 6, 7, 21, 24}  # papers without a notion of shift that data could show


def _slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_seed_has_its_example_or_says_why_not() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.*?) \| (.*?) \|", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.M
    )
    assert [int(number) for number, _, _ in rows] == list(range(1, 38))
    for number, paper, measure in rows:
        link = re.fullmatch(r"\[(.+)\]\((\w+\.md)#(.+)\)", paper)
        if int(number) in CONTEXT:
            assert link is None
            assert measure.startswith("none: ")
            continue
        assert link is not None, paper
        page = (FOLDER / link[2]).read_text(encoding="utf-8")
        headings = re.findall(r"^## (.+)$", page, flags=re.M)
        assert link[3] in map(_slug, headings), paper
        (part,) = re.findall(rf"^## {number} · .+?(?=^## |\Z)", page, flags=re.M | re.S)
        for told in ("*What shifts", "*Covered:*", "*Not\ncovered:*"):
            assert told.replace("\n", " ") in part.replace("\n", " "), f"{number} lacks {told}"
        assert "```" in part
