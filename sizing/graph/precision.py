"""Products that some back ends cannot do as precisely as a model asks for: the host does them.

The weights are on the device all the same, and are copied to the host for every step.
Source: llama.cpp (0c1e57098) src/llama-graph.cpp (build_moe_ffn), supports_op of
ggml/src/ggml-cuda/ggml-cuda.cu and ggml/src/ggml-vulkan/ggml-vulkan.cpp. Error: none against dry
runs on an H200 (tests/recorded/llama_cpp/cuda.json).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = ["F32_DOWN", "WITHOUT_F32_SOURCES", "copies_experts_back"]

F32_DOWN: Final = frozenset({"mistral4"})
"""Architectures whose experts' last product reads activations that may exceed F16."""

WITHOUT_F32_SOURCES: Final = frozenset({"cuda", "rocm", "vulkan"})
"""Kinds of devices that multiply with experts in F16 alone."""


def copies_experts_back(architecture: str, device_kinds: Iterable[str]) -> bool:
    """Return whether experts on such devices are copied to the host to be multiplied with."""
    return architecture in F32_DOWN and not WITHOUT_F32_SOURCES.isdisjoint(device_kinds)
