"""Which devices can fuse attention over a model's heads; `auto` turns it off where one cannot.

Source: llama.cpp (0c1e57098) ggml/src/ggml-cuda/fattn.cu (ggml_cuda_get_best_fattn_kernel),
ggml/src/ggml-metal/ggml-metal-device.m and ggml/src/ggml-vulkan/ggml-vulkan.cpp (supports_op).
"""

from __future__ import annotations

from whatfits.sizing.model import LatentAttention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.machine import Device
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement

__all__ = [
    "COMPILED_TYPES",
    "CUDA_LIKE",
    "UNFUSED_TYPE",
    "all_can_fuse",
    "can_fuse",
    "layers_can_fuse",
]

CUDA_LIKE: Final = frozenset({"cuda", "rocm"})
"""Kinds of devices whose back end is ggml's CUDA code."""

COMPILED_TYPES: Final = frozenset({"f16", "bf16", "q8_0", "q4_0"})
"""Types of cache, each for keys and values, that CUDA's vector kernels are compiled for unless
somebody asks for more (ggml/CMakeLists.txt, GGML_CUDA_FA_QUANTS)."""

UNFUSED_TYPE: Final = "iq4_nl"
"""Type of cache over which CUDA fuses no attention (ggml_cuda_fattn_kv_type_supported)."""

_CUDA_EVEN_HEADS: Final = frozenset({40, 64, 72, 80, 96, 112, 128, 256, 512})
# keys → (values, query heads a key head must be a multiple of)
_CUDA_UNEVEN_HEADS: Final = {192: (128, 8), 320: (256, 32), 576: (512, 2)}
_CUDA_NEEDS_GROUPS: Final = 512
_METAL_KEYS: Final = frozenset({32, 40, 48, 64, 72, 80, 96, 112, 128, 192, 256, 320, 512, 576})
_METAL_EVEN: Final = 72
_VULKAN_MULTIPLE: Final = 8


def all_can_fuse(
    model: ModelSpec, devices: Iterable[Device], *, kv_types: tuple[str | None, ...] = ()
) -> bool:
    """Return whether every device can run fused attention over every kind of layer.

    A model that is only known by its parameters is not held against them. `kv_types` are those of
    the keys and of the values, 16 bits where they are unset.
    """
    devices = tuple(devices)
    types = {(kind or "").lower() for kind in kv_types if model.hparams.causal}  # others: no cache
    if UNFUSED_TYPE in types and any(d.kind in CUDA_LIKE for d in devices):
        return False
    attending = [layer for layer in model.layers if layer.n_head and layer.n_head_kv]
    heads = {_heads(model, layer) for layer in attending} if model.tensors else set()
    return all(
        "no_flash_attention" not in device.features
        and all(can_fuse(device.kind, *shape) for shape in heads)
        for device in devices
    )


def layers_can_fuse(
    model: ModelSpec, placement: Placement, *, kv_types: tuple[str | None, ...] = ()
) -> bool:
    """Return whether every layer's attention can be fused where the layer lies.

    The host always can, and devices without a layer are not asked.
    """
    used = sorted({place for place in placement.layer_device if place is not None})
    devices = [placement.accelerators[place] for place in used]
    return all_can_fuse(model, devices, kv_types=kv_types)


def _heads(model: ModelSpec, layer: LayerSpec) -> tuple[int, int, int]:
    """Return (length of a key, length of a value, query heads a key head) as attention sees them.

    Latent attention reads its one row as the key of all heads, and the front of it as the value.
    """
    attention = layer.attention
    if isinstance(attention, LatentAttention):
        # a cache of a predicting block may be counted with that of its layer
        told = model.metadata.get(f"{model.architecture}.attention.key_length")
        row = told if isinstance(told, int) else attention.key_width - attention.index_width
        return row, model.hparams.kv_lora_rank, layer.n_head
    return layer.key_length, layer.value_length, layer.n_head // layer.n_head_kv


def can_fuse(kind: str, key: int, value: int, group: int) -> bool:
    """Return whether a kind of device fuses attention over heads of these widths.

    `group` is how many query heads share a key head.
    """
    match kind:
        case "cuda" | "rocm":
            if key in _CUDA_UNEVEN_HEADS:
                needed, multiple = _CUDA_UNEVEN_HEADS[key]
                return value == needed and group % multiple == 0
            grouped = key != _CUDA_NEEDS_GROUPS or group > 1
            return key in _CUDA_EVEN_HEADS and key == value and grouped
        case "metal":
            return key in _METAL_KEYS and value <= key and (key != _METAL_EVEN or key == value)
        case "vulkan":
            return key % _VULKAN_MULTIPLE == 0 and value % _VULKAN_MULTIPLE == 0
        case _:
            return True  # not known to refuse
