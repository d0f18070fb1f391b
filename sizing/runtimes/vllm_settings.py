"""A request in vLLM's terms: lengths, batches, cache type, and over which devices it is cut.

Source: vllm-project/vllm 0.33.0 vllm/engine/arg_utils.py (defaults by device), vllm/config/*.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import RecurrentState
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.runtimes.vllm_parallel import Cut, cut_over
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["CacheType", "VllmSettings", "capability", "resolve_vllm"]

CacheType = Literal["auto", "fp8"]
_BACKENDS: Final = ("cuda", "rocm")
_DEFAULT_CONTEXT_TOKENS: Final = 8192
_MOST_TOKENS: Final = 2**31 - 1
_MOST_SEQUENCES: Final = 2**16
_MOST_BATCH_TOKENS: Final = 2**22
_LARGE_BYTES, _BIG_BYTES = 160 * GIB, 70 * GIB
_SMALL_BATCHES: Final = ("A100", "GB10")  # whatever their memory
_BATCHES_IN_FLIGHT: Final = 1  # beside one a pipeline stage: scheduling does not wait for results
_SIXTEEN: Final = frozenset({"auto", "f16", "fp16", "float16", "bf16", "bfloat16"})
_EIGHT: Final = frozenset({"fp8", "fp8_e4m3", "e4m3"})
_CAPABILITY: Final = re.compile(r"cc([0-9]{1,3}(?:\.[0-9]{1,3})?)")
_FIRST_CAPABILITY: Final = 7.0
_LATENT_BLOCKS: Final = {9: 64, 10: 128}  # FlashMLA on Hopper, CUTLASS on Blackwell
_OTHER_BLOCK: Final = 16
# Fields of a request that mean nothing here, with what to do instead.
_NOT_OF_WORKLOAD: Final = {
    "micro_batch": "vLLM has one batch: --max-num-batched-tokens, here batch",
    "kv_unified": "vLLM always has one cache for all requests",
    "swa_full": "vLLM keeps windows as it does",
    "outputs_max": "vLLM reserves a row of logits for each of parallel",
    "model_draft": "drafts are not modelled for vLLM",
    "spec_type": "drafts are not modelled for vLLM",
    "spec_draft_n_max": "drafts are not modelled for vLLM",
    "kv_type_k_draft": "drafts are not modelled for vLLM",
    "kv_type_v_draft": "drafts are not modelled for vLLM",
    "mmproj": "vLLM reads vision parts from the checkpoint; they are left out here",
    "lora": "adapters are not modelled for vLLM",
    "cache_ram_mib": "vLLM keeps earlier prompts in the cache itself",
    "ctx_checkpoints": "vLLM has none",
}
_NOT_OF_PLACEMENT: Final = {
    "gpu_layers": "vLLM loads all layers on the devices",
    "tensor_split": "vLLM cuts evenly over the devices",
    "cpu_moe_layers": "vLLM loads all experts on the devices",
    "overrides": "vLLM places no tensor by name",
    "kv_offload": "vLLM keeps its cache on the devices",
    "op_offload": "vLLM has no such switch",
    "mmap": "vLLM copies the weights",
    "gpu_layers_draft": "drafts are not modelled for vLLM",
    "mmproj_offload": "vision parts are left out here",
}
_OFFLINE: Final = "api"


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """What vLLM is started with.

    Attributes:
        devices: what it runs on: accelerators of one back end, or the host alone.
        cut: how the model is cut over them.
        request_tokens: the longest request, prompt and answer (`--max-model-len`).
        sequences: requests at once (`--max-num-seqs`).
        batch_tokens: tokens of one batch (`--max-num-batched-tokens`).
        cache_type: of the cache: the model's own 16 bits, or FP8.
        is_default_batch: nobody asked for another batch than the device's default.
        offline: used as a library: larger batches by default.
        has_states: some layer keeps a state of fixed size.
    """

    devices: tuple[Device, ...]
    cut: Cut
    request_tokens: int
    sequences: int
    batch_tokens: int
    cache_type: CacheType
    is_default_batch: bool
    offline: bool
    has_states: bool

    @property
    def on_host(self) -> bool:
        """Whether it runs on the CPU."""
        return self.devices[0].kind == "cpu"

    @property
    def in_flight_tokens(self) -> int:
        """Tokens of all batches on the way."""
        return (self.cut.stages + _BATCHES_IN_FLIGHT) * self.batch_tokens

    @property
    def latent_block_tokens(self) -> int:
        """Tokens of a block of latent rows, as the device's attention kernel wants them."""
        major = int(capability(self.devices[0]) or 0)
        return _LATENT_BLOCKS.get(major, _OTHER_BLOCK)


def resolve_vllm(
    model: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
) -> VllmSettings:
    """Return what vLLM would be started with.

    Raises:
        InvalidRequestError: a value is out of range, means nothing to vLLM, or there is no device
            it runs on.
    """
    _refuse_what_means_nothing(workload, request)
    devices = _devices(machine, request)
    offline = workload.program == _OFFLINE
    batch, sequences = _default_batches(devices, machine, offline=offline)
    chosen_batch = _within("batch", workload.batch, default=batch, high=_MOST_BATCH_TOKENS)
    chosen_sequences = _within(
        "parallel", workload.parallel, default=min(sequences, chosen_batch), high=_MOST_SEQUENCES
    )
    if chosen_batch < chosen_sequences:
        raise InvalidRequestError(
            what="batch",
            got=chosen_batch,
            allowed=f"at least {chosen_sequences:,}, the requests at once",
            next_step="raise batch, or lower parallel",
        )
    for name in ("prompt_tokens", "output_tokens"):
        _within(name, getattr(workload, name), default=1, high=_MOST_TOKENS)
    return VllmSettings(
        devices=devices,
        cut=cut_over(model, len(devices), split_mode=request.split_mode),
        request_tokens=_request_tokens(model, workload),
        sequences=chosen_sequences,
        batch_tokens=chosen_batch,
        cache_type=_cache_type(workload),
        is_default_batch=chosen_batch == batch,
        offline=offline,
        has_states=any(isinstance(layer.recurrent, RecurrentState) for layer in model.layers),
    )


def capability(device: Device) -> float | None:
    """Return a CUDA device's compute capability; None when it has none or nobody told."""
    found = (_CAPABILITY.fullmatch(feature) for feature in device.features)
    return next((float(match[1]) for match in found if match), None)


def _refuse_what_means_nothing(workload: Workload, request: PlacementRequest) -> None:
    given = [(name, getattr(workload, name), why) for name, why in _NOT_OF_WORKLOAD.items()]
    given += [(name, getattr(request, name), why) for name, why in _NOT_OF_PLACEMENT.items()]
    for name, value, why in given:
        if value not in (None, ()):
            raise InvalidRequestError(what=f"{name} for vllm", got=value, next_step=why)
    if workload.flash_attention != "auto":
        raise InvalidRequestError(
            what="flash_attention for vllm", got=workload.flash_attention, allowed="auto"
        )
    if request.repack != "auto":
        raise InvalidRequestError(what="repack for vllm", got=request.repack, allowed="auto")


def _devices(machine: Machine, request: PlacementRequest) -> tuple[Device, ...]:
    """Return the accelerators of one back end that take part; the host when there is none.

    Raises:
        InvalidRequestError: a device is not there, or vLLM does not run on what was chosen.
    """
    usable = usable_accelerators(machine)
    wanted = request.devices
    if wanted is None:
        chosen = usable
        runs_on = next((d.kind for d in usable if d.kind in _BACKENDS), None)
        if runs_on is not None:
            chosen = tuple(d for d in usable if d.kind == runs_on)
    else:
        by_id = {device.id.lower(): device for device in usable}
        missing = [name for name in wanted if name.lower() not in by_id]
        if missing:
            allowed = ", ".join(by_id) or "none: there is no accelerator"
            raise InvalidRequestError(what="device", got=missing[0], allowed=allowed)
        chosen = tuple(dict.fromkeys(by_id[name.lower()] for name in wanted))
    if request.split_mode == "none":
        chosen = chosen[:1]
    if not chosen:
        return _host(machine)
    kinds = {device.kind for device in chosen}
    if len(kinds) > 1 or not kinds <= set(_BACKENDS):
        other = next((d for d in chosen if d.kind not in _BACKENDS), chosen[-1])
        raise _refused(other)
    for device in chosen:
        known = capability(device)
        if known is not None and known < _FIRST_CAPABILITY:
            raise InvalidRequestError(
                what="device for vllm",
                got=f"{device.name}, compute capability {known:g}",
                allowed=f"{_FIRST_CAPABILITY:g} or more",
                next_step="take --runtime llama.cpp",
            )
    return chosen


def _refused(device: Device) -> InvalidRequestError:
    next_step = "take --runtime llama.cpp, or --device none for the CPU"
    if device.kind == "metal":
        next_step = "take --runtime mlx or llama.cpp on a Mac"
    return InvalidRequestError(
        what="device for vllm",
        got=f"{device.name} ({device.kind})",
        allowed="devices of one kind, CUDA or ROCm, or the CPU",
        next_step=next_step,
    )


def _host(machine: Machine) -> tuple[Device, ...]:
    host = machine.host
    if host is None:
        raise InvalidRequestError(
            what="machine", got=machine.name, allowed="a machine with a device of kind 'cpu'"
        )
    return (host,)


def _default_batches(
    devices: tuple[Device, ...], machine: Machine, *, offline: bool
) -> tuple[int, int]:
    """Return vLLM's tokens of a batch and requests at once on these devices."""
    if devices[0].kind == "cpu":
        return (4096, 256) if offline else (2048, 128)
    total = min(machine.pool(device.pool).total_bytes or 0 for device in devices)
    if total >= _LARGE_BYTES:
        return 16384, 1024
    small = any(mark in device.name for device in devices for mark in _SMALL_BATCHES)
    if total >= _BIG_BYTES and not small:
        return (16384 if offline else 8192), 1024
    return (8192 if offline else 2048), 256


def _request_tokens(model: ModelSpec, workload: Workload) -> int:
    """Return the longest request; unset: 8,192 or the training context if that is smaller."""
    trained = model.hparams.context_train_tokens or _MOST_TOKENS
    asked = workload.context_tokens
    most = _within(
        "context_tokens",
        asked,
        default=min(_DEFAULT_CONTEXT_TOKENS, trained),
        high=_MOST_TOKENS,
    )
    if most > trained:
        raise InvalidRequestError(
            what="context_tokens for vllm",
            got=most,
            allowed=f"at most {trained:,}, what the model was trained for",
            next_step="vLLM does not start with more",
        )
    return most


def _cache_type(workload: Workload) -> CacheType:
    kinds = {(workload.kv_type_k or "auto").lower(), (workload.kv_type_v or "auto").lower()}
    if kinds <= _SIXTEEN:
        return "auto"
    if kinds <= _EIGHT:
        return "fp8"
    got = " and ".join(sorted(kinds))
    raise InvalidRequestError(
        what="kv_type for vllm", got=got, allowed="auto (f16, bf16), fp8; one type for both"
    )


def _within(name: str, value: int | None, *, default: int, high: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise InvalidRequestError(
            what=name, got=value, allowed=f"a whole number from 1 to {high:,}"
        )
    return value
