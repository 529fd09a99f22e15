"""What only a browser shows: clicks on canvases, the address bar, reloads, and that nothing leaves the machine."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import shiftlab as sl
from tests.browser.conftest import Visit
from tests.conftest import Cli

pytestmark = pytest.mark.browser
STREAMLITS_OWN = {"list", "listitem", "color-contrast"}  # its navigation, captions and code highlighting
LINKS = {
    "/": "Findings",
    "/subsets?dataset=pets&class=cat&subset=cat(bed)": "cat(bed)",
    "/items?dataset=pets&object=cat&item=1": "Item 1",
    "/shift?dataset=pets&class=cat&measure=jensen_shannon&order=cluster&upper=interval_width": "Upper triangle: interval",
    "/shift?dataset=pets&class=cat&measure=jensen_shannon&view=map&chosen=cat(bed)": "1 of 8 selected",
    "/pair?dataset=pets&left=cat(bed)&right=cat(sofa)": "What differs",
    "/measures?name=mmd": "Use it when",
    "/sql?q=select%20name%20from%20subsets%20where%20n%20%3E%2060": "rows",
    "/runs?run=1": "Run 1",
    "/filters?view=drift": "not computed",
    "/episodes?episode=7": "Episode 7",
}


def address(visit: Visit) -> dict[str, list[str]]:
    return parse_qs(urlsplit(visit.page.url).query)


def test_cold_links_show_their_state_and_ask_no_other_machine(visit: Visit) -> None:
    for path, told in LINKS.items():
        visit.open(path)
        visit.page.get_by_text(told).first.wait_for(timeout=20_000)
    assert visit.external == []


def test_matrix_cell_goes_to_the_address_and_survives_a_reload(visit: Visit) -> None:
    visit.open("/shift?dataset=pets&class=cat&measure=jensen_shannon")
    box = visit.page.locator('[data-testid="stVegaLiteChart"] canvas').first.bounding_box()
    assert box is not None
    visit.page.mouse.click(box["x"] + 0.62 * box["width"], box["y"] + 0.62 * box["height"])
    visit.page.wait_for_url("**left=*", timeout=20_000)
    visit.settled()
    chosen = address(visit)
    visit.page.get_by_text("Look into this pair").first.wait_for(timeout=20_000)
    visit.settled()
    values = [one.strip() for one in visit.page.locator('[data-testid="stMetricValue"]').all_inner_texts()]
    visit.page.reload()
    visit.settled()
    assert address(visit) == chosen
    for value in values:
        visit.page.get_by_text(value, exact=True).first.wait_for(timeout=20_000)
    visit.page.get_by_text("Look into this pair").first.click()
    visit.page.wait_for_url("**/pair?*", timeout=20_000)
    visit.settled()
    assert (address(visit)["left"], address(visit)["right"]) == (chosen["left"], chosen["right"])
    visit.page.go_back()
    visit.page.wait_for_url("**/shift?*", timeout=20_000)
    assert address(visit)["left"] == chosen["left"]


def test_map_and_its_table_select_the_same_subsets(visit: Visit) -> None:
    visit.open("/shift?dataset=pets&class=cat&measure=jensen_shannon&view=map")
    canvas = visit.page.locator('[data-testid="stVegaLiteChart"] canvas').first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    mouse = visit.page.mouse
    mouse.move(box["x"] + 0.05 * box["width"], box["y"] + 0.16 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"], steps=8)
    mouse.up()
    visit.page.wait_for_url("**chosen=*", timeout=20_000)
    visit.settled()
    brushed = address(visit)["chosen"]
    assert len(brushed) > 2
    visit.page.get_by_text(f"{len(brushed)} of 8 selected").wait_for(timeout=20_000)
    table = visit.page.locator('[data-testid="stDataFrame"]').first
    table.scroll_into_view_if_needed()
    place = table.bounding_box()
    assert place is not None
    mouse.click(place["x"] + 18, place["y"] + 1.5 * 35)  # takes the first row out
    visit.page.get_by_text(f"{len(brushed) - 1} of 8 selected").wait_for(timeout=20_000)
    visit.settled()
    assert address(visit)["chosen"] == sorted(brushed)[1:]
    visit.page.reload()
    visit.page.get_by_text(f"{len(brushed) - 1} of 8 selected").wait_for(timeout=20_000)
    visit.settled()
    visit.page.get_by_text("Clear", exact=True).click()
    visit.page.get_by_text("0 of 8 selected").wait_for(timeout=20_000)
    assert "chosen" not in address(visit)


def test_a_node_and_a_row_choose_a_subset(visit: Visit) -> None:
    visit.open("/subsets?dataset=pets&class=cat")
    canvas = visit.page.locator('[data-testid="stEChartsChart"] canvas').first
    box = canvas.bounding_box()
    assert box is not None
    for x, y in nodes(visit, box):
        visit.page.mouse.click(x, y)
        visit.page.wait_for_timeout(900)
        if "subset=" in visit.page.url:
            break
    first = address(visit)["subset"][0]
    visit.settled()
    visit.page.get_by_role("heading", name=first).wait_for(timeout=20_000)


def nodes(visit: Visit, box: dict[str, Any]) -> list[tuple[float, float]]:
    """Places on the canvas that are coloured like a node, from the screenshot of it."""
    import io

    import numpy as np
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(visit.page.screenshot(clip=box))).convert("RGB")).astype(int)
    body = picture[: int(0.9 * len(picture))]
    solid = (body.max(axis=2) - body.min(axis=2)) > 110
    whole = solid[4:-4, 4:-4] & solid[8:, 8:] & solid[:-8, :-8] & solid[8:, :-8] & solid[:-8, 8:]
    rows, columns = np.nonzero(whole)
    step = max(1, len(rows) // 12)
    picked = zip(rows[::step].tolist(), columns[::step].tolist(), strict=True)
    return [(box["x"] + 4 + column, box["y"] + 4 + row) for row, column in picked]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1500])
def test_themes_and_widths_show_something(chromium: Any, served: str, scheme: str, width: int) -> None:
    import io

    import numpy as np
    from PIL import Image

    context = chromium.new_context(viewport={"width": width, "height": 950}, color_scheme=scheme)
    visit = Visit(context.new_page(), served)
    visit.open("/pair?dataset=pets&left=cat(bed)&right=cat(sofa)")
    visit.page.wait_for_timeout(1000)
    picture = np.asarray(Image.open(io.BytesIO(visit.page.screenshot())).convert("L")).astype(float)
    assert (np.median(picture) < 80) == (scheme == "dark")
    assert picture.std() > 8
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1500])
def test_every_page_fits_the_window_in_both_themes(
    chromium: Any, served: str, scheme: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 950}, color_scheme=scheme)
    visit = Visit(context.new_page(), served)
    for path, told in LINKS.items():
        visit.open(path)
        assert visit.page.get_by_text(told).count(), path
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert visit.external == []
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_rules_hold_beyond_those_that_streamlit_itself_breaks(
    chromium: Any, served: str, scheme: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    ).Axe()
    context = chromium.new_context(viewport={"width": 1500, "height": 950}, color_scheme=scheme)
    visit = Visit(context.new_page(), served)
    for path in LINKS:
        visit.open(path)
        broken = {one["id"]: one["nodes"][0]["html"] for one in axe.run(visit.page).response["violations"]}
        assert set(broken) <= STREAMLITS_OWN, (path, broken)
    context.close()


def test_sql_runs_with_the_keyboard_and_downloads(visit: Visit) -> None:
    visit.open("/sql")
    box = visit.page.get_by_role("textbox", name="SQL")
    box.fill("select name, n from subsets where n > 60 and class = 'cat'")
    box.press("Control+Enter")
    visit.page.wait_for_url("**q=select*", timeout=20_000)
    visit.settled()
    with visit.page.expect_download(timeout=20_000) as caught:
        visit.page.get_by_text("CSV", exact=True).first.click()
    assert "cat(lamp),86" in caught.value.path().read_text(encoding="utf-8")


def test_a_figure_downloads_as_png(visit: Visit) -> None:
    visit.open("/pair?dataset=pets&left=cat(bed)&right=cat(sofa)")
    visit.page.get_by_text("Export figure").first.click()
    with visit.page.expect_download(timeout=30_000) as caught:
        visit.page.get_by_text("PNG", exact=True).first.click()
    assert caught.value.path().read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "button", "start"),
    [
        ("/subsets?dataset=pets&class=cat", "Parquet", b"PAR1"),
        ("/subsets?dataset=pets&class=cat", "HTML report", b"<!doctype html>"),
        ("/shift?dataset=pets&class=cat&measure=jensen_shannon", "HTML report", b"<!doctype html>"),
        ("/pair?dataset=pets&left=cat(bed)&right=cat(sofa)", "HTML report", b"<!doctype html>"),
    ],
)
def test_downloads(visit: Visit, path: str, button: str, start: bytes) -> None:
    visit.open(path)
    with visit.page.expect_download(timeout=60_000) as caught:
        visit.page.get_by_text(button, exact=True).first.click()
    content = caught.value.path().read_bytes()
    assert content.startswith(start)
    assert len(content) < 5_000_000


def test_pages_stay_fresh_and_whole_while_the_command_line_writes(
    chromium: Any, written: str, own: sl.Catalog, cli: Cli
) -> None:
    context = chromium.new_context()
    visit = Visit(context.new_page(), written)

    def scores() -> int:
        visit.open("/")
        assert visit.page.locator('[data-testid="stAlert"]').count() == 0
        box = visit.page.locator('[data-testid="stMetric"]', has_text="Scores")
        return int(box.locator('[data-testid="stMetricValue"]').inner_text().replace(",", ""))

    seen = [scores()]
    writer = threading.Thread(
        target=lambda: [
            cli(
                "--catalog",
                own.path,
                "shift",
                "matrix",
                "--class",
                "cat",
                "--dataset",
                "pets",
                "--measure",
                one,
            )
            for one in ("hellinger", "total_variation", "bhattacharyya")
        ]
    )
    writer.start()
    while writer.is_alive():
        seen.append(scores())
    writer.join()
    seen.append(scores())
    stored = own.sql("select count(*) from score").rows()[0][0]
    assert seen == sorted(seen)
    assert seen[-1] == stored > seen[0]
    context.close()
