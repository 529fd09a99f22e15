"""The explorer in Chromium, wall seconds from the request (or the click) to what is drawn, over 10,000 pictures and a
class of 200 subsets. The peers are pages of Streamlit's usual elements over the same rows: an Altair heat map of every
cell above the table of pairs, and a loop of `st.image` in columns.

    python -m tests.benchmarks explorer_pages

A row is the median of three fresh windows; `limit` is what the number should stay below on two idle cores. Without
Chromium there is no row. Other work on the machine slows all rows alike: then read the ratios.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

import shiftlab as sl
from shiftlab import explorer, resources
from tests.browser.conftest import CHROMIUM, FLAGS

_REPEATS = 3
_MOST_SECONDS = 90
_CHARTS = '[data-testid="stEChartsChart"] canvas, [data-testid="stVegaLiteChart"] :is(canvas, svg)'
_SHOWN = 500
_IMAGES = (
    "[...document.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot?.querySelectorAll('img') ?? [])])"
    ".filter(one => one.tagName === 'IMG' && one.complete && one.naturalWidth > 0 && one.width > 20).length"
)
_SCROLL = (
    "(main => main.scrollTop = (main.scrollTop + 900) % Math.max(1, main.scrollHeight - main.clientHeight + 1))"
    "(document.querySelector('[data-testid=stMain]'))"
)
_NAIVE = """
import io, numpy as np, altair as alt, polars as pl, streamlit as st

st.set_page_config(layout="wide")
if st.query_params["show"] == "matrix":
    pairs = pl.read_parquet("pairs.parquet")
    cells = alt.Chart(pairs).mark_rect().encode(x="right_name:N", y="left_name:N", color="value:Q")
    alt.data_transformers.disable_max_rows()
    st.altair_chart(cells.add_params(alt.selection_point(name="cell", fields=["left_name", "right_name"])),
                    key="matrix", on_select="rerun")
    st.dataframe(pairs, key="pairs", on_select="rerun")
else:
    with np.load("pictures.npz") as arrays:
        pictures, ids = arrays["pictures"][:500], arrays["image_id"]
    columns = st.columns(10)
    for number, picture in enumerate(pictures):
        columns[number % 10].image(picture, caption=ids[number], width=96)
st.write("done")
"""


def run() -> list[dict[str, Any]]:
    if not CHROMIUM.exists():
        return []
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        catalog = _catalog(folder)
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        with explorer.serve(catalog.path) as server, _naive(catalog, folder) as peer:
            server.wait_until_healthy()
            own = server.url.rstrip("/")
            _timed(browser, own + "/", _ready)  # imports and the first reading are the server's, not a page's
            _timed(browser, f"{peer}/?show=images", _ready)
            matrix = _median(
                browser, own + "/shift?dataset=squares&class=thing&measure=jensen_shannon", _drawn
            )
            grid = _median(browser, own + f"/items?dataset=fashion&per_page={_SHOWN}", _pictures)
            naive_matrix = _median(browser, f"{peer}/?show=matrix", _drawn)
            naive_images = _median(browser, f"{peer}/?show=images", _pictures)
            rows = [
                _row("first page", _median(browser, own + "/", _ready), 2.0),
                _row("a click on an item answered", _click(browser, own), 1.0),
                _row("matrix of 200 x 200", matrix, 3.0, "Altair heat map and table", naive_matrix),
                _row(f"{_SHOWN} thumbnails", grid, 3.0, "st.image in columns", naive_images),
            ]
        browser.close()
    return rows


def _row(
    what: str, seconds: float, limit: float, peer: str = "", peer_seconds: float | None = None
) -> dict[str, Any]:
    ratio = peer_seconds / seconds if peer_seconds else None
    return {
        "what": what,
        "seconds": seconds,
        "limit": limit,
        "peer": peer,
        "peer_seconds": peer_seconds,
        "ratio": ratio,
    }


def _catalog(folder: Path) -> sl.Catalog:
    data = resources.data("fashion_mnist_t10k")
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(data / "items.parquet", "fashion")
    catalog.ingest_pictures(data / "pictures.npz", "fashion")
    catalog.build_subsets("fashion", "attributes", min_subsets=6)
    rng = np.random.default_rng(0)
    first = rng.integers(0, 200, 12_000)
    ids, names = np.arange(len(first)), np.array([f"place {one:03d}" for one in range(200)])
    tables = [
        names[first],
        names[(first + rng.integers(1, 9, len(first))) % 200],
        np.repeat("thing", len(first)),
    ]
    pl.concat(pl.DataFrame({"image_id": ids, "object": one}) for one in tables).write_parquet(
        folder / "squares.parquet"
    )
    catalog.ingest_images(folder / "squares.parquet", "squares")
    catalog.build_subsets("squares")
    catalog.matrix("jensen_shannon", subject="thing", dataset="squares")
    return catalog


@contextmanager
def _naive(catalog: sl.Catalog, folder: Path) -> Iterator[str]:
    """A server of the usual way over the same rows."""
    pairs = catalog.sql(
        "select left_name, right_name, value from scores union all select right_name, left_name, value from scores",
        limit=100_000,
    ).pl()
    pairs.write_parquet(folder / "pairs.parquet")
    pictures = resources.data("fashion_mnist_t10k") / "pictures.npz"
    (folder / "pictures.npz").write_bytes(pictures.read_bytes())
    (folder / "naive.py").write_text(_NAIVE, encoding="utf-8")
    port = explorer.free_port(8701)
    command = [sys.executable, "-m", "streamlit", "run", "naive.py", "--server.port", str(port), "--server.headless",
               "true", "--server.address", explorer.HOST, "--browser.gatherUsageStats", "false",
               "--server.fileWatcherType", "none"]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        explorer.Server(process, port).wait_until_healthy()
        yield f"http://{explorer.HOST}:{port}"
    finally:
        process.terminate()
        process.wait()


def _median(browser: Any, url: str, ready: Callable[[Any], None]) -> float:
    return statistics.median(_timed(browser, url, ready) for _ in range(_REPEATS))


def _timed(browser: Any, url: str, ready: Callable[[Any], None]) -> float:
    """Seconds from the request in a fresh window until the page is ready."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(url)
    ready(page)
    seconds = time.perf_counter() - started
    context.close()
    return seconds


def _ready(page: Any) -> None:
    page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=_MOST_SECONDS * 1000
    )
    page.wait_for_selector(
        '[data-testid="stMarkdown"], [data-testid="stMetric"]', timeout=_MOST_SECONDS * 1000
    )


def _drawn(page: Any) -> None:
    """Until the first chart shows many colours."""
    _ready(page)
    chart = page.locator(_CHARTS).first
    chart.wait_for(timeout=_MOST_SECONDS * 1000)
    box = chart.bounding_box()
    clip = {**box, "height": min(box["height"], 700)}
    _until(lambda: np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")).std() > 12)


def _pictures(page: Any) -> None:
    """Until every picture is decoded, those beyond the window too, which are scrolled into it."""
    _ready(page)

    def all_decoded() -> bool:
        page.evaluate(_SCROLL)
        return bool(page.evaluate(_IMAGES) >= _SHOWN)

    _until(all_decoded)


def _until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the page was not drawn within {_MOST_SECONDS} s")
        time.sleep(0.02)


def _click(browser: Any, own: str) -> float:
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    page.goto(f"{own}/items?dataset=fashion&object=coat")
    _pictured = page.locator(".tile")
    _pictured.first.wait_for(timeout=60_000)
    found = []
    for number in (3, 7, 11):
        name = _pictured.nth(number).get_attribute("data-id")
        started = time.perf_counter()
        _pictured.nth(number).click()
        page.get_by_role("heading", name=f"Item {name}").wait_for(timeout=60_000)
        found.append(time.perf_counter() - started)
        _ready(page)
    context.close()
    return statistics.median(found)


if __name__ == "__main__":
    for row in run():
        print(row)
