"""Decoders with mean-and-variance norms: Falcon, StarCoder, StableLM, Nemotron, GPT-NeoX, GPT-2….

Source: llama.cpp src/models/{bloom,codeshell,falcon,gpt2,gptneox,jais,jais2,mpt,nemotron,olmo,
orion,plamo,stablelm,starcoder,starcoder2}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.stack import Step, attend_unturned, build_stack, output_of, rotated
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _heads_out(step: Step, x: Tensor) -> Tensor:
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, norms="before", rms=False))


def _falcon(c: GraphContext, *, rms: bool = False, activation: str = "act") -> None:
    """Attention and feed-forward side by side; the large Falcon has a norm for each."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        normed = step.norm(x, "attn_norm", rms=rms)
        has_second = step.part("attn_norm_2.weight") is not None
        y = _heads_out(step, step.norm(x, "attn_norm_2", rms=rms) if has_second else normed)
        if layer == c.layers[-1]:
            y, x, normed = (c.get_rows(t, out_ids) for t in (y, x, normed))
        z = c.feed_forward(normed, step.part, activation=activation)
        x = c.like("ADD", c.like("ADD", z, y), x)
    c.finish(x, norm_rms=rms)


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


def _unturned(c: GraphContext) -> None:
    """Positions are embedded, or scores are biased by distance; then nothing is turned."""
    whole = c.whole
    x = c.input_embedding(whole.need("token_embd.weight"))
    table, first_norm = whole("position_embd.weight"), whole("token_embd_norm.weight")
    if table is not None:
        x = c.like("ADD", x, c.get_rows(table, c.input_positions()))
    if first_norm is not None:
        x = c.norm(x, first_norm, whole("token_embd_norm.bias"), rms=False, layer=0)

    def feed(step: Step, x: Tensor) -> Tensor:
        gated = step.part("ffn_gate.weight") is not None
        return c.feed_forward(x, step.part, activation="glu" if gated else "act")

    build_stack(c, attention_part=attend_unturned, feed_part=feed, start=x, rms=False)


def _mpt(c: GraphContext) -> None:
    """Files with norms of queries and keys, or with scales of activations, are not replayed."""
    part = c.layer(0)
    for name in ("attn_q_norm.weight", "ffn_act.scales"):
        if part(name) is not None:
            raise KeyError(name)
    _unturned(c)


_GELU: Final = Decoder(rms=False, activation="act")
_SQUARED: Final = partial(build_decoder, style=Decoder(rms=False, activation="relu_sqr"))
GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "falcon": _falcon,
    "starcoder2": partial(build_decoder, style=_GELU),
    "stablelm": _stablelm,
    "gptneox": _gptneox,
    "gpt2": _unturned,
    "bloom": _unturned,
    "codeshell": partial(build_decoder, style=_GELU),
    "jais": _unturned,
    "jais2": _SQUARED,
    "mpt": _mpt,
    "olmo": partial(build_stack, rms=False),
    "orion": partial(build_stack, rms=False),
    "plamo": partial(_falcon, rms=True, activation="glu"),
    "starcoder": _unturned,
    "nemotron": _SQUARED,
}
