"""The bounded activation of Kimi K3: both halves go through a tangent.

Source: llama.cpp src/models/kimi-k3.cpp (kimi_k3_situ), src/llama-graph.cpp (LLM_FFN_SITU).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.graph.feed_forward import FeedForwardBuilder
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["situ"]


def situ(c: FeedForwardBuilder, gate: Tensor, up: Tensor) -> Tensor:
    """Return the activation of a gate and what it lets through."""
    y = c.like("MUL", _bounded(c, gate), c.unary(gate))
    if c.metadata("activation.situ_linear_beta") > 0:
        up = _bounded(c, up)
    return c.like("MUL", y, up)


def _bounded(c: FeedForwardBuilder, x: Tensor) -> Tensor:
    return c.like("SCALE", c.unary(c.like("SCALE", x)))
