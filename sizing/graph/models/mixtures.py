"""Decoders whose experts are routed plainly: Ernie 4.5, Ling 2, dots, DeepSeek, Hunyuan, DBRX….

Source: llama.cpp src/models/{bailingmoe,bailingmoe2,dbrx,deepseek,dots1,ernie4-5-moe,exaone-moe,
hunyuan-moe,hy-v3,mellum,mimo2}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.stack import (
    Step,
    attend_norms_after,
    build_stack,
    feed,
    feed_as_said,
    output_of,
    rotated,
)
from whatfits.sizing.model import SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _exaone_attend(step: Step, x: Tensor) -> Tensor:
    """Layers that see everything have no rotation."""
    turned = isinstance(step.c.spec(step.layer).attention, SlidingWindow)
    heads = step.attention.project(x, step.part, step.layer)
    return output_of(step, rotated(step, heads, norms="before", turned=turned))


def _mimo_attend(step: Step, x: Tensor) -> Tensor:
    """What attention gives is scaled where the metadata says so."""
    y = output_of(step, rotated(step, step.attention.project(x, step.part, step.layer)))
    scaled = step.c.metadata("attention.value_scale") not in (0, 1)
    return step.c.like("SCALE", y) if scaled else y


def _bailing_feed(step: Step, x: Tensor) -> Tensor:
    return feed(step, x, normalised=bool(step.c.metadata("expert_weights_norm")))


_AS_SAID: Final = partial(build_stack, feed_part=feed_as_said)
GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "bailingmoe": partial(build_stack, feed_part=_bailing_feed),
    "bailingmoe2": _AS_SAID,
    "dbrx": partial(build_stack, rms=False, second_norm="attn_output_norm"),
    "deepseek": partial(build_stack, feed_part=partial(feed, normalised=False)),
    "dots1": _AS_SAID,
    "ernie4_5-moe": build_stack,
    "exaone-moe": partial(build_stack, attention_part=_exaone_attend, feed_part=feed_as_said),
    "hunyuan-moe": partial(build_stack, attention_part=attend_norms_after),
    "hy_v3": partial(
        build_stack, feed_part=partial(feed_as_said, default="sigmoid"), rows="after norm"
    ),
    "mellum": build_stack,
    "mimo2": partial(
        build_stack, attention_part=_mimo_attend, feed_part=partial(feed, gating="sigmoid")
    ),
}
