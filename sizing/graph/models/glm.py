"""GLM: ChatGLM and GLM-4 (halves of one matrix gate each other), GLM-4.5 with experts.

Source: llama.cpp src/models/{chatglm,glm4,glm4-moe}.cpp.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.stack import Step, build_stack, dense, gating_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]

_SECTIONS: Final = 4
_SHARED: Final = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")


def _feed(step: Step, x: Tensor) -> Tensor:
    c, part = step.c, step.part
    if part("ffn_gate_inp.weight") is None:
        return dense(step, x)
    routed = c.experts(
        x,
        part,
        n_used=c.model.hparams.n_expert_used,
        gating=gating_of(c, "sigmoid"),
        normalised=bool(c.metadata("expert_weights_norm")),
        scale=c.metadata("expert_weights_scale"),
    )
    return c.like("ADD", routed, c.feed_forward(x, part, names=_SHARED))


def _positions(c: GraphContext) -> int:
    """Return the positions of one token: four where sections of a head turn by their own."""
    sections = c.model.metadata.get(f"{c.model.architecture}.rope.dimension_sections")
    first = sections[:2] if isinstance(sections, (list, tuple)) else (0,)
    return _SECTIONS if all(first) else 1


def _glm4(c: GraphContext) -> None:
    style = Decoder(post_norms=True, activation="fused_glu", positions_per_token=_positions(c))
    build_decoder(c, style=style)


def _with_experts(c: GraphContext) -> None:
    build_stack(
        c,
        feed_part=_feed,
        second_norm="post_attention_norm",
        positions_per_token=_positions(c),
    )


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "chatglm": partial(build_decoder, style=Decoder(activation="fused_glu")),
    "glm4": _glm4,
    "glm4moe": _with_experts,
}
