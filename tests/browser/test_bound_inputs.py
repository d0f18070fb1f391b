"""An input that moves on the page, or to another page, stays bound to its name in the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browser_pages import wait
from page_parts import address

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.browser

ASKED = {"machine": "rtx-3090", "quant": "Q6_K", "context": "16k"}


def follow(page: Any, name: str) -> None:  # noqa: ANN401 - playwright's own
    """Open another page by its link at the top."""
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    wait(page)


def choose(page: Any, name: str, value: str) -> None:  # noqa: ANN401 - same
    """Choose a value of a list, or type one of one's own."""
    field = page.get_by_role("combobox", name=name)
    field.click()
    field.fill(value)
    page.keyboard.press("Enter")
    first, _, _ = value.partition(" ")  # a space is a plus in an address
    page.wait_for_function("value => location.search.includes(value)", arg=first)
    wait(page)


@pytest.mark.parametrize(
    ("first", "way"),
    [
        ("cloud", ("Will it fit?", "Explore")),  # the panel of quant and context is far below
        ("", ("What can I run?", "Will it fit?")),  # where the ranking takes its time
        ("explore", ("What can I run?", "Explore")),
    ],
)
def test_the_address_keeps_what_stands_higher_on_the_page_between(
    opened: Callable[..., Any], first: str, way: tuple[str, ...]
) -> None:
    page = opened(f"{first}?machine=rtx-3090&quant=Q6_K&context=16k")
    for name in way:
        follow(page, name)
    assert address(page) == ASKED


def test_back_leads_to_a_page_as_it_was_left_whatever_the_next_one_asks_for(
    opened: Callable[..., Any],
) -> None:
    page = opened("?machine=rtx-3090&model=qwen3-8b&quant=Q6_K&context=16k&users=4&prompt=1000")
    left = [address(page)]
    for name in ("Explore", "Method", "Explore", "Local or cloud?"):
        follow(page, name)
        left.append(address(page))
    for before in reversed(left[:-1]):
        page.go_back()
        wait(page)
        assert address(page) == before
    for after in left[1:]:
        page.go_forward()
        wait(page)
        assert address(page) == after


def test_a_slider_still_writes_the_address_after_the_fields_above_it_changed(
    opened: Callable[..., Any],
) -> None:
    page = opened("?machine=rtx-3090&context=16k")
    for model in ("no-such-model", "qwen3-8b"):  # the words about a model come and go
        choose(page, "Model", model)
    page.get_by_role("slider").press("ArrowRight")
    page.wait_for_function("location.search.includes('context=32k')")


def test_a_number_still_writes_the_address_after_the_fields_above_it_changed(
    opened: Callable[..., Any],
) -> None:
    page = opened("cloud?machine=rtx-3090&tokensin=5000")
    choose(page, "Machine", "m4-pro 48gb")  # which has no cards to be counted
    field = page.get_by_role("spinbutton", name="Tokens read a day")
    field.fill("777")
    field.press("Enter")
    page.wait_for_function("location.search.includes('tokensin=777')")
