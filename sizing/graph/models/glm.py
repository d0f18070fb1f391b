"""GLM: ChatGLM and GLM-4 (halves of one matrix gate each other), GLM-4.5 with experts.

Source: llama.cpp src/models/{chatglm,glm4,glm4-moe}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.stack import build_stack, feed_as_said, positions_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS"]


def _glm4(c: GraphContext) -> None:
    style = Decoder(post_norms=True, activation="fused_glu", positions_per_token=positions_of(c))
    build_decoder(c, style=style)


def _with_experts(c: GraphContext) -> None:
    build_stack(
        c,
        feed_part=partial(feed_as_said, default="sigmoid"),
        second_norm="post_attention_norm",
        positions_per_token=positions_of(c),
    )


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "chatglm": partial(build_decoder, style=Decoder(activation="fused_glu")),
    "glm4": _glm4,
    "glm4moe": _with_experts,
}
