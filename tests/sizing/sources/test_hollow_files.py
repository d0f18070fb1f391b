"""Files whose table lacks whole layers: they have a size, and llama.cpp refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

HOLLOW = "have no tensors"


def hollow_notes(path: Path) -> list[str]:
    return [note for note in load(str(path)).notes if HOLLOW in note]


# a dense model, experts, states, a hybrid, an encoder, and layers that do nothing or predict
@pytest.mark.parametrize(
    "model",
    [
        "llama-3.2-1b",
        "granite-3.0-1b-a400m",
        "mamba-2.8b",
        "granite-4.0-h-350m",
        "all-minilm-l6-v2",
        "nemotron-super-49b-v1",
        "deepseek-v3",
    ],
)
def test_a_file_with_all_of_its_layers_is_whole(model: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_catalog_model(path, model, file_type="Q8_0")
    assert hollow_notes(path) == []


def test_layers_without_tensors_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.gguf", tmp_path / "part.gguf"
    write_catalog_model(whole, "llama-3.2-1b", file_type="Q8_0")
    spec = load(str(whole))
    tensors = [tensor for tensor in spec.tensors if (tensor.layer or 0) < 5]
    metadata = {**spec.metadata, "general.architecture": "llama", "tokenizer.ggml.model": "none"}
    write_synthetic_gguf(part, metadata=metadata, tensors=tensors)
    (note,) = hollow_notes(part)
    assert note.startswith("11 of 16 layers have no tensors, the first of them blk.5:")
