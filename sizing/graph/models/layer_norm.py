"""Decoders with mean-and-variance norms: Falcon, StarCoder 2, StableLM, Nemotron, GPT-NeoX, GPT-2.

Source: llama.cpp src/models/{falcon,starcoder2,stablelm,nemotron,gptneox,gpt2}.cpp.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.models import Traits
from whatfits.sizing.graph.stack import Step, build_stack, output_of, rotated

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS", "TRAITS"]


def _heads_out(step: Step, x: Tensor) -> Tensor:
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, norms="before", rms=False))


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


def _gptneox(c: GraphContext) -> None:
    """Both parts read the stream, each through a norm of its own, unless they follow each other."""
    if not c.metadata("use_parallel_residual"):
        build_decoder(c, style=_GELU)
        return
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        y = _heads_out(step, step.norm(x, "attn_norm", rms=False))
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        z = step.norm(x, "ffn_norm", rms=False)
        z = c.feed_forward(z, step.part, activation="act")
        x = c.like("ADD", c.like("ADD", z, x), y)
    c.finish(x, norm_rms=False)


def _gpt2(c: GraphContext) -> None:
    """Positions are embedded, not turned."""
    whole = c.whole
    positions = c.input_positions()
    tokens = c.input_embedding(whole.need("token_embd.weight"))
    at = c.get_rows(whole.need("position_embd.weight"), positions)

    def part(step: Step, x: Tensor) -> Tensor:
        return output_of(step, step.attention.project(x, step.part, step.layer))

    def feed(step: Step, x: Tensor) -> Tensor:
        return c.feed_forward(x, step.part, activation="act")

    build_stack(c, attention_part=part, feed_part=feed, start=c.like("ADD", tokens, at), rms=False)


_GELU: Final = Decoder(rms=False, activation="act")
GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "falcon": _falcon,
    "starcoder2": partial(build_decoder, style=_GELU),
    "stablelm": _stablelm,
    "gptneox": _gptneox,
    "gpt2": _gpt2,
    "nemotron": partial(build_decoder, style=Decoder(rms=False, activation="relu_sqr")),
}
# casting an F32 cache for fused attention, the large model's memory comes back after three layers
TRAITS: Final = {"falcon": Traits(cycle=6)}
