"""MiniMax 01 and M1: lightning attention, with softmax attention in every eighth layer.

Source: llama.cpp src/models/minimax-01.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.mixture import feed_forward_or_mixture
from whatfits.sizing.graph.recurrent import States
from whatfits.sizing.graph.rotary import rotated_attention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]

_PARTS: Final = 3  # queries, keys and values in one row


class _Lightning:
    """Lightning attention of a model: its decays, made once, and its layers' steps."""

    def __init__(self, c: GraphContext, states: States) -> None:
        """Make the inputs; the one for pairs of tokens is the largest of the model."""
        self._c = c
        self._states = states
        self._head = int(c.metadata("attention.key_length"))
        self._n_head = n_head = int(c.metadata("attention.head_count"))
        n, n_seqs = c.n_seq_tokens, c.n_seqs
        self._slopes = c.input("F32", n_head, name="slopes")
        self._q_decay = c.input("F32", 1, n_head, n, n_seqs, name="q_decay")
        self._k_decay = c.input("F32", 1, n_head, n, n_seqs, name="k_decay")
        self._pair_decay = c.input("F32", n, n, n_head, n_seqs, name="diag_decay")

    def attend(self, x: Tensor, layer: int) -> Tensor:
        """Return a layer's lightning attention."""
        c, part, n, n_seqs = self._c, self._c.layer(layer), self._c.n_seq_tokens, self._c.n_seqs
        shifts, held = self._states.held(layer)
        self._states.gather(shifts)
        x = c.reshape(x, x.ne[0], n, 1, n_seqs)
        mixed = c.unary(c.linear(part.need("attn_qkv.weight"), x, part("attn_qkv.scale")))
        mixed = c.reshape(mixed, _PARTS * self._head, self._n_head, n, n_seqs)
        q, k, v = (c.view(mixed, (self._head, *mixed.ne[1:]), mixed.nb[1:]) for _ in range(_PARTS))
        state = self._states.gather(held)
        old = c.reshape(state, self._head, self._head, self._n_head, n_seqs)
        columns = c.cont(c.permute(v, 1, 2, 0, 3))
        y = self._outputs(q, k, columns, old)
        c.expand(y)
        fresh = self._renewed(old, k, columns)
        c.expand(c.copy(fresh, c.view(held, (held.n_elements,))))
        y = c.cont(c.permute(y, 0, 2, 1, 3))
        y = c.reshape(y, y.ne[0] * y.ne[1], y.ne[2], 1, y.ne[3])
        y = c.norm(y, part("attn_norm_2.weight"), layer=layer)
        gate = c.linear(part.need("attn_gate.weight"), x, part("attn_gate.scale"))
        y = c.like("MUL", c.unary(gate), y)
        y = c.linear(part.need("attn_output.weight"), y, part("attn_output.scale"))
        return c.reshape(y, y.ne[0], c.n_tokens)

    def _outputs(self, q: Tensor, k: Tensor, columns: Tensor, old: Tensor) -> Tensor:
        """Return what the state says of each token, and the tokens of the batch before it."""
        c = self._c
        faded = c.like("MUL", q, self._exponent(self._q_decay))
        from_state = c.mul_mat(old, c.permute(faded, 0, 2, 1, 3))
        pairs = c.mul_mat(c.permute(k, 0, 2, 1, 3), c.permute(q, 0, 2, 1, 3))
        pairs = c.like("MUL", pairs, self._exponent(self._pair_decay))
        return c.like("ADD", from_state, c.mul_mat(columns, pairs))

    def _renewed(self, old: Tensor, k: Tensor, columns: Tensor) -> Tensor:
        """Return the state after the batch."""
        c = self._c
        fading = c.unary(c.like("SCALE", c.like("SCALE", self._slopes)))
        kept = c.like("MUL", old, c.reshape(fading, 1, 1, self._n_head))
        faded = c.like("MUL", k, self._exponent(self._k_decay))
        rows = c.cont(c.permute(faded, 1, 2, 0, 3))
        return c.like("ADD", kept, c.mul_mat(rows, columns))

    def _exponent(self, x: Tensor) -> Tensor:
        return self._c.unary(self._c.like("SCALE", x))


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    attention = Attention(c)
    positions = c.input_positions()
    out_ids = c.input_out_ids()
    lightning = _Lightning(c, states)
    for layer in c.layers:
        part = c.layer(layer)
        x = c.norm(x, part("attn_norm.weight"), layer=layer)
        if c.spec(layer).recurrent is not None:
            y = lightning.attend(x, layer)
        else:
            y = rotated_attention(c, attention, x, layer, positions=positions)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.norm(c.like("ADD", y, c.like("SCALE", x)), part("ffn_norm.weight"), layer=layer)
        y = feed_forward_or_mixture(c, x, part, gating="softmax", normalised=True)
        x = c.like("ADD", y, c.like("SCALE", x))
    c.finish(x)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"minimax-01": _build}
