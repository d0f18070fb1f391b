"""Nemotron 49B, 51B and 253B (as `deci`): a Llama some of whose layers lost parts in pruning.

A layer may have no attention, a matrix in its place, or no feed-forward part; in the last case
what attention made goes nowhere, as in llama.cpp. Source: llama.cpp src/models/deci.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.stack import Step, attend
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        has_heads = step.part("attn_output.weight") is not None
        y, residual = _attended(step, x), x
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        if step.part("ffn_up.weight") is None:
            continue
        y = c.like("ADD", y, residual) if has_heads else y
        z = c.feed_forward(step.norm(y, "ffn_norm"), step.part)
        x = c.like("ADD", z, y)
    c.finish(x)


def _attended(step: Step, x: Tensor) -> Tensor:
    matrix = step.part("attn_output.weight")
    if matrix is None:
        return x
    normed = step.norm(x, "attn_norm")
    if not step.c.spec(step.layer).n_head_kv:
        return step.c.linear(matrix, normed)
    return attend(step, normed)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"deci": _build}
