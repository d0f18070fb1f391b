"""Hyper-connections: several residual streams, mixed into one before each part of a layer.

llama.cpp fuses the three steps of it wherever their operations run beside their layer.
Source: llama.cpp src/models/deepseek4.cpp, glm5-next.cpp (build_hc_pre, build_hc_post,
build_hc_head, build_hc_mean),
ggml/src/ggml.c (ggml_dsv4_hc_pre, ggml_dsv4_hc_comb, ggml_dsv4_hc_post).
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part

__all__ = [
    "FUSED",
    "PER_LAYER",
    "Mixed",
    "flattened_outputs",
    "head_of",
    "mean_of",
    "merged",
    "mixed",
    "streams_of",
]

_F32: Final = "F32"
# in the order in which llama.cpp finds out whether it can fuse them
HC_PRE: Final = "DSV4_HC_PRE"
HC_COMB: Final = "DSV4_HC_COMB"
HC_POST: Final = "DSV4_HC_POST"
FUSED: Final = (HC_PRE, HC_COMB, HC_POST)
PER_LAYER: Final = 2


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
        some = c.view(mixes, (count, n), mixes.nb[1:])
        some = c.like("MUL", some, c.view(scale, (1,)))
        some = c.like("ADD", some, c.view(base, (count,)))
        return c.like("SCALE", c.unary(some))

    pre, post = factor(), factor()
    if HC_COMB in c.unfused:
        comb = _combination(c, mixes, scale, base, count)
    else:
        comb = Tensor(HC_COMB, _F32, (count, count, n, 1), srcs=(mixes, scale, base))
    if HC_PRE in c.unfused:
        return Mixed(_weighted(c, streams, pre), streams, post, comb)
    x = Tensor(HC_PRE, _F32, (n_embd, n, 1, 1), srcs=(streams, pre))
    return Mixed(x, streams, post, comb)


def merged(c: GraphContext, y: Tensor, start: Mixed) -> Tensor:
    """Return the streams after a part whose result is y."""
    if HC_POST in c.unfused:
        return _spread(c, y, start)
    srcs = (y, start.streams, start.post, start.comb)
    return Tensor(HC_POST, _F32, start.streams.ne, srcs=srcs)


def flattened_outputs(c: GraphContext, streams: Tensor, out_ids: Tensor) -> Tensor:
    """Return the streams of the rows that logits are wanted for."""
    n_embd, count, n, _ = streams.ne
    rows = c.get_rows(c.reshape(streams, n_embd * count, n), out_ids)
    return c.reshape(rows, n_embd, count, out_ids.ne[0])


def head_of(c: GraphContext, streams: Tensor) -> Tensor:
    """Return the streams weighted and added up; this step is never fused."""
    whole = c.whole
    weights = c.like(
        "MUL",
        _mixes(c, streams, whole.need("output_hc_fn.weight")),
        whole("output_hc_scale.weight"),
    )
    weights = c.like("ADD", weights, whole("output_hc_base.weight"))
    weights = c.like("SCALE", c.unary(weights))
    return _weighted(c, streams, weights)


def mean_of(c: GraphContext, streams: Tensor) -> Tensor:
    """Return the mean of the streams."""
    n_embd, count, n, _ = streams.ne
    total, *others = [c.view(streams, (n_embd, n), streams.nb[2:]) for _ in range(count)]
    for one in others:
        total = c.like("ADD", total, one)
    return c.like("SCALE", total)


def _weighted(c: GraphContext, streams: Tensor, weights: Tensor) -> Tensor:
    """Return the streams added up one by one, each with its weight."""
    n_embd, count, n, _ = streams.ne
    total: Tensor | None = None
    for _ in range(count):
        one = c.view(streams, (n_embd, n), streams.nb[2:])
        one = c.like("MUL", one, c.view(weights, (1, n), weights.nb[1:]))
        total = one if total is None else c.like("ADD", total, one)
    assert total is not None
    return total


def _combination(c: GraphContext, mixes: Tensor, scale: Tensor, base: Tensor, count: int) -> Tensor:
    """Return how streams go over into streams: rows and columns scaled in turns (Sinkhorn)."""
    n = mixes.ne[1]
    comb = c.view(mixes, (count * count, n), mixes.nb[1:])
    comb = c.like("MUL", comb, c.view(scale, (1,)))
    comb = c.like("ADD", comb, c.view(base, (count * count,)))
    comb = c.like("SOFT_MAX", c.reshape(comb, count, count, n))
    epsilon = c.like("FILL", c.plain(_F32, 1))
    comb = c.like("ADD", comb, epsilon)
    for turn in range(int(c.metadata("hyper_connection.sinkhorn_iterations"))):
        if turn:
            comb = c.like("DIV", comb, c.like("ADD", c.sum_rows(comb), epsilon))
        columns = c.sum_rows(c.cont(c.permute(comb, 1, 0, 2, 3)))
        columns = c.permute(c.like("ADD", columns, epsilon), 1, 0, 2, 3)
        comb = c.like("DIV", comb, columns)
    return comb


def _spread(c: GraphContext, y: Tensor, start: Mixed) -> Tensor:
    """Return the streams after a part, made one by one."""
    n_embd, count, n, _ = start.streams.ne
    made: Tensor | None = None
    for _ in range(count):
        one = c.like("MUL", y, c.view(start.post, (1, n), start.post.nb[1:]))
        for _ in range(count):
            old = c.view(start.streams, (n_embd, n), start.streams.nb[2:])
            share = c.view(start.comb, (1, n), start.comb.nb[2:])
            one = c.like("ADD", one, c.like("MUL", old, share))
        one = c.reshape(one, n_embd, 1, n)
        made = one if made is None else c.concat(made, one, 1)
    assert made is not None
    return made


def _mixes(c: GraphContext, streams: Tensor, weight: Tensor) -> Tensor:
    n_embd, count, n, _ = streams.ne
    flat = c.reshape(streams, n_embd * count, n)
    return c.mul_mat(weight, c.like("RMS_NORM", flat))
