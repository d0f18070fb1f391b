"""The bounded activation of Kimi K3: both halves go through a tangent.

Source: llama.cpp src/models/kimi-k3.cpp (kimi_k3_situ), src/llama-graph.cpp (LLM_FFN_SITU).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.graph.builder import GraphBuilder
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["situ"]


def situ(c: GraphBuilder, gate: Tensor, up: Tensor, *, bounds_both: bool) -> Tensor:
    """Return the activation of a gate and what it lets through, which may be bounded too."""
    y = c.like("MUL", _bounded(c, gate), c.unary(gate))
    if bounds_both:
        up = _bounded(c, up)
    return c.like("MUL", y, up)


def _bounded(c: GraphBuilder, x: Tensor) -> Tensor:
    return c.like("SCALE", c.unary(c.like("SCALE", x)))
