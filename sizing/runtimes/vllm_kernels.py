"""What vLLM refuses on a card: storage types, caches and models that it has no kernel for there.

It says so when it starts, after all of the weights were downloaded. Source: vllm-project/vllm
0.33.0 vllm/model_executor/layers/quantization (get_min_capability; mxfp4.py), vllm/config/model.py
(_FLOAT16_NOT_SUPPORTED_MODELS), vllm/v1/attention/backends (triton_attn.py, flash_attn.py,
flashinfer.py, fa_utils.py, mla), vllm/platforms/cuda.py (_get_backend_priorities),
vllm/model_executor/models/gemma3n.py, docs/features/quantization/int8.md.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import LatentAttention
from whatfits.sizing.runtimes.vllm_devices import capability
from whatfits.sizing.runtimes.vllm_layers import SPARSE
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_parallel import Cut

__all__ = ["refuse_missing_kernels"]

_AMPERE, _ADA, _BLACKWELL = 8.0, 8.9, 10.0
_NOT_IN_FLOAT16: Final = frozenset({"gemma2", "gemma3", "glm4"})
_SPARSE_MAJORS: Final = (9, 10, 12)
_NO_STAGES: Final = frozenset({"gemma3n"})
_MXFP4, _INT8 = "MXFP4", "W8A8"
# Before Ada a cache in FP8 is read by FlashInfer alone: from Ampere on, for heads of these lengths,
# neither with attention sinks nor of latent rows, nor where vLLM asks for Triton.
_FLASHINFER_HEADS: Final = frozenset({64, 128, 256, 512})
_BY_TRITON: Final = frozenset({"gpt-oss", "gemma4"})


def refuse_missing_kernels(
    model: ModelSpec, devices: Sequence[Device], cut: Cut, *, cache_in_fp8: bool
) -> None:
    """Refuse what vLLM does not start there.

    Raises:
        InvalidRequestError: a card has no kernel for the weights, the cache or the model, or the
            model cannot be cut into stages.
    """
    if cut.stages > 1 and model.architecture in _NO_STAGES:
        raise InvalidRequestError(
            what="pipeline stages of vllm",
            got=f"{model.name} over {cut.stages} of them",
            allowed="one: vLLM cuts this kind of model by ranks alone",
            next_step="name one device, or as many as divide it",
        )
    for device in devices:
        known = capability(device)
        if known is None:
            continue
        _refuse_weights(model, device, known)
        if model.architecture in SPARSE and int(known) not in _SPARSE_MAJORS:
            raise _refused(
                model.name,
                device,
                "9.0, 10.0 or 12.0: sparse attention has no kernel on others",
                "take --runtime llama.cpp",
            )
        if cache_in_fp8 and known < _ADA and not _reads_fp8(model, known):
            raise InvalidRequestError(
                what="kv_type for vllm",
                got=f"fp8 of {model.name} on {device.name}, compute capability {known:g}",
                allowed="auto: no kernel reads a cache in FP8 there",
                next_step="leave --kv-type out",
            )


def _refuse_weights(model: ModelSpec, device: Device, known: float) -> None:
    types = {tensor.type for tensor in model.tensors}
    if _MXFP4 in types and known < _AMPERE:
        raise _refused(model.file_type, device, "8.0 or more for MXFP4", "take --runtime llama.cpp")
    if _INT8 in types and known >= _BLACKWELL:
        raise _refused(model.file_type, device, "below 10.0 for W8A8", "take --file-type fp8")
    if model.architecture in _NOT_IN_FLOAT16 and known < _AMPERE:
        raise _refused(
            model.name,
            device,
            "8.0 or more: it has no bfloat16, and vLLM refuses this kind of model in float16",
            "take --runtime llama.cpp",
        )


def _reads_fp8(model: ModelSpec, known: float) -> bool:
    """Return whether FlashInfer reads a cache in FP8 on a card before Ada."""
    if known < _AMPERE or model.architecture in _BY_TRITON:
        return False
    attending = [layer for layer in model.layers if layer.attention is not None]
    return all(
        not isinstance(layer.attention, LatentAttention) and layer.key_length in _FLASHINFER_HEADS
        for layer in attending
    )


def _refused(got: object, device: Device, allowed: str, next_step: str) -> InvalidRequestError:
    return InvalidRequestError(
        what="compute capability for vllm",
        got=f"{capability(device):g} of {device.name}, for {got}",
        allowed=allowed,
        next_step=next_step,
    )
