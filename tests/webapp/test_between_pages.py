"""From page to page: a page goes by what it asks for itself, and what was chosen comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = {"model": "qwen3-8b", "machine": "rtx-4090"}
# only the first page asks for these
ELSEWHERE = {"users": "16", "kv": "q4_0", "runtime": "ollama", "reserve": "20000", "ubatch": "64"}
SEEN = ("success", "warning", "error", "markdown", "caption", "code")


def said(app: Any) -> list[str]:  # noqa: ANN401 - Streamlit's own
    return [element.value for kind in SEEN for element in getattr(app, kind)]


def led_to(app: Any, screen: str) -> Any:  # noqa: ANN401 - same
    return app.switch_page(f"screens/{screen}.py").run()


@pytest.mark.parametrize("screen", ["runs", "explore", "cloud", "learn", "method"])
def test_a_page_does_not_go_by_what_only_another_page_asks_for(
    page: Callable[..., Any], screen: str
) -> None:
    fresh = said(led_to(page(**ASKED), screen))
    assert fresh
    assert said(led_to(page(**ASKED, **ELSEWHERE), screen)) == fresh


def test_what_was_chosen_is_there_again_on_the_way_back(page: Callable[..., Any]) -> None:
    app = page(**ASKED, **ELSEWHERE, quant="Q6_K", context="16k")
    before = said(app)
    for screen in ("cloud", "runs", "learn", "explore"):
        led_to(app, screen)
        assert app.selectbox(key="machine").value == "rtx-4090"
    assert app.selectbox(key="quant").value == "Q6_K"
    led_to(app, "fit")
    assert app.number_input(key="users").value == 16
    assert said(app) == before


def test_a_browser_is_told_what_was_chosen_when_it_shows_another_page(
    page: Callable[..., Any],
) -> None:
    app = page(**ASKED)
    for screen in ("learn", "explore", "cloud"):
        led_to(app, screen)
        field = app.selectbox(key="machine").proto
        assert field.set_value  # else it may show the default, and send that back
        assert field.raw_value == "rtx-4090"
        assert not app.run().selectbox(key="machine").proto.set_value
