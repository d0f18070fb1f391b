"""Gemma 3n: four streams that predict and correct each other, embeddings for each layer.

Source: llama.cpp src/models/gemma3n.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.per_layer import per_layer_inputs, slice_of
from whatfits.sizing.graph.rotary import attend_with
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]

_SPARSE_LAYERS: Final = 10  # n_layer_sparsity, src/models/models.h


def _build(c: GraphContext) -> None:
    x = c.like("SCALE", c.input_embedding(c.whole.need("token_embd.weight")))
    positions = c.input_positions()
    attention = Attention(c)
    embeddings = per_layer_inputs(c, x)
    streams = _spread(c, x)
    for layer in c.layers:
        part = c.layer(layer)
        predicted = _predicted(c, streams, part, layer)
        active = slice_of(c, predicted)
        normed = c.norm(active, part.need("attn_norm.weight"), layer=layer)
        low_rank = _low_rank(c, normed, part, layer)
        y = _attend(c, attention, normed, layer, positions)
        y = c.norm(y, part.need("post_attention_norm.weight"), layer=layer)
        y = c.like("ADD", y, active)
        attended = c.like("SCALE", c.like("ADD", y, low_rank))
        y = c.norm(attended, part.need("ffn_norm.weight"), layer=layer)
        y = _feed_forward(c, y, part, sparse=_is_sparse(c.model, layer))
        y = c.norm(y, part.need("post_ffw_norm.weight"))
        y = c.like("ADD", y, attended)
        corrected = _corrected(c, predicted, y, part, layer)
        streams = _with_embedding(c, corrected, embeddings, layer)
    merged = c.get_rows(_merged(c, streams), c.input_out_ids())
    c.finish(merged, softcap=True)


# streams


def _magnitude(c: GraphContext, x: Tensor) -> Tensor:
    return c.like("SQRT", c.sum_rows(c.like("SQR", x)))


def _rescaled(c: GraphContext, x: Tensor, target: Tensor) -> Tensor:
    return c.like("DIV", c.like("MUL", x, target), _magnitude(c, x))


def _others(c: GraphContext, streams: Tensor) -> Tensor:
    """Return all streams but the first."""
    n_embd, n_tokens, n_streams, _ = streams.ne
    return c.view(streams, (n_embd, n_tokens, n_streams - 1), streams.nb[1:])


def _spread(c: GraphContext, x: Tensor) -> Tensor:
    """Return the embedding, and behind it its projections to the other streams."""
    projection = c.whole.need("altup_proj.weight")
    target = _magnitude(c, x)
    added = c.mul_mat(projection, c.repeat(x, *x.ne[:2], projection.ne[2]))
    return c.concat(x, _rescaled(c, added, target), 2)


def _merged(c: GraphContext, streams: Tensor) -> Tensor:
    """Return the mean of the streams, each brought back to the first one's space."""
    target = _magnitude(c, slice_of(c, streams))
    back = c.mul_mat(c.whole.need("altup_unembd_proj.weight"), _others(c, streams))
    back = _rescaled(c, back, target)
    x = slice_of(c, streams)
    for _ in range(back.ne[2]):
        x = c.like("ADD", x, slice_of(c, back))
    return c.like("SCALE", x)


def _modalities(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    y = c.like("SCALE", c.norm(x, part.need("altup_router_norm.weight"), layer=layer))
    return c.unary(c.mul_mat(part.need("altup_router.weight"), y))


def _predicted(c: GraphContext, streams: Tensor, part: Part, layer: int) -> Tensor:
    n_tokens, n_streams = streams.ne[1:3]
    modalities = _modalities(c, slice_of(c, streams), part, layer)
    factors = c.mul_mat(part.need("altup_predict_coef.weight"), modalities)
    factors = c.reshape(factors, n_streams, n_streams, n_tokens)
    by_token = c.cont(c.permute(streams, 1, 2, 0, 3))
    y = c.mul_mat(by_token, factors)
    return c.like("ADD", c.cont(c.permute(y, 0, 2, 1, 3)), streams)


def _corrected(c: GraphContext, predicted: Tensor, x: Tensor, part: Part, layer: int) -> Tensor:
    n_embd, n_tokens, n_streams, _ = predicted.ne
    modalities = _modalities(c, x, part, layer)
    innovation = c.like("SUB", x, slice_of(c, predicted))
    factors = c.like("SCALE", c.mul_mat(part.need("altup_correct_coef.weight"), modalities))
    factors = c.cont(c.transpose(factors), 1, n_tokens, n_streams)
    spread = c.repeat(innovation, n_embd, n_tokens, n_streams)
    return c.like("ADD", c.like("MUL", spread, factors), predicted)


def _with_embedding(c: GraphContext, corrected: Tensor, embeddings: Tensor, layer: int) -> Tensor:
    """Return the streams with the layer's embedding added to all but the first."""
    part = c.layer(layer)
    y = c.like("MUL", slice_of(c, corrected), part.need("altup_correct_scale.weight"))
    y = c.unary(c.mul_mat(part.need("inp_gate.weight"), y))
    y = c.like("MUL", y, slice_of(c, embeddings))
    y = c.norm(c.mul_mat(part.need("proj.weight"), y), part.need("post_norm.weight"), layer=layer)
    return c.concat(slice_of(c, corrected), c.like("ADD", _others(c, corrected), y), 2)


# layers' parts


def _low_rank(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    y = c.mul_mat(part.need("laurel_r.weight"), c.mul_mat(part.need("laurel_l.weight"), x))
    return c.like("ADD", c.norm(y, part.need("laurel_post_norm.weight"), layer=layer), x)


def _attend(
    c: GraphContext, attention: Attention, x: Tensor, layer: int, positions: Tensor
) -> Tensor:
    part, spec = c.layer(layer), c.spec(layer)
    if spec.cache_layer is not None:
        q = c.reshape(
            c.mul_mat(part.need("attn_q.weight"), x), spec.key_length, spec.n_head, x.ne[1]
        )
        q = c.like("ROPE", c.norm(q, part.need("attn_q_norm.weight"), layer=layer), positions)
        heads = Heads(q, None, None)
        return attend_with(c, attention, heads, layer, cache_layer=spec.cache_layer)
    heads = attention.project(x, part, layer)
    assert heads.k is not None
    assert heads.v is not None
    q, k = (
        c.like(
            "ROPE", c.norm(head, part.need(f"attn_{letter}_norm.weight"), layer=layer), positions
        )
        for letter, head in (("q", heads.q), ("k", heads.k))
    )
    return attend_with(c, attention, Heads(q, k, c.norm(heads.v, None)), layer)


def _feed_forward(c: GraphContext, x: Tensor, part: Part, *, sparse: bool) -> Tensor:
    up = c.mul_mat(part.need("ffn_up.weight"), x)
    gate = c.mul_mat(part.need("ffn_gate.weight"), x)
    gate = c.unary(_strongest(c, gate) if sparse else gate)
    return c.mul_mat(part.need("ffn_down.weight"), c.like("MUL", up, gate))


def _strongest(c: GraphContext, x: Tensor) -> Tensor:
    """Return activations above a cut-off that follows from their mean and deviation."""
    mean = c.mean(x)
    variance = c.like("SCALE", c.sum_rows(c.like("SQR", c.like("SUB", x, mean))))
    cutoff = c.like("ADD", mean, c.like("SCALE", c.like("SQRT", variance)))
    return c.unary(c.like("SUB", x, cutoff))


def _is_sparse(_: ModelSpec, layer: int) -> bool:
    """Return whether only a layer's strongest activations pass; it has no weights to tell."""
    return layer < _SPARSE_LAYERS


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"gemma3n": _build}
MARKS: Final[Mapping[str, Callable[[ModelSpec, int], Hashable]]] = {"gemma3n": _is_sparse}
