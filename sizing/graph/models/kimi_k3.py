"""Kimi K3: residuals mixed over earlier layers, delta and gated latent attention, latent experts.

Source: llama.cpp src/models/kimi-k3.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.delta_attention import DeltaAttention
from whatfits.sizing.graph.latent import latent_attention
from whatfits.sizing.graph.mixture import GATINGS
from whatfits.sizing.graph.recurrent import States
from whatfits.sizing.graph.situ import situ
from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part

__all__ = ["GRAPHS", "WHOLE"]


class _Bank:
    """The residual streams that were put by, one at the start of every block of layers."""

    def __init__(self, c: GraphContext) -> None:
        """Start with none."""
        self._c = c
        self._block = int(c.metadata("attn_res.block_size"))
        self._kept: Tensor | None = None

    def takes(self, x: Tensor, layer: int) -> bool:
        """Put a layer's input by where a block starts; return whether that was so."""
        if not self._block or layer % self._block:
            return False
        c = self._c
        row = c.reshape(x, x.ne[0], 1, x.ne[1])
        self._kept = row if self._kept is None else c.concat(self._kept, row, 1)
        return True

    def mixed(self, x: Tensor, score: Tensor | None) -> Tensor:
        """Return x and what was put by, each weighted by its score."""
        c, kept = self._c, self._kept
        if kept is None or score is None:
            return x
        n_kept, n = kept.ne[1:3]
        of_kept = c.sum_rows(c.like("MUL", c.like("RMS_NORM", kept), score))
        of_x = c.sum_rows(c.like("MUL", c.like("RMS_NORM", x), score))
        both = c.like("SOFT_MAX", c.concat(c.reshape(of_kept, n_kept, n), of_x, 0))
        for_kept = c.cont(c.view(both, (n_kept, n), both.nb[1:]))
        for_x = c.cont(c.view(both, (1, n), both.nb[1:]))
        total = Tensor("DSV4_HC_PRE", "F32", (x.ne[0], n, 1, 1), srcs=(kept, for_kept))
        return c.like("ADD", total, c.like("MUL", x, for_x))


def _feed(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    """Return the feed-forward part: dense, or experts in a narrower space beside shared ones."""
    if part("ffn_gate_inp.weight") is None:
        return _dense(c, x, part, "")
    narrow, wide = part("ffn_routed_down.weight"), part("ffn_routed_up.weight")
    y = c.experts(
        x if narrow is None else c.mul_mat(narrow, x),
        part,
        n_used=c.model.hparams.n_expert_used,
        gating=GATINGS[int(c.metadata("expert_gating_func"))],
        normalised=bool(c.metadata("expert_weights_norm")),
        scale=c.metadata("expert_weights_scale"),
        activation="situ",
        logits=c.mul_mat(part.need("ffn_gate_inp.weight"), x),
    )
    norm = part("ffn_routed_norm.weight")
    if norm is not None:
        y = c.norm(y, norm, layer=layer)
    if wide is not None:
        y = c.mul_mat(wide, y)
    if part("ffn_gate_shexp.weight") is None:
        return y
    return c.like("ADD", y, _dense(c, x, part, "_shexp"))


def _dense(c: GraphContext, x: Tensor, part: Part, ending: str) -> Tensor:
    gate = c.mul_mat(part.need(f"ffn_gate{ending}.weight"), x)
    up = c.mul_mat(part.need(f"ffn_up{ending}.weight"), x)
    bounds_both = c.metadata("activation.situ_linear_beta") > 0
    active = situ(c, gate, up, bounds_both=bounds_both)
    return c.mul_mat(part.need(f"ffn_down{ending}.weight"), active)


def _attend(c: GraphContext, attention: Attention, x: Tensor, layer: int) -> Tensor:
    """Return latent attention without positions, through a gate where the layer has one."""
    gate = c.layer(layer)("attn_gate.weight")

    def gated(y: Tensor) -> Tensor:
        return y if gate is None else c.like("MUL", y, c.unary(c.mul_mat(gate, x)))

    return latent_attention(c, attention, x, layer, positions=None, gated=gated)


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    attention = Attention(c)
    out_ids = c.input_out_ids()
    bank = _Bank(c)
    for layer in c.layers:
        part = c.layer(layer)
        y = bank.mixed(x, part("attn_res_score.weight"))
        starts_anew = bank.takes(x, layer)
        y = c.norm(y, part("attn_norm.weight"), layer=layer)
        c.expand(y)
        if c.spec(layer).recurrent is not None:
            delta = DeltaAttention(c, states, layer, by_sequence=True, scaled_before=True)
            y = delta.attend(y)
        else:
            y = _attend(c, attention, y, layer)
        x = y if starts_anew else c.like("ADD", x, y)
        z = bank.mixed(x, part("ffn_res_score.weight"))
        z = c.norm(z, part("ffn_norm.weight"), layer=layer)
        x = c.like("ADD", x, _feed(c, z, part, layer))
    x = bank.mixed(x, c.whole("output_res_score.weight"))
    c.finish(c.get_rows(x, out_ids))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"kimi-k3": _build}
# The bank grows from block to block, so that the memory never comes back to an earlier state.
WHOLE: Final = frozenset({"kimi-k3"})
