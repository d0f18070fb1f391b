"""Decoders that normalise what a part gives, not what it is given.

Source: llama.cpp src/models/olmo2.cpp, src/models/exaone4.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["build_post_norm"]


def build_post_norm(
    c: GraphContext, attend: Callable[[GraphContext, Attention, Tensor, int, Tensor], Tensor]
) -> None:
    """Add the whole graph; `attend` gets context, attention, stream, layer and positions."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = attend(c, attention, x, layer, positions)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        y = c.norm(y, part.need("post_attention_norm.weight"), layer=layer)
        x = c.like("ADD", y, x)
        y = c.norm(c.feed_forward(x, part), part.need("post_ffw_norm.weight"))
        x = c.like("ADD", y, x)
    c.finish(x)
