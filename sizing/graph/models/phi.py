"""Phi: parallel parts in Phi-2, gate and up halves of one matrix in Phi-3, experts in Phi-3.5-MoE.

Source: llama.cpp src/models/phi2.cpp, src/models/phi3.cpp (Phi-3.5-MoE has the graph of Phi-3).
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.rotary import rotated_attention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _build_phi2(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        norm, shift = part.need("attn_norm.weight"), part("attn_norm.bias")
        normed = c.norm(x, norm, shift, rms=False, layer=layer)
        y = rotated_attention(c, attention, normed, layer, positions=positions, scale_q=True)
        if layer == c.layers[-1]:
            y = c.get_rows(y, out_ids)
            x, normed = c.get_rows(x, out_ids), c.get_rows(normed, out_ids)
        x = c.like("ADD", c.like("ADD", y, c.feed_forward(normed, part, activation="act")), x)
    c.finish(x, norm_rms=False)


def _build_phi3(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part.need("attn_norm.weight"), part("attn_norm.bias"), layer=layer)
        y = rotated_attention(
            c,
            attention,
            y,
            layer,
            positions=positions,
            factors=c.rope_factors(layer),
            scale_q=True,
        )
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.like("ADD", y, x)
        y = c.norm(x, part.need("ffn_norm.weight"), part("ffn_norm.bias"), layer=layer)
        x = c.like("ADD", x, _feed_forward(c, y, part))
    c.finish(x)


def _feed_forward(c: GraphContext, x: Tensor, part: Part) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part, activation="fused_glu")
    scale = c.metadata("expert_weights_scale")
    return c.experts(x, part, n_used=c.model.hparams.n_expert_used, scale=scale)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "phi2": _build_phi2,
    "phi3": _build_phi3,
    "phimoe": _build_phi3,
}
