"""Latent attention that unfolds keys and values before it stores them: MiniCPM3, PLM.

Source: llama.cpp src/models/{minicpm3,plm}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Heads
from whatfits.sizing.graph.stack import Step, build_stack, output_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]

_F32: Final = 4


def _attend(step: Step, x: Tensor, *, flat_values: bool = False) -> Tensor:
    """Return unfolded attention; `flat_values`: values are stored as rows of all heads."""
    c, part, spec = step.c, step.part, step.c.spec(step.layer)
    n, n_head, length, d_v = x.ne[1], spec.n_head, spec.key_length, spec.value_length
    rank = part.need("attn_kv_a_norm.weight").ne[0]
    factors = c.rope_factors(step.layer)
    first = part("attn_q_a.weight")
    if first is None:
        q = c.mul_mat(part.need("attn_q.weight"), x)
    else:
        q = step.norm(c.mul_mat(first, x), "attn_q_a_norm")
        q = c.mul_mat(part.need("attn_q_b.weight"), q)
    q = c.like("ROPE", c.reshape(q, length, n_head, n), step.positions, factors)
    packed = c.mul_mat(part.need("attn_kv_a_mqa.weight"), x)
    turned = packed.ne[0] - rank
    rest = length - turned
    latent = step.norm(c.view(packed, (rank, n), (packed.nb[1],)), "attn_kv_a_norm")
    both = c.mul_mat(part.need("attn_kv_b.weight"), latent)
    strides = (_F32 * (rest + d_v), _F32 * n_head * (rest + d_v))
    k = c.view(both, (rest, n_head, n), strides)
    v = c.cont(c.view(both, (d_v, n_head, n), strides))
    if flat_values:
        v = c.view(v, (d_v * n_head, n), (_F32 * d_v * n_head,))
    position = c.view(packed, (turned, 1, n), (packed.nb[1], packed.nb[1]))
    position = c.like("ROPE", position, step.positions, factors)
    k = c.concat(k, c.repeat(position, turned, n_head, n), 0)
    return output_of(step, Heads(q, k, v))


def _minicpm3(c: GraphContext) -> None:
    """Embeddings, what is added to the stream, and the last rows are scaled."""
    scaled = partial(c.like, "SCALE")
    build_stack(
        c,
        attention_part=_attend,
        feed_part=lambda step, x: scaled(c.feed_forward(x, step.part)),
        start=scaled(c.input_embedding(c.whole.need("token_embd.weight"))),
        between=lambda _step, y: scaled(y),
        rows_scaled=True,
    )


def _plm_feed(step: Step, x: Tensor) -> Tensor:
    return step.c.feed_forward(x, step.part, activation="relu_sqr")


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "minicpm3": _minicpm3,
    "plm": partial(
        build_stack, attention_part=partial(_attend, flat_values=True), feed_part=_plm_feed
    ),
}
