"""The explorer over a small catalog, served on this machine and driven by Debian's Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shiftlab as sl
from shiftlab import explorer
from tests.app.conftest import crowded, filled, own  # noqa: F401  (fixtures of the pages' tests)

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")


class Visit:
    """A window on the explorer that records every request to another machine."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base = page, base
        self.external: list[str] = []
        page.on("request", lambda one: None if one.url.startswith(_LOCAL) else self.external.append(one.url))

    def open(self, path: str) -> None:
        """Goes to a path cold and waits until the page has run."""
        self.page.goto(self.base + path)
        self.settled()

    def settled(self) -> None:
        self.page.wait_for_selector(
            '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000
        )
        self.page.wait_for_timeout(700)  # charts are drawn after the script has run
        assert self.page.locator('[data-testid="stException"]').count() == 0


@pytest.fixture(scope="session")
def served(filled: Path) -> Iterator[str]:  # noqa: F811
    """The address of an explorer over the filled catalog."""
    with explorer.serve(filled) as server:
        server.wait_until_healthy()
        yield server.url.rstrip("/")


@pytest.fixture(scope="session")
def crowd_served(crowded: Path) -> Iterator[str]:  # noqa: F811
    """The address of an explorer over the crowded catalog."""
    with explorer.serve(crowded) as server:
        server.wait_until_healthy()
        yield server.url.rstrip("/")


@pytest.fixture
def written(own: sl.Catalog) -> Iterator[str]:  # noqa: F811
    """The address of an explorer over a catalog that the test may write."""
    with explorer.serve(own.path) as server:
        server.wait_until_healthy()
        yield server.url.rstrip("/")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser."""
    if not CHROMIUM.exists() and not os.environ.get("CI"):
        pytest.skip(f"{CHROMIUM} is not there: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, served: str) -> Iterator[Visit]:
    """A fresh window, 1500 x 950, light."""
    context = chromium.new_context(viewport={"width": 1500, "height": 950}, color_scheme="light")
    yield Visit(context.new_page(), served)
    context.close()


@pytest.fixture
def crowd_visit(chromium: Any, crowd_served: str) -> Iterator[Visit]:
    """A fresh window on the crowded catalog, high enough for a whole chart."""
    context = chromium.new_context(viewport={"width": 1500, "height": 1400}, color_scheme="light")
    yield Visit(context.new_page(), crowd_served)
    context.close()
