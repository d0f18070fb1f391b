"""A decoder of steps in a row, whose attention and feed-forward each family writes itself.

The order is llama.cpp's usual one: norm, attention, sum, norm, feed-forward, sum. What is nearly
plain has switches in `decoder`; what is not brings its own two parts here.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.mixture import GATINGS, feed_forward_or_mixture
from whatfits.sizing.graph.tensor import OUTPUT
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = [
    "Step",
    "attend",
    "attend_norms_after",
    "attend_unturned",
    "build_stack",
    "feed",
    "feed_as_said",
    "gating_of",
    "output_of",
    "positions_of",
    "rotated",
]

_SECTIONS: Final = 4
Norms = Literal["before", "after", "none"]
Rows = Literal["last layer", "before norm", "after norm"]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer's place in the graph.

    Attributes:
        c: what the graph is made in.
        attention: attention of the whole model.
        positions: positions of the tokens.
        layer: index of the layer.
        part: weights of the layer.
    """

    c: GraphContext
    attention: Attention
    positions: Tensor
    layer: int
    part: Part

    def norm(self, x: Tensor, name: str, *, rms: bool = True) -> Tensor:
        """Return x normalised by the layer's norm of that name, with its bias if it has one."""
        weight, bias = self.part(f"{name}.weight"), self.part(f"{name}.bias")
        return self.c.norm(x, weight, bias, rms=rms, layer=self.layer)


def rotated(
    step: Step,
    heads: Heads,
    *,
    norms: Norms = "none",
    rms: bool = True,
    turned: bool = True,
    with_factors: bool = True,
) -> Heads:
    """Return queries and keys turned by their positions, normalised before or after that.

    They are normalised only where the layer has weights for it.
    """
    c = step.c
    factors = c.rope_factors(step.layer) if with_factors else None
    made = []
    for heads_in, name in ((heads.q, "attn_q_norm"), (heads.k, "attn_k_norm")):
        assert heads_in is not None
        x, has_norm = heads_in, step.part(f"{name}.weight") is not None
        if has_norm and norms == "before":
            x = step.norm(x, name, rms=rms)
        if turned:
            x = c.like("ROPE", x, step.positions, factors)
        if has_norm and norms == "after":
            x = step.norm(x, name, rms=rms)
        made.append(x)
    return Heads(made[0], made[1], heads.v)


def attend(step: Step, x: Tensor) -> Tensor:
    """Return plain attention: rotated queries and keys, normalised where there are weights."""
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, norms="before"))


def attend_unturned(step: Step, x: Tensor) -> Tensor:
    """Return attention without rotations."""
    return output_of(step, step.attention.project(x, step.part, step.layer))


def attend_norms_after(step: Step, x: Tensor) -> Tensor:
    """Return attention whose queries and keys are normalised once they are turned."""
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, norms="after"))


def output_of(step: Step, heads: Heads, *, softcap: bool = False) -> Tensor:
    """Return attention of finished queries, keys and values through the output matrix."""
    part = step.part
    return step.attention.attend(
        heads,
        step.layer,
        out=part("attn_output.weight"),
        out_bias=part("attn_output.bias"),
        out_scale=part("attn_output.scale"),
        sinks=part("attn_sinks.weight"),
        softcap=softcap,
    )


def feed(step: Step, x: Tensor, *, gating: str = "softmax", normalised: bool = True) -> Tensor:
    """Return the feed-forward part: gated, or experts where the layer has a router."""
    return feed_forward_or_mixture(step.c, x, step.part, gating=gating, normalised=normalised)


def feed_as_said(step: Step, x: Tensor, *, default: str = "softmax") -> Tensor:
    """Return the feed-forward part, experts chosen and weighted as the metadata says."""
    normalised = bool(step.c.metadata("expert_weights_norm"))
    return feed(step, x, gating=gating_of(step.c, default), normalised=normalised)


def gating_of(c: GraphContext, default: str) -> str:
    """Return how experts are chosen, as the metadata says."""
    return GATINGS.get(int(c.metadata("expert_gating_func")), default)


def positions_of(c: GraphContext) -> int:
    """Return the positions of one token: four where sections of a head turn by their own."""
    sections = c.model.metadata.get(f"{c.model.architecture}.rope.dimension_sections")
    first = sections[:2] if isinstance(sections, (list, tuple)) else (0,)
    return _SECTIONS if all(first) else 1


def build_stack(
    c: GraphContext,
    *,
    attention_part: Callable[[Step, Tensor], Tensor] = attend,
    feed_part: Callable[[Step, Tensor], Tensor] = feed,
    after: Callable[[Step, Tensor], Tensor] | None = None,
    start: Tensor | None = None,
    rms: bool = True,
    second_norm: str = "ffn_norm",
    positions_per_token: int = 1,
    between: Callable[[Step, Tensor], Tensor] | None = None,
    residual_first: bool = False,
    rows: Rows = "last layer",
    scaled: bool = False,
    rows_scaled: bool = False,
    softcap: bool = False,
) -> None:
    """Add the whole graph of a decoder to a context.

    `start` replaces the embedded tokens, `between` changes what attention gave before it is added,
    `after` adds to what leaves a layer; `rows` says where those without logits are dropped.
    Logits are `scaled`, or the rows they are made of.
    """
    x = c.input_embedding(c.whole.need("token_embd.weight")) if start is None else start
    positions = c.input_positions(positions_per_token)
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        residual = x
        y = attention_part(step, step.norm(x, "attn_norm", rms=rms))
        if layer == c.layers[-1] and rows == "last layer":
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        y = y if between is None else between(step, y)
        x = c.like("ADD", residual, y) if residual_first else c.like("ADD", y, residual)
        y = feed_part(step, step.norm(x, second_norm, rms=rms))
        x = c.like("ADD", y, x)
        if after is not None:
            x = after(step, x)
    if rows == "before norm":
        # all rows stay readable for a draft head
        x.flags |= OUTPUT
        x = c.get_rows(x, out_ids)
    kept = out_ids if rows == "after norm" else None
    c.finish(x, norm_rms=rms, scaled=scaled, rows_scaled=rows_scaled, softcap=softcap, rows=kept)
