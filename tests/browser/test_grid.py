"""Grids of pictures by mouse and by keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.test_explorer import address

pytestmark = pytest.mark.browser


def focused(visit: Visit) -> Any:
    """The id of the tile that has the focus."""
    return visit.page.evaluate(
        "(() => { let one = document.activeElement; while (one?.shadowRoot) one = one.shadowRoot.activeElement;"
        " return one?.dataset.id ?? null })()"
    )


def test_a_click_chooses_and_a_cold_link_shows_the_choice(visit: Visit) -> None:
    visit.open("/items?dataset=pets&object=sofa")
    tiles = visit.page.locator(".tile")
    assert tiles.count() == 50
    tiles.nth(7).click()
    visit.page.wait_for_url("**item=*", timeout=20_000)
    visit.settled()
    (chosen,) = address(visit)["item"]
    assert chosen == tiles.nth(7).get_attribute("data-id")
    visit.page.reload()
    visit.settled()
    visit.page.get_by_role("heading", name=f"Item {chosen}").wait_for(timeout=20_000)
    pressed = visit.page.locator('.tile[aria-pressed="true"]')
    assert pressed.count() == 1
    assert pressed.get_attribute("data-id") == chosen
    widths = visit.page.evaluate(
        "[...document.querySelectorAll('*')].map(one => one.shadowRoot?.querySelectorAll('.tile img'))"
        ".filter(Boolean).flatMap(all => [...all]).map(one => one.naturalWidth)"
    )
    assert widths
    assert set(widths) == {12}  # every picture is decoded


def test_arrows_move_and_enter_chooses(visit: Visit) -> None:
    visit.open("/items?dataset=pets&object=sofa")
    tiles = visit.page.locator(".tile")
    tops = [tiles.nth(k).bounding_box() for k in range(12)]
    row = next(k for k in range(1, 12) if tops[k]["y"] > tops[0]["y"])  # type: ignore[index]
    tiles.first.focus()
    visit.page.keyboard.press("ArrowRight")
    assert focused(visit) == tiles.nth(1).get_attribute("data-id")
    visit.page.keyboard.press("ArrowDown")
    assert focused(visit) == tiles.nth(row + 1).get_attribute("data-id")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**item=*", timeout=20_000)
    visit.settled()
    assert address(visit)["item"] == [tiles.nth(row + 1).get_attribute("data-id")]
    assert focused(visit) == tiles.nth(row + 1).get_attribute("data-id")  # the redraw keeps the place
    visit.page.keyboard.press("End")
    assert focused(visit) == tiles.nth(49).get_attribute("data-id")
    visit.page.keyboard.press("ArrowUp")
    visit.page.keyboard.press("Home")
    assert focused(visit) == tiles.first.get_attribute("data-id")


def test_a_picture_leads_from_pair_to_item_and_back(visit: Visit) -> None:
    visit.open("/pair?dataset=pets&left=cat(bed)&right=cat(sofa)")
    tile = visit.page.locator(".tile").first
    name = tile.get_attribute("data-id")
    tile.click()
    visit.page.wait_for_url("**/items?*", timeout=20_000)
    visit.settled()
    assert address(visit)["item"] == [name]
    visit.page.get_by_role("heading", name=f"Item {name}").wait_for(timeout=20_000)
    visit.page.go_back()
    visit.page.wait_for_url("**/pair?*", timeout=20_000)
