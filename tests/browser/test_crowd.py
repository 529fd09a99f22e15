"""Classes of more subsets than a chart holds well: the large matrix with its tree, the meta-graph of communities."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import Visit
from tests.browser.test_explorer import address, nodes

pytestmark = pytest.mark.browser


def chart(visit: Visit) -> dict[str, Any]:
    """The place of the chart in the window, when it is drawn."""
    canvas = visit.page.locator('[data-testid="stEChartsChart"] canvas').first
    canvas.wait_for(timeout=20_000)
    visit.page.wait_for_timeout(1500)
    box = canvas.bounding_box()
    assert box is not None
    return dict(box)


def click(visit: Visit, box: dict[str, Any], x: float, y: float) -> None:
    """Clicks at a part of the chart's width and height."""
    visit.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_a_large_matrix_has_its_tree_with_a_line_for_each_subset(crowd_visit: Visit) -> None:
    crowd_visit.open("/shift?dataset=crowd&class=thing&measure=mmd&order=cluster")
    box = chart(crowd_visit)
    picture = np.asarray(Image.open(io.BytesIO(crowd_visit.page.screenshot(clip=box))).convert("L")).astype(
        int
    )
    leaves = picture[97, 110:-20] < 230  # just above the lower end of the tree
    assert 110 <= np.count_nonzero(np.diff(leaves.astype(int)) == 1) <= 120


def test_clicks_in_both_triangles_of_a_large_matrix_choose_the_pair(crowd_visit: Visit) -> None:
    crowd_visit.open("/shift?dataset=crowd&class=thing&measure=mmd&order=cluster&upper=q")
    box = chart(crowd_visit)
    seen = []
    for x, y in ((0.75, 0.3), (0.35, 0.6), (0.8, 0.35)):
        click(crowd_visit, box, x, y)
        crowd_visit.page.wait_for_timeout(2500)
        crowd_visit.settled()
        crowd_visit.page.get_by_text("Look into this pair").first.wait_for(timeout=20_000)
        seen.append((*address(crowd_visit)["left"], *address(crowd_visit)["right"]))
    assert len(set(seen)) == 3
    crowd_visit.page.get_by_text("Look into this pair").first.click()
    crowd_visit.page.wait_for_url("**/pair?*", timeout=20_000)
    assert (*address(crowd_visit)["left"], *address(crowd_visit)["right"]) == seen[-1]


def test_a_click_on_a_community_narrows_the_meta_graph_to_it(crowd_visit: Visit) -> None:
    crowd_visit.open("/subsets?dataset=crowd&class=stuff")
    for x, y in nodes(crowd_visit, chart(crowd_visit)):
        crowd_visit.page.mouse.click(x, y)
        crowd_visit.page.wait_for_timeout(900)
        if "community=" in crowd_visit.page.url:
            break
    (picked,) = address(crowd_visit)["community"]
    crowd_visit.settled()
    crowd_visit.page.get_by_text("10 subsets, 9 edges, 1 community").wait_for(timeout=20_000)
    crowd_visit.page.reload()
    crowd_visit.settled()
    assert address(crowd_visit)["community"] == [picked]
    crowd_visit.page.get_by_text("10 subsets, 9 edges, 1 community").wait_for(timeout=20_000)


def test_the_report_of_a_large_class_is_one_small_file_that_loads_nothing(crowd_visit: Visit) -> None:
    crowd_visit.open("/subsets?dataset=crowd&class=stuff")
    with crowd_visit.page.expect_download(timeout=90_000) as caught:
        crowd_visit.page.get_by_text("HTML report", exact=True).click()
    text = caught.value.path().read_text(encoding="utf-8")
    assert len(text) < 5_000_000
    assert "drawn as 31 communities" in text
    assert "Heat map of the overlaps of 310 subsets" in text
    assert text.count("<td>stuff(place ") == 310
    assert "subsets graph stuff" in text
    assert not any(loads in text for loads in ("<script", 'src="http', "<link", "@import", "url(http"))
