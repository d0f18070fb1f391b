"""Makes the helpers these tests use importable; fixtures: recorded groups, a synthetic file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

TESTS = Path(__file__).parents[1]
for folder in ("golden", "accuracy", "oracle"):
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.model import ModelSpec


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `group` with the recorded groups: a model under a file type."""
    if "group" in metafunc.fixturenames:
        from recorded_rows import GROUPS

        metafunc.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])


@pytest.fixture
def synthetic_file(tmp_path: Path) -> Callable[[ModelSpec], Path]:
    """Return a function that writes a decoder's spec as a sparse GGUF llama.cpp accepts.

    Blocks that predict further tokens are not in the spec, so the metadata leaves them out too.
    """
    from whatfits.bench.synthetic import write_synthetic_gguf

    def write(spec: ModelSpec) -> Path:
        metadata = {**spec.metadata, "tokenizer.ggml.model": "none"}
        metadata[f"{spec.architecture}.block_count"] = spec.n_layers
        metadata.pop(f"{spec.architecture}.nextn_predict_layers", None)
        metadata.setdefault(f"{spec.architecture}.context_length", 8192)
        path = tmp_path / "model.gguf"
        write_synthetic_gguf(path, metadata=metadata, tensors=spec.tensors)
        return path

    return write
