"""Decoders whose attention is gated before its output matrix: Laguna, Muse Glimmer, Step, AFMoE.

Source: llama.cpp src/models/{afmoe,laguna,muse-glimmer,step35}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.mixture import feed_forward_or_mixture
from whatfits.sizing.graph.stack import Step, build_stack, feed_as_said, gating_of, rotated
from whatfits.sizing.model import SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]

_AFMOE_PERIOD: Final = 4  # llama.cpp fixes it: every fourth layer goes without rotation
_SMALLEST_LIMIT: Final = 1e-6  # limits below it are none
_FEED_AS_SAID: Final = partial(feed_as_said, default="sigmoid")


def _gated(step: Step, x: Tensor, *, turned: bool = True, with_factors: bool = False) -> Tensor:
    """Return attention times a gate, an element or a head each, through the output matrix."""
    c, part, spec = step.c, step.part, step.c.spec(step.layer)
    heads = step.attention.project(x, part, step.layer)
    heads = rotated(step, heads, norms="before", turned=turned, with_factors=with_factors)
    y = step.attention.attend(heads, step.layer, out=None)
    weight = part("attn_gate.weight")
    if weight is not None:
        gate = c.unary(c.mul_mat(weight, x))
        if weight.ne[1] == spec.n_head:
            width, n_tokens = y.ne[0], y.ne[1]
            y = c.reshape(y, spec.value_length, spec.n_head, n_tokens)
            y = c.like("MUL", y, c.reshape(gate, 1, spec.n_head, n_tokens))
            y = c.reshape(y, width, n_tokens)
        else:
            y = c.like("MUL", y, gate)
    return c.linear(part.need("attn_output.weight"), y, part("attn_output.scale"))


def _is_windowed(step: Step) -> bool:
    return isinstance(step.c.spec(step.layer).attention, SlidingWindow)


def _step_attend(step: Step, x: Tensor) -> Tensor:
    return _gated(step, x, with_factors=not _is_windowed(step))


def _step_feed(step: Step, x: Tensor) -> Tensor:
    """Some layers' gates are kept within limits, those of the experts apart from the others."""
    experts, others = _limited(step.c.model, step.layer)
    return feed_forward_or_mixture(
        step.c,
        x,
        step.part,
        gating=gating_of(step.c, "sigmoid"),
        normalised=bool(step.c.metadata("expert_weights_norm")),
        activation="clamped_glu" if others else "glu",
        expert_activation="clamped_glu" if experts else "glu",
    )


def _limited(model: ModelSpec, layer: int) -> tuple[bool, bool]:
    """Return whether a layer's experts, and its other feed-forward parts, have limits."""
    found = []
    for name in ("swiglu_clamp_exp", "swiglu_clamp_shexp"):
        limits = model.metadata.get(f"{model.architecture}.{name}", 0.0)
        limit = limits[layer] if isinstance(limits, (list, tuple)) else limits
        found.append(isinstance(limit, (int, float)) and limit > _SMALLEST_LIMIT)
    return found[0], found[1]


def _muse(c: GraphContext) -> None:
    """Norms follow attention and feed-forward too; they are not held on the layer's device."""

    def attend(step: Step, x: Tensor) -> Tensor:
        y = _gated(step, x, turned=_is_windowed(step))
        return c.norm(y, step.part.need("post_attention_norm.weight"))

    def feed(step: Step, x: Tensor) -> Tensor:
        return c.norm(c.feed_forward(x, step.part), step.part.need("post_ffw_norm.weight"))

    build_stack(
        c,
        attention_part=attend,
        feed_part=feed,
        start=c.norm(c.input_embedding(c.whole.need("token_embd.weight")), None),
        scaled=True,
        softcap=bool(c.metadata("final_logit_softcapping")),
    )


def _afmoe_is_turned(layer: int) -> bool:
    return (layer + 1) % _AFMOE_PERIOD != 0


def _afmoe(c: GraphContext) -> None:
    def attend(step: Step, x: Tensor) -> Tensor:
        y = _gated(step, x, turned=_afmoe_is_turned(step.layer))
        return step.norm(y, "post_attention_norm")

    build_stack(
        c,
        attention_part=attend,
        feed_part=lambda step, x: step.norm(_FEED_AS_SAID(step, x), "post_ffw_norm"),
        start=c.like("SCALE", c.input_embedding(c.whole.need("token_embd.weight"))),
    )


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "afmoe": _afmoe,
    "laguna": partial(build_stack, attention_part=_gated, feed_part=_FEED_AS_SAID),
    "muse-glimmer": _muse,
    "step35": partial(
        build_stack, attention_part=_step_attend, feed_part=_step_feed, rows="before norm"
    ),
}
MARKS: Final = {
    "afmoe": lambda _model, layer: _afmoe_is_turned(layer),
    "step35": _limited,
}
