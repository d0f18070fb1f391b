"""How fast vLLM writes one request alone: the roofline of `speed` over its ranks and stages.

Ranks read their parts of a layer at the same time, so a stage is a device of their bandwidths
together, each at that of the slowest. Stages follow each other. What ranks tell each other after
every layer is not counted: the lower end of the interval has room for it, the upper end has not.
Source: vllm-project/vllm 0.33.0 vllm/distributed/utils.py (get_pp_indices); see `speed`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.model import LatentAttention
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.vllm_parallel import stage_layers
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.weights import HostWeights, Weights
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["vllm_speed"]

_EXPERTS: Final = "_exps."
_EMBEDDING: Final = "token_embd.weight"
_LOOKED_UP: Final = (_EMBEDDING, "per_layer_token_embd.weight")
_OUTPUT: Final = "output.weight"
# The cache's element types in terms of `speed`: FP8 has a byte, q8_0 a sixteenth more.
_CACHE_TYPES: Final = {"auto": "f16", "fp8": "q8_0"}


def vllm_speed(
    model: ModelSpec, machine: Machine, settings: VllmSettings, *, prompt_tokens: int | None
) -> Speed:
    """Return prompt and decode speed of one request, with their intervals."""
    kind = _CACHE_TYPES[settings.cache_type]
    latent = any(isinstance(layer.attention, LatentAttention) for layer in model.layers)
    asked = Workload(
        context_tokens=settings.request_tokens,
        parallel=1,
        kv_type_k=kind,
        kv_type_v=None if latent else kind,
    )
    stages = stage_layers(model.n_layers, settings.cut.stages)
    placement = _placed(model, machine, settings, stages)
    reads = [_read_bytes(model, layers, is_last=layers is stages[-1]) for layers in stages]
    on_devices = [] if settings.on_host else reads
    weights = Weights(
        devices=on_devices,
        host=HostWeights(),
        mapped_bytes=0,
        streamed_bytes=0,
        read_devices=on_devices,
        read_host=sum(reads) if settings.on_host else 0,
    )
    return estimate_speed(
        model,
        resolve_settings(model, asked),
        placement,
        weights,
        prompt_tokens=prompt_tokens,
    )


def _placed(
    model: ModelSpec, machine: Machine, settings: VllmSettings, stages: Sequence[range]
) -> Placement:
    """Return each stage's layers on the device that its ranks are together."""
    host = resolve_placement(model, PlacementRequest(devices=()), machine)
    if settings.on_host:
        return host
    ranks = settings.cut.ranks
    devices = [
        _together(settings.devices[first : first + ranks])
        for first in range(0, ranks * len(stages), ranks)
    ]
    layer_device = tuple(stage for stage, layers in enumerate(stages) for _ in layers)
    return replace(
        host,
        accelerators=tuple(devices),
        layer_device=layer_device,
        output_device=len(stages) - 1,
        gpu_layers=len(layer_device) + 1,
        kv_offload=True,
    )


def _together(devices: Sequence[Device]) -> Device:
    """Return ranks as one device: as many times the slowest of them."""
    bandwidths = [device.bandwidth_bytes_per_s for device in devices]
    flops = [device.fp16_flops_per_s for device in devices]
    return replace(
        devices[0],
        bandwidth_bytes_per_s=_times_slowest(bandwidths),
        fp16_flops_per_s=_times_slowest(flops),
    )


def _times_slowest(rates: Sequence[int | None]) -> int | None:
    known = [rate for rate in rates if rate is not None]
    return len(rates) * min(known) if len(known) == len(rates) else None


def _read_bytes(model: ModelSpec, layers: range, *, is_last: bool) -> int:
    """Return the weights that one token reads of a stage: of experts their share, no tables."""
    tied = not any(tensor.name == _OUTPUT for tensor in model.tensors)
    return sum(
        _share(tensor, model)
        for tensor in model.tensors
        if (tensor.layer in layers if tensor.layer is not None else _is_output(tensor, tied=tied))
        and (tensor.layer is not None or is_last)
    )


def _is_output(tensor: TensorSpec, *, tied: bool) -> bool:
    """Return whether a tensor of no layer is read whole: not the tables that are looked up in."""
    return tensor.name not in _LOOKED_UP or (tied and tensor.name == _EMBEDDING)


def _share(tensor: TensorSpec, model: ModelSpec) -> int:
    hparams = model.hparams
    if _EXPERTS in tensor.name and hparams.n_expert:
        return tensor.n_bytes * hparams.n_expert_used // hparams.n_expert
    return tensor.n_bytes
