"""Checkpoints of every quantisation: counted from their headers, foreseen from their blocks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from checkpoints import (
    LLAMA,
    Tensors,
    linear_layers,
    llama_tensors,
    n_bytes,
    other_tensors,
    write_config,
    write_safetensors,
)
from quantised_parts import AWQ, CASES, GROUP, NVFP4, PACKED, block, gptq, quantised, scheme

from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

    from quantised_parts import Parts

TOTAL: Final = n_bytes(llama_tensors())
PARAMETERS: Final = TOTAL // 2


def notes(folder: Path) -> str:
    return " ".join(load(str(folder)).notes)


def check_both(folder: Path, more: dict[str, Any], tensors: Tensors) -> None:
    """The bytes of the tensors are those said of the block alone, and of the files."""
    write_config(folder, {**LLAMA, **more})
    assert f"has about {n_bytes(tensors):,} bytes" in notes(folder)
    write_safetensors(folder / "model.safetensors", tensors)
    assert f"tensors of {n_bytes(tensors):,} bytes" in notes(folder)


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_is_foreseen_from_its_block_and_counted_on_disk(
    case: str, tmp_path: Path
) -> None:
    more, parts = CASES[case]
    check_both(tmp_path, more, quantised(parts))


@pytest.mark.parametrize("case", CASES)
def test_packed_weights_are_counted_as_what_they_stand_for(case: str, tmp_path: Path) -> None:
    more, parts = CASES[case]
    write_config(tmp_path, {**LLAMA, **more, "model_type": "unheard_of", "architectures": []})
    write_safetensors(tmp_path / "model.safetensors", quantised(parts))
    assert load(str(tmp_path)).parameters == PARAMETERS


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["mlp.down_proj"], ("down_proj",)),
        (["re:.*self_attn.*"], ("self_attn",)),
        ([r"re:.*mlp\.(gate|up)_proj$", "lm_head"], ("gate_proj", "up_proj")),
        (["model.layers.1"], ("layers.1.",)),
        (["*layers.2.mlp*"], ("layers.2.mlp",)),
    ],
)
def test_modules_that_a_block_leaves_out_stay_in_16_bits(
    names: list[str], kept: tuple[str, ...], tmp_path: Path
) -> None:
    more = scheme("pack-quantized", num_bits=4, group_size=GROUP, type="int")
    more["quantization_config"]["ignore"] = names
    check_both(tmp_path, more, quantised(PACKED, kept=kept))


def test_a_group_may_be_for_some_modules_only(tmp_path: Path) -> None:
    more = scheme("pack-quantized", num_bits=4, group_size=GROUP, type="int")
    more["quantization_config"]["config_groups"]["group_0"]["targets"] = ["re:.*mlp.*"]
    check_both(tmp_path, more, quantised(PACKED, kept=("self_attn",)))


def mlx(bits: int, group: int) -> Parts:
    return {
        "weight": ("U32", lambda rows, columns: (rows, columns * bits // 32)),
        "scales": ("BF16", lambda rows, columns: (rows, columns // group)),
        "biases": ("BF16", lambda rows, columns: (rows, columns // group)),
    }


def test_mlx_modules_have_bits_groups_and_modes_of_their_own(tmp_path: Path) -> None:
    own = {
        "model.layers.0.mlp.down_proj": {"bits": 8, "group_size": 32},
        "model.layers.1.self_attn.v_proj": {"bits": 4, "group_size": 32, "mode": "mxfp4"},
        "model.layers.2.self_attn.k_proj": False,
        "lm_head": {"bits": 6, "group_size": 64},
    }
    tensors = other_tensors(LLAMA)
    width, vocabulary = LLAMA["hidden_size"], LLAMA["vocab_size"]
    ends = (("model.embed_tokens", vocabulary, width), ("lm_head", vocabulary, width))
    for name, rows, columns in (*linear_layers(LLAMA), *ends):
        tensors.pop(f"{name}.weight", None)
        said = own.get(name, {"bits": 4, "group_size": 64})
        if said is False:
            tensors[f"{name}.weight"] = ("BF16", (rows, columns))
            continue
        parts = mlx(said["bits"], said["group_size"])  # type: ignore[index]
        if "mode" in said:  # type: ignore[operator]
            parts = {"weight": parts["weight"], "scales": ("U8", parts["scales"][1])}
        for part, (dtype, shape) in parts.items():
            tensors[f"{name}.{part}"] = (dtype, shape(rows, columns))
    check_both(tmp_path, {"quantization": {"bits": 4, "group_size": 64, **own}}, tensors)


UNKNOWN: Final = {
    "torchao": (block("torchao", quant_type={"default": {"_type": "Int4WeightOnlyConfig"}}), None),
    "torchao, by name": (block("torchao", quant_type="int8_weight_only"), 8),
    "hqq": (block("hqq", quant_config={"weight_quant_params": {"nbits": 4}}), 4),
    "eetq": (block("eetq", weights="int8"), 8),
    "quanto": (block("quanto", weights="float8"), 8),
    "aqlm": (block("aqlm", nbits_per_codebook=16), None),
    "nobody's": (block("Quark_X"), None),
    "without a method's name": ({"quantization_config": {"sparsity": 0.5}}, None),
    "several groups": (
        {
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "format": "mixed-precision",
                "config_groups": {"a": {}, "b": {}},
            }
        },
        None,
    ),
    "a list nobody can read": (
        block("gptq", bits=4, group_size=GROUP, modules_to_not_convert=["re:(a+)+$"]),
        4,
    ),
    "mlx in seven bits": ({"quantization": {"bits": 7, "group_size": 64}}, 7),
    "mlx in a mode of tomorrow": ({"quantization": {"bits": 4, "mode": "fp4_next"}}, 4),
    "mlx with a module nobody knows": (
        {"quantization": {"bits": 4, "group_size": 64, "model.layers.0.x.y": {"bits": 8}}},
        4,
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_named_and_answered_by_an_interval(case: str, tmp_path: Path) -> None:
    more, bits = UNKNOWN[case]
    write_config(tmp_path, {**LLAMA, **more})
    said = notes(tmp_path)
    low = PARAMETERS * (bits or 1) // 8
    assert f"between {low:,} and {TOTAL:,} bytes" in said
    assert "is not known here" in said
    method = more.get("quantization_config", {}).get("quant_method", "")
    assert method.lower().replace("_", "-") in said.lower()


BESIDE: Final = {
    "quantize_config.json": ({"bits": 4, "group_size": GROUP, "desc_act": False}, gptq(4, GROUP)),
    "quant_config.json": ({"zero_point": True, "q_group_size": GROUP, "w_bit": 4}, AWQ),
    "hf_quant_config.json": ({"quantization": {"quant_algo": "NVFP4", "group_size": 16}}, NVFP4),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_older_tools_wrote_beside_the_configuration_is_read(name: str, tmp_path: Path) -> None:
    block_beside, parts = BESIDE[name]
    (tmp_path / name).write_text(json.dumps(block_beside))
    check_both(tmp_path, {}, quantised(parts))
    assert f"{name} does" in notes(tmp_path)
    write_config(tmp_path, {**LLAMA, **block("eetq")})
    assert f"{name} does" not in notes(tmp_path)  # the configuration itself goes before


def test_a_quantised_checkpoint_is_sized_as_the_gguf_it_becomes(tmp_path: Path) -> None:
    write_config(tmp_path, LLAMA)
    plain = load(str(tmp_path), file_type="Q5_K_M")
    for more, _ in CASES.values():
        write_config(tmp_path, {**LLAMA, **more})
        assert load(str(tmp_path), file_type="Q5_K_M").tensors == plain.tensors
