"""State-space models, alone and with attention: Mamba, Jamba, Granite 4 H, Nemotron H, Falcon H1.

Source: llama.cpp src/models/{mamba,jamba,granite-hybrid,nemotron-h,falcon-h1}.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.states_mamba import States, mamba1, mamba2
from whatfits.sizing.graph.tensor import OUTPUT
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _mamba(c: GraphContext) -> None:
    mixer = mamba2 if c.model.architecture == "mamba2" else mamba1
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        y = mixer(c, states, y, part, layer)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.like("ADD", y, x)
    c.finish(x)


def _jamba(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states, attention = States(c), Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = mamba1(c, states, y, part, layer)
        else:
            y = _attended(c, attention, y, part, layer, positions=None)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.like("ADD", x, y)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        x = c.like("ADD", x, _feed_forward(c, z, part, normalised=False))
    c.finish(x)


def _granite(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states, attention = States(c), Attention(c)
    out_ids = c.input_out_ids()
    rotated = c.metadata("rope.scaling.finetuned", default=1)
    positions = c.input_positions() if rotated else None
    scaled = c.metadata("residual_scale")
    for layer in c.layers:
        part, residual = c.layer(layer), x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = mamba2(c, states, y, part, layer)
        else:
            y = _attended(c, attention, y, part, layer, positions=positions)
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        y = c.like("SCALE", y) if scaled else y
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        y = _feed_forward(c, z, part, normalised=True)
        y = c.like("SCALE", y) if scaled else y
        x = c.like("ADD", y, x)
    c.finish(x, scaled=bool(c.metadata("logit_scale")))


def _nemotron(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states, attention = States(c), Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = mamba2(c, states, y, part, layer)
        elif c.spec(layer).attention is not None:
            y = _attended(c, attention, y, part, layer, positions=None)
        else:
            y = _nemotron_feed_forward(c, y, part, layer)
        x = c.like("ADD", y, x)
    # all rows are normalised and kept for a head that predicts further
    x = c.norm(x, c.whole("output_norm.weight"))
    x.flags |= OUTPUT
    x = c.get_rows(x, out_ids)
    x.flags |= OUTPUT
    c.head(x)


def _nemotron_feed_forward(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part, activation="relu_sqr")
    down, up = part("ffn_latent_down.weight"), part("ffn_latent_up.weight")
    latent = x if down is None else c.mul_mat(down, x)
    used = c.model.metadata.get(f"{c.model.architecture}.expert_used_count")
    y = c.experts(
        latent,
        part,
        n_used=used[layer] if isinstance(used, tuple) else c.model.hparams.n_expert_used,
        gating="sigmoid",
        normalised=bool(c.metadata("expert_weights_norm")),
        scale=c.metadata("expert_weights_scale"),
        activation="relu_sqr",
        logits=c.mul_mat(part.need("ffn_gate_inp.weight"), x),
    )
    y = y if up is None else c.mul_mat(up, y)
    return c.like("ADD", y, _shared(c, x, part, activation="relu_sqr"))


def _falcon(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    states, attention = States(c), Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        attended = _attended(c, attention, y, part, layer, positions=positions)
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        y = c.like("ADD", attended, mamba2(c, states, y, part, layer))
        x = c.like("ADD", y, x)
        if layer == c.layers[-1]:
            x = c.get_rows(x, out_ids)
        z = c.norm(x, part("ffn_norm"), layer=layer)
        x = c.like("ADD", c.feed_forward(z, part), x)
    c.finish(x)


def _attended(
    c: GraphContext,
    attention: Attention,
    x: Tensor,
    part: Part,
    layer: int,
    *,
    positions: Tensor | None,
) -> Tensor:
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    q, k = heads.q, heads.k
    if positions is not None:
        factors = c.weight("rope_freqs.weight", layer=layer)
        q = c.like("ROPE", q, positions, factors)
        k = c.like("ROPE", k, positions, factors)
    return attention.attend(
        Heads(q, k, heads.v),
        layer,
        out=part("attn_output.weight"),
        out_bias=part("attn_output.bias"),
        out_scale=part("attn_output.scale"),
    )


def _feed_forward(c: GraphContext, x: Tensor, part: Part, *, normalised: bool) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part)
    y = c.experts(
        x,
        part,
        n_used=c.model.hparams.n_expert_used,
        normalised=normalised,
        scale=c.metadata("expert_weights_scale"),
    )
    if part("ffn_up_shexp.weight") is None:
        return y
    return c.like("ADD", y, _shared(c, x, part))


def _shared(c: GraphContext, x: Tensor, part: Part, *, activation: str = "glu") -> Tensor:
    names = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")
    return c.feed_forward(x, part, names=names, activation=activation)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "mamba": _mamba,
    "mamba2": _mamba,
    "jamba": _jamba,
    "granitehybrid": _granite,
    "nemotron_h": _nemotron,
    "nemotron_h_moe": _nemotron,
    "falcon-h1": _falcon,
}
