"""MiniMax M2: queries and keys are normalised over all heads at once.

Source: llama.cpp src/models/minimax-m2.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Heads
from whatfits.sizing.graph.stack import Step, build_stack, feed, gating_of, output_of, rotated
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _attend(step: Step, x: Tensor) -> Tensor:
    c, part, spec = step.c, step.part, step.c.spec(step.layer)
    q, k, v = (
        c.biased(
            c.linear(part.need(f"attn_{letter}.weight"), x, part(f"attn_{letter}.scale")),
            part(f"attn_{letter}.bias"),
        )
        for letter in "qkv"
    )
    n, length = x.ne[1], spec.key_length
    heads = Heads(
        c.reshape(step.norm(q, "attn_q_norm"), length, spec.n_head, n),
        c.reshape(step.norm(k, "attn_k_norm"), length, spec.n_head_kv, n),
        c.reshape(v, spec.value_length, spec.n_head_kv, n),
    )
    return output_of(step, rotated(step, heads))


def _feed(step: Step, x: Tensor) -> Tensor:
    return feed(step, x, gating=gating_of(step.c, "sigmoid"))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "minimax-m2": partial(build_stack, attention_part=_attend, feed_part=_feed),
}
