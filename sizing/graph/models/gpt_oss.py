"""gpt-oss: attention with sinks, experts with biases, all rows kept to the last norm.

Source: llama.cpp src/models/openai-moe.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.rotary import rotated_attention
from whatfits.sizing.graph.tensor import OUTPUT
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS"]


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part.need("attn_norm.weight"), layer=layer)
        y = rotated_attention(c, attention, y, layer, positions=positions)
        x = c.like("ADD", y, x)
        y = c.norm(x, part.need("post_attention_norm.weight"), layer=layer)
        y = c.experts(
            y,
            part,
            n_used=c.model.hparams.n_expert_used,
            gating="softmax_weight",
            normalised=False,
            scale=c.metadata("expert_weights_scale"),
        )
        x = c.like("ADD", y, x)
    # all rows stay readable for a draft head
    x.flags |= OUTPUT
    c.finish(c.get_rows(x, out_ids))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"gpt-oss": _build}
