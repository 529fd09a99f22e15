"""Jobs that pages start: seen while they run, stopped, run again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import shiftlab as sl
from tests.app.conftest import Page, shown

ENDLESS = ["sql", "select count(*) from range(10000000000) a, range(1000) b", "--timeout", "600"]


def job_folders(catalog: Path) -> list[Path]:
    return sorted(catalog.glob("jobs/job-*"))


def settled(at: AppTest, state: str) -> None:
    deadline = time.monotonic() + 30
    while f"**{state}**" not in shown(at) and time.monotonic() < deadline:
        time.sleep(0.3)
        at.run()
    assert f"**{state}**" in shown(at)
    assert not at.exception


@pytest.fixture
def running(page: Page, own: sl.Catalog) -> AppTest:
    """The page of runs and jobs over a catalog on which an endless job runs."""
    at = page("runs", own.path)  # Streamlit has put the folder of the pages on the path
    import jobs

    jobs.start(ENDLESS)
    settled(at, "running")
    return at


def test_a_job_is_stopped_with_all_that_it_started_and_run_again(running: AppTest, own: sl.Catalog) -> None:
    (folder,) = job_folders(own.path)
    pid = json.loads((folder / "job.json").read_text())["pid"]
    os.kill(pid, 0)  # it is there
    running.button(key=f"stop_{folder.name}").click().run()
    settled(running, "stopped")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    running.button(key=f"again_{folder.name}").click().run()
    settled(running, "running")
    again = job_folders(own.path)[-1]
    assert again != folder
    assert json.loads((again / "job.json").read_text())["arguments"] == ENDLESS
    running.button(key=f"stop_{again.name}").click().run()
    settled(running, "stopped")
