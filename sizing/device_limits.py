"""What kinds of devices cannot multiply with: storage types, and experts in full precision.

Weights of such a type stay on the host. Experts lie on the device all the same, and are copied to
the host for every step.
Source: llama.cpp (0c1e57098) supports_op of ggml/src/ggml-cuda/ggml-cuda.cu,
ggml/src/ggml-vulkan/ggml-vulkan.cpp and ggml/src/ggml-metal/ggml-metal-device.m (of other back ends
it was not read), src/llama-graph.cpp (build_moe_ffn). Error: none against dry runs on an H200
(tests/recorded/llama_cpp/cuda.json).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = ["F32_DOWN", "WITHOUT_F32_SOURCES", "copies_experts_back", "without_kernel"]

F32_DOWN: Final = frozenset({"mistral4"})
"""Architectures whose experts' last product reads activations that may exceed F16."""

WITHOUT_F32_SOURCES: Final = frozenset({"cuda", "rocm", "vulkan"})
"""Kinds of devices that multiply with experts in F16 alone."""

_TERNARY: Final = frozenset({"TQ1_0", "TQ2_0"})
_WITHOUT_KERNEL: Final = {
    **dict.fromkeys(("cuda", "rocm"), _TERNARY),
    "metal": frozenset({"TQ1_0"}),
}


def without_kernel(device_kind: str) -> frozenset[str]:
    """Return the storage types that a kind of device cannot multiply with."""
    return _WITHOUT_KERNEL.get(device_kind, frozenset())


def copies_experts_back(architecture: str, device_kinds: Iterable[str]) -> bool:
    """Return whether experts on such devices are copied to the host to be multiplied with."""
    return architecture in F32_DOWN and not WITHOUT_F32_SOURCES.isdisjoint(device_kinds)
