"""Whether the GGUF of a checkpoint has an output matrix: the converter goes by what lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import LLAMA, llama_tensors, write_config, write_safetensors, write_sharded

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.sources import load
from whatfits.sizing.sources.mlx_model import load_mlx_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

MATRIX = LLAMA["vocab_size"] * LLAMA["hidden_size"]
WHOLE = spec_from_config(LLAMA, name="m", source="test", file_type="F16")


def config(*, tied: bool | None, kind: str = "llama") -> dict[str, Any]:
    plain = {name: value for name, value in LLAMA.items() if name != "tie_word_embeddings"}
    said = {} if tied is None else {"tie_word_embeddings": tied}
    return {**plain, **said, "model_type": kind, "architectures": []}


def write(folder: Path, values: dict[str, Any], *, output: bool) -> None:
    tensors = llama_tensors(values)
    if not output:
        del tensors["lm_head.weight"]
    write_config(folder, values)
    write_safetensors(folder / "model.safetensors", tensors)


def has_output(spec: ModelSpec) -> bool:
    return any(tensor.name == "output.weight" for tensor in spec.tensors)


@pytest.mark.parametrize("tied", [True, False, None])
@pytest.mark.parametrize("output", [True, False])
def test_the_matrix_that_lies_there_counts_whatever_the_configuration_says(
    output: bool, tied: bool | None, tmp_path: Path
) -> None:
    write(tmp_path, config(tied=tied), output=output)
    spec = load(str(tmp_path), file_type="F16")
    assert has_output(spec) is output
    assert (spec.parameters or 0) + (0 if output else MATRIX) == WHOLE.parameters
    contradicts = tied is output
    assert any("tie_word_embeddings is" in note for note in spec.notes) is contradicts


@pytest.mark.parametrize("tied", [True, False])
def test_a_converter_that_goes_by_the_configuration_is_followed(tied: bool, tmp_path: Path) -> None:
    # conversion/hunyuan.py leaves out an output matrix where the configuration ties it
    write(tmp_path, {**config(tied=tied, kind="hunyuan_v1_dense")}, output=True)
    assert has_output(load(str(tmp_path), file_type="F16")) is not tied


def test_mlx_goes_by_the_configuration(tmp_path: Path) -> None:
    # mlx-lm's models drop `lm_head.weight` where the configuration ties it
    write(tmp_path, config(tied=True), output=True)
    assert not has_output(load_mlx_model(str(tmp_path), file_type="bf16"))


def test_files_that_are_not_all_here_say_nothing_of_it(tmp_path: Path) -> None:
    values = config(tied=False)
    write_config(tmp_path, values)
    tensors = {**llama_tensors(values)}
    del tensors["lm_head.weight"]
    last = write_sharded(tmp_path, tensors, count=3)[-1]
    last.unlink()
    assert has_output(load(str(tmp_path), file_type="F16"))


def test_an_embedding_a_layer_has_is_no_output_matrix(tmp_path: Path) -> None:
    values = config(tied=None)
    tensors = llama_tensors(values)
    del tensors["lm_head.weight"]
    tensors["model.embed_tokens_per_layer.weight"] = ("BF16", (LLAMA["vocab_size"], 96))
    tensors["model.layers.2.shared_head.head.weight"] = ("BF16", (LLAMA["vocab_size"], 512))
    write_config(tmp_path, values)
    write_safetensors(tmp_path / "model.safetensors", tensors)
    assert not has_output(load(str(tmp_path), file_type="F16"))
