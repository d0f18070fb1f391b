"""The graph of a plain decoder: attention and feed-forward, layer by layer, with switches.

Most architectures are this graph with a few switches; which weights a layer has says the rest.
Source: llama.cpp src/models/*.cpp, the file named after each architecture.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["Decoder", "build_decoder"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """Switches of a plain decoder.

    Attributes:
        rms: norms are root-mean-square ones; else with mean and bias.
        scale_q: queries are scaled after the rotation.
        embedding_scale: token embeddings are scaled.
        post_norms: attention and feed-forward outputs are normalised before they are added.
        last_norm_pinned: a layer's last norm stays on the layer's device, as its others do.
        activation: of the dense feed-forward part.
        attention_softcap: scores are capped.
        logit_softcap: logits are capped.
        positions_per_token: more than one where pictures have positions of their own.
    """

    rms: bool = True
    scale_q: bool = False
    embedding_scale: bool = False
    post_norms: bool = False
    last_norm_pinned: bool = True
    activation: str = "glu"
    attention_softcap: bool = False
    logit_softcap: bool = False
    positions_per_token: int = 1


def build_decoder(c: GraphContext, *, style: Decoder) -> None:
    """Add the whole graph of a plain decoder to a context."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    if style.embedding_scale:
        x = c.like("SCALE", x)
    positions = c.input_positions(style.positions_per_token)
    attention = Attention(c)
    out_ids = c.input_out_ids()
    last = c.layers[-1]
    for layer in c.layers:
        part = c.layer(layer)
        residual = x
        y = c.norm(x, part("attn_norm.weight"), part("attn_norm.bias"), rms=style.rms, layer=layer)
        y = _attention(c, attention, style, y, layer=layer, positions=positions)
        if layer == last:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        if style.post_norms:
            y = c.norm(y, _post_norm(part, "post_attention_norm"), layer=layer)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), part("ffn_norm.bias"), rms=style.rms, layer=layer)
        z = _feed_forward(c, style, z, part)
        if style.post_norms:
            pinned_to = layer if style.last_norm_pinned else None
            z = c.norm(z, _post_norm(part, "post_ffw_norm"), layer=pinned_to)
        x = c.like("ADD", z, x)
    c.finish(x, softcap=style.logit_softcap, norm_rms=style.rms)


def _post_norm(part: Part, name: str) -> Tensor | None:
    """Return a norm's weight; PLaMo 3 names it without an end."""
    return part(f"{name}.weight") or part(name)


def _attention(
    c: GraphContext,
    attention: Attention,
    style: Decoder,
    x: Tensor,
    *,
    layer: int,
    positions: Tensor,
) -> Tensor:
    part = c.layer(layer)
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    q, k = heads.q, heads.k
    q_norm, k_norm = part("attn_q_norm.weight"), part("attn_k_norm.weight")
    factors = c.rope_factors(layer)
    if q_norm is not None:
        q = c.norm(q, q_norm, layer=layer)
    q = c.like("ROPE", q, positions, factors)
    if k_norm is not None:
        k = c.norm(k, k_norm, layer=layer)
    k = c.like("ROPE", k, positions, factors)
    if style.scale_q:
        q = c.like("SCALE", q)
    return attention.attend(
        Heads(q, k, heads.v),
        layer,
        out=part("attn_output.weight"),
        out_bias=part("attn_output.bias"),
        sinks=part("attn_sinks.weight"),
        softcap=style.attention_softcap,
    )


def _feed_forward(c: GraphContext, style: Decoder, x: Tensor, part: Part) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part, activation=style.activation)
    used, scale = c.model.hparams.n_expert_used, c.metadata("expert_weights_scale")
    return c.experts(x, part, n_used=used, scale=scale)
