"""What ShiftLab is made of, and that it keeps to itself: pins, licences, no network, no telemetry."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.reliability import licences
from tests.reliability.conftest import Tally

ROOT = Path(__file__).parents[2]
# Only the starter of the explorer may reach for a network, and it reaches for this machine.
NETWORK = {"requests", "urllib.request", "urllib3", "http", "socket", "httpx", "aiohttp", "ftplib", "smtplib", "webbrowser"}  # fmt: skip
MAY_CONNECT = {"shiftlab/explorer.py": {"socket", "urllib.request", "webbrowser"}}


def unpinned() -> list[str]:
    """Dependencies whose installed version is not the one of the constraints."""
    pins = licences.pins()
    return [
        f"{one.name} {one.version} (pinned: {pins.get(one.name)})"
        for one in licences.dependencies()
        if pins.get(one.name) != one.version
    ]


def test_every_dependency_is_pinned_within_what_is_asked_for(tally: Tally) -> None:
    pins = licences.pins()
    found = {one.name for one in licences.dependencies()}
    asked = [Requirement(text) for text in metadata.requires("shiftlab") or []]
    asked = [one for one in asked if one.name != "shiftlab"]
    assert len(asked) > 15
    for one in asked:
        name = canonicalize_name(one.name)
        assert name in pins, f"{name} is not pinned in .ci/constraints.txt"
        assert pins[name] in one.specifier, f"{name} is pinned to {pins[name]}, asked for is {one}"
    differing = unpinned()
    if differing and not os.environ.get("SHIFTLAB_PINNED"):  # as in CI
        pytest.skip(f"this environment was not installed from the constraints: {', '.join(differing[:5])}")
    assert not differing
    assert not set(pins) - found, f"pinned, but nothing needs it: {set(pins) - found}"
    tally("supply chain", packages_pinned=len(found))


def test_licences_are_listed_and_permissive(tally: Tally) -> None:
    found = licences.dependencies()
    wrong = {
        one.name: one.licence for one in found if not licences.identifiers(one.licence) <= licences.ALLOWED
    }
    assert not wrong, f"licences that are not on the list of permissive ones: {wrong}"
    listed = licences.LIST.read_text(encoding="utf-8")
    if not unpinned():
        assert listed == licences.written(found), "python -m tests.reliability.licences writes the list anew"
    direct = {canonicalize_name(Requirement(text).name) for text in metadata.requires("shiftlab") or []} - {
        "shiftlab"
    }
    assert not [name for name in direct if f"| {name} |" not in listed]
    tally("supply chain", licences_checked=len(found))


def test_nothing_here_reaches_for_a_network() -> None:
    for path in [*(ROOT / "shiftlab").rglob("*.py"), *(ROOT / "apps").rglob("*.py")]:
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        reaching = {
            one for one in found if one in NETWORK or one.split(".")[0] in NETWORK - {"urllib.request"}
        }
        assert reaching <= MAY_CONNECT.get(str(path.relative_to(ROOT)), set()), path


def test_the_explorer_sends_no_usage_statistics() -> None:
    """As streamlit reads it, from another folder, with what the explorer starts it with."""
    code = (
        "import sys; from pathlib import Path; from shiftlab import resources; from streamlit import config\n"
        "from streamlit.web import bootstrap\n"
        "config._main_script_path = str(resources.folder('apps') / 'app.py')\n"
        "config.get_config_options(force_reparse=True)\n"
        "print(config.get_option('browser.gatherUsageStats'), config.get_option('server.address'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.split() == ["False", "127.0.0.1"]


def _can_be_cut_off() -> bool:
    if not shutil.which("unshare"):
        return False
    words = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-n", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_day_without_a_network(tmp_path: Path, tally: Tally) -> None:
    """The demo, commands and every page of the explorer work in a network that is only this machine; none asks for another."""
    words = [sys.executable, "-m", "tests.reliability.offline", str(tmp_path)]
    cut = _can_be_cut_off()
    done = subprocess.run(
        [*words, "--cut"] if cut else words,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == {}
    assert found["asked"] == []
    assert not (cut and found["network"])
    tally(
        "supply chain", commands_without_a_network=found["commands"], pages=found["pages"], cut_off=int(cut)
    )
