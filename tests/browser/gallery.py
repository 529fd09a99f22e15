"""The pictures of the README's gallery: ``python -m tests.browser.gallery [DEMO]``.

Builds the demo catalog (in a folder that is thrown away, unless one is named), opens six views of it in Chromium and
writes them to docs/gallery as PNGs of few colours, so that they stay small.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from shiftlab import demo, explorer
from tests.browser.conftest import CHROMIUM, FLAGS, Visit

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
MOST_BYTES = 150_000
_SIZE = {"width": 1360, "height": 860}
# File -> theme, link, and the text that is brought to the top of the window (the top of the page where there is none).
SHOTS = {
    "home": ("light", "/", ""),
    "subsets": ("light", "/subsets?dataset=coco&class=cat&subset=cat(bed)", "Dataset"),
    "items": ("dark", "/items?dataset=fashion&object=coat&item=00006", "Dataset"),
    "matrix": ("light", "/shift?dataset=coco&class=cat&measure=sliced_wasserstein&order=cluster", "View"),
    "pair": ("light", "/pair?dataset=fashion&left=coat(narrow)&right=coat(wide)&why=flows",
             "What differs: in a vector space"),
    "episodes": ("dark", "/episodes?dataset=adroit_door&metric=action_variance_loo&episode=9", "Dataset"),
}  # fmt: skip


def main(arguments: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        catalog = demo.build(arguments[0] if arguments else f"{folder}/demo")
        with explorer.serve(catalog.path) as server, sync_playwright() as playwright:
            server.wait_until_healthy()
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
            for name, (scheme, path, top) in SHOTS.items():
                context = browser.new_context(viewport=_SIZE, color_scheme=scheme)  # type: ignore[arg-type]
                visit = Visit(context.new_page(), server.url.rstrip("/"))
                visit.open(path)
                _scroll(visit.page, top)
                content = _small(visit.page.screenshot())
                (FOLDER / f"{name}.png").write_bytes(content)
                print(f"{name}.png: {len(content):,} bytes")
                context.close()
            browser.close()


def _scroll(page: Page, top: str) -> None:
    if top:
        page.get_by_text(top, exact=True).first.evaluate("one => one.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(2500)  # charts are drawn after the script has run


def _small(content: bytes) -> bytes:
    """The picture in the most colours that keep it below `MOST_BYTES`."""
    with Image.open(io.BytesIO(content)) as picture:
        for colours in (256, 128, 64, 32, 16):
            out = io.BytesIO()
            picture.convert("RGB").quantize(colours).save(out, "PNG", optimize=True)
            if out.tell() <= MOST_BYTES:
                break
    return out.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
