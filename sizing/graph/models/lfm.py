"""LFM 2: short convolutions with attention in between, dense or with experts.

Source: llama.cpp src/models/{lfm2,lfm2moe}.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.states_mamba import States, convolve
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]

_CHUNKS: Final = 3
_GATINGS: Final = {1: "softmax", 2: "sigmoid", 3: "softmax_weight", 4: "sqrt_softplus"}


def _lfm2(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states, attention = States(c), Attention(c)
    positions, out_ids = c.input_positions(), c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = _convolution(c, states, y, part, layer)
        else:
            y = _attention(c, attention, y, layer, positions)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.like("ADD", x, y)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        x = c.like("ADD", x, _feed_forward(c, z, part))
    # the last norm goes by the embedding's name in these files
    x = c.norm(x, c.whole.need("token_embd_norm.weight"))
    c.head(x)


def _convolution(c: GraphContext, states: States, x: Tensor, part: Part, layer: int) -> Tensor:
    n, n_seqs, n_embd = c.n_seq_tokens, c.n_seqs, x.ne[0]
    kernel = part.need("shortconv.conv.weight")
    before = kernel.ne[0] - 1
    joined = c.linear(part.need("shortconv.in_proj.weight"), c.reshape(x, n_embd, n, n_seqs))
    chunk = (joined.ne[0] // _CHUNKS, n, n_seqs)
    b, gate, x = (c.view(joined, chunk, joined.nb[1:]) for _ in range(_CHUNKS))
    mixed = c.transpose(c.like("MUL", b, x))
    shift = states.shift(layer)
    mixed = c.concat(c.reshape(states.load(shift), before, n_embd, n_seqs), mixed, 0)
    last = c.view(mixed, (before, n_embd, n_seqs), mixed.nb[1:])
    states.store(last, shift, ne=shift.ne)
    y = c.like("MUL", gate, convolve(mixed, kernel))
    y = c.linear(part.need("shortconv.out_proj.weight"), y)
    return c.reshape(y, y.ne[0], n * n_seqs)


def _attention(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    part = c.layer(layer)
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    q = c.norm(heads.q, part("attn_q_norm.weight"), layer=layer)
    k = c.norm(heads.k, part("attn_k_norm.weight"), layer=layer)
    q, k = c.like("ROPE", q, positions), c.like("ROPE", k, positions)
    return attention.attend(
        Heads(q, k, heads.v),
        layer,
        out=part("attn_output.weight"),
        out_scale=part("attn_output.scale"),
    )


def _feed_forward(c: GraphContext, x: Tensor, part: Part) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part)
    return c.experts(
        x,
        part,
        n_used=c.model.hparams.n_expert_used,
        gating=_GATINGS[int(c.metadata("expert_gating_func"))],
        scale=c.metadata("expert_weights_scale"),
    )


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"lfm2": _lfm2, "lfm2moe": _lfm2}
