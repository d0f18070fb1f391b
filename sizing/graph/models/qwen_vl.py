"""Qwen beyond the plain ones: experts beside a gated shared one, and models that also see.

Those that see have four positions a token; from Qwen 3 on, more of a picture is added to what
leaves the first layers, so the input is as many times wider.
Source: llama.cpp src/models/{qwen2moe,qwen2vl,qwen3vl,qwen3vlmoe}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.stack import Step, build_stack
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]

_SHARED: Final = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")
_POSITIONS: Final = 4
_DEEP_KEY: Final = "n_deepstack_layers"


def _with_shared(step: Step, x: Tensor) -> Tensor:
    c, part = step.c, step.part
    used, scale = c.model.hparams.n_expert_used, c.metadata("expert_weights_scale")
    routed = c.experts(x, part, n_used=used, normalised=False, scale=scale)
    opened = c.mul_mat(part.need("ffn_gate_inp_shexp.weight"), x)
    gate = c.like("DIV", c.unary(opened), opened)
    shared = c.feed_forward(x, part, names=_SHARED)
    return c.like("ADD", routed, c.like("MUL", shared, gate))


def _n_deep(model: ModelSpec) -> int:
    value = model.metadata.get(f"{model.architecture}.{_DEEP_KEY}", 0)
    return value if isinstance(value, int) else 0


def _deep_layer(model: ModelSpec, layer: int) -> int | None:
    """Return which of the first layers this is, behind which more of a picture is added."""
    return layer if layer < _n_deep(model) else None


def _wide_input(c: GraphContext, n_deep: int) -> Tensor:
    """Return the embedded tokens, filled up to the width of a picture's rows."""
    table = c.whole.need("token_embd.weight")
    width = table.ne[0] * (1 + n_deep)
    unused = c.input("F32", width, c.n_tokens, name="inp_embd")
    rows = c.get_rows(table, c.input("I32", c.n_tokens, name="inp_tokens"))
    wide = c.pad(rows, width - table.ne[0])
    for made in (wide, unused):
        c.expand(made)
    return c.view(wide, (table.ne[0], c.n_tokens), (wide.nb[1],))


def _seeing(c: GraphContext) -> None:
    n_deep = _n_deep(c.model)
    start = _wide_input(c, n_deep) if n_deep else None

    def after(step: Step, x: Tensor) -> Tensor:
        if start is None or step.layer >= n_deep:
            return x
        return c.like("ADD", x, c.view(start, start.ne[:2], (start.nb[1],)))

    build_stack(c, after=after, start=start, positions_per_token=_POSITIONS)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "qwen2moe": partial(build_stack, feed_part=_with_shared),
    "qwen2vl": partial(build_stack, positions_per_token=_POSITIONS),
    "qwen3vl": _seeing,
    "qwen3vlmoe": _seeing,
}
MARKS: Final = dict.fromkeys(("qwen3vl", "qwen3vlmoe"), _deep_layer)
