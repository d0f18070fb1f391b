"""Configurations become models whose parameters are those of the checkpoint.

Parameter counts: recorded/configs.json, counted in the bf16 checkpoints' layouts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.architectures import find_entry, spec_from_config, supported_configs
from whatfits.sizing.architectures.config_spec import config_file
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import (
    BadInputError,
    MalformedFileError,
    UnknownFileTypeError,
    UnsupportedArchitectureError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.model import ModelSpec

    CatalogSpec = Callable[[str, str], ModelSpec]

# What a file has beyond the checkpoint's weights, or lacks, in elements.
BEYOND_THE_CHECKPOINT = {
    # Rotary factors of long contexts, stored as a tensor.
    "llama-3.1-8b": 64,
    "llama-3.2-1b": 32,
    "phi-4-mini": 96,
    "phi-3.5-moe": 128,
    "exaone-4.0-32b": 64,
    "exaone-4.5-33b": 64,
    "llama-4-scout": 64,
    # Correction of the router's scores: one a routed expert and layer, a buffer in the checkpoint.
    "deepseek-v3": 58 * 256,
    "kimi-k2": 60 * 384,
    "glm-4.5-air": 45 * 128,
    "glm-4.7-flash": 46 * 64,
    "solar-open-100b": 48 * 128,
    "minimax-m2": 62 * 256,
    "kimi-linear-48b-a3b": 26 * 256,
    "lfm2-8b-a1b": 22 * 32,
    "nemotron-3-nano-30b-a3b": 23 * 128,
    "nemotron-3-super-120b-a12b": 40 * 512,
    # A scale a layer, and rotary factors for the full layers.
    "gemma-4-e2b": 35 + 256,
    # Per-layer embeddings padded to the whole vocabulary; keys and values of the 15 layers that
    # read an earlier cache are in the file all the same.
    "gemma-3n-e4b": (262400 - 262144) * 35 * 256 + 15 * (2 * 2048 * 512 + 256),
    # The first layer's mix with an earlier value, which it has not: dummies in the file.
    "rwkv7-0.4b": 1024 + 2 * 1024 * 64,
    # The pooling layer is dropped; position rows before the first real one as well.
    "all-minilm-l6-v2": -(384 * 384 + 384),
    "bge-m3": -(1024 * 1024 + 1024) - 2 * 1024,
}


def test_parameters_are_those_of_the_checkpoint(
    catalog_id: str, configs: dict[str, Any], catalog_spec: CatalogSpec
) -> None:
    spec = catalog_spec(catalog_id, "F16")
    expected = configs[catalog_id]["parameters"] + BEYOND_THE_CHECKPOINT.get(catalog_id, 0)
    assert spec.parameters == expected


@pytest.mark.parametrize(
    ("name", "active"),
    [
        # 128 experts, 8 used: all but the expert stacks, and 8/128 of those.
        ("qwen3-30b-a3b", 30_532_122_624 - 48 * 3 * 2048 * 768 * 120),
        ("mixtral-8x7b", 46_702_792_704 - 32 * 3 * 4096 * 14336 * 6),
        ("llama-3.1-8b", 8_030_261_312),
    ],
)
def test_active_parameters_count_the_experts_a_token_goes_through(
    name: str, active: int, catalog_spec: CatalogSpec
) -> None:
    assert catalog_spec(name, "F16").active_parameters == active


@pytest.mark.parametrize(
    ("name", "tensors"),
    # Counts of the published files.
    [("llama-3.1-8b", 292), ("gpt-oss-20b", 459), ("deepseek-v3", 1086), ("gemma-3-27b", 808)],
)
def test_the_table_has_as_many_tensors_as_the_published_file(
    name: str, tensors: int, catalog_spec: CatalogSpec
) -> None:
    assert len(catalog_spec(name, "Q4_K_M").tensors) == tensors


@pytest.mark.parametrize(
    ("name", "file_type", "tensor_bytes"),
    # llama.cpp 0c1e57098, llama_model_size of a dry run.
    [
        ("llama-3.1-8b", "Q4_K_M", 4_912_898_304),
        ("llama-3.1-8b", "F16", 16_061_055_232),
    ],
)
def test_tensor_bytes_are_those_of_the_reference(
    name: str, file_type: str, tensor_bytes: int, catalog_spec: CatalogSpec
) -> None:
    assert catalog_spec(name, file_type).tensor_bytes == tensor_bytes


def test_experts_published_in_four_bits_stay_so_in_every_file_type(
    catalog_spec: CatalogSpec,
) -> None:
    for file_type in ("F16", "Q8_0", "Q4_K_M"):
        spec = catalog_spec("gpt-oss-20b", file_type)
        stacks = {t.type for t in spec.tensors if t.name.endswith("_exps.weight")}
        assert stacks == {"MXFP4"}


def test_blocks_that_predict_further_tokens_count_for_the_file_but_are_not_loaded(
    catalog_spec: CatalogSpec,
) -> None:
    spec = catalog_spec("glm-4.5-air", "Q4_K_M")
    assert spec.n_layers == 46
    assert not any(tensor.name.startswith("blk.46.") for tensor in spec.tensors)
    assert spec.file_bytes > spec.tensor_bytes
    assert any("loaded only to draft" in note for note in spec.notes)


def test_the_tokenizer_may_be_shorter_than_the_configuration_says(configs: dict[str, Any]) -> None:
    config = configs["gemma-3-27b"]["config"]
    cut = spec_from_config(
        config, name="x", source="test", file_type="F16", n_vocab_override=262_144
    )
    whole = spec_from_config(config, name="x", source="test", file_type="F16")
    assert cut.hparams.n_vocab == 262_144
    assert whole.hparams.n_vocab == 262_208
    assert whole.parameters - cut.parameters == 64 * 5376


def test_the_text_part_of_a_multimodal_configuration_is_found(configs: dict[str, Any]) -> None:
    inner = {**configs["gemma-3-27b"]["config"], "model_type": "gemma3_text"}
    outer = {"model_type": "gemma3", "text_config": inner, "vision_config": {"hidden_size": 1152}}
    got = spec_from_config(outer, name="x", source="test", file_type="Q4_K_M")
    flat = spec_from_config(inner, name="x", source="test", file_type="Q4_K_M")
    assert got == flat


def test_a_granite_4_without_state_space_layers_is_a_plain_granite(configs: dict[str, Any]) -> None:
    entry = find_entry(configs["granite-4.0-micro"]["config"])
    assert entry is not None
    assert entry.architecture == "granite"


def test_falcon_7b_has_one_key_head_whatever_its_configuration_counts(
    configs: dict[str, Any], catalog_spec: CatalogSpec
) -> None:
    assert configs["falcon-7b"]["config"]["num_kv_heads"] == 71
    assert catalog_spec("falcon-7b", "F16").layers[0].n_head_kv == 1


def test_every_supported_kind_names_its_architecture() -> None:
    kinds = supported_configs()
    assert kinds["mixtral"] == "llama"
    assert kinds["deepseek_v3"] == "deepseek2"
    assert kinds["gpt_oss"] == "gpt-oss"


BASE = {
    "model_type": "llama",
    "hidden_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1024,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
}


def build(**changes: object) -> ModelSpec:
    config = {**BASE, **changes}
    config = {key: value for key, value in config.items() if value is not ...}
    return spec_from_config(config, name="x", source="test", file_type="Q4_K_M")


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 0},
        {"hidden_size": -512},
        {"hidden_size": "512"},
        {"hidden_size": ...},
        {"hidden_size": 2**40},
        {"num_attention_heads": 0},
        {"num_attention_heads": True},
        {"num_key_value_heads": 16},
        {"num_key_value_heads": 0},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": [1]},
        {"intermediate_size": ...},
        {"intermediate_size": 0},
        {"vocab_size": 0},
        {"vocab_size": 2**30},
        {"vocab_size": ...},
        {"head_dim": -1},
        {"tie_word_embeddings": "no"},
        {"rms_norm_eps": float("nan")},
        {"num_local_experts": 8, "num_experts_per_tok": 9},
        {"num_local_experts": 8},
        {"model_type": "qwen2_moe"},
        {"model_type": "gemma4"},
        {"model_type": "lfm2"},
        {"model_type": "deepseek_v3"},
        {"model_type": "nemotron_h", "hybrid_override_pattern": "M?"},
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_is_one_typed_error(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedFileError) as caught:
        build(**changes)
    assert caught.value.file_format == "config.json"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["lfm3", "", None, 7, ["llama"]])
def test_an_unknown_kind_of_configuration_says_what_to_do(kind: object) -> None:
    with pytest.raises(UnsupportedArchitectureError, match=r"\.gguf"):
        build(model_type=kind)


def test_an_unknown_file_type_is_refused() -> None:
    with pytest.raises(UnknownFileTypeError):
        spec_from_config(BASE, name="x", source="test", file_type="Q4_KM_X")


def test_a_missing_training_context_is_unknown_not_zero() -> None:
    assert build(max_position_embeddings=...).hparams.context_train_tokens is None


def test_errors_are_bad_input() -> None:
    assert issubclass(MalformedFileError, BadInputError)


def test_limits_of_gates_reach_every_block_of_step() -> None:
    config: dict[str, Any] = dict(find_model("step-3.7-flash").config)
    blocks = config["num_hidden_layers"] + config["num_nextn_predict_layers"]
    config["swiglu_limits"] = [None] * 40 + [7.0] * 5
    metadata, _ = config_file(config, file_type="F16")
    limits = metadata["step35.swiglu_clamp_exp"]
    assert limits == (0.0,) * 40 + (7.0,) * 5 + (0.0,) * (blocks - 45)
    assert "step35.swiglu_clamp_shexp" not in metadata
