"""DeepSeek V3.2 and GLM 5: latent attention to the tokens that a lightning indexer chooses.

Layers that share an indexer take the choice of the last one that has its own.
Source: llama.cpp src/models/deepseek32.cpp, glm-dsa.cpp, src/llama-graph.cpp (build_attn with
llm_graph_input_attn_k_dsa), src/llama-kv-cache-dsa.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.latent import (
    absorbed_heads,
    compressed_rows,
    low_rank_queries,
)
from whatfits.sizing.graph.mixture import GATINGS, feed_forward_or_mixture
from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.model import LatentAttention
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS"]


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a layer's attention starts from: its input, low-rank queries, the chosen tokens."""

    x: Tensor
    low: Tensor
    chosen: Tensor


class _Indexer:
    """The indexer of a model: a cache of its own keys, and which tokens it chooses."""

    def __init__(self, c: GraphContext) -> None:
        """Make the inputs of the indexer's cache; its mask is always that of fused attention."""
        self._c = c
        settings = c.settings
        self._cells, self._streams = settings.sequence_tokens, settings.streams
        self._width = int(c.metadata("attention.indexer.key_length"))
        self._n_head = int(c.metadata("attention.indexer.head_count"))
        self._n_chosen = min(int(c.metadata("attention.indexer.top_k")), self._cells)
        self._ids = c.input("I64", c.n_tokens, name="k_idxs_lid")
        self._mask = c.input(
            "F16", self._cells, c.n_tokens // self._streams, 1, self._streams, name="kq_mask_lid"
        )
        self._rotation = c.input("F32", self._width, self._width, name="rot_lid")

    def chosen(self, x: Tensor, low: Tensor, layer: int, *, positions: Tensor) -> Tensor:
        """Return the tokens each token attends to, from the layer's input and low queries."""
        c, part, n = self._c, self._c.layer(layer), self._c.n_tokens
        q = c.mul_mat(part.need("indexer.attn_q_b.weight"), low)
        q = c.like("ROPE", c.reshape(q, self._width, self._n_head, n), positions)
        k = c.mul_mat(part.need("indexer.attn_k.weight"), x)
        norm, bias = part("indexer.k_norm.weight"), part("indexer.k_norm.bias")
        k = c.norm(k, norm, bias, rms=False, layer=layer)
        k = c.like("ROPE", c.reshape(k, self._width, 1, n), positions)
        q, k = c.mul_mat(self._rotation, q), c.mul_mat(self._rotation, k)
        kept = self._stored(k, layer)
        weights = c.mul_mat(part.need("indexer.proj.weight"), x)
        per = n // self._streams
        q = c.view(q, (*q.ne[:2], per, self._streams), (*q.nb[1:3], q.nb[3] // self._streams))
        row, every = weights.nb[1], weights.nb[2] // self._streams
        weights = c.view(weights, (self._n_head, per, 1, self._streams), (row, every, every))
        weights = c.like("SCALE", weights)
        score = Tensor(
            "LIGHTNING_INDEXER",
            "F32",
            (self._cells, per, 1, self._streams),
            srcs=(q, kept, weights, self._mask),
        )
        shape = (self._n_chosen, per, 1, self._streams)
        return c.cont(Tensor("TOP_K", "I32", shape, srcs=(score,)))

    def _stored(self, k: Tensor, layer: int) -> Tensor:
        """Store the keys and return all that the cache holds."""
        c, kind = self._c, self._c.settings.kv_type_k
        home = c.cache_home(layer)
        cache = c.held(kind, self._width, self._cells, self._streams, home=home)
        rows = c.view(k, (self._width, c.n_tokens), (k.nb[2],))
        flat = cache
        if self._streams > 1:
            flat = c.reshape(cache, self._width, self._cells * self._streams)
        c.expand(c.set_rows(flat, rows, self._ids))
        row = cache.nb[1]
        shape = (self._width, 1, self._cells, self._streams)
        return c.view(cache, shape, (row, row, cache.nb[2]))


def _narrowed(c: GraphContext, mask: Tensor, chosen: Tensor) -> Tensor:
    """Return the mask with all but the chosen tokens masked out."""
    every = c.like("FILL", mask)
    cells = (1, every.ne[0], every.ne[1], every.ne[3])
    every = c.view(every, cells, every.nb)
    n_chosen, per, _, streams = chosen.ne
    ids = c.view(chosen, (n_chosen, per, streams), (*chosen.nb[1:3], streams * chosen.nb[3]))
    zeros = c.like("FILL", c.plain("F32", 1, n_chosen, per, streams))
    some = c.set_rows(every, zeros, ids)
    some = c.view(some, mask.ne, (some.nb[2], some.nb[3], some.nb[3]))
    return c.like("ADD", some, mask)


def _attention(
    c: GraphContext, attention: Attention, inputs: _Inputs, layer: int, *, positions: Tensor
) -> Tensor:
    part = c.layer(layer)
    q = c.mul_mat(part.need("attn_q_b.weight"), inputs.low)
    kept = compressed_rows(c, inputs.x, part, layer, positions=positions)
    return attention.attend_latent(
        absorbed_heads(c, q, kept, layer, positions=positions),
        layer,
        spread=part("attn_v_b.weight"),
        out=part("attn_output.weight"),
        out_scale=part("attn_output.scale"),
        narrowed=lambda mask: _narrowed(c, mask, inputs.chosen),
    )


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    positions = c.input_positions()
    attention = Attention(c)
    indexer = _Indexer(c)
    out_ids = c.input_out_ids()
    gating, normalised = _gating(c), bool(c.metadata("expert_weights_norm"))
    chosen: Tensor | None = None
    for layer in c.layers:
        part, spec = c.layer(layer), c.spec(layer)
        residual = x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        low = low_rank_queries(c, y, part, layer)
        assert isinstance(spec.attention, LatentAttention)
        if spec.attention.index_width:
            chosen = indexer.chosen(y, low, layer, positions=positions)
        assert chosen is not None
        y = _attention(c, attention, _Inputs(y, low, chosen), layer, positions=positions)
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        z = feed_forward_or_mixture(c, z, part, gating=gating, normalised=normalised)
        x = c.like("ADD", z, x)
    c.finish(x)


def _gating(c: GraphContext) -> str:
    """Return how experts are chosen; sigmoid when the file does not say."""
    return GATINGS.get(int(c.metadata("expert_gating_func")), "sigmoid")


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "deepseek32": _build,
    "glm-dsa": _build,
}
