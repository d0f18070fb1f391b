"""What only a browser can show: the keyboard, the phone, the height of a line, the colours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser_pages import WAIT_MS, Server, wait
from page_parts import CHART, MACHINE, SETTLED_MS, address, chart_labels, has_value, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.browser

PHONE = 360
PAGES = ("", "runs", "explore", "cloud", "learn", "method")
SERVING = "explore?view=Serving&"
RULE_PIXELS = 30
CONTRAST = 4.5
AT_COPY = """document.activeElement.matches('[data-testid="stCode"] button')"""
ALERT = '[data-testid="stAlert"]'


def test_the_verdict_stands_before_any_chart(opened: Callable[..., Any]) -> None:
    page = opened(f"?{MACHINE}")
    assert re.search(r"Fits, \d+\.\d GiB to spare", verdict(page).inner_text())
    page.wait_for_selector(f"{CHART} svg.marks")
    order = page.evaluate(
        """() => {
          const alert = document.querySelector('[data-testid="stAlert"]');
          const chart = document.querySelector('[data-testid="stVegaLiteChart"]');
          return alert.compareDocumentPosition(chart) & Node.DOCUMENT_POSITION_FOLLOWING;
        }"""
    )
    assert order


@pytest.mark.parametrize("machine", ["rtx-4090", "2x rtx-3090 + 64gb", "m4-pro 48gb"])
@pytest.mark.parametrize("width", [PHONE, 1280])
def test_the_capacity_has_a_line_of_real_height(
    opened: Callable[..., Any], machine: str, width: int
) -> None:
    page = opened(f"?machine={machine.replace('+', '%2B')}", width=width)
    page.wait_for_selector('[data-testid="stVegaLiteChart"] svg .mark-rect.role-mark path')
    heights = page.evaluate(
        """() => [...document.querySelectorAll(
          '[data-testid="stVegaLiteChart"] svg .mark-rect.role-mark path[aria-roledescription=tick]'
        )].map(mark => mark.getBoundingClientRect().height)"""
    )
    assert heights
    assert min(heights) >= RULE_PIXELS


@pytest.mark.parametrize(("width", "height"), [(PHONE, 740), (1440, 900)])
@pytest.mark.parametrize("screen", ["", "runs"])
def test_the_answer_of_a_first_visit_stands_in_the_first_screen(
    opened: Callable[..., Any], screen: str, width: int, height: int
) -> None:
    page = opened(screen, width=width)
    page.set_viewport_size({"width": width, "height": height})
    verdict(page).wait_for()
    # while styles and letters come in it may stand lower for a moment
    above = f"document.querySelector('{ALERT}').getBoundingClientRect().bottom <= {height}"
    page.wait_for_function(above, timeout=SETTLED_MS)


@pytest.mark.parametrize("screen", [*(f"{page}?" for page in PAGES), SERVING])
def test_a_phone_needs_no_sideways_scroll(opened: Callable[..., Any], screen: str) -> None:
    page = opened(f"{screen}machine=m2+16gb", width=PHONE)
    # while charts and tables are laid out they may be wider for a moment
    for place in ("html", '[data-testid="stMain"]'):
        narrow = f"document.querySelector('{place}').scrollWidth <= {PHONE}"
        page.wait_for_function(narrow, timeout=SETTLED_MS)


def test_the_cheaper_way_stands_before_the_chart_which_says_so_too(
    opened: Callable[..., Any],
) -> None:
    page = opened(f"cloud?{MACHINE}&api=openai%2Fgpt-5")
    assert "tokens a day the machine has paid for itself" in verdict(page).inner_text()
    page.wait_for_selector(f"{CHART} svg.marks")
    assert any("It breaks even with the API after" in label for label in chart_labels(page))
    legend = page.locator(f"{CHART} svg .role-legend-label text").all_text_contents()
    assert legend == ["this machine", "the API", "the rented GPU"]


def test_the_keyboard_leads_from_the_model_to_the_copied_command(
    opened: Callable[..., Any],
) -> None:
    page = opened(f"?{MACHINE}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("combobox").first.focus()
    page.keyboard.type("qwen3-8b")
    page.get_by_role("option", name="qwen3-8b", exact=True).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**model=qwen3-8b**")
    wait(page)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(AT_COPY):
            break
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("llama-server -m qwen3-8b-")


def test_the_button_that_copies_a_command_is_seen_without_a_pointer(
    opened: Callable[..., Any],
) -> None:
    page = opened("?machine=m4-pro+24gb", width=PHONE, has_touch=True, is_mobile=True)
    commands = page.locator('[data-testid="stCode"]:visible')
    commands.nth(1).wait_for()  # what raises the GPU's limit, and what starts the model
    for command in commands.all():
        button = command.get_by_role("button", name="Copy to clipboard")
        button.scroll_into_view_if_needed()
        seen = "button => button.checkVisibility({opacityProperty: true, visibilityProperty: true})"
        assert button.evaluate(seen)
        beside = """button => {
          const words = document.createRange();
          words.selectNodeContents(button.closest('[data-testid="stCode"]').querySelector('code'));
          const left = button.getBoundingClientRect().left;
          return [...words.getClientRects()].every(line => line.right <= left);
        }"""
        assert button.evaluate(beside)


HOSTILE = [
    "%3Cimg+src%3Dx+onerror%3D%22window.hit%3D1%22%3E",
    "%5Bclick%5D(javascript:window.hit=1)",
    "![x](https://evil.example/a.png)",
    "%3Cscript%3Ewindow.hit%3D1%3C%2Fscript%3E",
    "https://evil.example/model.gguf",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert(opened: Callable[..., Any], name: str) -> None:
    page = opened(f"?model={name}&machine=64gb")
    assert "unknown model" in verdict(page).inner_text()
    assert page.evaluate("window.hit") is None
    assert page.locator(f"{ALERT} a, {ALERT} img").count() == 0


CONTRASTS = (Path(__file__).parent / "contrast.js").read_text("utf-8")


def test_the_words_stay_hidden_on_the_next_visit(opened: Callable[..., Any]) -> None:
    page = opened(f"?{MACHINE}")
    words = page.get_by_text("the numbers the model learned")
    assert words.count() == 1
    page.get_by_text("New to this? Five words").click()
    words.wait_for(state="detached")
    page.wait_for_function("document.cookie.includes('whatfits_words=hidden')")
    page.reload()
    wait(page)
    assert words.count() == 0
    assert address(page) == {"machine": "rtx-4090"}
    page.get_by_text("New to this? Five words").click()
    words.wait_for()
    page.wait_for_function("document.cookie.includes('whatfits_words=shown')")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "asked",
    [
        f"?{MACHINE}",
        "?machine=m4-pro+24gb",
        "?model=llama-3.3-70b&machine=rtx-3090&cards=2&context=64k",
        f"cloud?{MACHINE}&api=openai%2Fgpt-5",
        f"{SERVING}{MACHINE}",
    ],
)
def test_words_can_be_read(opened: Callable[..., Any], theme: str, asked: str) -> None:
    page = opened(asked, theme=theme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 50
    assert [(text, ratio) for text, ratio in found if ratio < CONTRAST] == []


def test_a_chart_says_its_conclusion(opened: Callable[..., Any]) -> None:
    page = opened(f"?{MACHINE}")
    page.wait_for_selector(f"{CHART} svg.marks")
    labels = chart_labels(page)
    assert any("GiB needed of" in label and "to spare" in label for label in labels)


def test_a_public_server_shows_a_card_and_not_itself(browser: Any) -> None:  # noqa: ANN401 - same
    server = Server("--public")
    try:
        page = browser.new_context().new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(server.url)
        wait(page)
        has_value(page.get_by_role("combobox", name="Machine"), "rtx-4090")
        assert "this computer" not in page.inner_text("body")
        page.goto(f"{server.url}?machine=this+computer")
        wait(page)
        assert "not shown" in verdict(page).inner_text()
    finally:
        server.stop()
