"""Each field of a quantisation block: what it says where it is there, odd, and left out."""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.sizing.quants.layouts.block import bits_said, listed, number
from whatfits.sizing.quants.layouts.from_config import (
    CheckpointQuantisation,
    checkpoint_quantisation,
)
from whatfits.sizing.quants.layouts.mlx import MlxModule

ROWS, COLUMNS = 256, 512
PLAIN = ROWS * COLUMNS


def of(block: dict[str, Any], key: str = "quantization_config") -> CheckpointQuantisation:
    found = checkpoint_quantisation({key: block})
    assert found is not None
    return found


def parts(block: dict[str, Any]) -> dict[str, int]:
    layout = of(block).layout
    assert layout is not None
    return layout(ROWS, COLUMNS)


def compressed(form: str = "pack-quantized", **group: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": {"targets": ["Linear"], **group}},
        "ignore": ["lm_head"],
    }


def test_packed_weights_are_four_bits_one_group_a_row_where_nothing_else_is_said() -> None:
    bare = parts(compressed(weights={"type": "int"}))
    assert bare == {"weight_packed": PLAIN // 2, "weight_scale": ROWS * 2, "weight_shape": 16}
    nothing = ({"num_bits": None}, {"num_bits": 0}, {"num_bits": True})
    for none in (*nothing, {"group_size": None}, {"group_size": 0}):
        assert parts(compressed(weights={"type": "int", **none})) == bare
    told = {"num_bits": 8, "group_size": 64, "symmetric": True, "actorder": "weight"}
    assert parts(compressed(weights=told)) == {
        "weight_packed": PLAIN,
        "weight_scale": ROWS * COLUMNS // 64 * 2,
        "weight_shape": 16,
    }
    assert "weight_zero_point" in parts(compressed(weights={**told, "symmetric": False}))
    assert "weight_g_idx" in parts(compressed(weights={**told, "actorder": "group"}))


def test_a_label_tells_bits_and_groups_where_both_are_said() -> None:
    said = {"num_bits": 4, "group_size": 32}
    one = of(compressed(weights=said))
    assert (one.method, one.bits, one.converts, one.native) == (
        "compressed-tensors",
        4,
        True,
        None,
    )
    assert one.label == "compressed-tensors pack-quantized, 4 bits, groups of 32"
    assert of(compressed(weights={**said, "group_size": None})).label.endswith("one group a row")
    assert of(compressed(weights={"num_bits": 4})).label == "compressed-tensors pack-quantized"
    assert of(compressed(weights={"group_size": 32})).bits is None
    assert of(compressed(weights={"group_size": 32})).label == "compressed-tensors pack-quantized"
    assert one.excluded.matches("lm_head")
    assert not one.only


def test_several_groups_have_no_layout_and_neither_has_an_unknown_form() -> None:
    block = compressed(weights={"num_bits": 4, "group_size": 32})
    block["config_groups"]["group_1"] = {"weights": {"num_bits": 8}}
    two = of(block)
    assert (two.layout, two.converts) == (None, False)
    assert two.label == "compressed-tensors pack-quantized"
    other = of(compressed("sparse-24", weights={"num_bits": 4}))
    assert (other.layout, other.converts, other.bits) == (None, False, 4)
    odd = of({**compressed(weights={"num_bits": 4}), "format": 7})
    assert (odd.layout, odd.label) == (None, "compressed-tensors unknown format")
    assert of(compressed()).layout is None  # no weights are described


@pytest.mark.parametrize(
    ("form", "converts"),
    [
        ("float-quantized", True),
        ("int-quantized", True),
        ("naive-quantized", True),
        ("pack-quantized", True),
        ("nvfp4-pack-quantized", False),
        ("mxfp4-pack-quantized", False),
    ],
)
def test_what_the_converter_reads(form: str, *, converts: bool) -> None:
    found = of(compressed(form, weights={"num_bits": 8}))
    assert found.converts is converts
    assert found.native == ("mxfp4" if form.startswith("mxfp4") else None)


def test_mxfp4_needs_no_groups_to_be_known() -> None:
    found = of({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"})
    assert found.layout is not None
    assert found.bits == 4
    assert found.layout(ROWS, COLUMNS) == {"weight_packed": PLAIN // 2, "weight_scale": PLAIN // 32}
    assert of(compressed("mxfp4-pack-quantized", weights={"num_bits": 8})).bits == 8
    groupless = of({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"})
    assert (groupless.layout, groupless.bits) == (None, None)


@pytest.mark.parametrize("form", ["float-quantized", "naive-quantized", "int-quantized"])
def test_whole_bytes_have_scales_by_block_row_or_tensor(form: str) -> None:
    def whole(inputs: dict[str, Any] | None = None, **weights: Any) -> dict[str, int]:  # noqa: ANN401 - JSON
        return parts(compressed(form, weights=weights, input_activations=inputs))

    tensor = {"weight": PLAIN, "weight_scale": 2}
    assert whole(num_bits=8, type="float", strategy="tensor") == tensor
    assert whole({"dynamic": True}, num_bits=8, type="float") == tensor
    assert whole({"dynamic": False}, num_bits=8, type="float") == {**tensor, "input_scale": 2}
    row = {"weight": PLAIN, "weight_scale": ROWS * 2}
    assert whole(num_bits=8, type="float", strategy="channel") == row
    static = whole({"dynamic": False}, num_bits=8, type="float", strategy="channel")
    assert static == {**row, "input_scale": 2}
    blocks = whole(num_bits=8, type="float", block_structure=[64, 32])
    assert blocks == {"weight": PLAIN, "weight_scale_inv": 4 * 16 * 2}
    for odd in ([0, -1], [True, "128"], [None, None]):
        found = whole(num_bits=8, type="float", block_structure=odd)
        assert found["weight_scale_inv"] == 2 * 4 * 2  # blocks of 128
    for other in ([128], [1, 2, 3], "128x128", None):
        assert whole(num_bits=8, type="float", block_structure=other) == tensor
    one = whole({"dynamic": False}, num_bits=8, type="float", block_structure=[1, 1])
    assert one == {"weight": PLAIN, "weight_scale_inv": PLAIN * 2, "input_scale": 2}
    assert whole(num_bits=8, type="int") == {"weight": PLAIN, "weight_scale": ROWS * 2}


def test_nvfp4_scales_what_goes_in_only_where_it_is_quantised() -> None:
    weights = {"num_bits": 4, "group_size": 16}
    without = parts(compressed("nvfp4-pack-quantized", weights=weights))
    beside = {"weights": weights, "input_activations": {"num_bits": 4}}
    with_inputs = parts(compressed("nvfp4-pack-quantized", **beside))
    assert sum(with_inputs.values()) - sum(without.values()) == 4


def test_a_group_is_for_every_linear_layer_or_for_the_modules_it_names() -> None:
    def only(targets: object) -> CheckpointQuantisation:
        return of(compressed(weights={"num_bits": 4}, targets=targets))

    assert not only(["Linear"]).only
    assert not only(["Linear", "re:.*q_proj$"]).only
    assert not only("re:.*q_proj$").only
    assert not only(None).only
    named = only(["re:.*q_proj$", 7]).only
    assert named.matches("model.layers.0.self_attn.q_proj")
    assert not named.matches("model.layers.0.self_attn.k_proj")


@pytest.mark.parametrize(
    ("value", "read"),
    [(1, 1), (65_536, 65_536), (-1, -1), (0, None), (65_537, None), (-2, None), (True, None)],
)
def test_a_number_is_one_of_use_or_not_there(value: object, read: int | None) -> None:
    assert number({"n": value}, "n", default=None) == read
    assert number({"n": value, "m": 5}, "n", "m", default=9) == (5 if read is None else read)
    assert number({}, "n", default=9) == 9
    assert number({"n": 4.0}, "n", default=None) is None


def test_the_first_list_counts_and_what_is_no_name_in_it_does_not() -> None:
    names = listed({"a": "x", "b": ["y", 3], "c": ["z"]}, "a", "b", "c")
    assert names.matches("y")
    assert not names.matches("z")
    assert not listed({}, "a")


@pytest.mark.parametrize(
    ("block", "bits"),
    [
        ({"bits": 4}, 4),
        ({"num_bits": 32}, 32),
        ({"wbits": 33}, None),
        ({"nbits": -1}, None),
        ({"w_bit": 0}, None),
        ({"a": {"weight_bits": 3}}, 3),
        ({"a": {"b": {"bits": 2}}}, 2),
        ({"a": {"b": {"c": {"bits": 2}}}}, None),
        ({"bits": 4, "a": {"bits": 2}}, 4),
        ({"weights": "int4_weight_only"}, 4),
        ({"quant_type": "FLOAT8"}, 8),
        ({"quant_type": "int8_dynamic_int4_weight"}, 4),
        ({"weights": "int16", "quant_type": "float6"}, 1),
        ({"weights": "int1"}, 1),
        ({"weights": "int2"}, 2),
        ({"weights": "int3"}, 3),
        ({"weights": "float6"}, 6),
        ({"weights": "int5"}, None),
        ({"weights": "words", "quant_type": 4}, None),
    ],
)
def test_bits_are_found_where_a_block_of_any_kind_names_them(
    block: dict[str, object], bits: int | None
) -> None:
    assert bits_said(block) == bits


def test_awq_and_gptq_are_four_bits_in_groups_of_128_by_default() -> None:
    awq = of({"quant_method": "awq"})
    assert (awq.bits, awq.label, awq.converts) == (4, "AWQ, 4 bits, groups of 128", False)
    assert parts({"quant_method": "AWQ", "w_bit": 4, "q_group_size": 64})["scales"] == 8 * 256 * 2
    assert of({"quant_method": "awq", "bits": 8}).layout is None
    gptq = of({"quant_method": "gptq"})
    assert (gptq.bits, gptq.label, gptq.converts) == (4, "GPTQ, 4 bits, groups of 128", True)
    assert parts({"quant_method": "gptq"})["scales"] == 4 * 256 * 2
    for bits in (2, 3, 8):
        assert of({"quant_method": "gptq", "bits": bits}).converts is (bits != 3)
    kept = of({"quant_method": "gptq", "modules_to_not_convert": ["lm_head"]})
    assert kept.excluded.matches("lm_head")


def test_fp8_has_a_scale_a_block_where_the_block_has_two_sides() -> None:
    by_block = of({"quant_method": "fp8", "weight_block_size": [64, 32]})
    assert by_block.label == "FP8, a scale per block of 64 x 32"
    assert (by_block.bits, by_block.converts) == (8, True)
    assert parts({"quant_method": "fp8", "weight_block_size": [64, 32]}) == {
        "weight": PLAIN,
        "weight_scale_inv": 4 * 16 * 4,
    }
    assert parts({"quant_method": "fp8", "weight_block_size": [1, 1]})["weight_scale_inv"] == (
        PLAIN * 4
    )
    for odd in ([64], [64, 0], [0, 64], [64, True], [64, "32"], [1, 2, 3], "64x32", None):
        found = of({"quant_method": "fp8", "weight_block_size": odd})
        assert found.label == "FP8, a scale a tensor"
    static = {"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]}
    assert parts({**static, "weight_block_size": [128, 128]})["input_scale"] == 4
    assert of(static).excluded.matches("lm_head")


def test_metas_fp8_has_a_scale_a_row_and_a_bound_a_matrix() -> None:
    found = of({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]})
    assert (found.method, found.bits, found.converts) == ("fbgemm-fp8", 8, False)
    assert parts({"quant_method": "fbgemm_fp8"}) == {
        "weight": PLAIN,
        "weight_scale": ROWS * 4,
        "input_scale": 4,
    }


def test_mxfp4_is_for_the_experts_and_gguf_keeps_it() -> None:
    found = of({"quant_method": "mxfp4"})
    assert (found.bits, found.only_experts, found.converts, found.native) == (
        4,
        True,
        True,
        "mxfp4",
    )


@pytest.mark.parametrize(
    ("said", "label", "bits"),
    [
        ({"load_in_8bit": True}, "bitsandbytes LLM.int8()", 8),
        ({"quant_method": "bitsandbytes", "_load_in_8bit": True}, "bitsandbytes LLM.int8()", 8),
        ({"load_in_8bit": False, "load_in_4bit": True}, "bitsandbytes FP4", 4),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bitsandbytes NF4", 4),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "bitsandbytes FP4", 4),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "other"}, "bitsandbytes FP4", 4),
        (
            {"load_in_4bit": True, "bnb_4bit_use_double_quant": True},
            "bitsandbytes FP4, scales quantised too",
            4,
        ),
    ],
)
def test_bitsandbytes_says_how_it_loads(said: dict[str, Any], label: str, bits: int) -> None:
    for block in (said, {"quant_method": "bitsandbytes", **said}):
        found = of(block)
        assert (found.method, found.label, found.bits) == ("bitsandbytes", label, bits)
    doubled = parts({"load_in_4bit": True, "bnb_4bit_use_double_quant": True})
    assert set(doubled) > set(parts({"load_in_4bit": True}))


def test_modelopt_names_its_algorithm_in_a_part_of_its_own_or_not() -> None:
    inner = {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    for block in ({"quantization": inner}, {"quant_method": "modelopt", **inner}):
        found = of(block)
        assert (found.method, found.label) == ("modelopt", "ModelOpt FP8, a scale a tensor")
        assert (found.bits, found.converts) == (8, True)
        assert found.excluded.matches("lm_head")
        assert parts(block) == {"weight": PLAIN, "weight_scale": 4, "input_scale": 4}
    four = of({"quant_method": "modelopt", "quant_algo": "NVFP4"})
    assert (four.label, four.bits, four.converts) == ("ModelOpt NVFP4", 4, True)
    assert of({"quant_method": "modelopt"}).bits == 4
    other = of({"quant_method": "modelopt", "quant_algo": "W4A8", "bits": 5})
    assert (other.label, other.bits, other.layout) == ("ModelOpt W4A8", 5, None)


@pytest.mark.parametrize(
    ("block", "method"),
    [
        ({"config_groups": {}}, "compressed-tensors"),
        ({"bits": 4, "quant_method": "awq"}, "awq"),
        ({"something": 1}, "unknown"),
        ({"quant_method": 4}, "unknown"),
        ({"quant_method": None, "quant_algo": "gptq"}, "gptq"),
        ({"bits": 4}, "mlx"),
        ({"group_size": 64}, "mlx"),
        ({"bits": 4, "config_groups": {}}, "compressed-tensors"),
        ({"bits": 4, "load_in_4bit": True}, "bitsandbytes"),
        ({"quantization": {"kv_cache_quant_algo": "FP8"}}, "unknown"),
    ],
)
def test_a_method_is_told_by_its_name_or_by_its_fields(block: dict[str, Any], method: str) -> None:
    assert of(block).method == method


def test_a_layout_nobody_described_has_the_bits_it_gives() -> None:
    assert of({"quant_method": "quark", "bits": 6}).label == (
        "quark, 6 bits (a layout nobody described here)"
    )
    assert of({"quant_method": "quark"}).label == "quark (a layout nobody described here)"


def test_mlx_is_four_bits_in_groups_of_64_and_modules_may_differ() -> None:
    found = of({"group_size": 64}, "quantization")
    assert (found.bits, found.group, found.mode) == (4, 64, "affine")
    assert (found.label, found.converts) == ("MLX affine, 4 bits, groups of 64", False)
    assert of({"bits": 8}, "quantization").group == 64
    block = {
        "bits": 4,
        "group_size": 32,
        "a": {"bits": 8, "group_size": 128},
        "b": {"mode": "mxfp4"},
        "c": False,
        "d": True,
    }
    own = of(block, "quantization")
    assert own.overrides == {
        "a": MlxModule(8, 128, "affine"),
        "b": MlxModule(4, 32, "mxfp4"),
        "c": MlxModule(None, 32, "affine"),
    }
    assert own.layout is not None
    unknown = of({**block, "e": {"mode": "ternary"}}, "quantization")
    assert unknown.layout is None
    assert unknown.overrides["e"] == MlxModule(4, 32, "affine")
    odd = of({"bits": 4, "mode": "ternary"}, "quantization")
    assert (odd.layout, odd.mode) == (None, "affine")
    floats = of({"bits": 4, "mode": "mxfp8"}, "quantization")
    assert floats.layout is not None
    assert floats.layout(ROWS, COLUMNS) == {"weight": PLAIN, "scales": PLAIN // 32}
