"""LoRA adapters: two small matrices beside each tensor they adapt, in the same kind of memory.

A matrix lies where its tensor lies; beside a repacked tensor, and under mmap, in the plain host
buffer. They are read, never mapped.
Source: llama.cpp (0c1e57098) src/llama-adapter.cpp:llama_adapter_lora_init_impl (buffers),
src/llama-graph.cpp:build_lora_mm (working memory).
"""

from __future__ import annotations

from whatfits.sizing.buffers import allocated_bytes
from whatfits.sizing.share import Part, Share
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.weights import tensor_targets

if TYPE_CHECKING:
    from whatfits.sizing.extras import Adapter
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["adapter_part"]

_F32 = 4


def adapter_part(adapter: Adapter, settings: Settings, placement: Placement) -> Part:
    """Return what an adapter takes: exact weights, and an interval of working memory.

    One adapted product is computed at a time: beside its result lie the product with the first
    matrix and the one with the second, both for all tokens of the micro-batch; what is free at
    the peak without an adapter may already hold them, so the lower end adds nothing.
    """
    count = len(placement.accelerators)
    weights = [0] * (count + 1)
    widest = [0] * (count + 1)
    for tensor in adapter.tensors:
        target = tensor_targets(
            tensor.role, tensor.layer, tensor.target, placement, type_name=tensor.type
        )[0]
        place = count if target is None else target
        kind = "cpu" if target is None else placement.accelerators[target].kind
        weights[place] += allocated_bytes(
            tensor.type, tensor.shape[0], tensor.n_bytes, device_kind=kind
        )
        widest[place] = max(widest[place], sum(tensor.shape))
    tokens = settings.graph_tokens
    shares = tuple(
        Share(
            weights_bytes=size,
            low_bytes=size,
            high_bytes=size + 2 * _F32 * tokens * width,
        )
        for size, width in zip(weights, widest, strict=True)
    )
    return Part("lora", adapter.name, shares)
