"""Makes the helpers of these tests importable; keeps measurements out of the user's own folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent
for helpers in (BENCH, BENCH.parent / "hostile"):
    if str(helpers) not in sys.path:
        sys.path.insert(0, str(helpers))


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands in for the user's data folder, in this process and below it."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder
