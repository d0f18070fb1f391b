"""Quantisation blocks as repositories have them → bytes of every matrix, and of the whole."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest

from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.quants.layouts.from_config import checkpoint_quantisation
from whatfits.sizing.quants.layouts.mlx import MlxModule
from whatfits.sizing.quants.layouts.module_names import gguf_part, keeper
from whatfits.sizing.quants.layouts.name_patterns import NamePatterns
from whatfits.sizing.quants.layouts.whole import ExpectedBytes, whole_checkpoint_bytes
from whatfits.sizing.sources.catalog_model import spec_of_entry

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "recorded" / "file_sizes" / "checkpoints.json").read_text()
)["rows"]
SMALL = [row for row in ROWS if row["model"] == "qwen2.5-0.5b"]
HEADER_BYTES_A_TENSOR = 130


def compressed(form: str, **weights: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


def exactly(foreseen: ExpectedBytes | None) -> int:
    """The figure, which must be one."""
    assert foreseen is not None
    assert foreseen.low == foreseen.high
    return foreseen.low


# (block, stored parts of a matrix of 256 rows and 512 columns)
BLOCKS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "awq": (
        {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm"},
        {"qweight": 512 * 32 * 4, "qzeros": 8 * 32 * 4, "scales": 8 * 256 * 2},
    ),
    "gptq, one group a row": (
        {"quant_method": "gptq", "bits": 8, "group_size": -1, "desc_act": True},
        {"qweight": 128 * 256 * 4, "qzeros": 64 * 4, "scales": 256 * 2, "g_idx": 512 * 4},
    ),
    "fp8 by block": (
        {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
        {"weight": 256 * 512, "weight_scale_inv": 2 * 4 * 4},
    ),
    "fp8 by tensor, static": (
        {"quant_method": "fp8", "activation_scheme": "static"},
        {"weight": 256 * 512, "weight_scale": 4, "input_scale": 4},
    ),
    "packed": (
        compressed("pack-quantized", num_bits=4, group_size=32, symmetric=True, type="int"),
        {"weight_packed": 256 * 64 * 4, "weight_scale": 256 * 16 * 2, "weight_shape": 16},
    ),
    "packed, asymmetric": (
        compressed("pack-quantized", num_bits=8, group_size=128, symmetric=False, actorder="group"),
        {
            "weight_packed": 256 * 128 * 4,
            "weight_scale": 256 * 4 * 2,
            "weight_shape": 16,
            "weight_zero_point": 64 * 4 * 4,
            "weight_g_idx": 512 * 4,
        },
    ),
    "float by row": (
        compressed("float-quantized", num_bits=8, strategy="channel", type="float"),
        {"weight": 256 * 512, "weight_scale": 256 * 2},
    ),
    "integers": (
        compressed("int-quantized", num_bits=8, strategy="channel", type="int"),
        {"weight": 256 * 512, "weight_scale": 256 * 2},
    ),
    "nvfp4": (
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
        {"weight": 128 * 512, "weight_scale": 256 * 32, "weight_scale_2": 4, "input_scale": 4},
    ),
    "mxfp4": (
        {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
        {"weight_packed": 128 * 512, "weight_scale": 256 * 16},
    ),
    "nf4": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        {"weight": 128 * 512, "quant_map": 64, "absmax": 2048 * 4},
    ),
    "int8": (
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"weight": 256 * 512, "SCB": 256 * 4, "weight_format": 1},
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_says_how_a_matrix_is_stored(name: str) -> None:
    block, parts = BLOCKS[name]
    found = checkpoint_quantisation({"quantization_config": block})
    assert found is not None
    assert found.layout is not None
    assert found.layout(256, 512) == parts


def test_mlx_has_a_block_of_its_own() -> None:
    block = {"group_size": 32, "bits": 8, "mode": "affine", "model.layers.0.mlp.gate_proj": False}
    found = checkpoint_quantisation({"quantization": block, "quantization_config": block})
    assert found is not None
    assert found.label == "MLX affine, 8 bits, groups of 32"
    assert found.layout is not None
    assert sum(found.layout(256, 512).values()) == 256 * 512 + 2 * 2 * 256 * 16
    assert found.overrides == {"model.layers.0.mlp.gate_proj": MlxModule(None, 32, "affine")}


def test_a_configuration_without_a_block_is_not_quantised() -> None:
    for config in (
        {},
        {"quantization_config": None},
        {"quantization": 4},
        {"quantization_config": []},
    ):
        assert checkpoint_quantisation(config) is None


def test_a_method_nobody_described_has_a_name_and_no_layout() -> None:
    found = checkpoint_quantisation({"quantization_config": {"quant_method": "Quark_X"}})
    assert found is not None
    assert (found.method, found.layout, found.converts) == ("quark-x", None, False)


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row["repo"].partition("/")[2])
def test_published_files_are_foreseen_from_their_configuration(row: dict[str, Any]) -> None:
    entry = find_model(row["model"])
    tensors = spec_of_entry(entry, file_type="F16").tensors
    method = row["layout"]
    block = {"quant_method": method, "bits": row["bits"], "group_size": row["group"]}
    config = {**entry.config, "quantization_config": None if method == "plain" else block}
    foreseen = whole_checkpoint_bytes(tensors, checkpoint_quantisation(config), config)
    left = row["bytes"] - exactly(foreseen)
    if method == "awq":  # this one holds the tied embedding twice
        left -= 2 * 151_936 * 896
    parts = {"awq": 3, "gptq": 4}.get(method, 1)
    assert 0 < left <= HEADER_BYTES_A_TENSOR * len(tensors) * parts


@pytest.mark.parametrize(
    "row", [r for r in ROWS if "Qwen3.6-35B" in r["repo"]], ids=lambda r: r["repo"]
)
def test_published_mlx_repositories_are_foreseen_to_the_byte(row: dict[str, Any]) -> None:
    entry = find_model(row["model"])
    tensors = spec_of_entry(entry, file_type="F16").tensors
    block: dict[str, Any] = {"group_size": row["group"], "bits": row["bits"], "mode": row["mode"]}
    for layer in range(40):
        for router in ("mlp.gate", "mlp.shared_expert_gate"):
            block[f"language_model.model.layers.{layer}.{router}"] = {"group_size": 64, "bits": 8}
    config = {**entry.config, "quantization": block}
    foreseen = whole_checkpoint_bytes(tensors, checkpoint_quantisation(config), config)
    assert exactly(foreseen) + 2 * (entry.params_vision_audio or 0) == row["bytes"]


def test_modules_that_a_block_leaves_out_stay_in_16_bits() -> None:
    listed = NamePatterns(["model.layers.0", "mlp.gate_proj", "lm_head", "re:.*(a+)+$"])
    assert listed.unread == ("re:.*(a+)+$",)
    keeps = keeper(listed)
    assert keeps("blk.0.attn_q.weight")
    assert keeps("blk.7.ffn_gate.weight")
    assert not keeps("blk.7.ffn_up.weight")
    assert not keeps("blk.10.attn_q.weight")
    assert keeps("output.weight")
    only = keeper(NamePatterns(()), only_experts=True)
    assert only("blk.1.attn_q.weight")
    assert not only("blk.1.ffn_up_exps.weight")


def test_modules_have_gguf_names() -> None:
    assert gguf_part("model.layers.3.mlp.switch_mlp.up_proj") == "blk.3.ffn_up_exps.weight"
    assert gguf_part("language_model.model.layers.12.self_attn.q_proj") == "blk.12.attn_q.weight"
    assert gguf_part("lm_head") == "output.weight"
    assert gguf_part("language_model.model.embed_tokens") == "token_embd.weight"
    assert gguf_part("model.layers.4.linear_attn.out_proj") == "blk.4.ssm_out.weight"
    assert gguf_part("model.layers.2.mlp.shared_expert.up_proj") == "blk.2.ffn_up_shexp.weight"
    assert gguf_part("model.layers.1.input_layernorm") is None


def test_a_row_that_does_not_fill_its_groups_has_no_figure() -> None:
    tensors = spec_of_entry(find_model("qwen2.5-0.5b"), file_type="F16").tensors
    block = {"quant_method": "gptq", "bits": 4, "group_size": 1000}
    found = checkpoint_quantisation({"quantization_config": block})
    foreseen = whole_checkpoint_bytes(tensors, found, {})
    assert foreseen is not None
    plain = sum(2 * prod(tensor.shape) for tensor in tensors)
    assert foreseen == (plain // 4, plain)  # from four bits a weight to sixteen
