"""A view is saved on its page, listed on Home, opened from there and by its link, replaced and deleted."""

from __future__ import annotations

from typing import Any

import pytest

import shiftlab as sl
from shiftlab import saved_views
from tests.browser.conftest import Visit
from tests.browser.test_explorer import address

pytestmark = pytest.mark.browser
NAME = "Beds & *lamps*"
WHERE = "list_contains(objects, 'lamp')"


def save(visit: Visit, name: str, note: str = "") -> None:
    visit.page.get_by_text("Save this view").click()
    visit.page.get_by_role("textbox", name="Name").fill(name)
    visit.page.get_by_role("textbox", name="Note").fill(note)
    visit.page.get_by_role("button", name="Save", exact=True).click()
    visit.settled()


def test_a_view_is_saved_listed_and_opened_cold(chromium: Any, written: str, own: sl.Catalog) -> None:
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    visit = Visit(context.new_page(), written)
    visit.open("/items?dataset=pets&subset=cat(bed)&view=table&item=1")
    box = visit.page.get_by_role("textbox", name="Filter by a SQL predicate")
    box.fill(WHERE)
    box.press("Enter")
    visit.page.wait_for_url("**where=*", timeout=20_000)
    visit.settled()
    save(visit, NAME, "are they lit?")
    visit.page.get_by_text(f"Saved as {NAME}").wait_for(timeout=20_000)
    context.close()

    context = chromium.new_context(
        viewport={"width": 1500, "height": 950}
    )  # another window, without its state
    visit = Visit(context.new_page(), written)
    visit.open("/")
    visit.page.get_by_text("are they lit?").wait_for(timeout=20_000)
    visit.page.get_by_role("link", name=NAME).click()
    visit.page.wait_for_url("**/items?*", timeout=20_000)
    visit.settled()
    visit.page.get_by_role("heading", name="Item 1", exact=True).wait_for(timeout=20_000)
    assert visit.page.get_by_role("textbox", name="Filter by a SQL predicate").input_value() == WHERE
    assert address(visit)["subset"] == ["cat(bed)"]

    save(visit, NAME, "again")
    visit.page.get_by_text("There is a view called").wait_for(timeout=20_000)
    visit.page.get_by_role("button", name="Replace").click()
    visit.page.get_by_text(f"Saved as {NAME}").wait_for(timeout=20_000)
    assert [one.note for one in saved_views.listed(own.path)] == ["again"]

    (view,) = saved_views.listed(own.path)
    visit.open(f"/{view.page}?{view.query}")
    visit.page.get_by_role("heading", name="Item 1", exact=True).wait_for(timeout=20_000)
    visit.open("/")
    visit.page.get_by_text("Delete", exact=True).click()
    visit.page.get_by_role("button", name="Delete it").click()
    visit.page.get_by_text("None yet.").wait_for(timeout=20_000)
    assert saved_views.listed(own.path) == []
    assert visit.external == []
    context.close()
