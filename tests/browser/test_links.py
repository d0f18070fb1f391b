"""What is asked is in the address: a link restores it, and leads on with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from browser_pages import wait
from page_parts import MACHINE, address, has_value, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.browser

LINK = {
    "model": "qwen3-8b",
    "machine": "rtx-3090",
    "cards": "2",
    "ram": "64gb",
    "quant": "Q5_K_M",
    "context": "16k",
    "runtime": "ollama",
    "kv": "q8_0",
    "users": "3",
    "flash": "on",
    "ubatch": "256",
    "prompt": "1000",
    "draft": "qwen3-0.6b",
    "layers": "30",
    "reserve": "2048",
    "share1": "3",
    "share2": "1",
    "idle": "true",
}


def test_a_link_restores_every_input_and_stays_as_it_is(opened: Callable[..., Any]) -> None:
    page = opened("?" + "&".join(f"{key}={value}" for key, value in LINK.items()))
    assert address(page) == LINK
    page.reload()
    wait(page)
    assert address(page) == LINK
    page.get_by_text("More: users, cache, placement, runtime").click()
    has_value(page.get_by_role("spinbutton", name="Users at once"), "3")
    has_value(page.get_by_role("spinbutton", name="Share of cuda0 (GeForce RTX 3090)"), "3")
    has_value(page.get_by_role("spinbutton", name="Share of cuda1 (GeForce RTX 3090)"), "1")
    has_value(page.get_by_role("spinbutton", name="Layers on the GPU"), "30")


CLOUD_LINK = {
    "model": "qwen3-8b",
    "machine": "rtx-3090",
    "tokensin": "3000000",
    "tokensout": "500000",
    "cached": "40",
    "api": "openai/gpt-5",
    "rent": "nvidia-geforce-rtx-4090 + 32gb",
    "buy": "900",
    "life": "5",
    "region": "germany",
    "kwh": "0.31",
    "hours": "12",
    "days": "5",
    "idlewatts": "60",
    "loadwatts": "350",
    "resale": "20",
    "pricespread": "10",
    "usespread": "30",
}
SERVING_LINK = {
    "view": "Serving",
    "machine": "rtx-3090",
    "server": "vllm",
    "clients": "16",
    "prompt": "1000",
    "output": "100",
    "prefix": "200",
    "think": "5",
    "ttft": "3",
    "minspeed": "10",
}


@pytest.mark.parametrize(
    ("screen", "link", "field", "value"),
    [
        ("cloud", CLOUD_LINK, "Tokens read a day", "3000000"),
        ("explore", SERVING_LINK, "Users of the server", "16"),
    ],
)
def test_a_link_restores_every_input_of_costs_and_of_serving(
    opened: Callable[..., Any], screen: str, link: dict[str, str], field: str, value: str
) -> None:
    page = opened(f"{screen}?{urlencode(link)}")
    assert address(page) == link
    page.reload()
    wait(page)
    assert address(page) == link
    has_value(page.get_by_role("spinbutton", name=field), value)


def test_what_is_chosen_is_in_the_address(opened: Callable[..., Any]) -> None:
    page = opened(f"?{MACHINE}")
    page.get_by_role("combobox", name="Quantisation").click()
    page.get_by_role("option", name="Q6_K").click()
    page.wait_for_url("**quant=Q6_K**")
    wait(page)
    page.get_by_role("slider").press("ArrowRight")
    page.wait_for_url("**context=16k**")
    assert address(page) == {"machine": "rtx-4090", "quant": "Q6_K", "context": "16k"}


def test_a_link_to_another_page_keeps_the_state(opened: Callable[..., Any]) -> None:
    page = opened(f"?{MACHINE}&model=qwen3-8b")
    page.get_by_role("link", name="Explore").click()
    page.get_by_role("heading", level=1, name="Explore").wait_for()
    wait(page)
    has_value(page.get_by_role("combobox").first, "qwen3-8b")


def test_a_row_of_the_ranking_opens_its_answer(opened: Callable[..., Any]) -> None:
    page = opened("runs?machine=m2+8gb&use=embedding&context=1k")
    link = page.locator("table a").first
    href = link.get_attribute("href")
    assert href is not None
    query = parse_qs(urlsplit(href).query)
    assert query["model"] == [link.inner_text()]
    assert query["machine"] == ["m2 8gb"]
    with page.context.expect_page() as fresh:
        link.click()
    page = fresh.value
    wait(page)
    assert page.get_by_role("heading", level=1).inner_text() == "Will it fit?"
    assert address(page)["model"] == query["model"][0]


def test_a_remedy_needs_one_click(opened: Callable[..., Any]) -> None:
    page = opened("?model=qwen3-14b&machine=rtx-3060-12-gb&quant=Q4_K_M&context=16k")
    assert "Fits, but slowly" in verdict(page).inner_text()
    page.get_by_role("button", name="Use 8,192 tokens of context").click()
    page.get_by_text(re.compile(r"^Fits, \d")).first.wait_for()
    wait(page)
    assert "context" not in address(page)  # 8k is the default


# each page with what it does not ask for
WAY = {
    "What can I run?": ("model", "quant"),
    "Explore": (),
    "Local or cloud?": (),
    "Learn": ("quant",),
}


def follow(page: Any, name: str) -> None:  # noqa: ANN401 - playwright's own
    """Open another page by its link at the top."""
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    wait(page)


def test_the_address_of_each_page_on_the_way_is_a_link_to_what_it_shows(
    opened: Callable[..., Any],
) -> None:
    asked = {"machine": "rtx-3090", "model": "qwen3-8b", "cards": "2", "quant": "Q6_K"}
    page = opened(f"?{urlencode({**asked, 'users': '4'})}")
    for name, unasked in WAY.items():
        follow(page, name)
        assert address(page) == {key: asked[key] for key in asked if key not in unasked}
    follow(page, "Will it fit?")
    assert address(page) == {**asked, "users": "4"}
    shown = verdict(page).inner_text()
    page.reload()
    wait(page)
    assert verdict(page).inner_text() == shown


def test_back_leads_through_the_pages_as_they_were_left(opened: Callable[..., Any]) -> None:
    page = opened("?machine=rtx-3090&model=qwen3-8b&quant=Q6_K&users=4")
    left = []
    for name in (*WAY, "Will it fit?"):
        left.append((page.get_by_role("heading", level=1).inner_text(), address(page)))
        follow(page, name)
    for name, of_page in reversed(left):
        page.go_back()
        page.get_by_role("heading", level=1, name=name).wait_for()
        wait(page)
        assert address(page) == of_page
        has_value(page.get_by_role("combobox", name="Machine"), "rtx-3090")
    assert verdict(page).inner_text()


@pytest.mark.parametrize(
    ("screen", "odd", "heading"),
    [
        ("cloud", "buy=1e999", "Local or cloud?"),
        ("runs", "cards=2.5", "What can I run?"),
        ("explore", "view=Serving&clients=x", "Explore"),
    ],
)
def test_an_odd_number_is_dropped_on_the_page_that_the_link_names(
    opened: Callable[..., Any], screen: str, odd: str, heading: str
) -> None:
    page = opened(f"{screen}?{MACHINE}&{odd}")
    assert page.get_by_role("heading", level=1).inner_text() == heading
    assert urlsplit(page.url).path == f"/{screen}"
    has_value(page.get_by_role("combobox", name="Machine"), "rtx-4090")
    assert odd.rpartition("&")[2] not in page.url
