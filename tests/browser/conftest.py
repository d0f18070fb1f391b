"""A real browser before a real server; skipped, with the reason, where either is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if (HERE := str(Path(__file__).parent)) not in sys.path:
    sys.path.append(HERE)

from browser_pages import FLAGS, WAIT_MS, Server, browser_path, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Streamlit looks below a page's own address first, and expects not to be answered there.
EXPECTED_404 = re.compile(r"/(runs|explore|cloud|learn|method)/_stcore/")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Start the server once for all tests."""
    pytest.importorskip("streamlit", reason="needs the extra [web]")
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hosted() -> Iterator[Server]:
    """Start a server for strangers once for all tests."""
    pytest.importorskip("streamlit", reason="needs the extra [web]")
    running = Server("--public")
    yield running
    said = running.stop()
    assert running.process.returncode == 0, said


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium once for all tests."""
    found = browser_path()
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield started
        started.close()


class Seen:
    """What a page asked for and complained of."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []

    def watch(self, page: Any) -> None:  # noqa: ANN401 - playwright's own
        """Note down from now on."""
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _console(self, message: Any) -> None:  # noqa: ANN401 - playwright's own
        if message.type == "error" and not EXPECTED_404.search(message.location.get("url", "")):
            self.errors.append(f"{message.text} {message.location}")


@pytest.fixture
def opened(server: Server, browser: Any) -> Iterator[Callable[..., Any]]:  # noqa: ANN401 - same
    """Return a function that opens a page at an address; its errors fail the test."""
    contexts, watched = [], []

    def go(address: str = "", *, width: int = 1280, theme: str = "light", **more: Any) -> Any:  # noqa: ANN401 - same
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        seen = Seen()
        seen.watch(page)
        watched.append(seen)
        page.goto(server.url + address)
        wait(page)
        return page

    yield go
    for context in contexts:
        context.close()
    for seen in watched:
        assert seen.errors == []
        allowed = (server.url, server.url.replace("http", "ws", 1), "data:", "blob:")
        assert [url for url in seen.requests if not url.startswith(allowed)] == []
