"""OLMo 2 and 3, OLMoE: queries and keys are normalised across all heads at once.

Source: llama.cpp src/models/olmo2.cpp, src/models/olmoe.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.post_norm import build_post_norm
from whatfits.sizing.graph.rotary import attend_with
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
    part, spec = c.layer(layer), c.spec(layer)
    made = {}
    for letter, n_head in (("q", spec.n_head), ("k", spec.n_head_kv), ("v", spec.n_head_kv)):
        y = c.linear(part.need(f"attn_{letter}.weight"), x, part(f"attn_{letter}.scale"))
        y = c.biased(y, part(f"attn_{letter}.bias"))
        if letter != "v":
            y = c.norm(y, part.need(f"attn_{letter}_norm.weight"), layer=layer)
        made[letter] = c.reshape(y, spec.key_length, n_head, y.ne[1])
    q, k = (c.like("ROPE", made[letter], positions) for letter in "qk")
    return attend_with(c, attention, Heads(q, k, made["v"]), layer)


def _build_olmoe(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part.need("attn_norm.weight"), layer=layer)
        y = _attend(c, attention, y, layer, positions)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        x = c.like("ADD", y, x)
        y = c.experts(
            c.norm(x, part.need("ffn_norm.weight"), layer=layer),
            part,
            n_used=c.model.hparams.n_expert_used,
            normalised=False,
            scale=c.metadata("expert_weights_scale"),
        )
        x = c.like("ADD", y, x)
    c.finish(x)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "olmo2": lambda c: build_post_norm(c, _attend),
    "olmoe": _build_olmoe,
}
