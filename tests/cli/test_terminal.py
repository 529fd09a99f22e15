"""Tables on a terminal: numbers are never broken, what does not fit is said, a few wide rows stand side by side."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import SMALL, Cli


@pytest.fixture(scope="module")
def home(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("terminal")
    (home / "small.csv").write_text(SMALL)
    assert cli("ingest", "images", "small.csv", "--dataset", "s", cwd=home).returncode == 0
    return home


def on_terminal(home: Path, width: int, *words: str) -> str:
    """What `shiftlab` shows on a terminal of so many columns, without colours."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "shiftlab", *words],
        cwd=home, env={**environment, "TERM": "xterm"}, stdin=its, stdout=its, stderr=its,
    ) as process:  # fmt: skip
        os.close(its)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.wait() == 0, shown.decode()
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r", "")


WIDE = "select 'a long word or two' as words, " + ", ".join(f"{k}123.456 as number_{k}" for k in range(1, 9))


def test_a_few_wide_rows_stand_side_by_side(home: Path) -> None:
    shown = on_terminal(home, 60, "sql", f"{WIDE} union all {WIDE}")
    assert re.search(r"^ ?words +a long word or two +a long word or two", shown, flags=re.M)
    assert re.search(r"^ ?number_8 +8123 +8123", shown, flags=re.M)


def test_columns_that_do_not_fit_are_named(home: Path) -> None:
    shown = on_terminal(home, 60, "sql", f"from ({WIDE}), range(7)")
    assert "2123" in shown
    assert "8123" not in shown
    assert re.search(
        r"\d of 10 columns \(not shown: .*number_8.*\); -o FILE or --format csv writes all",
        " ".join(shown.split()),
    )
    assert len(on_terminal(home, 200, "sql", f"from ({WIDE}), range(7)").split("8123")) == 8


def test_empty_columns_are_left_out_first(home: Path) -> None:
    query = f"select null as nothing, * from ({WIDE}), range(7)"
    assert "nothing" in on_terminal(home, 200, "sql", query).splitlines()[1]
    assert "nothing" not in on_terminal(home, 60, "sql", query).splitlines()[1]


def test_numbers_are_never_broken(home: Path) -> None:
    for width in (30, 60, 90):
        shown = on_terminal(home, width, "sql", f"from ({WIDE}), range(7)")
        lines = [line for line in shown.splitlines() if "a long" in line]
        assert len(lines) == 7
        assert all("1123" in line for line in lines if width > 40)
