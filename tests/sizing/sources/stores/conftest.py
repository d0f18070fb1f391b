"""A home folder of its own for every test, and the hand-made files of the folders above."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.sources.stores import ollama
from whatfits.sizing.sources.stores.surroundings import Surroundings

if TYPE_CHECKING:
    from store_builder import Ollama

HOSTILE = next(p for p in Path(__file__).parents if p.name == "tests") / "hostile"
for folder in (HOSTILE, Path(__file__).parent, Path(__file__).parent.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder; no store of the machine that runs the tests is looked at."""
    monkeypatch.setattr(ollama, "SERVICE_FOLDERS", ())
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def linux(home: Path) -> Surroundings:
    """Return a Linux user with that home and nothing else in the environment."""
    return Surroundings({"HOME": str(home)}, "linux")


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ollama:
    """Return an empty store of this process's user."""
    from store_builder import Ollama

    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    return Ollama(home)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a whole small model: header and hole."""
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q4_K_M")
    return path.read_bytes()
