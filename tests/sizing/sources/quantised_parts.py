"""The stored tensors of a matrix by the rules of each library, apart from the code under test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from checkpoints import LLAMA, Tensors, linear_layers, other_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    Shape = Callable[[int, int], tuple[int, ...]]
    Parts = dict[str, tuple[str, Shape]]

GROUP: Final = 128
SCALAR: Final = ("F32", lambda *_: ())
ONE: Final = ("F32", lambda *_: (1,))


def up(value: int, divisor: int) -> int:
    return -(-value // divisor)


def gptq(bits: int, group: int) -> Parts:
    return {
        "qweight": ("I32", lambda rows, columns: (columns * bits // 32, rows)),
        "qzeros": ("I32", lambda rows, columns: (up(columns, group), rows * bits // 32)),
        "scales": ("F16", lambda rows, columns: (up(columns, group), rows)),
        "g_idx": ("I32", lambda _, columns: (columns,)),
    }


def scheme(form: str, *, inputs: Any = None, **weights: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    block = {"quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"]}
    return {"quantization_config": {**block, "config_groups": {"group_0": group}}}


def block(method: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"quantization_config": {"quant_method": method, **more}}


AWQ: Final[Parts] = {
    "qweight": ("I32", lambda rows, columns: (columns, rows // 8)),
    "qzeros": ("I32", lambda rows, columns: (columns // GROUP, rows // 8)),
    "scales": ("F16", lambda rows, columns: (columns // GROUP, rows)),
}
FP8: Final = ("F8_E4M3", lambda rows, columns: (rows, columns))
PACKED: Final[Parts] = {
    "weight_packed": ("I32", lambda rows, columns: (rows, columns // 8)),
    "weight_scale": ("BF16", lambda rows, columns: (rows, columns // GROUP)),
    "weight_shape": ("I64", lambda *_: (2,)),
}
NVFP4: Final[Parts] = {
    "weight": ("U8", lambda rows, columns: (rows, columns // 2)),
    "weight_scale": ("F8_E4M3", lambda rows, columns: (rows, columns // 16)),
    "weight_scale_2": SCALAR,
    "input_scale": SCALAR,
}
NF4: Final[Parts] = {
    "weight": ("U8", lambda rows, columns: (rows * columns // 2, 1)),
    "weight.quant_map": ("F32", lambda *_: (16,)),
}
NESTED: Final[Parts] = {
    "weight.absmax": ("U8", lambda rows, columns: (rows * columns // 64,)),
    "weight.nested_absmax": ("F32", lambda rows, columns: (up(rows * columns // 64, 256),)),
    "weight.nested_quant_map": ("F32", lambda *_: (256,)),
}
ONLY_WEIGHTS: Final = {"num_bits": 4, "group_size": 16, "type": "float", "strategy": "tensor_group"}
CASES: Final[dict[str, tuple[dict[str, Any], Parts]]] = {
    "awq": (block("awq", bits=4, group_size=GROUP, version="gemm"), AWQ),
    "awq without groups named": (block("awq"), AWQ),
    "gptq, 4 bits": (block("gptq", bits=4, group_size=GROUP), gptq(4, GROUP)),
    "gptq, 8 bits in groups of 32": (block("gptq", bits=8, group_size=32), gptq(8, 32)),
    "gptq, 3 bits, one group a row": (block("gptq", bits=3, group_size=-1), gptq(3, 2**30)),
    "fp8 by block": (
        block("fp8", weight_block_size=[128, 128], activation_scheme="dynamic"),
        {
            "weight": FP8,
            "weight_scale_inv": ("F32", lambda rows, columns: (up(rows, 128), up(columns, 128))),
        },
    ),
    "fp8 by tensor, static": (
        block("fp8", activation_scheme="static"),
        {"weight": FP8, "weight_scale": SCALAR, "input_scale": SCALAR},
    ),
    "fbgemm fp8": (
        block("fbgemm_fp8", modules_to_not_convert=["lm_head"]),
        {
            "weight": FP8,
            "weight_scale": ("F32", lambda rows, _: (rows, 1)),
            "input_scale_ub": ONE,
        },
    ),
    "compressed int4": (
        scheme("pack-quantized", num_bits=4, group_size=GROUP, type="int", symmetric=True),
        PACKED,
    ),
    "compressed int8": (
        scheme("int-quantized", num_bits=8, strategy="channel", type="int"),
        {
            "weight": ("I8", lambda rows, columns: (rows, columns)),
            "weight_scale": ("BF16", lambda rows, _: (rows, 1)),
        },
    ),
    "compressed fp8 by row": (
        scheme("float-quantized", num_bits=8, strategy="channel", type="float"),
        {"weight": FP8, "weight_scale": ("BF16", lambda rows, _: (rows, 1))},
    ),
    "compressed fp8 by tensor, static": (
        scheme("float-quantized", num_bits=8, type="float", inputs={"dynamic": False}),
        {
            "weight": FP8,
            "weight_scale": ("BF16", lambda *_: (1,)),
            "input_scale": ("BF16", lambda *_: (1,)),
        },
    ),
    "compressed nvfp4": (
        scheme("nvfp4-pack-quantized", inputs={"dynamic": "local"}, **ONLY_WEIGHTS),
        {
            "weight_packed": NVFP4["weight"],
            "weight_scale": NVFP4["weight_scale"],
            "weight_global_scale": ONE,
            "input_global_scale": ONE,
        },
    ),
    "compressed nvfp4, weights only": (
        scheme("nvfp4-pack-quantized", **ONLY_WEIGHTS),
        {
            "weight_packed": NVFP4["weight"],
            "weight_scale": NVFP4["weight_scale"],
            "weight_global_scale": ONE,
        },
    ),
    "compressed mxfp4": (
        scheme("mxfp4-pack-quantized", num_bits=4, group_size=32, type="float"),
        {
            "weight_packed": NVFP4["weight"],
            "weight_scale": ("U8", lambda rows, columns: (rows, columns // 32)),
        },
    ),
    "modelopt nvfp4": (block("modelopt", quant_algo="NVFP4"), NVFP4),
    "modelopt fp8": (
        block("modelopt", quant_algo="FP8"),
        {"weight": FP8, "weight_scale": SCALAR, "input_scale": SCALAR},
    ),
    "bitsandbytes int8": (
        block("bitsandbytes", load_in_8bit=True),
        {
            "weight": ("I8", lambda rows, columns: (rows, columns)),
            "SCB": ("F32", lambda rows, _: (rows,)),
            "weight_format": ("U8", lambda *_: ()),
        },
    ),
    "bitsandbytes nf4": (
        block("bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        {**NF4, "weight.absmax": ("F32", lambda rows, columns: (rows * columns // 64,))},
    ),
    "bitsandbytes nf4, scales quantised": (
        block("bitsandbytes", load_in_4bit=True, bnb_4bit_use_double_quant=True),
        {**NF4, **NESTED},
    ),
}


def quantised(parts: Parts, *, kept: tuple[str, ...] = ()) -> Tensors:
    """A small Llama whose linear layers, but those in `kept`, have these parts."""
    tensors = other_tensors(LLAMA)
    for name, rows, columns in linear_layers(LLAMA):
        if any(part in name for part in kept):
            tensors[f"{name}.weight"] = ("BF16", (rows, columns))
            continue
        for part, (dtype, shape) in parts.items():
            tensors[f"{name}.{part}"] = (dtype, shape(rows, columns))
    return tensors
