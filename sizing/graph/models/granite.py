"""Granite, dense and with experts: residuals, embeddings and logits are scaled.

Source: llama.cpp src/models/granite.cpp granite-swa.cpp (granite-moe.cpp has the same graph).
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.rotary import rotated_attention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]

_WINDOWED: Final = frozenset({"granite_swa"})
_SHARED: Final = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")


def _build(c: GraphContext, *, by_default: bool = False) -> None:
    """Add the whole graph; `by_default`: scales and rotations need no metadata (MiniCPM)."""
    if c.model.metadata.get(f"{c.model.architecture}.deepstack_mapping") is not None:
        # image features join the stream in between: not a text model's graph
        raise KeyError("deepstack_mapping")
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    if by_default and not c.metadata("embedding_scale"):
        x = c.like("SCALE", x)
    rotates = by_default or c.model.metadata.get(
        f"{c.model.architecture}.rope.scaling.finetuned", True
    )
    positions = c.input_positions() if rotates else None
    attention = Attention(c)
    out_ids = c.input_out_ids()
    residual_scale = by_default or c.metadata("residual_scale")
    for layer in c.layers:
        part = c.layer(layer)
        y = c.norm(x, part.need("attn_norm.weight"), layer=layer)
        factors = c.rope_factors(layer)
        turned = positions if _is_turned(c.model, layer) else None
        y = rotated_attention(c, attention, y, layer, positions=turned, factors=factors)
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        y = c.like("SCALE", y) if residual_scale else y
        x = c.like("ADD", y, x)
        y = _feed_forward(c, c.norm(x, part.need("ffn_norm.weight"), layer=layer), part)
        y = c.like("SCALE", y) if residual_scale else y
        x = c.like("ADD", y, x)
    c.finish(x, scaled=True)


def _is_turned(model: ModelSpec, layer: int) -> bool:
    """Whether a layer has rotations; only a list that comes with windows says which."""
    pattern = model.metadata.get(f"{model.architecture}.attention.rope_pattern")
    if model.architecture not in _WINDOWED or not isinstance(pattern, (list, tuple)):
        return True
    return bool(pattern[layer])


def _feed_forward(c: GraphContext, x: Tensor, part: Part) -> Tensor:
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part)
    scale = c.metadata("expert_weights_scale")
    y = c.experts(x, part, n_used=c.model.hparams.n_expert_used, scale=scale)
    if part("ffn_up_shexp.weight") is None:
        return y
    halves = part("ffn_gate_shexp.weight") is None
    activation = "fused_glu" if halves else "glu"
    return c.like("ADD", y, c.feed_forward(x, part, names=_SHARED, activation=activation))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "granite": _build,
    "granite_swa": _build,
    "granitemoe": _build,
    "minicpm": partial(_build, by_default=True),
}
MARKS: Final = {"granite_swa": _is_turned}
