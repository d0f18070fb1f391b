"""Time mixing of RWKV 6 and 7: linear attention over a recurrent state.

Source: llama.cpp src/models/{rwkv6-base,rwkv7-base}.cpp; ggml/src/ggml.c (ggml_rwkv_wkv6,
ggml_rwkv_wkv7, ggml_gated_linear_attn).
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.states_mamba import States

__all__ = ["TimeMix6", "TimeMix7"]

_F32: Final = "F32"
_LERPS: Final = ("w", "k", "v", "r", "g")


class _TimeMix:
    """What both versions share: heads, low ranks, the state behind an operation's output."""

    def __init__(self, context: GraphContext, states: States) -> None:
        """Mix in a context with its states."""
        self.context = context
        self._states = states
        self._head = int(context.metadata("wkv.head_size"))

    def _heads(self, x: Tensor) -> Tensor:
        return self.context.reshape(x, self._head, x.ne[0] // self._head, self.context.n_tokens)

    def _projected(self, x: Tensor, part: Part, name: str) -> Tensor:
        c = self.context
        y = c.mul_mat(part.need(f"time_mix_{name}.weight"), x)
        return c.biased(y, part(f"time_mix_{name}.bias"))

    def _low_rank(self, x: Tensor, part: Part, name: str, *, bent: bool = False) -> Tensor:
        """Return x through a narrow pair of matrices, with an activation between if `bent`."""
        c = self.context
        y = c.mul_mat(part.need(f"{name}1.weight"), x)
        return c.mul_mat(part.need(f"{name}2.weight"), c.unary(y) if bent else y)

    def _mixed(self, op: str, sources: Sequence[Tensor], state: Tensor, layer: int) -> Tensor:
        """Return the operation's output in one stretch; the state behind it is stored."""
        c = self.context
        first, *_ = sources
        width = first.ne[0] * first.ne[1]
        ne = (width, c.n_tokens + self._head * c.n_seqs, 1, 1)
        y = Tensor(op, _F32, ne, srcs=(*sources, state))
        out = c.view(y, (width * c.n_tokens,))
        new = c.view(y, (width * self._head * c.n_seqs,))
        self._states.store(new, self._states.state(layer))
        return out

    def _group_norm(self, y: Tensor, part: Part, n_embd: int) -> Tensor:
        """Return rows of all heads, each head normalised where the model does so."""
        c = self.context
        weight, bias = part("time_mix_ln.weight"), part("time_mix_ln.bias")
        if weight is None or bias is None:
            return c.reshape(y, n_embd, c.n_tokens)
        y = c.like("NORM", c.reshape(y, self._head, n_embd // self._head, c.n_tokens))
        y = c.like("MUL", c.reshape(y, n_embd, c.n_tokens), weight)
        return c.like("ADD", y, bias)


class TimeMix6(_TimeMix):
    """RWKV 6; without `time_mix_first` it is the gated linear attention of a Qwen conversion."""

    def __call__(self, x: Tensor, previous: Tensor, layer: int) -> Tensor:
        """Return a layer's time mixing of x, given each token's forerunner."""
        c, part, n_embd, n = self.context, self.context.layer(layer), x.ne[0], self.context.n_tokens
        xw, xk, xv, xr, xg = self._interpolated(x, previous, part)
        r = self._projected(xr, part, "receptance")
        k = self._projected(xk, part, "key")
        v = self._projected(xv, part, "value")
        g = c.unary(c.mul_mat(part.need("time_mix_gate.weight"), xg))
        k, v = self._spread(k, n_embd), self._spread(v, n_embd)
        r = self._heads(r)
        w = self._low_rank(xw, part, "time_mix_decay_w", bent=True)
        w = c.like("ADD", w, part.need("time_mix_decay.weight"))
        w = self._heads(c.unary(c.unary(c.unary(w))))  # exp(-exp(w))
        first = part("time_mix_first.weight")
        if first is None:
            k = c.like("SUB", k, c.like("MUL", k, w))
        state = self._states.load(self._states.state(layer))
        if first is None:
            y = self._mixed("GATED_LINEAR_ATTN", (k, v, r, w), state, layer)
            y = c.reshape(y, n_embd, n)
        else:
            y = self._mixed("RWKV_WKV6", (k, v, r, first, w), state, layer)
            y = self._group_norm(y, part, n_embd)
        y = c.mul_mat(part.need("time_mix_output.weight"), c.like("MUL", y, g))
        return c.reshape(y, n_embd, c.n_seq_tokens, c.n_seqs)

    def _interpolated(self, x: Tensor, previous: Tensor, part: Part) -> list[Tensor]:
        """Return the five mixtures of tokens with their forerunners."""
        c, n_embd, n = self.context, x.ne[0], self.context.n_tokens
        change = c.reshape(c.like("SUB", previous, x), n_embd, n)
        x = c.reshape(x, n_embd, n)
        mixed = c.like("ADD", c.like("MUL", change, part.need("time_mix_lerp_x.weight")), x)
        w1, w2 = part.need("time_mix_w1.weight"), part.need("time_mix_w2.weight")
        rank = w1.ne[1] // len(_LERPS)
        narrow = c.reshape(c.unary(c.mul_mat(w1, mixed)), rank, 1, len(_LERPS), n)
        narrow = c.cont(c.permute(narrow, 0, 1, 3, 2))
        wide = c.mul_mat(c.reshape(w2, *w2.ne[:2], 1, len(_LERPS)), narrow)
        fused = part("time_mix_lerp_fused.weight")
        if fused is not None:
            change, x = c.reshape(change, n_embd, 1, n), c.reshape(x, n_embd, 1, n)
            wide = c.like("MUL", c.like("ADD", wide, fused), change)
            wide = c.like("ADD", wide, x)
            return [c.view(wide, (n_embd, n), (wide.nb[1],)) for _ in _LERPS]
        views = [c.view(wide, (n_embd, n), (wide.nb[1],)) for _ in _LERPS]
        made = []
        for letter, view in zip(_LERPS, views, strict=True):
            weighted = c.like("ADD", view, part.need(f"time_mix_lerp_{letter}.weight"))
            made.append(c.like("ADD", c.like("MUL", weighted, change), x))
        return made

    def _spread(self, x: Tensor, n_embd: int) -> Tensor:
        """Return keys or values as heads, repeated where several queries share one."""
        c, n_head, n = self.context, n_embd // self._head, self.context.n_tokens
        n_head_kv = x.ne[0] // self._head
        if n_head_kv != n_head:
            x = c.reshape(x, self._head, 1, n_head_kv, n)
            x = c.repeat(x, self._head, n_head // n_head_kv, n_head_kv, n)
        return c.reshape(x, self._head, n_head, n)


class TimeMix7(_TimeMix):
    """RWKV 7; later layers mix in the first one's values."""

    _first: Tensor | None = None

    def __call__(self, x: Tensor, previous: Tensor, layer: int) -> Tensor:
        """Return a layer's time mixing of x, given each token's forerunner."""
        c, part, n_embd = self.context, self.context.layer(layer), x.ne[0]
        gated = part("time_mix_g1.weight") is not None and part("time_mix_g2.weight") is not None
        xr, xw, xk, xv, xa, *xg = self._interpolated(x, previous, part, 5 + gated)
        r = c.mul_mat(part.need("time_mix_receptance.weight"), xr)
        w = c.like(
            "ADD",
            self._low_rank(xw, part, "time_mix_w", bent=True),
            part.need("time_mix_w0.weight"),
        )
        w = c.unary(c.like("SCALE", c.unary(w)))
        k = c.mul_mat(part.need("time_mix_key.weight"), xk)
        v = self._value(xv, part)
        a = self._low_rank(xa, part, "time_mix_a")
        a = c.unary(c.like("ADD", a, part.need("time_mix_a0.weight")))
        kk = self._heads(c.like("MUL", k, part.need("time_mix_k_k.weight")))
        kk = c.like("L2_NORM", kk)
        ka = c.like("MUL", k, part.need("time_mix_k_a.weight"))
        k = c.like("ADD", k, c.like("SUB", c.like("MUL", a, ka), ka))
        r, w, k, v, a = (self._heads(t) for t in (r, w, k, v, a))
        state = self._states.load(self._states.state(layer))
        sources = (r, w, k, v, c.unary(kk), c.like("MUL", kk, a))
        y = self._group_norm(self._mixed("RWKV_WKV7", sources, state, layer), part, n_embd)
        bonus = part.need("time_mix_r_k.weight")
        bonus = c.reshape(bonus, self._head, n_embd // self._head)
        rk = c.sum_rows(c.like("MUL", c.like("MUL", k, r), bonus))
        y = c.like("ADD", y, c.reshape(c.like("MUL", v, rk), n_embd, c.n_tokens))
        if gated:
            g = self._low_rank(xg[0], part, "time_mix_g", bent=True)
            y = c.like("MUL", y, g)
        y = c.mul_mat(part.need("time_mix_output.weight"), y)
        return c.reshape(y, n_embd, c.n_seq_tokens, c.n_seqs)

    def _interpolated(self, x: Tensor, previous: Tensor, part: Part, count: int) -> list[Tensor]:
        """Return the mixtures of tokens with their forerunners."""
        c = self.context
        change = c.repeat(c.like("SUB", previous, x), *x.ne[:3], count)
        mixed = c.like("MUL", change, part.need("time_mix_lerp_fused.weight"))
        mixed = c.like("ADD", mixed, x)
        return [c.view(mixed, (x.ne[0], c.n_tokens), mixed.nb[1:]) for _ in range(count)]

    def _value(self, x: Tensor, part: Part) -> Tensor:
        """Return the values: the first layer's as they are, later ones with those mixed in."""
        c = self.context
        v = c.mul_mat(part.need("time_mix_value.weight"), x)
        if self._first is None:
            self._first = v
            return v
        share = self._low_rank(x, part, "time_mix_v")
        share = c.unary(c.like("ADD", share, part.need("time_mix_v0.weight")))
        return c.like("ADD", v, c.like("MUL", c.like("SUB", self._first, v), share))
