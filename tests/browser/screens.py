"""Takes the pictures of the pages: those of docs/screens, or every page to be looked at.

python tests/browser/screens.py          writes docs/screens/*.png
python tests/browser/screens.py FOLDER   every page there, in three widths, light and dark
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from browser_pages import FLAGS, Server, browser_path, wait

SCREENS = Path(__file__).parents[2] / "docs" / "screens"
WIDTHS = (360, 820, 1280)
THEMES = ("light", "dark")
TALLEST = 6000
CARD = "model=qwen3-30b-a3b&machine=rtx-4090"
MAC = "model=llama-3.3-70b&machine=m4-max-40-core-gpu+64gb&quant=Q6_K"
TWO = "model=llama-3.3-70b&machine=rtx-3090&cards=2&quant=Q5_K_M"
BUY = "model=llama-3.1-8b&machine=rtx-4090&api=openai/gpt-5-mini&tokensin=20000000"


class Shot(NamedTuple):
    """One picture; `tab` is opened first, `height` cuts it off."""

    name: str
    address: str
    width: int
    theme: str
    tab: str = ""
    height: int = TALLEST


DOCUMENTED = (
    Shot("fit", f"?{CARD}", 820, "light", height=1420),
    Shot("fit-phone", f"?{TWO}", 360, "dark", height=1420),
    Shot("runs", "runs?machine=rtx-4090", 820, "light", height=1000),
    Shot("explore", f"explore?{CARD}", 820, "light", height=1100),
    Shot("cloud", f"cloud?{BUY}", 820, "light", height=1700),
    Shot("learn", f"learn?{CARD}", 820, "light", height=1100),
    Shot("method", f"method?{CARD}", 820, "dark", height=1000),
)
PAGES = (
    ("fit", f"?{CARD}", ""),
    ("mac", f"?{MAC}", ""),
    ("two", f"?{TWO}", ""),
    ("runs", "runs?machine=rtx-4090", ""),
    ("explore", f"explore?{CARD}", ""),
    ("quality", f"explore?{CARD}", "Quality"),
    ("machines", f"explore?{CARD}", "Two machines"),
    ("serving", f"explore?{CARD}&view=Serving", ""),
    ("cloud", f"cloud?{BUY}", ""),
    ("learn", f"learn?{CARD}", ""),
    ("method", f"method?{CARD}", ""),
)


def take(browser: Any, url: str, shot: Shot, folder: Path) -> None:  # noqa: ANN401 - playwright's
    """Take one picture of a page that has said and drawn everything."""
    view = {"width": shot.width, "height": 900}
    context = browser.new_context(viewport=view, color_scheme=shot.theme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(url + shot.address)
    wait(page)
    if shot.tab:
        page.get_by_role("tab", name=shot.tab).click()
        page.wait_for_timeout(500)
        wait(page)
    whole = page.locator('[data-testid="stMain"]').evaluate("element => element.scrollHeight")
    page.set_viewport_size({"width": shot.width, "height": min(int(whole), shot.height)})
    page.wait_for_timeout(1500)  # charts are drawn anew
    page.screenshot(path=str(folder / f"{shot.name}.png"))
    context.close()


def main(arguments: list[str]) -> None:
    """Take every picture that was asked for."""
    from playwright.sync_api import sync_playwright

    folder, shots = SCREENS, DOCUMENTED
    if arguments:
        folder = Path(arguments[0])
        shots = tuple(
            Shot(f"{name}-{width}-{theme}", address, width, theme, tab)
            for (name, address, tab), width, theme in product(PAGES, WIDTHS, THEMES)
        )
    folder.mkdir(parents=True, exist_ok=True)
    server = Server()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
            for shot in shots:
                take(browser, server.url, shot, folder)
    finally:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
