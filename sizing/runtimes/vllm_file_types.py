"""Quantisations that vLLM loads, and a model's tensors as such a checkpoint stores them.

Source: vllm-project/vllm 0.33.0 vllm/model_executor/layers/quantization/__init__.py for the
methods, docs/features/quantization/gguf.md and bnb.md for what became plugins, pulls 29196 and
31914 for FP8 made layer by layer on loading; `whatfits.sizing.quants.layouts` for the bytes.
"""

from __future__ import annotations

from math import prod

from whatfits.sizing.errors import InvalidRequestError, UnknownFileTypeError
from whatfits.sizing.quants.layouts.checkpoint import checkpoint_bytes
from whatfits.sizing.quants.layouts.parts import HALF
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.model import CheckpointFacts, ModelSpec, TensorSpec
    from whatfits.sizing.quants.layouts.from_config import CheckpointQuantisation

__all__ = [
    "CHECKPOINT_TYPES",
    "SIXTEEN_BITS",
    "checkpoint_type_of",
    "find_checkpoint_type",
    "group_of",
    "named_quantisation",
    "requantised_checkpoint",
    "stored_as",
]

SIXTEEN_BITS: Final = "bf16"
_W4A16: Final = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "group_size": 128, "symmetric": True},
        }
    },
}
_W8A8: Final = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "config_groups": {
        "group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "int"}}
    },
}
# The block that a configuration of such a checkpoint usually has.
_BLOCKS: Final[Mapping[str, Mapping[str, object]]] = {
    "fp8": {"quant_method": "fp8"},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "w4a16": _W4A16,
    "w8a8": _W8A8,
    "mxfp4": {"quant_method": "mxfp4"},
    "nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
}
_ALIASES: Final = {
    "f16": SIXTEEN_BITS,
    "fp16": SIXTEEN_BITS,
    "float16": SIXTEEN_BITS,
    "bfloat16": SIXTEEN_BITS,
    "half": SIXTEEN_BITS,
    "16bit": SIXTEEN_BITS,
    "auto_awq": "awq",
    "awq_marlin": "awq",
    "auto_gptq": "gptq",
    "gptq_marlin": "gptq",
    "compressed-tensors": "w4a16",
    "mxfp4_moe": "mxfp4",
    "gpt_oss_mxfp4": "mxfp4",
    "modelopt_fp4": "nvfp4",
    "int8": "w8a8",
    "int4": "w4a16",
    "e4m3": "fp8",
}
CHECKPOINT_TYPES: Final = (SIXTEEN_BITS, *_BLOCKS)
_ALLOWED: Final = ", ".join(CHECKPOINT_TYPES)
_FORMATS: Final = {
    "nvfp4-pack": "nvfp4",
    "mxfp4-pack": "mxfp4",
    "pack-quantized": "w4a16",
    "float-quantized": "fp8",
    "int-quantized": "w8a8",
}
# Weights that share a scale along a row, or rows that do: a rank has whole ones.
_GROUPS: Final = {"awq": 128, "gptq": 128, "compressed-tensors": 32, "modelopt": 16}
_BLOCKED: Final = 128
_ON_LOAD: Final = "fp8"
# Publishers quantise the layers that predict further tokens as well; tools that quantise a model
# afterwards load it without them, and leave them in 16 bits.
_BY_PUBLISHERS: Final = frozenset({"fp8"})
_MADE: Final = "rope_f"  # the converter computes them; no checkpoint holds rotary factors


def find_checkpoint_type(text: str) -> str:
    """Return the quantisation that `text` names, as `bf16`, `fp8`, `awq`.

    Raises:
        UnknownFileTypeError: vLLM loads none of that name, GGUF file types among them.
    """
    from whatfits.sizing.quants.file_types import find_file_type  # noqa: PLC0415 - for an error

    name = text.strip().lower()
    name = _ALIASES.get(name, name)
    if name == SIXTEEN_BITS or name in _BLOCKS:
        return name
    next_step = "take bf16, or awq for 4 bits"
    try:
        gguf = find_file_type(text).name
    except UnknownFileTypeError:
        pass
    else:
        next_step = f"{gguf} is of GGUF, which vLLM reads only with a plugin: take awq for 4 bits"
    raise UnknownFileTypeError(
        what="file type for vllm", got=text, allowed=_ALLOWED, next_step=next_step
    )


def checkpoint_type_of(quantisation: CheckpointQuantisation | None) -> str:
    """Return the name of how a checkpoint is quantised, the method's own where there is none."""
    if quantisation is None:
        return SIXTEEN_BITS
    method, label = quantisation.method, quantisation.label
    if method == "modelopt":
        return "nvfp4" if quantisation.bits == 4 else "fp8"  # noqa: PLR2004 - its two layouts
    if method == "compressed-tensors":
        return next((name for form, name in _FORMATS.items() if form in label), method)
    return method


def named_quantisation(name: str) -> CheckpointQuantisation | None:
    """Return how a checkpoint of a quantisation is usually stored; None for 16 bits."""
    if name == SIXTEEN_BITS:
        return None
    from whatfits.sizing.quants.layouts.from_config import (  # noqa: PLC0415 - not for 16 bits
        checkpoint_quantisation,
    )

    return checkpoint_quantisation({"quantization_config": _BLOCKS[name]})


def group_of(quantisation: CheckpointQuantisation | None, block: object) -> int:
    """Return the weights that no cut between ranks may divide; `block` is the configuration's."""
    if quantisation is None or quantisation.method == "mxfp4":
        return 1  # MXFP4 is padded to whole blocks instead
    if quantisation.method == "fp8":
        blocked = isinstance(block, dict) and "weight_block_size" in block
        return _BLOCKED if blocked else 1
    return _GROUPS.get(quantisation.method, 1)


def requantised_checkpoint(
    model: ModelSpec, facts: CheckpointFacts, name: str, *, is_native: bool
) -> ModelSpec:
    """Return the model in another checkpoint than its publisher's (`facts`): one of that name.

    FP8 is made of a 16-bit checkpoint on loading (`is_native`: the publisher's has 16 bits); any
    other checkpoint has to be found.

    Raises:
        UnknownFileTypeError: how such a checkpoint is stored is not known, or a row of the model
            is no multiple of its groups.
    """
    wanted = named_quantisation(name)
    on_load = name == _ON_LOAD and is_native
    found = replace(
        facts,
        reference=facts.reference if on_load else f"{model.name}-{name}",
        revision=facts.revision if on_load else None,
        label=None if wanted is None else wanted.label,
        must_be_found=not on_load,
        quantised_on_load=on_load,
        group=group_of(wanted, None),
        only_experts=wanted is not None and wanted.only_experts,
        stored_bytes=None,
    )
    return replace(stored_as(model, name, wanted), checkpoint=found)


def stored_as(
    model: ModelSpec, name: str, quantisation: CheckpointQuantisation | None
) -> ModelSpec:
    """Return the model with the bytes its tensors have in a checkpoint of a quantisation.

    Raises:
        UnknownFileTypeError: how such a checkpoint is stored is not known, or a row of the model
            is no multiple of its groups.
    """
    if quantisation is None:
        return _with_sizes(model, name, {})
    if quantisation.layout is None:
        raise UnknownFileTypeError(
            what="quantisation of the checkpoint for vllm",
            got=quantisation.label,
            allowed=_ALLOWED,
            next_step=f"name one with --file-type, as {SIXTEEN_BITS}",
        )
    if quantisation.only_experts and not model.hparams.n_expert:
        raise UnknownFileTypeError(
            what="file type for a model without experts",
            got=name,
            allowed=_ALLOWED.replace("mxfp4, ", ""),
            next_step=f"{name} quantises nothing but experts",
        )
    from whatfits.sizing.quants.layouts.module_names import keeper  # noqa: PLC0415 - not for 16 bits

    keeps = keeper(quantisation.excluded, only_experts=quantisation.only_experts)
    published = quantisation.method in _BY_PUBLISHERS
    try:
        sizes = checkpoint_bytes(model.tensors, quantisation.layout, keeps=keeps)
        if published:
            sizes |= checkpoint_bytes(model.prediction_tensors, quantisation.layout, keeps=keeps)
    except InvalidRequestError as error:
        raise UnknownFileTypeError(
            what=f"file type for {model.name}",
            got=name,
            allowed="one whose groups divide its rows",
            next_step=f"take {SIXTEEN_BITS} or fp8 ({error})",
        ) from error
    return _with_sizes(model, name, sizes)


def _with_sizes(model: ModelSpec, name: str, sizes: Mapping[str, int]) -> ModelSpec:
    """Return the model with those bytes; what is not listed has 16 bits."""
    tensors = tuple(
        _stored(tensor, name, sizes.get(tensor.name))
        for tensor in model.tensors
        if not tensor.name.startswith(_MADE)
    )
    return replace(
        model,
        file_header=None,
        tensors=tensors,
        file_type=name,
        file_bytes=sum(tensor.n_bytes for tensor in tensors),
        prediction_tensors=tuple(
            _stored(tensor, name, sizes.get(tensor.name)) for tensor in model.prediction_tensors
        ),
    )


def _stored(tensor: TensorSpec, name: str, n_bytes: int | None) -> TensorSpec:
    plain = prod(tensor.shape) * HALF
    kind = "BF16" if n_bytes in (None, plain) else name.upper()
    size = plain if n_bytes is None else n_bytes
    return replace(tensor, type=kind, n_bytes=size, offset_bytes=None)
