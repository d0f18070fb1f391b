"""Kimi Linear: delta attention with a gate an element, and latent attention without positions.

Source: llama.cpp src/models/kimi-linear.cpp, delta-net-base.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.delta_attention import DeltaAttention
from whatfits.sizing.graph.latent import latent_attention
from whatfits.sizing.graph.mixture import GATINGS, feed_forward_or_mixture
from whatfits.sizing.graph.recurrent import States
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS"]


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    attention = Attention(c)
    out_ids = c.input_out_ids()
    gating = GATINGS[int(c.metadata("expert_gating_func"))]
    for layer in c.layers:
        part = c.layer(layer)
        residual = x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        c.expand(y)
        if c.spec(layer).recurrent is not None:
            delta = DeltaAttention(c, states, layer, by_sequence=True, one_row=True)
            y = delta.attend(y)
        else:
            y = latent_attention(c, attention, y, layer, positions=None)
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        z = feed_forward_or_mixture(c, z, part, gating=gating, normalised=True)
        x = c.like("ADD", z, x)
    c.finish(x)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"kimi-linear": _build}
