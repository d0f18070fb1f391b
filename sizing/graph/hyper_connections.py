"""Hyper-connections: several residual streams, mixed into one before each part of a layer.

llama.cpp fuses the three steps of it wherever their operations run beside their layer.
Source: llama.cpp src/models/deepseek4.cpp, glm5-next.cpp (build_hc_pre, build_hc_post,
build_hc_head, build_hc_mean),
ggml/src/ggml.c (ggml_dsv4_hc_pre, ggml_dsv4_hc_comb, ggml_dsv4_hc_post).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.graph.tensor import Tensor

if TYPE_CHECKING:
    from whatfits.sizing.graph.context import GraphContext, Part

__all__ = ["Mixed", "flattened_outputs", "head_of", "mean_of", "merged", "mixed", "streams_of"]

_F32: Final = "F32"


class Mixed(NamedTuple):
    """What a part of a layer starts from, and how its result goes back into the streams."""

    x: Tensor
    streams: Tensor
    post: Tensor
    comb: Tensor


def streams_of(c: GraphContext, x: Tensor) -> Tensor:
    """Return embedded tokens as equal streams."""
    count = int(c.metadata("hyper_connection.count"))
    return c.repeat(c.reshape(x, x.ne[0], 1, x.ne[1]), x.ne[0], count, x.ne[1])


def mixed(c: GraphContext, streams: Tensor, part: Part, name: str) -> Mixed:
    """Return the streams mixed into one, by the weights of a part (`hc_attn`, `hc_ffn`)."""
    n_embd, count, n, _ = streams.ne
    scale, base = part.need(f"{name}_scale.weight"), part.need(f"{name}_base.weight")
    mixes = _mixes(c, streams, part.need(f"{name}_fn.weight"))

    def factor() -> Tensor:
        some = c.view(mixes, (count, n), mixes.nb[1:2])
        some = c.like("MUL", some, c.view(scale, (1,)))
        some = c.like("ADD", some, c.view(base, (count,)))
        return c.like("SCALE", c.unary(some))

    pre, post = factor(), factor()
    comb = Tensor("DSV4_HC_COMB", _F32, (count, count, n, 1), srcs=(mixes, scale, base))
    x = Tensor("DSV4_HC_PRE", _F32, (n_embd, n, 1, 1), srcs=(streams, pre))
    return Mixed(x, streams, post, comb)


def merged(y: Tensor, start: Mixed) -> Tensor:
    """Return the streams after a part whose result is y."""
    srcs = (y, start.streams, start.post, start.comb)
    return Tensor("DSV4_HC_POST", _F32, start.streams.ne, srcs=srcs)


def flattened_outputs(c: GraphContext, streams: Tensor, out_ids: Tensor) -> Tensor:
    """Return the streams of the rows that logits are wanted for."""
    n_embd, count, n, _ = streams.ne
    rows = c.get_rows(c.reshape(streams, n_embd * count, n), out_ids)
    return c.reshape(rows, n_embd, count, out_ids.ne[0])


def head_of(c: GraphContext, streams: Tensor) -> Tensor:
    """Return the streams weighted and added up; this step is never fused."""
    n_embd, count, n, _ = streams.ne
    whole = c.whole
    weights = c.like(
        "MUL",
        _mixes(c, streams, whole.need("output_hc_fn.weight")),
        whole("output_hc_scale.weight"),
    )
    weights = c.like("ADD", weights, whole("output_hc_base.weight"))
    weights = c.like("SCALE", c.unary(weights))
    total: Tensor | None = None
    for _ in range(count):
        one = c.view(streams, (n_embd, n), streams.nb[2:3])
        one = c.like("MUL", one, c.view(weights, (1, n), weights.nb[1:2]))
        total = one if total is None else c.like("ADD", total, one)
    assert total is not None
    return total


def mean_of(c: GraphContext, streams: Tensor) -> Tensor:
    """Return the mean of the streams."""
    n_embd, count, n, _ = streams.ne
    total, *others = [c.view(streams, (n_embd, n), streams.nb[2:3]) for _ in range(count)]
    for one in others:
        total = c.like("ADD", total, one)
    return c.like("SCALE", total)


def _mixes(c: GraphContext, streams: Tensor, weight: Tensor) -> Tensor:
    n_embd, count, n, _ = streams.ne
    flat = c.reshape(streams, n_embd * count, n)
    return c.mul_mat(weight, c.like("RMS_NORM", flat))
