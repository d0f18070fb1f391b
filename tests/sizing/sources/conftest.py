"""Makes the hand-made files of tests/hostile and tests/oracle and of this folder importable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = next(p for p in Path(__file__).parents if p.name == "tests")
for folder in (TESTS / "hostile", TESTS / "oracle", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(autouse=True)
def _network_as_a_test_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the machine sets: nothing is switched off, and nothing of it is used or kept."""
    for name in ("WHATFITS_OFFLINE", "HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _name: tmp_path / "user-cache")
