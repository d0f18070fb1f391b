"""How a test knows that a page has said everything."""

from __future__ import annotations

from typing import Any

WAIT_MS = 60_000  # a busy machine is five times slower
READY = (
    '[data-testid="stApp"][data-test-script-state="notRunning"]'
    '[data-test-connection-state="CONNECTED"]'
)


def wait(page: Any) -> None:  # noqa: ANN401 - playwright's own
    """Wait until the page has said everything."""
    page.wait_for_selector(READY, timeout=WAIT_MS)
    page.get_by_role("heading", level=1).wait_for(timeout=WAIT_MS)
    page.wait_for_selector(READY, timeout=WAIT_MS)
