"""Command R and Command R7B: attention and feed-forward side by side, logits scaled.

Source: llama.cpp src/models/command-r.cpp, src/models/cohere2.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.rotary import attend_with, rotated_attention
from whatfits.sizing.model import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

    Attend = Callable[[GraphContext, Attention, Tensor, int, Tensor], Tensor]

__all__ = ["GRAPHS"]


def _normed_attention(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    part = c.layer(layer)
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    made = []
    for letter, head in (("q", heads.q), ("k", heads.k)):
        weight = part(f"attn_{letter}_norm.weight")
        normed = head if weight is None else c.norm(head, weight, rms=False, layer=layer)
        made.append(c.like("ROPE", normed, positions))
    return attend_with(c, attention, Heads(made[0], made[1], heads.v), layer)


def _windows_rotated(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    rotates = isinstance(c.spec(layer).attention, SlidingWindow)
    return rotated_attention(
        c,
        attention,
        x,
        layer,
        positions=positions if rotates else None,
        factors=c.rope_factors(layer),
    )


def _build(c: GraphContext, attend: Attend) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        normed = c.norm(x, part.need("attn_norm.weight"), rms=False, layer=layer)
        attended = attend(c, attention, normed, layer, positions)
        if layer == c.layers[-1]:
            attended = c.get_rows(attended, out_ids)
            x, normed = c.get_rows(x, out_ids), c.get_rows(normed, out_ids)
        y = c.feed_forward(normed, part)
        x = c.like("ADD", c.like("ADD", y, x), attended)
    c.finish(x, norm_rms=False, scaled=bool(c.metadata("logit_scale")))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "cohere2": lambda c: _build(c, _windows_rotated),
    "command-r": lambda c: _build(c, _normed_attention),
}
