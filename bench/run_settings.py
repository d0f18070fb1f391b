"""Settings of one run of llama.cpp, as its C API takes them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Backends", "RunSettings", "context_params", "model_params", "settings_of"]

_FLASH: Final = {"auto": -1, "off": 0, "on": 1}
_SPLIT_MODE: Final = {"none": 0, "layer": 1}


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a model is loaded with; the defaults are the C API's.

    Attributes:
        context_tokens: the cache of all sequences, before padding.
        parallel: sequences.
        batch: logical batch in tokens.
        micro_batch: physical batch in tokens.
        kv_type_k: type of keys, as `f16`.
        kv_type_v: type of values.
        flash_attention: `auto`, `on` or `off`.
        kv_unified: one cache for all sequences.
        swa_full: window layers keep the whole context.
        outputs_max: rows of logits to reserve for; 0: a whole batch.
        embeddings: embeddings are handed out.
        repack: weights may be rearranged for the CPU.
        mmap: the file stays mapped; not for a dry run.
        gpu_layers: layers on accelerators; -1: all.
        tensor_split: share of each accelerator; empty: by free memory.
        split_mode: `layer`, or `none` for one accelerator.
        devices: llama.cpp's names of the accelerators it may use; None for all.
        overrides: (expression, name of an accelerator or `CPU`) pairs for tensors, the first that
            matches wins.
        host_overrides: after those, tensors that match one of these expressions stay on the host.
        kv_offload: the cache lies with its layers.
        op_offload: large operations on host weights move to an accelerator.
    """

    context_tokens: int
    parallel: int = 1
    batch: int = 2048
    micro_batch: int = 512
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    flash_attention: str = "auto"
    kv_unified: bool = False
    swa_full: bool = True
    outputs_max: int = 0
    embeddings: bool = False
    repack: bool = True
    mmap: bool = False
    gpu_layers: int = -1
    tensor_split: tuple[float, ...] = ()
    split_mode: str = "layer"
    devices: tuple[str, ...] | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    host_overrides: tuple[str, ...] = ()
    kv_offload: bool = True
    op_offload: bool = True


def settings_of(values: Mapping[str, Any]) -> RunSettings:
    """Return settings that came as JSON, which has lists for tuples."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return RunSettings(**fields)


class Backends(Protocol):
    """What llama.cpp calls its devices and where their buffers lie, as addresses."""

    def device(self, name: str) -> int:
        """Return the device of a name."""
        ...

    def buffer_type(self, name: str) -> int:
        """Return the buffer type of a device."""
        ...


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def model_params(
    binding: Any,  # noqa: ANN401 - an untyped C binding
    settings: RunSettings,
    *,
    real: bool,
    backends: Backends,
) -> tuple[Any, list[object]]:
    """Return llama_model_params, and what has to stay alive while they are used.

    Raises:
        ProbeError: a device is named that llama.cpp does not have.
    """
    params = binding.llama_model_default_params()
    alive: list[object] = []
    params.no_alloc = not real
    mapped = real and settings.mmap
    params.load_mode = binding.LLAMA_LOAD_MODE_MMAP if mapped else binding.LLAMA_LOAD_MODE_NONE
    params.use_extra_bufts = settings.repack
    params.n_gpu_layers = settings.gpu_layers
    params.split_mode = _SPLIT_MODE[settings.split_mode]
    if settings.tensor_split:
        params.tensor_split = _floats(settings.tensor_split, binding.llama_max_devices())
        alive.append(params.tensor_split)
    if settings.devices is not None:
        names = settings.devices
        devices = (ctypes.c_void_p * (len(names) + 1))(*map(backends.device, names))
        params.devices = ctypes.addressof(devices)
        alive.append(devices)
    pairs = [*settings.overrides, *((pattern, "CPU") for pattern in settings.host_overrides)]
    if pairs:
        overrides = (_Override * (len(pairs) + 1))()
        for index, (pattern, name) in enumerate(pairs):
            overrides[index] = _Override(pattern.encode(), backends.buffer_type(name))
        params.tensor_buft_overrides = ctypes.addressof(overrides)
        alive.append(overrides)
    return params, alive


def _floats(values: Sequence[float], length: int) -> Any:  # noqa: ANN401 - a C array
    return (ctypes.c_float * length)(*values)


def context_params(binding: Any, settings: RunSettings) -> Any:  # noqa: ANN401 - a C binding
    """Return llama_context_params."""
    from whatfits.sizing.quants.ggml_types import GGML_TYPES  # noqa: PLC0415 - cheap, used here

    params = binding.llama_context_default_params()
    params.n_ctx = settings.context_tokens
    params.n_batch = settings.batch
    params.n_ubatch = settings.micro_batch
    params.n_seq_max = settings.parallel
    params.n_outputs_max = settings.outputs_max
    params.type_k = GGML_TYPES[settings.kv_type_k.upper()].id
    params.type_v = GGML_TYPES[settings.kv_type_v.upper()].id
    params.flash_attn_type = _FLASH[settings.flash_attention]
    params.kv_unified = settings.kv_unified
    params.swa_full = settings.swa_full
    params.embeddings = settings.embeddings
    params.offload_kqv = settings.kv_offload
    params.op_offload = settings.op_offload
    return params
