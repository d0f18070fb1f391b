"""The same model is the same ModelSpec, whichever way it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from checkpoints import write_config

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.sources import SOURCES, load

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

MODELS = (
    *("llama-3.1-8b", "qwen2.5-0.5b", "qwen3-30b-a3b", "gemma-3-1b", "gemma-2-2b", "phi-4-mini"),
    *("deepseek-v2-lite", "gpt-oss-20b", "granite-4.0-h-tiny", "lfm2-1.2b", "olmoe-1b-7b"),
    *("smollm2-135m", "glm-4-9b-0414", "rwkv7-0.4b", "qwen3-next-80b-a3b", "all-minilm-l6-v2"),
)
FIELDS = ("architecture", "file_type", "layers", "hparams", "parameters", "active_parameters")


def facts(spec: ModelSpec) -> dict[str, object]:
    """Everything that fixes a byte, and nothing of where it was read."""
    tensors = {(t.name, t.shape, t.type, t.n_bytes, t.role, t.layer) for t in spec.tensors}
    return {**{name: getattr(spec, name) for name in FIELDS}, "tensors": tensors}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("file_type", [None, "Q5_K_S"])
def test_catalog_configuration_and_header_are_the_same_model(
    name: str, file_type: str | None, tmp_path: Path
) -> None:
    catalog = load(name, file_type=file_type)
    assert catalog.file_type is not None
    write_config(tmp_path, find_model(name).config)
    from_folder = load(str(tmp_path), file_type=file_type)
    from_config = load(str(tmp_path / "config.json"), file_type=file_type)
    path = tmp_path / "m.gguf"
    write_catalog_model(path, name, file_type=catalog.file_type)
    from_header = load(str(path))
    expected = facts(catalog)
    assert facts(from_folder) == expected
    assert facts(from_config) == expected
    assert facts(from_header) == expected


def test_every_source_is_a_function_from_a_name_to_a_model() -> None:
    kinds = [entry.kind for entry in SOURCES]
    assert kinds == ["Ollama", "Hugging Face", "URL", "checkpoint", "GGUF", "catalog"]
    for entry in SOURCES:
        assert callable(entry.source())
