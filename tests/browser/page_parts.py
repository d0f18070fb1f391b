"""What tests read off a page: its address, an input's value, the verdict, what charts say."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

MACHINE = "machine=rtx-4090"
SETTLED_MS = 20_000
CHART = '[data-testid="stVegaLiteChart"]'


def address(page: Any) -> dict[str, str]:  # noqa: ANN401 - playwright's own
    """Return the settings in the page's address."""
    query = parse_qs(urlsplit(page.url).query)
    return {key: values[0] for key, values in query.items()}


def has_value(locator: Any, value: str) -> None:  # noqa: ANN401 - same
    """Hold an input's value against what it is to be, once it has got it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect(locator).to_have_value(value, timeout=SETTLED_MS)


def verdict(page: Any) -> Any:  # noqa: ANN401 - same
    """Return where the verdict stands."""
    return page.get_by_test_id("stAlert").first


def chart_labels(page: Any) -> list[str]:  # noqa: ANN401 - same
    """Return what each chart says to who cannot see it."""
    named = page.get_by_role("graphics-document").or_(page.locator(CHART))
    found = (named.nth(at).get_attribute("aria-label") for at in range(named.count()))
    return [label for label in found if label is not None]
