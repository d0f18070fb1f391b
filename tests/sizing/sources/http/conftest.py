"""Makes the hand-made files of tests/hostile importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HOSTILE = next(p for p in Path(__file__).parents if p.name == "tests") / "hostile"
if str(HOSTILE) not in sys.path:
    sys.path.insert(0, str(HOSTILE))


@pytest.fixture(autouse=True)
def _network_as_a_test_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the machine sets: nothing is switched off, and nothing of it is used or kept."""
    for name in ("WHATFITS_OFFLINE", "HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _name: tmp_path / "user-cache")
