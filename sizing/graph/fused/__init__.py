"""What back ends change in a graph before its memory is laid out.

Back ends run several steps as one. So that such a step never writes over what it still reads, they
have what it reads kept until its end; those of Metal and Vulkan also put steps that do not wait for
each other side by side. Both change what the allocator needs, by up to half of a compute buffer.
Source: llama.cpp (0c1e57098) ggml/src/ggml-backend.cpp (ggml_backend_sched_split_graph), each back
end's graph_optimize. Exact: held against that code by tests/golden/test_fused_steps.py.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.graph.fused.patterns import Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.machine import Device

__all__ = ["FUSING_KINDS", "fuser_of", "is_told"]

FUSING_KINDS: Final = frozenset({"cuda", "rocm", "metal", "vulkan"})
"""Kinds of devices whose back ends change a graph."""

_NEED_TELLING: Final = frozenset({"cuda", "rocm"})
_TOLD: Final = ("cc", "gfx")  # how features name an architecture


def is_told(device: Device) -> bool:
    """Return whether it is known what a device's back end changes in a graph.

    A bare `cuda` or `rocm` may be any that behaves like them in all else: what it would change is
    then in the interval alone.
    """
    if device.kind not in _NEED_TELLING:
        return True
    return any(feature.startswith(_TOLD) for feature in device.features)


def fuser_of(kind: str) -> Callable[[Part], Sequence[Tensor]] | None:
    """Return what a kind of back end does to its part of a graph; None where it changes nothing.

    It returns the part's nodes in their new order, and notes what is to be kept in the part.
    """
    match kind:
        case "cuda" | "rocm":
            from whatfits.sizing.graph.fused.cuda import fuse  # noqa: PLC0415 - a device's alone
        case "metal":
            from whatfits.sizing.graph.fused.metal import fuse  # noqa: PLC0415 - same
        case "vulkan":
            from whatfits.sizing.graph.fused.vulkan import fuse  # noqa: PLC0415 - same
        case _:
            return None
    return fuse
