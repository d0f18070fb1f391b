"""Delta attention with a decay an element: Kimi's, and what others made of it.

Source: llama.cpp src/models/kimi-linear.cpp, kimi-k3.cpp, bailingmoe3.cpp, glm5-next.cpp,
delta-net-base.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.recurrent import delta_rule, l2_norm, short_convolution
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.recurrent import States
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["DeltaAttention"]

_CONVOLVED: Final = 3  # queries, keys and values, each with a state of its own


class DeltaAttention:
    """Delta attention of a layer; which matrices it has says how its decay and gate are made.

    `by_sequence`: its input is seen sequence by sequence on the way; `one_row`: new states are
    stored as one row; `scaled_before`: a bounded decay is scaled before its activation too. None
    changes a byte, but they are steps.
    """

    def __init__(
        self,
        c: GraphContext,
        states: States,
        layer: int,
        *,
        by_sequence: bool = False,
        one_row: bool = False,
        scaled_before: bool = False,
    ) -> None:
        self._by_sequence = by_sequence
        self._one_row = one_row
        self._scaled_before = scaled_before
        self._c = c
        self._states = states
        self._layer = layer
        self._part: Part = c.layer(layer)
        self._shifts, self._held = states.held(layer)
        self._head = int(c.metadata("kda.head_dim"))
        self._kept = self._part.need("ssm_conv1d_q.weight").ne[0] - 1
        self._n_head = self._shifts.ne[0] // (_CONVOLVED * self._kept * self._head)
        self._shape = (self._head, self._n_head, c.n_seq_tokens, c.n_seqs)

    def attend(self, x: Tensor) -> Tensor:
        """Return the attention of the layer, through its output matrix."""
        c, part, head, n_head = self._c, self._part, self._head, self._n_head
        before = self._states.gather(self._shifts)
        sources = self._projected(x)
        q, k, v = (
            self._convolved(source, before, letter)
            for source, letter in zip(sources, "qkv", strict=True)
        )
        decay = c.reshape(self._decay(x), *self._shape)
        beta = c.mul_mat(part.need("ssm_beta.weight"), x)
        beta = c.unary(c.reshape(beta, 1, *self._shape[1:]))
        if self._by_sequence:
            x = c.reshape(x, x.ne[0], c.n_seq_tokens, c.n_seqs)
        state = c.reshape(self._states.gather(self._held), head, head, n_head, c.n_seqs)
        q, k = l2_norm(c, q), l2_norm(c, k)
        output, fresh = delta_rule(c, q, k, v, gate=decay, beta=beta, state=state)
        held = self._held
        rows = (
            c.view(held, (held.n_elements,))
            if self._one_row
            else c.view(held, held.ne, held.nb[1:])
        )
        c.expand(c.copy(fresh, rows))
        if self._by_sequence:
            x = c.reshape(x, x.ne[0], c.n_tokens)
        return self._gated(c.cont(output), x)

    def _decay(self, x: Tensor) -> Tensor:
        """Return how fast each element of a state fades; a lower bound changes the activation."""
        c, part = self._c, self._part
        decay = c.mul_mat(part.need("ssm_f_a.weight"), x)
        second = part("ssm_f_b.weight")
        if second is not None:
            decay = c.mul_mat(second, decay)
        decay = c.like("ADD", decay, part("ssm_dt.bias"))
        bounded = bool(c.metadata("kda.gate_lower_bound"))
        if not bounded:
            decay = c.unary(decay)
        decay = c.reshape(decay, self._head, self._n_head, c.n_tokens)
        decay = c.like("MUL", decay, c.reshape(part.need("ssm_a"), 1, self._n_head, 1))
        if self._scaled_before:
            decay = c.like("SCALE", decay)
        return c.like("SCALE", c.unary(decay)) if bounded else decay

    def _gate(self, x: Tensor) -> Tensor:
        """Return the gate of the result, from a matrix of full rank or a pair of low rank."""
        c, part = self._c, self._part
        whole = part("ssm_g.weight")
        if whole is not None:
            return c.mul_mat(whole, x)
        gate = c.mul_mat(part.need("ssm_g_a.weight"), x)
        second = part("ssm_g_b.weight")
        return gate if second is None else c.mul_mat(second, gate)

    def _projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values before the convolution, from one matrix or three."""
        c, part, width = self._c, self._part, self._head * self._n_head
        fused = part("attn_qkv.weight")
        if fused is not None:
            row = c.mul_mat(fused, x)
            views = [c.view(row, (width, c.n_tokens), row.nb[1:]) for _ in range(_CONVOLVED)]
            return tuple(c.cont(view) for view in views)
        return tuple(c.mul_mat(part.need(f"attn_{letter}.weight"), x) for letter in "qkv")

    def _convolved(self, x: Tensor, before: Tensor, letter: str) -> Tensor:
        """Return x after its convolution; what the next batch needs of it is stored."""
        c, width = self._c, self._head * self._n_head
        strides = (4 * self._kept, before.nb[1])
        shape = (self._kept, width, c.n_seqs)
        earlier = c.view(before, shape, strides)
        new = c.transpose(c.reshape(x, width, c.n_seq_tokens, c.n_seqs))
        both = c.concat(earlier, new, 0)
        last = c.view(both, shape, both.nb[1:])
        c.expand(c.copy(last, c.view(self._shifts, shape, strides)))
        kernel = self._part.need(f"ssm_conv1d_{letter}.weight")
        kernel = c.reshape(kernel, kernel.ne[0], width)
        made = c.unary(c.reshape(short_convolution(both, kernel), width, c.n_tokens))
        return c.reshape(made, *self._shape)

    def _gated(self, output: Tensor, x: Tensor) -> Tensor:
        c, part, head, n_head = self._c, self._part, self._head, self._n_head
        gate = c.unary(c.reshape(self._gate(x), head, n_head, c.n_tokens))
        y = c.reshape(output, head, n_head, c.n_tokens)
        y = c.norm(y, part("ssm_norm.weight"), layer=self._layer)
        y = c.cont(c.like("MUL", y, gate), head * n_head, c.n_tokens)
        return c.mul_mat(part.need("attn_output.weight"), y)
