"""The quantisation block of a `config.json` → how the checkpoint stores its matrices.

`quantization_config` (AWQ, GPTQ, FP8, compressed-tensors, ModelOpt's NVFP4, MXFP4, bitsandbytes),
`compression_config` (what compressed-tensors wrote first) or MLX's `quantization`. Sources: the
files of this package, each for its layout; huggingface/transformers
src/transformers/utils/quantization_config.py for the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from whatfits.sizing.errors import printable
from whatfits.sizing.quants.layouts.awq import awq_parts
from whatfits.sizing.quants.layouts.bitsandbytes import four_bit_parts, llm_int8_parts
from whatfits.sizing.quants.layouts.block import (
    CheckpointQuantisation,
    bits_said,
    grouped,
    listed,
    number,
    quantisation_block,
)
from whatfits.sizing.quants.layouts.compressed_config import compressed_tensors
from whatfits.sizing.quants.layouts.compressed_tensors import mxfp4_parts
from whatfits.sizing.quants.layouts.fp8 import fp8_parts
from whatfits.sizing.quants.layouts.gptq import gptq_parts
from whatfits.sizing.quants.layouts.mlx import MlxModule, is_mlx_mode, mlx_parts
from whatfits.sizing.quants.layouts.nvfp4 import nvfp4_parts
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.quants.layouts.checkpoint import Layout
    from whatfits.sizing.quants.layouts.mlx import MlxMode

__all__ = ["CheckpointQuantisation", "checkpoint_quantisation"]

_GROUP: Final = 128  # the default of AWQ and GPTQ
_MLX_GROUP: Final = 64


def checkpoint_quantisation(config: Mapping[str, object]) -> CheckpointQuantisation | None:
    """Return how a checkpoint is quantised, None when its configuration says nothing of it.

    Source of `converts`: llama.cpp conversion/base.py, ModelBase.dequant_model.
    """
    block = quantisation_block(config)
    if block is None:
        return None
    if _is_mlx(block):
        return _mlx(block)
    method = _method(block)
    make = _MAKERS.get(method)
    return _unknown(method, block) if make is None else make(block)


def _is_mlx(block: Mapping[str, object]) -> bool:
    """Return whether a block is MLX's, which has no method's name and a group or a width."""
    names = ("quant_method", "quant_algo", "load_in_4bit", "load_in_8bit", "config_groups")
    return ("bits" in block or "group_size" in block) and not any(name in block for name in names)


def _method(block: Mapping[str, object]) -> str:
    given = block.get("quant_method") or block.get("quant_algo")
    inner = block.get("quantization")
    if given is None and isinstance(inner, Mapping) and "quant_algo" in inner:
        return "modelopt"
    if isinstance(given, str):
        return printable(given.lower().replace("_", "-"))
    if "load_in_4bit" in block or "load_in_8bit" in block:
        return "bitsandbytes"
    if "config_groups" in block:
        return "compressed-tensors"
    return "unknown"


def _unknown(method: str, block: Mapping[str, object]) -> CheckpointQuantisation:
    """Return a method whose layout is not described here, by its name and the bits it gives."""
    bits = bits_said(block)
    width = "" if bits is None else f", {bits} bits"
    return CheckpointQuantisation(
        method, f"{method}{width} (a layout nobody described here)", bits, None
    )


def _awq(block: Mapping[str, object]) -> CheckpointQuantisation:
    bits = number(block, "bits", "w_bit", default=4) or 4
    group = number(block, "group_size", "q_group_size", default=_GROUP) or _GROUP
    return CheckpointQuantisation(
        "awq",
        grouped("AWQ", bits, group),
        bits,
        partial(awq_parts, group=group) if bits == 4 else None,  # noqa: PLR2004 - the only width of its layout
        listed(block, "modules_to_not_convert"),
    )


def _gptq(block: Mapping[str, object]) -> CheckpointQuantisation:
    bits = number(block, "bits", default=4) or 4
    group = number(block, "group_size", default=_GROUP) or _GROUP
    return CheckpointQuantisation(
        "gptq",
        grouped("GPTQ", bits, group),
        bits,
        partial(gptq_parts, bits=bits, group=group),
        listed(block, "modules_to_not_convert"),
        converts=bits != 3,  # noqa: PLR2004 - the width its converter has no code for
    )


def _fp8(block: Mapping[str, object]) -> CheckpointQuantisation:
    size = block.get("weight_block_size")
    static = block.get("activation_scheme") == "static"
    excluded = listed(block, "modules_to_not_convert", "ignored_layers", "ignore")
    if isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size):  # noqa: PLR2004 - rows, columns
        layout: Layout = partial(fp8_parts, block=(size[0], size[1]), static_input=static)
        label = f"FP8, a scale per block of {size[0]} x {size[1]}"
    else:
        layout = partial(fp8_parts, scaling="tensor", static_input=static)
        label = "FP8, a scale a tensor"
    return CheckpointQuantisation("fp8", label, 8, layout, excluded, converts=True)


def _fbgemm(block: Mapping[str, object]) -> CheckpointQuantisation:
    """Return Meta's FP8: a scale a row, and one upper bound of the activations a matrix."""
    return CheckpointQuantisation(
        "fbgemm-fp8",
        "FP8 (FBGEMM), a scale a row",
        8,
        partial(fp8_parts, scaling="row", static_input=True),
        listed(block, "modules_to_not_convert"),
    )


def _mxfp4(block: Mapping[str, object]) -> CheckpointQuantisation:
    return CheckpointQuantisation(
        "mxfp4",
        "MXFP4 (experts)",
        4,
        mxfp4_parts,
        listed(block, "modules_to_not_convert"),
        only_experts=True,
        converts=True,
        native="mxfp4",
    )


def _bitsandbytes(block: Mapping[str, object]) -> CheckpointQuantisation:
    excluded = listed(block, "llm_int8_skip_modules", "modules_to_not_convert")
    if block.get("load_in_8bit") or block.get("_load_in_8bit"):
        return CheckpointQuantisation(
            "bitsandbytes", "bitsandbytes LLM.int8()", 8, llm_int8_parts, excluded
        )
    double = block.get("bnb_4bit_use_double_quant") is True
    kind = block.get("bnb_4bit_quant_type")
    name = kind.upper() if isinstance(kind, str) and kind in ("nf4", "fp4") else "FP4"
    label = f"bitsandbytes {name}{', scales quantised too' if double else ''}"
    layout = partial(four_bit_parts, double_quantised=double)
    return CheckpointQuantisation("bitsandbytes", label, 4, layout, excluded)


def _modelopt(block: Mapping[str, object]) -> CheckpointQuantisation:
    inner = block.get("quantization")
    inner = inner if isinstance(inner, Mapping) else block
    algorithm = inner.get("quant_algo")
    excluded = listed(inner, "exclude_modules", "ignore")
    if algorithm == "FP8":
        layout: Layout = partial(fp8_parts, scaling="tensor", static_input=True)
        return CheckpointQuantisation(
            "modelopt", "ModelOpt FP8, a scale a tensor", 8, layout, excluded, converts=True
        )
    known = algorithm in ("NVFP4", None)
    return CheckpointQuantisation(
        "modelopt",
        "ModelOpt NVFP4" if known else f"ModelOpt {printable(algorithm)}",
        4 if known else bits_said(inner),
        nvfp4_parts if known else None,
        excluded,
        converts=True,
    )


def _mlx(block: Mapping[str, object]) -> CheckpointQuantisation:
    bits = number(block, "bits", default=4) or 4
    group = number(block, "group_size", default=_MLX_GROUP) or _MLX_GROUP
    named = block.get("mode", "affine")
    mode = _mlx_mode(named)
    label = f"MLX {printable(named)}, {bits} bits, groups of {group}"
    layout = None if mode is None else partial(mlx_parts, bits=bits, group=group, mode=mode)
    overrides: dict[str, MlxModule] = {}
    for name, value in block.items():
        if isinstance(value, Mapping):
            own = _mlx_mode(value.get("mode", "affine"))
            layout = layout if own is not None else None
            overrides[name] = MlxModule(
                number(value, "bits", default=bits),
                number(value, "group_size", default=group) or group,
                own or "affine",
            )
        elif value is False:
            overrides[name] = MlxModule(None, group, "affine")
    return CheckpointQuantisation(
        "mlx", label, bits, layout, overrides=overrides, group=group, mode=mode or "affine"
    )


def _mlx_mode(named: object) -> MlxMode | None:
    return named if is_mlx_mode(named) else None


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, object]], CheckpointQuantisation]]] = {
    "awq": _awq,
    "gptq": _gptq,
    "fp8": _fp8,
    "fbgemm-fp8": _fbgemm,
    "mxfp4": _mxfp4,
    "bitsandbytes": _bitsandbytes,
    "modelopt": _modelopt,
    "compressed-tensors": compressed_tensors,
}
