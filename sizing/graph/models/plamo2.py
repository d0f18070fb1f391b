"""PLaMo 2: state-space layers with normalised projections, attention in between.

Source: llama.cpp src/models/plamo2.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.states_mamba import Scan, States, convolve, scanned
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _plamo2(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    states, attention = States(c), Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part, residual = c.layer(layer), x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = _mixer(c, states, y, part, layer)
        else:
            y = _attention(c, attention, y, layer, positions)
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        # the norms after attention and feed-forward have names without an ending
        y = c.norm(y, part("post_attention_norm"), layer=layer)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        z = c.feed_forward(z, part, activation="fused_glu", parallel_gate=False)
        x = c.like("ADD", c.norm(z, part("post_ffw_norm"), layer=layer), x)
    c.finish(x)


def _attention(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    part = c.layer(layer)
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    q = c.like("ROPE", c.norm(heads.q, part("attn_q_norm.weight"), layer=layer), positions)
    k = c.like("ROPE", c.norm(heads.k, part("attn_k_norm.weight"), layer=layer), positions)
    return attention.attend(
        Heads(q, k, heads.v),
        layer,
        out=part("attn_output.weight"),
        out_scale=part("attn_output.scale"),
    )


def _mixer(c: GraphContext, states: States, x: Tensor, part: Part, layer: int) -> Tensor:
    n, n_seqs = c.n_seq_tokens, c.n_seqs
    d_conv, d_inner = part.need("ssm_conv1d.weight").ne[:2]
    a, d = part.need("ssm_a"), part.need("ssm_d")
    n_head, d_state = a.ne[0], int(c.metadata("ssm.state_size"))
    d_head = d_inner // n_head
    shift, state = states.shift(layer), states.state(layer)
    before = c.reshape(states.load(shift), d_conv - 1, d_inner, n_seqs)
    zx = c.linear(part.need("ssm_in.weight"), c.reshape(x, x.ne[0], n, n_seqs))
    zx = c.cont(c.permute(zx, 0, 2, 1, 3), 2 * d_head, n_head, n, n_seqs)
    heads = (d_head, n_head, n, n_seqs)
    x = c.cont(c.view(zx, heads, zx.nb[1:]), d_inner, n, n_seqs)
    z = c.view(zx, heads, zx.nb[1:])
    x = c.concat(before, c.transpose(x), 0)
    states.store(c.view(x, (d_conv - 1, d_inner, n_seqs), x.nb[1:]), shift)
    x = c.unary(convolve(x, part.need("ssm_conv1d.weight")))
    dt, b, c_state = _steps(c, x, part, layer, d_state)
    x = c.view(x, heads)
    scan = Scan(x, dt, c.reshape(a, 1, n_head), b, c_state)
    y_state = scanned(c, states, state, scan, (d_state, d_head, n_head))
    states.store(c.view(y_state, (state.n_elements,)), state)
    y = c.like("ADD", c.view(y_state, heads), c.like("MUL", x, c.reshape(d, 1, n_head)))
    y = c.glu(c.cont(z), y)
    y = c.linear(part.need("ssm_out.weight"), c.view(y, (d_inner, n, n_seqs), y.nb[2:]))
    return c.reshape(y, y.ne[0], n * n_seqs)


def _steps(
    c: GraphContext, x: Tensor, part: Part, layer: int, d_state: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the time step and the two state projections, all normalised."""
    n, n_seqs = c.n_seq_tokens, c.n_seqs
    joined = c.linear(part.need("ssm_x.weight"), x)
    widths = {"b": d_state, "c": d_state, "dt": joined.ne[0] - 2 * d_state}
    made = {
        name: c.norm(
            c.view(joined, (width, n, n_seqs), joined.nb[1:]),
            part.need(f"ssm_{name}_norm"),
            layer=layer,
        )
        for name, width in widths.items()
    }
    dt = c.linear(part.need("ssm_dt.weight"), made["dt"])
    dt = c.like("ADD", dt, part.need("ssm_dt.bias"))
    b, c_state = (
        c.view(t, (d_state, 1, n, n_seqs), (d_state * t.nb[0], *t.nb[1:]))
        for t in (made["b"], made["c"])
    )
    return dt, b, c_state


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"plamo2": _plamo2}
