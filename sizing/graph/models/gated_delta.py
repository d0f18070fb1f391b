"""Qwen 3 Next and Qwen 3.5: gated delta nets with gated attention in every fourth layer.

Source: llama.cpp src/models/qwen3next.cpp, qwen35.cpp, qwen35moe.cpp, delta-net-base.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.mixture import feed_forward_or_mixture
from whatfits.sizing.graph.recurrent import States, delta_rule, l2_norm, short_convolution
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]

_POSITIONS_OF_IMAGES: Final = 4  # time, height, width and one more (rope type IMROPE)


class _DeltaNet:
    """The linear attention of a model: its widths and its steps."""

    def __init__(self, c: GraphContext, states: States, *, mixed: bool) -> None:
        """Read the widths; `mixed`: beta and alpha come from one matrix (Qwen 3 Next)."""
        self._c = c
        self._states = states
        self._mixed = mixed
        self._key = int(c.metadata("ssm.state_size"))
        self._n_key = int(c.metadata("ssm.group_count"))
        self._n_value = int(c.metadata("ssm.time_step_rank"))
        self._value = int(c.metadata("ssm.inner_size")) // self._n_value

    def attend(self, x: Tensor, layer: int) -> Tensor:
        """Return a layer's linear attention."""
        c, part = self._c, self._c.layer(layer)
        mixed, z = self._inputs(x, part)
        gate, beta = self._gates(x, part)
        shifts, held = self._states.held(layer)
        kernel = part.need("ssm_conv1d.weight")
        shifted = self._shifted(mixed, shifts, kernel)
        state = self._states.gather(held)
        state = c.reshape(state, self._value, self._value, self._n_value, c.n_seqs)
        convolved = c.unary(short_convolution(shifted, kernel))
        q, k, v = self._heads(convolved)
        output, fresh = delta_rule(c, q, k, v, gate=gate, beta=beta, state=state)
        c.expand(c.copy(fresh, c.view(held, held.ne, held.nb[1:])))
        z = c.reshape(z, self._value, self._n_value, c.n_seq_tokens, c.n_seqs)
        y = c.norm(output, part("ssm_norm.weight"), layer=layer)
        y = c.like("MUL", y, c.unary(z))
        y = c.reshape(y, self._value * self._n_value, c.n_seq_tokens, c.n_seqs)
        y = c.linear(part.need("ssm_out.weight"), y, part("ssm_out.scale"))
        return c.reshape(y, y.ne[0], c.n_tokens)

    def _inputs(self, x: Tensor, part: Part) -> tuple[Tensor, Tensor]:
        """Return (queries, keys and values in one row; z)."""
        c = self._c
        fused = part("attn_qkv.weight")
        if fused is not None:
            mixed = c.linear(fused, x, part("attn_qkv.scale"))
            mixed = c.reshape(mixed, mixed.ne[0], c.n_seq_tokens, c.n_seqs)
            return mixed, c.linear(part.need("attn_gate.weight"), x, part("attn_gate.scale"))
        values = self._value * self._n_value // self._n_key
        grouped = c.mul_mat(part.need("ssm_in.weight"), x)
        grouped = c.reshape(
            grouped, 2 * (self._key + values), self._n_key, c.n_seq_tokens, c.n_seqs
        )
        q, k, v, z = (
            c.view(grouped, (width, *grouped.ne[1:]), grouped.nb[1:])
            for width in (self._key, self._key, values, values)
        )
        flat = [c.cont(t, t.ne[0] * t.ne[1], c.n_seq_tokens, c.n_seqs) for t in (q, k, v)]
        return c.concat(c.concat(flat[0], flat[1], 0), flat[2], 0), c.cont(z)

    def _gates(self, x: Tensor, part: Part) -> tuple[Tensor, Tensor]:
        """Return (decay, beta): one number a head and token each."""
        c, shape = self._c, (self._n_value, self._c.n_seq_tokens, self._c.n_seqs)
        if self._mixed:
            both = c.mul_mat(part.need("ssm_ba.weight"), x)
            each = self._n_value // self._n_key
            both = c.reshape(both, 2 * each, self._n_key, *shape[1:])
            b, a = (c.view(both, (each, *both.ne[1:]), both.nb[1:]) for _ in range(2))
            beta = c.reshape(c.unary(c.cont(b)), 1, *shape)
            alpha = c.cont(a, *shape)
        else:
            beta = c.linear(part.need("ssm_beta.weight"), x, part("ssm_beta.scale"))
            beta = c.unary(c.reshape(beta, 1, *shape))
            alpha = c.linear(part.need("ssm_alpha.weight"), x, part("ssm_alpha.scale"))
            alpha = c.reshape(alpha, *shape)
        decay = c.unary(c.like("ADD", alpha, part("ssm_dt.bias")))
        decay = c.like("MUL", decay, part("ssm_a"))
        return c.reshape(decay, 1, *shape), beta

    def _shifted(self, mixed: Tensor, held: Tensor, kernel: Tensor) -> Tensor:
        """Return the input of the convolution: what was kept, then what is new."""
        c = self._c
        kept = kernel.ne[0] - 1
        before = c.reshape(self._states.gather(held), kept, kernel.ne[1], c.n_seqs)
        both = c.concat(before, c.transpose(mixed), 0)
        last = c.view(both, (kept, kernel.ne[1], c.n_seqs), both.nb[1:])
        target = c.view(held, (kept * kernel.ne[1], c.n_seqs), held.nb[1:])
        c.expand(c.copy(last, target))
        return both

    def _heads(self, convolved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, row = self._c, convolved.nb[1]
        strides = (row, row * c.n_seq_tokens)
        q, k = (
            l2_norm(c, c.view(convolved, shape, (4 * self._key, *strides)))
            for shape in 2 * [(self._key, self._n_key, c.n_seq_tokens, c.n_seqs)]
        )
        shape = (self._value, self._n_value, c.n_seq_tokens, c.n_seqs)
        v = c.view(convolved, shape, (4 * self._value, *strides))
        if self._mixed and self._n_key != self._n_value:
            q, k = self._spread(q), self._spread(k)
        return q, k, v

    def _spread(self, x: Tensor) -> Tensor:
        """Return each head as often as there are value heads for it, side by side."""
        c, times = self._c, self._n_value // self._n_key
        one = c.reshape(x, self._key, 1, self._n_key, c.n_tokens)
        several = c.repeat(one, self._key, times, self._n_key, c.n_tokens)
        return c.reshape(several, self._key, self._n_value, c.n_seq_tokens, c.n_seqs)


def _gated_attention(
    c: GraphContext,
    attention: Attention,
    x: Tensor,
    layer: int,
    *,
    positions: Tensor,
    gate_first: bool,
) -> Tensor:
    """Return full attention; half of the query matrix makes a gate for its result."""
    part, spec = c.layer(layer), c.spec(layer)
    head, n = spec.key_length, c.n_tokens
    made = [c.linear(part.need(f"attn_{k}.weight"), x, part(f"attn_{k}.scale")) for k in "qkv"]
    both, k, v = (
        c.biased(t, part(f"attn_{letter}.bias")) for t, letter in zip(made, "qkv", strict=True)
    )
    if not gate_first:
        both = c.reshape(both, 2 * head, spec.n_head, n)
    strides = (8 * head, 8 * head * spec.n_head)
    q = c.view(both, (head, spec.n_head, n), strides)
    gate = c.cont(c.view(both, (head, spec.n_head, n), strides), head * spec.n_head, n)
    q = c.like("ROPE", c.norm(q, part("attn_q_norm.weight"), layer=layer), positions)
    k = c.reshape(k, head, spec.n_head_kv, n)
    k = c.like("ROPE", c.norm(k, part("attn_k_norm.weight"), layer=layer), positions)
    v = c.reshape(v, head, spec.n_head_kv, n)
    y = attention.attend(Heads(q, k, v), layer, out=None)
    y = c.like("MUL", y, c.unary(gate))
    return c.linear(part.need("attn_output.weight"), y, part("attn_output.scale"))


def _build(c: GraphContext, *, mixed: bool) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    attention = Attention(c)
    positions = c.input_positions(1 if mixed else _POSITIONS_OF_IMAGES)
    out_ids = c.input_out_ids()
    delta_net = _DeltaNet(c, states, mixed=mixed)
    for layer in c.layers:
        part = c.layer(layer)
        residual = x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        c.expand(y)
        if c.spec(layer).recurrent is not None:
            y = delta_net.attend(y, layer)
        else:
            y = _gated_attention(c, attention, y, layer, positions=positions, gate_first=not mixed)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("post_attention_norm.weight"), layer=layer)
        z = feed_forward_or_mixture(c, z, part, gating="softmax", normalised=True)
        x = c.like("ADD", z, x)
    c.finish(x, rows=out_ids)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "qwen3next": partial(_build, mixed=True),
    "qwen35": partial(_build, mixed=False),
    "qwen35moe": partial(_build, mixed=False),
}
