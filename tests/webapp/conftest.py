"""Runs the pages as Streamlit does, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.webapp import mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60  # a first run imports everything, on a busy machine


@pytest.fixture
def public() -> Iterator[None]:
    """Serve strangers during a test."""
    mode.set_mode(public=True)
    yield
    mode.set_mode(public=False)


@pytest.fixture
def page() -> Callable[..., Any]:
    """Return a function that opens a page at an address."""
    testing = pytest.importorskip("streamlit.testing.v1", reason="needs the extra [web]")

    def opened(screen: str = "fit", **address: str) -> Any:  # noqa: ANN401 - Streamlit's own
        app = testing.AppTest.from_file(str(ROOT / "webapp" / "app.py"), default_timeout=TIMEOUT_S)
        if screen == "fit":
            for key, value in address.items():
                app.query_params[key] = value
            app.run()
        else:  # here, unlike in a browser, an address does not outlive a switch of pages
            app.run()
            app.switch_page(f"screens/{screen}.py").run()
            for key, value in address.items():
                kind = "select_slider" if key == "context" else "selectbox"
                getattr(app, kind)(key=key).set_value(value).run()
        assert [error.message for error in app.exception] == []
        return app

    return opened
