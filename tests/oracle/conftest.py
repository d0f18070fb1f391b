"""Makes the helpers of tests/oracle importable; no tests without llama.cpp and a compiler.

One llama.cpp with each number of pretend GPUs serves all tests of a file.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comparison import Oracle

ORACLE = Path(__file__).parent
for folder in (ORACLE, ORACLE.parent / "accuracy"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

collect_ignore_glob = (
    [] if importlib.util.find_spec("llama_cpp") and shutil.which("cc") else ["test_*.py"]
)


@pytest.fixture(scope="module")
def cpu() -> Iterator[Oracle]:
    yield from _oracle(0)


@pytest.fixture(scope="module")
def gpu() -> Iterator[Oracle]:
    yield from _oracle(1)


@pytest.fixture(scope="module")
def gpus() -> Iterator[Oracle]:
    yield from _oracle(2)


def _oracle(gpus: int) -> Iterator[Oracle]:
    from comparison import Box, Oracle

    with Oracle(Box(gpus)) as oracle:
        yield oracle
