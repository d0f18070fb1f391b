"""Makes hand-made files importable; fixtures of a Hub on loopback."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whatfits.bench.synthetic import write_catalog_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fake_hub import Hub, Repository
    from hub_models import Serve

TESTS = next(p for p in Path(__file__).parents if p.name == "tests")
for folder in (TESTS / "hostile", TESTS / "oracle", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE")


@pytest.fixture(autouse=True)
def _network_as_a_test_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the machine sets: nothing is switched off, and nothing of it is used or kept."""
    for name in ("WHATFITS_OFFLINE", "HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _name: tmp_path / "user-cache")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a Hub with some repositories, for the length of the test."""
    from fake_hub import hub_of

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "*")
    with ExitStack() as stack:

        def start(*repositories: Repository, **extra: object) -> Hub:
            hub = stack.enter_context(hub_of(*repositories, **extra))
            monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
            return hub

        yield start


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return GGUF files of one model by file type, as they are called on the Hub."""
    from hub_models import MODEL, STEM

    folder = tmp_path_factory.mktemp("gguf")
    made = {}
    for file_type in ("F16", "Q8_0", "Q4_K_M", "Q3_K_M"):
        path = folder / f"{STEM}-{file_type}.gguf"
        write_catalog_model(path, MODEL, file_type=file_type)
        made[path.name] = path
    return made


@pytest.fixture
def usual(files: Mapping[str, Path]) -> Repository:
    """Return a repository as quantisers publish them."""
    from fake_hub import Repository
    from hub_models import REPO

    beside = {"README.md": b"# SmolLM2", ".gitattributes": b"*.gguf filter=lfs", "imatrix.dat": 99}
    return Repository(REPO, {**beside, **files})
