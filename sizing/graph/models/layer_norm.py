"""Decoders with mean-and-variance norms: Falcon, StarCoder 2, StableLM, Nemotron.

Source: llama.cpp src/models/{falcon,starcoder2,stablelm,nemotron}.cpp.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.models import Traits
from whatfits.sizing.graph.stack import Step, output_of, rotated

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS", "TRAITS"]


def _heads_out(step: Step, x: Tensor) -> Tensor:
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, norms=True, rms=False))


def _falcon(c: GraphContext) -> None:
    """Attention and feed-forward side by side; the large model has a norm for each."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        normed = step.norm(x, "attn_norm", rms=False)
        has_second = step.part("attn_norm_2.weight") is not None
        y = _heads_out(step, step.norm(x, "attn_norm_2", rms=False) if has_second else normed)
        if layer == c.layers[-1]:
            y, x, normed = (c.get_rows(t, out_ids) for t in (y, x, normed))
        z = c.feed_forward(normed, step.part, activation="act")
        x = c.like("ADD", c.like("ADD", z, y), x)
    c.finish(x, norm_rms=False)


def _stablelm(c: GraphContext) -> None:
    """Without a second norm the feed-forward part reads what attention read."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        normed = step.norm(x, "attn_norm", rms=False)
        y = _heads_out(step, normed)
        if layer == c.layers[-1]:
            y, x, normed = (c.get_rows(t, out_ids) for t in (y, x, normed))
        x = c.like("ADD", y, x)
        if step.part("ffn_norm.weight") is not None:
            normed = step.norm(x, "ffn_norm", rms=False)
        x = c.like("ADD", c.feed_forward(normed, step.part), x)
    c.finish(x, norm_rms=False)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "falcon": _falcon,
    "starcoder2": partial(build_decoder, style=Decoder(rms=False, activation="act")),
    "stablelm": _stablelm,
    "nemotron": partial(build_decoder, style=Decoder(rms=False, activation="relu_sqr")),
}
# casting an F32 cache for fused attention, the large model's memory comes back after three layers
TRAITS: Final = {"falcon": Traits(cycle=6)}
