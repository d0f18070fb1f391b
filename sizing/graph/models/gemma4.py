"""Gemma 4: normalised values, layers that read an earlier cache, embeddings for each layer.

Source: llama.cpp src/models/gemma4.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.per_layer import per_layer_inputs, slice_of
from whatfits.sizing.graph.rotary import attend_with
from whatfits.sizing.graph.tensor import OUTPUT
from whatfits.sizing.model import FullAttention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _build(c: GraphContext) -> None:
    whole = c.whole
    x = c.like("SCALE", c.input_embedding(whole.need("token_embd.weight")))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    with_embeddings = whole("per_layer_token_embd.weight") is not None
    embeddings = per_layer_inputs(c, x) if with_embeddings else None
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part.need("attn_norm.weight"), layer=layer)
        y = _attend(c, attention, y, layer, positions)
        y = c.norm(y, part.need("post_attention_norm.weight"), layer=layer)
        attended = c.like("ADD", y, x)
        y = _feed_forward(c, attended, part, layer)
        y = c.norm(y, part.need("post_ffw_norm.weight"))
        x = c.like("ADD", y, attended)
        if embeddings is not None:
            x = _with_embedding(c, x, embeddings, layer)
        scale = part("layer_output_scale.weight")
        x = x if scale is None else c.like("MUL", x, scale)
    x = c.norm(x, whole.need("output_norm.weight"))
    # all rows stay readable for a draft head
    x.flags |= OUTPUT
    c.head(c.get_rows(x, out_ids), softcap=bool(c.metadata("final_logit_softcapping")))


def _attend(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    part, spec = c.layer(layer), c.spec(layer)
    n_tokens, length = x.ne[1], spec.key_length
    owner = layer if spec.cache_layer is None else spec.cache_layer
    is_full = isinstance(c.spec(owner).attention, FullAttention)
    factors = c.weight("rope_freqs.weight", layer=layer) if is_full else None
    q = c.linear(part.need("attn_q.weight"), x, part("attn_q.scale"))
    q = c.reshape(q, length, spec.n_head, n_tokens)
    q = c.like("ROPE", c.norm(q, part.need("attn_q_norm.weight"), layer=layer), positions, factors)
    if spec.cache_layer is not None:
        return attend_with(c, attention, Heads(q, None, None), layer, cache_layer=owner)
    k = c.linear(part.need("attn_k.weight"), x, part("attn_k.scale"))
    weight = part("attn_v.weight")
    v = k if weight is None else c.linear(weight, x, part("attn_v.scale"))
    k, v = (c.reshape(head, length, spec.n_head_kv, n_tokens) for head in (k, v))
    k = c.norm(k, part.need("attn_k_norm.weight"), layer=layer)
    v = c.norm(v, None)
    return attend_with(c, attention, Heads(q, c.like("ROPE", k, positions, factors), v), layer)


def _feed_forward(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    dense = c.feed_forward(c.norm(x, part.need("ffn_norm.weight"), layer=layer), part)
    router = part("ffn_gate_inp.weight")
    if router is None:
        return dense
    dense = c.norm(dense, part.need("post_ffw_norm_1.weight"), layer=layer)
    routed = c.norm(x, part.need("pre_ffw_norm_2.weight"), layer=layer)
    scores = c.like("MUL", c.like("SCALE", c.norm(x, None)), part.need("ffn_gate_inp.scale"))
    routed = c.experts(
        routed,
        part,
        n_used=c.model.hparams.n_expert_used,
        logits=c.mul_mat(router, scores),
    )
    routed = c.norm(routed, part.need("post_ffw_norm_2.weight"), layer=layer)
    return c.like("ADD", dense, routed)


def _with_embedding(c: GraphContext, x: Tensor, embeddings: Tensor, layer: int) -> Tensor:
    part = c.layer(layer)
    y = c.unary(c.mul_mat(part.need("inp_gate.weight"), x))
    y = c.like("MUL", y, slice_of(c, embeddings))
    y = c.mul_mat(part.need("proj.weight"), y)
    y = c.norm(y, part.need("post_norm.weight"), layer=layer)
    return c.like("ADD", x, y)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"gemma4": _build}
