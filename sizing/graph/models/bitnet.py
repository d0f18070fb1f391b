"""BitNet b1.58: norms within attention and feed-forward part.

Source: llama.cpp src/models/bitnet.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.stack import Step, build_stack, rotated
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _attend(step: Step, x: Tensor) -> Tensor:
    c, part = step.c, step.part
    heads = step.attention.project(x, part, step.layer)
    y = step.attention.attend(rotated(step, heads, with_factors=False), step.layer, out=None)
    y = step.norm(y, "attn_sub_norm")
    y = c.linear(part.need("attn_output.weight"), y, part("attn_output.scale"))
    return c.biased(y, part("attn_output.bias"))


def _feed(step: Step, x: Tensor) -> Tensor:
    c, part = step.c, step.part
    up = c.linear(part.need("ffn_up.weight"), x, part("ffn_up.scale"))
    gate = c.linear(part.need("ffn_gate.weight"), x, part("ffn_gate.scale"))
    y = step.norm(c.glu(gate, up), "ffn_sub_norm")
    return c.linear(part.need("ffn_down.weight"), y, part("ffn_down.scale"))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "bitnet": partial(build_stack, attention_part=_attend, feed_part=_feed)
}
