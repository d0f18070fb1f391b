"""Llama 4: every fourth layer unrotated with tempered queries, experts weighted before they run.

Source: llama.cpp src/models/llama4.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.rotary import attend_with
from whatfits.sizing.model import SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]

_SHARED: Final = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")
_UNROTATED_STEP: Final = 4  # n_no_rope_layer_step, src/llama-hparams.h
_EXPERTS_WITHOUT_QK_NORM: Final = 128  # use_kq_norm is off for this size


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    temper = c.input("F32", 1, 1, c.n_tokens, name="attn_scale")
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part.need("attn_norm.weight"), layer=layer)
        y = _attend(c, attention, y, layer, positions=positions, temper=temper)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.like("ADD", y, x)
        y = _feed_forward(c, c.norm(x, part.need("ffn_norm.weight"), layer=layer), part)
        x = c.like("ADD", y, x)
    c.finish(x)


def _rotates(model: ModelSpec, layer: int) -> bool:
    windowed = any(isinstance(one.attention, SlidingWindow) for one in model.layers)
    return (layer + 1) % (_UNROTATED_STEP if windowed else model.n_layers) != 0


def _attend(
    c: GraphContext,
    attention: Attention,
    x: Tensor,
    layer: int,
    *,
    positions: Tensor,
    temper: Tensor,
) -> Tensor:
    heads = attention.project(x, c.layer(layer), layer)
    q, k = heads.q, heads.k
    assert k is not None
    if _rotates(c.model, layer):
        factors = c.rope_factors(layer)
        q, k = (c.like("ROPE", head, positions, factors) for head in (q, k))
        if c.model.hparams.n_expert != _EXPERTS_WITHOUT_QK_NORM:
            q, k = c.norm(q, None), c.norm(k, None)
    else:
        q = c.like("MUL", q, temper)
    return attend_with(c, attention, Heads(q, k, heads.v), layer)


def _feed_forward(c: GraphContext, x: Tensor, part: Part) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part)
    y = c.experts(
        x,
        part,
        n_used=c.model.hparams.n_expert_used,
        gating="sigmoid",
        normalised=False,
        scale=c.metadata("expert_weights_scale"),
        weight_first=True,
        selection_from="logits",
    )
    return c.like("ADD", y, c.feed_forward(x, part, names=_SHARED))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"llama4": _build}
MARKS: Final = {"llama4": _rotates}
