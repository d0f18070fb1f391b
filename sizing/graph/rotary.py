"""Attention whose queries and keys are rotated, nothing more: the step many models share.

Source: llama.cpp src/models/*.cpp (build_qkv, ggml_rope_ext, build_attn).
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Heads
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.graph.attention import Attention
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["attend_with", "rotated_attention"]


def attend_with(
    c: GraphContext,
    attention: Attention,
    heads: Heads,
    layer: int,
    *,
    cache_layer: int | None = None,
) -> Tensor:
    """Return attention of ready heads, with the layer's output matrix, bias and sinks."""
    part = c.layer(layer)
    return attention.attend(
        heads,
        layer,
        out=part("attn_output.weight"),
        out_bias=part("attn_output.bias"),
        out_scale=part("attn_output.scale"),
        sinks=part("attn_sinks.weight"),
        cache_layer=cache_layer,
    )


def rotated_attention(
    c: GraphContext,
    attention: Attention,
    x: Tensor,
    layer: int,
    *,
    positions: Tensor | None,
    factors: Tensor | None = None,
    scale_q: bool = False,
) -> Tensor:
    """Return a layer's attention; without `positions` nothing is rotated."""
    heads = attention.project(x, c.layer(layer), layer)
    q, k = heads.q, heads.k
    if positions is not None:
        q = c.like("ROPE", q, positions, factors)
        k = None if k is None else c.like("ROPE", k, positions, factors)
    if scale_q:
        q = c.like("SCALE", q)
    return attend_with(c, attention, Heads(q, k, heads.v), layer)
