"""The quantisation block of a `config.json` → how the checkpoint stores its matrices.

`quantization_config` (AWQ, GPTQ, FP8, compressed-tensors, ModelOpt's NVFP4, MXFP4, bitsandbytes) or
MLX's `quantization`. Sources: the files of this package, each for its layout;
huggingface/transformers src/transformers/utils/quantization_config.py for the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, get_args

from whatfits.sizing.errors import printable
from whatfits.sizing.quants.layouts.awq import awq_parts
from whatfits.sizing.quants.layouts.bitsandbytes import four_bit_parts, llm_int8_parts
from whatfits.sizing.quants.layouts.compressed_tensors import (
    int8_parts,
    mxfp4_parts,
    pack_quantized_parts,
)
from whatfits.sizing.quants.layouts.fp8 import Fp8Scaling, fp8_parts
from whatfits.sizing.quants.layouts.gptq import gptq_parts
from whatfits.sizing.quants.layouts.mlx import MlxMode, mlx_parts
from whatfits.sizing.quants.layouts.nvfp4 import nvfp4_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.quants.layouts.checkpoint import Layout

__all__ = ["CheckpointQuantisation", "checkpoint_quantisation"]

_CONVERTIBLE: Final = frozenset(
    {"gptq", "fp8", "compressed-tensors", "modelopt", "mxfp4", "bitnet"}
)
_GROUP: Final = 128  # the default of AWQ and GPTQ
_MLX_GROUP: Final = 64


@dataclass(frozen=True, slots=True)
class CheckpointQuantisation:
    """How a checkpoint is quantised.

    Attributes:
        method: as `awq`, `fp8`, `mlx`, or what the block calls itself when nobody knows it.
        label: the same for people, with bits and groups.
        bits: of one weight, scales apart; None when the block does not say.
        layout: matrix → bytes of each stored tensor; None when it is not known.
        excluded: modules that stay in 16 bits, as the block names them.
        only_experts: nothing but the experts is quantised.
        converts: llama.cpp's converter reads this method.
        overrides: MLX's modules of their own: name → bits, None for 16.
        group: of MLX, weights that share a scale.
        mode: of MLX.
    """

    method: str
    label: str
    bits: int | None
    layout: Layout | None
    excluded: tuple[str, ...] = ()
    only_experts: bool = False
    converts: bool = False
    overrides: Mapping[str, int | None] = field(default_factory=dict)
    group: int = _MLX_GROUP
    mode: MlxMode = "affine"


def checkpoint_quantisation(config: Mapping[str, object]) -> CheckpointQuantisation | None:
    """Return how a checkpoint is quantised, None when its configuration says nothing of it.

    Source of `converts`: llama.cpp conversion/base.py, ModelBase.dequant_model.
    """
    mlx = config.get("quantization")
    if isinstance(mlx, Mapping) and ("bits" in mlx or "group_size" in mlx):
        return _mlx(mlx)
    block = config.get("quantization_config")
    if not isinstance(block, Mapping):
        inner = config.get("text_config")
        block = inner.get("quantization_config") if isinstance(inner, Mapping) else None
    if not isinstance(block, Mapping) or not block:
        return None
    method = _method(block)
    make = _MAKERS.get(method)
    if make is None:
        return CheckpointQuantisation(
            method, f"{method} (a layout nobody described here)", None, None
        )
    return make(block)


def _method(block: Mapping[str, object]) -> str:
    given = block.get("quant_method") or block.get("quant_algo")
    if isinstance(given, str):
        return printable(given.lower().replace("_", "-"))
    if "load_in_4bit" in block or "load_in_8bit" in block:
        return "bitsandbytes"
    return "unknown"


def _number(block: Mapping[str, object], *names: str, default: int | None) -> int | None:
    for name in names:
        value = block.get(name)
        if type(value) is int and (0 < value <= 2**16 or value == -1):
            return value
    return default


def _names(block: Mapping[str, object], *keys: str) -> tuple[str, ...]:
    for key in keys:
        value = block.get(key)
        if isinstance(value, list):
            return tuple(one for one in value if isinstance(one, str))
    return ()


def _grouped(label: str, bits: int, group: int) -> str:
    return f"{label}, {bits} bits, {'one group a row' if group == -1 else f'groups of {group}'}"


def _awq(block: Mapping[str, object]) -> CheckpointQuantisation:
    bits = _number(block, "bits", "w_bit", default=4) or 4
    group = _number(block, "group_size", "q_group_size", default=_GROUP) or _GROUP
    return CheckpointQuantisation(
        "awq",
        _grouped("AWQ", bits, group),
        bits,
        partial(awq_parts, group=group) if bits == 4 else None,  # noqa: PLR2004 - the only width of its layout
        _names(block, "modules_to_not_convert"),
    )


def _gptq(block: Mapping[str, object]) -> CheckpointQuantisation:
    bits = _number(block, "bits", default=4) or 4
    group = _number(block, "group_size", default=_GROUP) or _GROUP
    return CheckpointQuantisation(
        "gptq",
        _grouped("GPTQ", bits, group),
        bits,
        partial(gptq_parts, bits=bits, group=group),
        _names(block, "modules_to_not_convert"),
        converts=bits != 3,  # noqa: PLR2004 - the width its converter has no code for
    )


def _fp8(block: Mapping[str, object]) -> CheckpointQuantisation:
    size = block.get("weight_block_size")
    static = block.get("activation_scheme") == "static"
    excluded = _names(block, "modules_to_not_convert", "ignored_layers", "ignore")
    if isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size):  # noqa: PLR2004 - rows, columns
        layout: Layout = partial(fp8_parts, block=(size[0], size[1]), static_input=static)
        label = f"FP8, a scale per block of {size[0]} x {size[1]}"
    else:
        layout = partial(fp8_parts, scaling="tensor", static_input=static)
        label = "FP8, a scale a tensor"
    return CheckpointQuantisation("fp8", label, 8, layout, excluded, converts=True)


def _mxfp4(block: Mapping[str, object]) -> CheckpointQuantisation:
    excluded = _names(block, "modules_to_not_convert")
    return CheckpointQuantisation(
        "mxfp4", "MXFP4 (experts)", 4, mxfp4_parts, excluded, only_experts=True, converts=True
    )


def _bitsandbytes(block: Mapping[str, object]) -> CheckpointQuantisation:
    excluded = _names(block, "llm_int8_skip_modules", "modules_to_not_convert")
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
    excluded = _names(inner, "exclude_modules", "ignore")
    if algorithm == "FP8":
        layout: Layout = partial(fp8_parts, scaling="tensor", static_input=True)
        return CheckpointQuantisation(
            "modelopt", "ModelOpt FP8, a scale a tensor", 8, layout, excluded, converts=True
        )
    known = algorithm in ("NVFP4", None)
    return CheckpointQuantisation(
        "modelopt",
        "ModelOpt NVFP4" if known else f"ModelOpt {printable(algorithm)}",
        4 if known else None,
        nvfp4_parts if known else None,
        excluded,
        converts=True,
    )


def _compressed(block: Mapping[str, object]) -> CheckpointQuantisation:
    groups = block.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    scheme = weights if isinstance(weights, Mapping) else {}
    form = block.get("format")
    form = form if isinstance(form, str) else "unknown format"
    make = _FORMATS.get(form)
    several = isinstance(groups, Mapping) and len(groups) > 1
    layout = None if make is None or several else make(scheme)
    return CheckpointQuantisation(
        "compressed-tensors",
        f"compressed-tensors {printable(form)}",
        _number(scheme, "num_bits", default=None),
        layout,
        _names(block, "ignore"),
        converts=not several and form in _CONVERTED_FORMATS,
    )


def _packed(scheme: Mapping[str, object]) -> Layout:
    group = _number(scheme, "group_size", default=-1) or -1
    bits = _number(scheme, "num_bits", default=4) or 4
    return partial(
        pack_quantized_parts,
        bits=bits,
        group=group,
        symmetric=scheme.get("symmetric") is not False,
        reordered=scheme.get("actorder") == "group",
    )


def _naive(scheme: Mapping[str, object]) -> Layout:
    """Return the layout of whole bytes: FP8 by block, row or tensor; eight-bit integers by row."""
    structure = scheme.get("block_structure")
    if scheme.get("type") == "int":
        return int8_parts
    if isinstance(structure, list) and len(structure) == 2:  # noqa: PLR2004 - rows, columns
        rows, columns = (n if type(n) is int and n > 0 else _GROUP for n in structure)
        return partial(fp8_parts, block=(rows, columns), scale_bytes=2)
    scaling: Fp8Scaling = "row" if scheme.get("strategy") == "channel" else "tensor"
    return partial(fp8_parts, scaling=scaling, scale_bytes=2)


def _nvfp4_packed(_scheme: Mapping[str, object]) -> Layout:
    return nvfp4_parts


def _mxfp4_packed(_scheme: Mapping[str, object]) -> Layout:
    return mxfp4_parts


def _mlx(block: Mapping[str, object]) -> CheckpointQuantisation:
    bits = _number(block, "bits", default=4) or 4
    group = _number(block, "group_size", default=_MLX_GROUP) or _MLX_GROUP
    named = block.get("mode", "affine")
    mode: MlxMode | None = next((one for one in get_args(MlxMode) if one == named), None)
    label = f"MLX {printable(named)}, {bits} bits, groups of {group}"
    layout = None if mode is None else partial(mlx_parts, bits=bits, group=group, mode=mode)
    overrides: dict[str, int | None] = {}
    for name, value in block.items():
        if isinstance(value, Mapping):
            overrides[name] = _number(value, "bits", default=bits)
        elif value is False:
            overrides[name] = None
    return CheckpointQuantisation(
        "mlx", label, bits, layout, overrides=overrides, group=group, mode=mode or "affine"
    )


_CONVERTED_FORMATS: Final = frozenset(
    {"float-quantized", "int-quantized", "naive-quantized", "pack-quantized"}
)
_FORMATS: Final[Mapping[str, Callable[[Mapping[str, object]], Layout]]] = {
    "pack-quantized": _packed,
    "float-quantized": _naive,
    "naive-quantized": _naive,
    "int-quantized": _naive,
    "nvfp4-pack-quantized": _nvfp4_packed,
    "mxfp4-pack-quantized": _mxfp4_packed,
}
_MAKERS: Final[Mapping[str, Callable[[Mapping[str, object]], CheckpointQuantisation]]] = {
    "awq": _awq,
    "gptq": _gptq,
    "fp8": _fp8,
    "fbgemm-fp8": _fp8,
    "mxfp4": _mxfp4,
    "bitsandbytes": _bitsandbytes,
    "modelopt": _modelopt,
    "compressed-tensors": _compressed,
}
