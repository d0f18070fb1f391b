"""Ling 3: delta attention, and latent attention with a gate a head.

Source: llama.cpp src/models/bailingmoe3.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.delta_attention import DeltaAttention
from whatfits.sizing.graph.latent import LatentWidths, latent_attention
from whatfits.sizing.graph.mixture import GATINGS, feed_forward_or_mixture
from whatfits.sizing.graph.recurrent import States
from whatfits.sizing.graph.stack import positions_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _attend(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, *, positions: Tensor
) -> Tensor:
    widths = LatentWidths.of(c, layer)
    gate = c.layer(layer).need("attn_gate.weight")

    def gated(y: Tensor) -> Tensor:
        factors = c.unary(c.reshape(c.mul_mat(gate, x), 1, widths.n_head, c.n_tokens))
        heads = c.reshape(y, widths.value, widths.n_head, c.n_tokens)
        heads = c.like("MUL", heads, factors)
        return c.cont(heads, widths.value * widths.n_head, c.n_tokens)

    return latent_attention(c, attention, x, layer, positions=positions, gated=gated)


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    attention = Attention(c)
    positions = c.input_positions(positions_of(c))
    out_ids = c.input_out_ids()
    gating = GATINGS[int(c.metadata("expert_gating_func"))]
    normalised = bool(c.metadata("expert_weights_norm"))
    for layer in c.layers:
        part = c.layer(layer)
        residual = x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = DeltaAttention(c, states, layer).attend(y)
        else:
            y = _attend(c, attention, y, layer, positions=positions)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        z = feed_forward_or_mixture(c, z, part, gating=gating, normalised=normalised)
        x = c.like("ADD", z, x)
    c.finish(x, rows=out_ids)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"bailingmoe3": _build}
