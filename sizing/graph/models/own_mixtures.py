"""Mixtures whose router or experts stand elsewhere: SmallThinker, Grove, Grok, Arctic.

Source: llama.cpp src/models/{arctic,grok,grovemoe,smallthinker}.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.rotary import rotated_attention
from whatfits.sizing.graph.stack import Step, attend, build_stack, gating_of, output_of, rotated
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]

_SMALLTHINKER_PERIOD: Final = 4  # llama.cpp fixes it: the first of four layers has no rotation


def _is_turned(model: ModelSpec, layer: int) -> bool:
    has_windows = bool(model.metadata.get(f"{model.architecture}.attention.sliding_window"))
    return not has_windows or layer % _SMALLTHINKER_PERIOD != 0


def _smallthinker(c: GraphContext) -> None:
    """The router reads what enters the layer, before the norm."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    gating, scale = gating_of(c, "softmax"), c.metadata("expert_weights_scale")
    for layer in c.layers:
        part = c.layer(layer)
        logits = c.mul_mat(part.need("ffn_gate_inp.weight"), x)
        y = c.norm(x, part.need("attn_norm.weight"), layer=layer)
        turned = positions if _is_turned(c.model, layer) else None
        y = rotated_attention(c, attention, y, layer, positions=turned)
        if layer == c.layers[-1]:
            y, x, logits = (c.get_rows(rows, out_ids) for rows in (y, x, logits))
        x = c.like("ADD", y, x)
        y = c.norm(x, part.need("ffn_norm.weight"), layer=layer)
        n_used = c.model.hparams.n_expert_used
        y = c.experts(y, part, n_used=n_used, gating=gating, scale=scale, logits=logits)
        x = c.like("ADD", y, x)
    c.finish(x)


def _grove_feed(step: Step, x: Tensor) -> Tensor:
    """Small experts, each shared by a group, go over what the experts gave."""
    c, part = step.c, step.part
    n_used, scale = c.model.hparams.n_expert_used, c.metadata("expert_weights_scale")
    logits = c.mul_mat(part.need("ffn_gate_inp.weight"), x)
    y = c.experts(x, part, n_used=n_used, scale=scale, logits=logits, selection_from="sigmoid")
    group = int(c.metadata("experts_per_group", 1))
    shared = c.experts(
        y,
        part,
        n_used=min(n_used, logits.ne[0] // group),
        scale=scale,
        logits=logits,
        selection_from="sigmoid",
        stack="chexps",
        share=group > 1,
    )
    return c.like("ADD", y, c.like("SCALE", shared))


def _grok_attend(step: Step, x: Tensor) -> Tensor:
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, with_factors=False), softcap=True)


def _grok_feed(step: Step, x: Tensor) -> Tensor:
    c, part = step.c, step.part
    scale = c.metadata("expert_weights_scale")
    y = c.experts(x, part, n_used=c.model.hparams.n_expert_used, scale=scale)
    if part("ffn_up.weight") is not None:
        y = c.like("SCALE", c.like("ADD", c.feed_forward(x, part), y))
    older = part("layer_output_norm.weight") is not None
    return step.norm(y, "layer_output_norm" if older else "post_ffw_norm")


def _grok(c: GraphContext) -> None:
    """Embeddings, scores and logits are scaled, whether the metadata says by how much or not."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    build_stack(
        c,
        attention_part=_grok_attend,
        feed_part=_grok_feed,
        start=x if c.metadata("embedding_scale") else c.like("SCALE", x),
        between=lambda step, y: step.norm(y, "attn_output_norm"),
        scaled=True,
        softcap=bool(c.metadata("final_logit_softcapping")),
    )


def _arctic(c: GraphContext) -> None:
    """Experts read what enters the layer, beside attention and the dense part."""
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    scale = c.metadata("expert_weights_scale")
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        y = attend(step, step.norm(x, "attn_norm"))
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        attended = c.like("ADD", y, x)
        dense = c.feed_forward(step.norm(attended, "ffn_norm"), step.part)
        dense = c.like("ADD", dense, attended)
        y = step.norm(x, "ffn_norm_exps")
        y = c.experts(y, step.part, n_used=c.model.hparams.n_expert_used, scale=scale)
        x = c.like("ADD", y, dense)
    c.finish(x)


def _grove(c: GraphContext) -> None:
    build_stack(c, feed_part=_grove_feed)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "arctic": _arctic,
    "grok": _grok,
    "grovemoe": _grove,
    "smallthinker": _smallthinker,
}
MARKS: Final = {"smallthinker": _is_turned}
