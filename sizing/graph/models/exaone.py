"""EXAONE: a plain decoder up to 3.5; norms after each part in 4, windows rotated only.

Source: llama.cpp src/models/exaone.cpp, src/models/exaone4.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.post_norm import build_post_norm
from whatfits.sizing.graph.rotary import attend_with
from whatfits.sizing.model import SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _attend(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    part = c.layer(layer)
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    q = c.norm(heads.q, part.need("attn_q_norm.weight"), layer=layer)
    k = c.norm(heads.k, part.need("attn_k_norm.weight"), layer=layer)
    # a model without windows rotates in every layer
    if attention.window is None or isinstance(c.spec(layer).attention, SlidingWindow):
        factors = c.rope_factors(layer)
        q, k = (c.like("ROPE", head, positions, factors) for head in (q, k))
    return attend_with(c, attention, Heads(q, k, heads.v), layer)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "exaone": partial(build_decoder, style=Decoder()),
    "exaone4": lambda c: build_post_norm(c, _attend),
}
