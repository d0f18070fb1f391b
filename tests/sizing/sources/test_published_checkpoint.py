"""Models as a runtime takes them that loads checkpoints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from checkpoints import (
    LLAMA,
    llama_tensors,
    n_bytes,
    write_config,
    write_safetensors,
    write_sharded,
)

from whatfits.sizing import load_model
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    UnknownModelError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.sources.published_checkpoint import load_published

if TYPE_CHECKING:
    from pathlib import Path

FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}


def test_a_catalog_model_is_as_its_publisher_stores_it() -> None:
    plain, quantised = load_published("qwen3-8b"), load_published("deepseek-v3")
    assert (plain.file_type, quantised.file_type) == ("bf16", "fp8")
    assert plain.checkpoint is not None
    assert quantised.checkpoint is not None
    assert plain.checkpoint.reference == "Qwen/Qwen3-8B"
    assert plain.checkpoint.label is None
    assert quantised.checkpoint.group == 128
    assert "No file type was asked for: bf16, as it is published." in plain.notes


def test_the_table_is_that_of_16_bits_without_rotary_factors() -> None:
    model = load_published("llama-3.1-8b")
    assert model.tensor_bytes == 2 * (model.parameters or 0) - 2 * 64
    assert {tensor.type for tensor in model.tensors} == {"BF16"}


def test_a_quantisation_of_a_derivative_is_not_the_publishers() -> None:
    assert load_published("qwen3.6-35b-a3b").file_type == "bf16"


def test_states_and_other_parts_are_read_of_the_configuration() -> None:
    hybrid, plain = load_published("qwen3.6-35b-a3b"), load_published("qwen3-next-80b-a3b")
    assert hybrid.checkpoint is not None
    assert plain.checkpoint is not None
    # the second's configuration does not say
    assert (hybrid.checkpoint.states_in_f32, plain.checkpoint.states_in_f32) == (True, None)
    assert (hybrid.checkpoint.has_other_parts, plain.checkpoint.has_other_parts) == (True, False)


def test_another_quantisation_has_to_be_found_and_fp8_is_made_on_loading() -> None:
    found, made = (load_published("qwen3-8b", file_type=name).checkpoint for name in ("awq", "fp8"))
    assert found is not None
    assert made is not None
    assert (found.reference, found.must_be_found) == ("qwen3-8b-awq", True)
    assert (made.reference, made.quantised_on_load) == ("Qwen/Qwen3-8B", True)
    native = load_published("deepseek-v3", file_type="bf16").checkpoint
    assert native is not None
    assert native.must_be_found


def test_a_folder_is_read_with_the_bytes_of_its_headers(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", llama_tensors())
    model = load_published(str(tmp_path))
    assert model.name == tmp_path.name
    assert model.checkpoint is not None
    assert model.checkpoint.reference == str(tmp_path)
    assert model.checkpoint.stored_bytes == n_bytes(llama_tensors()) == model.tensor_bytes


def test_a_file_that_is_not_there_yet_is_named_for_vllm_too(tmp_path: Path) -> None:
    write_config(tmp_path)
    second = write_sharded(tmp_path, llama_tensors(), count=3)[1]
    assert not [note for note in load_published(str(tmp_path)).notes if "missing" in note]
    second.unlink()
    model = load_published(str(tmp_path))
    assert f"1 files are missing of the checkpoint: {second.name}." in model.notes


def test_parts_beside_the_language_model_are_left_out(tmp_path: Path) -> None:
    write_config(tmp_path, {**LLAMA, "vision_config": {"hidden_size": 64}})
    tower = {"vision_tower.layers.0.weight": ("BF16", (64, 64))}
    write_safetensors(tmp_path / "model.safetensors", {**llama_tensors(), **tower})
    facts = load_published(str(tmp_path)).checkpoint
    assert facts is not None
    assert facts.has_other_parts
    assert facts.stored_bytes == n_bytes(llama_tensors())


def test_a_bare_configuration_is_enough(tmp_path: Path) -> None:
    write_config(tmp_path, {**LLAMA, "quantization_config": FP8})
    model = load_published(str(tmp_path / "config.json"))
    assert model.file_type == "fp8"
    assert model.checkpoint is not None
    assert model.checkpoint.stored_bytes is None
    assert model.checkpoint.group == 128
    assert model.tensor_bytes < load_published("qwen3-0.6b").tensor_bytes


def test_a_folder_in_a_download_cache_has_the_repositorys_name(tmp_path: Path) -> None:
    folder = tmp_path / "models--org--small" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    write_config(folder)
    assert load_published(str(folder)).name == "small"


def test_a_gguf_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(InvalidRequestError, match="only with a plugin") as error:
        load_published(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["", "  ", "hf:org", "ollama:qwen3", "https://example.org/model"])
def test_what_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        load_published(name)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownModelError):
        load_published("no-such-model-9b")


def test_tensors_without_a_configuration_are_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", llama_tensors())
    with pytest.raises(UnsupportedArchitectureError, match=r"config\.json"):
        load_published(str(tmp_path))


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "nobody-knows-it"},
        {**LLAMA, "hidden_size": "wide"},
        {**LLAMA, "quantization_config": {"quant_method": "nobody-knows-it"}},
        {**LLAMA, "quantization_config": {"quant_method": "awq", "group_size": 96}},
    ],
)
def test_a_strange_configuration_gives_one_line(tmp_path: Path, config: dict[str, object]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BadInputError) as error:
        load_published(str(tmp_path))
    assert "\n" not in str(error.value)


def test_parts_of_a_wrong_kind_count_as_other_parts_alone(tmp_path: Path) -> None:
    write_config(tmp_path, {**LLAMA, "text_config": 7, "vision_config": []})
    model = load_published(str(tmp_path))
    assert model.tensor_bytes == n_bytes(llama_tensors())
    assert model.checkpoint is not None
    assert model.checkpoint.has_other_parts


def test_a_catalog_model_whose_shape_has_holes_is_refused() -> None:
    with pytest.raises(UnsupportedArchitectureError, match="not known well enough"):
        load_published("falcon-h1-7b")


@pytest.mark.parametrize("runtime", ["vllm", "mlx"])
def test_no_flag_of_llama_cpp_is_named_beside_another_runtime(runtime: str) -> None:
    assert any("--spec-type" in note for note in load_model("qwen3.6-27b").notes)
    others = load_model("qwen3.6-27b", runtime=runtime).notes
    assert not any("--spec-type" in note for note in others)


@pytest.mark.parametrize("has_them", [True, False])
def test_prediction_layers_that_were_left_out_of_a_checkpoint_are_not_there(
    tmp_path: Path, *, has_them: bool
) -> None:
    write_config(tmp_path, dict(find_model("qwen3.6-27b").config))
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"model.norm.weight": ("BF16", (8,))}
    if has_them:
        tensors["mtp.fc.weight"] = ("BF16", (8, 16))
    write_safetensors(tmp_path / "model.safetensors", tensors)
    assert bool(load_published(str(tmp_path)).prediction_tensors) is has_them


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("mistral-7b-v0.1", {4096}),
        ("mistral-7b-v0.3", {None}),
        ("phi-3-mini-4k", {2047}),
        ("gemma-2-9b", {4096, None}),  # tells its layers apart
    ],
)
def test_one_window_of_all_layers_is_read_of_the_configuration(
    name: str, windows: set[int | None]
) -> None:
    layers = load_published(name).layers
    assert {getattr(layer.attention, "window_tokens", None) for layer in layers} == windows
