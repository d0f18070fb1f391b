"""Command R and Command R7B: attention and feed-forward side by side, logits scaled.

Source: llama.cpp src/models/command-r.cpp, src/models/cohere2.cpp,
src/models/cohere2moe.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.mixture import feed_forward_or_mixture
from whatfits.sizing.graph.rotary import attend_with, rotated_attention
from whatfits.sizing.graph.stack import gating_of
from whatfits.sizing.model import SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

    Attend = Callable[[GraphContext, Attention, Tensor, int, Tensor], Tensor]

__all__ = ["GRAPHS", "MARKS"]


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


def _build_mixture(c: GraphContext) -> None:
    """North: experts, layers at the start always rotated, rows kept until after the last norm."""
    rms = bool(c.metadata("attention.layer_norm_rms_epsilon"))
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        normed = c.norm(x, part.need("attn_norm.weight"), rms=rms, layer=layer)
        turned = _is_turned(c.model, layer)
        attended = rotated_attention(
            c,
            attention,
            normed,
            layer,
            positions=positions if turned else None,
            factors=c.rope_factors(layer),
        )
        y = feed_forward_or_mixture(
            c,
            normed,
            part,
            gating=gating_of(c, "sigmoid"),
            normalised=bool(c.metadata("expert_weights_norm")),
        )
        if part("ffn_up_shexp.weight") is not None:
            y = c.like("SCALE", y)
        x = c.like("ADD", c.like("ADD", y, x), attended)
    c.finish(x, norm_rms=rms, scaled=bool(c.metadata("logit_scale")), rows=out_ids)


def _is_turned(model: ModelSpec, layer: int) -> bool:
    leading = model.metadata.get(f"{model.architecture}.leading_dense_block_count")
    is_early = isinstance(leading, int) and layer < leading
    return is_early or isinstance(model.layers[layer].attention, SlidingWindow)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "cohere2": lambda c: _build(c, _windows_rotated),
    "cohere2moe": _build_mixture,
    "command-r": lambda c: _build(c, _normed_attention),
}
MARKS: Final = {"cohere2moe": _is_turned}
