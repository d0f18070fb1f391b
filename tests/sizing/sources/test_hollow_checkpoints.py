"""A config.json with more layers than its checkpoint's files hold is told, whoever loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import LLAMA, llama_tensors, write_config, write_safetensors, write_sharded

from whatfits.sizing.api import load_model

if TYPE_CHECKING:
    from pathlib import Path

RUNTIMES = ("llama.cpp", "vllm", "mlx")


def hollow_notes(folder: Path, runtime: str) -> list[str]:
    spec = load_model(str(folder), file_type=None, runtime=runtime)
    return [note for note in spec.notes if "have no tensors" in note]


def written(folder: Path, *, claimed: int, held: int, **more: Any) -> Path:  # noqa: ANN401 - JSON
    config = {**LLAMA, **more}
    write_config(folder, {**config, "num_hidden_layers": claimed})
    tensors = llama_tensors({**config, "num_hidden_layers": held})
    if more.get("tie_word_embeddings"):
        del tensors["lm_head.weight"]
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_layers_without_tensors_are_told(tmp_path: Path, runtime: str) -> None:
    (said,) = hollow_notes(written(tmp_path, claimed=5, held=3), runtime)
    assert said.startswith("config.json has 5 layers, and 2 of them have no tensors")
    assert "layer 3" in said


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("held", [3, 4])
@pytest.mark.parametrize("tied", [False, True])
def test_whole_tied_and_longer_checkpoints_are_not_blamed(
    tmp_path: Path, runtime: str, held: int, *, tied: bool
) -> None:
    folder = written(tmp_path, claimed=3, held=held, tie_word_embeddings=tied)
    assert hollow_notes(folder, runtime) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_download_in_the_middle_names_its_files_instead(tmp_path: Path, runtime: str) -> None:
    write_config(tmp_path)
    files = write_sharded(tmp_path, dict(sorted(llama_tensors().items())), count=3)
    files[0].unlink()
    assert hollow_notes(tmp_path, runtime) == []
