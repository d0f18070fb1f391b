"""GLM 5.3: delta attention, and latent attention to pools of tokens that an indexer chooses.

Source: llama.cpp src/models/glm5-next.cpp, src/llama-memory-hybrid-idx.cpp (a full context has
all its pools made anew).
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.delta_attention import DeltaAttention
from whatfits.sizing.graph.hyper_connections import (
    flattened_outputs,
    mean_of,
    merged,
    mixed,
    streams_of,
)
from whatfits.sizing.graph.mixture import GATINGS, feed_forward_or_mixture
from whatfits.sizing.graph.recurrent import States
from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Final

    from whatfits.sizing.graph.attention import CacheInputs
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS", "UNSURE_UNFUSED"]

_POOL_PADDING: Final = 64
_PARTS: Final = 3  # a row of the indexer's cache: key, gate, pooled key
_GATHER_MAX_TOKENS: Final = 16


class _Pools:
    """The indexer: pools of keys in a cache of their own, and which of them are attended to."""

    def __init__(self, c: GraphContext, cache: CacheInputs) -> None:
        """Make the inputs, which the graph takes in before all layers."""
        self._c = c
        self._cells = cache.cells
        self._cache_mask = cache.mask
        self._streams = c.settings.streams
        self._width = int(c.metadata("attention.indexer.key_length"))
        self._n_head = int(c.metadata("attention.indexer.head_count"))
        self._pool = pool = int(c.metadata("attention.indexer.kpool"))
        real = cache.cells // pool * c.settings.sequences
        self._count = (real // _POOL_PADDING + 1) * _POOL_PADDING
        self._new = max(real, 1)
        self._n_top = min(self._count, int(c.metadata("attention.indexer.top_k")) // pool)
        tail = pool - 1 if c.metadata("attention.indexer.kpool_select_tail", 1) else 0
        self.n_chosen = pool * self._n_top + tail
        self.gathers = c.n_tokens <= _GATHER_MAX_TOKENS and cache.cells > self.n_chosen
        n = c.n_tokens
        self._key_ids = c.input("I64", n, name="idx_k_idxs")
        self._pool_cells = c.input("I32", self._count, name="pool_cells")
        self._members = c.input("I32", pool, self._count, name="pool_idxs")
        self._mask = c.input("F16", self._count, n, name="pool_mask")
        self._tail = c.input("I32", pool - 1, n, name="tail_idxs")
        self.live = c.input("F32", self.n_chosen, 1, 1, n, name="gather_mask")
        self._new_members = c.input("I32", pool, self._new, name="new_pool_idxs")
        self._new_cells = c.input("I64", self._new, name="new_pool_rep")
        for made in (self._pool_cells, self._members, self._mask, self._tail, self.live):
            c.expand(made)

    def chosen(self, x: Tensor, low: Tensor, layer: int) -> Tensor:
        """Return the cells each token attends to, or the mask that leaves them."""
        c, part, n = self._c, self._c.layer(layer), self._c.n_tokens
        q = c.mul_mat(part.need("indexer.attn_q_b.weight"), low)
        q = c.reshape(q, self._width, self._n_head, n)
        shape = (_PARTS * self._width, self._cells, self._streams)
        cache = c.held(c.settings.kv_type_k, *shape, home=c.cache_home(layer))
        self._store(cache, x, layer)
        n_cells = self._cells * self._streams
        pooled = c.view(cache, (self._width, n_cells), cache.nb[1:])
        c.expand(c.set_rows(pooled, self._pooled(cache, layer), self._new_cells))
        keys = c.reshape(c.get_rows(pooled, self._pool_cells), self._width, 1, self._count)
        weights = c.like("SCALE", c.mul_mat(part.need("indexer.proj.weight"), x))
        score = Tensor(
            "LIGHTNING_INDEXER", "F32", (self._count, n, 1, 1), srcs=(q, keys, weights, self._mask)
        )
        cells = self._cells_of(self._ordered(score))
        return cells if self.gathers else self._narrowed(cells)

    def _store(self, cache: Tensor, x: Tensor, layer: int) -> None:
        """Store keys and gates of the micro-batch, with room for what they are pooled to."""
        c, part, n = self._c, self._c.layer(layer), self._c.n_tokens
        key = c.mul_mat(part.need("indexer.attn_k.weight"), x)
        norm, bias = part("indexer.k_norm.weight"), part("indexer.k_norm.bias")
        key = c.norm(key, norm, bias, rms=False, layer=layer)
        gate = c.mul_mat(part.need("indexer_compressor_gate.weight"), x)
        room = c.like("FILL", c.plain("F32", self._width, n))
        rows = c.concat(c.concat(key, gate, 0), room, 0)
        rows = c.reshape(rows, rows.ne[0], 1, n)
        rows = c.view(rows, (rows.ne[0], n), (rows.nb[2],))
        if self._streams > 1:
            cache = c.reshape(cache, cache.ne[0], self._cells * self._streams)
        c.expand(c.set_rows(cache, rows, self._key_ids))

    def _pooled(self, cache: Tensor, layer: int) -> Tensor:
        """Return the keys of all pools, each the weighted sum of its members' keys."""
        c, width, pool, new = self._c, self._width, self._pool, self._new
        stored = c.view(cache, (2 * width, self._cells * self._streams), cache.nb[1:])
        rows = c.get_rows(stored, c.reshape(self._new_members, pool * new))
        rows = c.reshape(rows, 2 * width, pool, new)
        keys, gates = (c.view(rows, (width, pool, new), rows.nb[1:]) for _ in range(2))
        gates = c.like("ADD", gates, c.layer(layer).need("indexer_compressor_ape.weight"))
        gates = c.cont(c.permute(gates, 1, 0, 2, 3))
        shares = c.like("SOFT_MAX", c.reshape(gates, pool, width * new))
        shares = c.reshape(shares, pool, width, new)
        keys = c.cont(c.permute(keys, 1, 0, 2, 3))
        return c.reshape(c.sum_rows(c.like("MUL", shares, keys)), width, new)

    def _ordered(self, score: Tensor) -> Tensor:
        """Return the best pools of each token, best first."""
        c, n, n_top = self._c, self._c.n_tokens, self._n_top
        best = Tensor("TOP_K", "I32", (n_top, n, 1, 1), srcs=(score,))
        scores = c.get_rows(c.reshape(score, 1, self._count, n), best)
        scores = c.reshape(scores, n_top, n)
        order = Tensor("ARGSORT", "I32", scores.ne, srcs=(scores,))
        numbers = c.reshape(c.cast(best, "F32"), 1, n_top, n)
        numbers = c.reshape(c.get_rows(numbers, order), n_top, n)
        return c.cast(c.cont(numbers), "I32")

    def _cells_of(self, pools: Tensor) -> Tensor:
        """Return the cells of pools, and those that no pool is full of yet."""
        c, n, n_top = self._c, self._c.n_tokens, self._n_top
        cells = c.get_rows(self._members, c.reshape(pools, n_top * n))
        cells = c.reshape(cells, self._pool * n_top, n)
        has_tail = self.n_chosen > self._pool * n_top
        return c.concat(cells, self._tail, 0) if has_tail else cells

    def _narrowed(self, cells: Tensor) -> Tensor:
        """Return the cache's mask with all but some cells masked out."""
        c, n, n_chosen, full = self._c, self._c.n_tokens, self.n_chosen, self._cache_mask
        seed = c.cast(c.view(cells, (1,)), "F32")
        hidden = seed if full.type == "F32" else c.cast(seed, full.type)
        room = self._cells + n_chosen
        every = c.repeat(c.like("FILL", hidden), 1, room, n)
        every = c.reshape(every, 1, room, n)
        zeros = c.repeat(c.like("FILL", seed), 1, n_chosen, n)
        zeros = c.reshape(zeros, 1, n_chosen, n)
        live = c.unary(c.reshape(self.live, n_chosen, n))
        dump = Tensor("ARANGE", "F32", (n_chosen, 1, 1, 1))
        ids = c.like("MUL", c.like("SUB", c.cast(cells, "F32"), dump), live)
        ids = c.cast(c.like("ADD", ids, dump), "I32")
        some = c.set_rows(every, zeros, c.reshape(ids, n_chosen, n))
        some = c.view(some, (self._cells, n), some.nb[2:])
        some = c.like("ADD", some, c.reshape(full, self._cells, n))
        return c.reshape(some, *full.ne)


class _LatentAttention:
    """Latent attention to what the pools say; some layers go by an earlier one's choice."""

    def __init__(self, c: GraphContext, attention: Attention, pools: _Pools) -> None:
        self._c = c
        self._attention = attention
        self._pools = pools
        self._rank = c.model.hparams.kv_lora_rank
        self._chosen: Tensor | None = None

    def attend(self, x: Tensor, layer: int) -> Tensor:
        """Return a layer's attention, through its output matrix."""
        c, part, spec, n = self._c, self._c.layer(layer), self._c.spec(layer), self._c.n_tokens
        low = c.mul_mat(part.need("attn_q_a.weight"), x)
        low = c.norm(low, part("attn_q_a_norm.weight"), layer=layer)
        q = c.mul_mat(part.need("attn_q_b.weight"), low)
        q = c.reshape(q, q.ne[0] // spec.n_head, spec.n_head, n)
        kept = c.mul_mat(part.need("attn_kv_a_mqa.weight"), x)
        kept = c.norm(kept, part("attn_kv_a_norm.weight"), layer=layer)
        kept = c.reshape(kept, self._rank, 1, n)
        q = c.mul_mat(part.need("attn_k_b.weight"), c.permute(q, 0, 2, 1, 3))
        q = c.permute(q, 0, 2, 1, 3)
        if _chooses(c.model, layer):
            self._chosen = self._pools.chosen(x, low, layer)
        assert self._chosen is not None
        spread, out = part.need("attn_v_b.weight"), part.need("attn_output.weight")
        if self._pools.gathers:
            return c.mul_mat(out, self._gathered(q, kept, self._chosen, spread, layer))
        heads, chosen = Heads(q, kept, kept), self._chosen
        return self._attention.attend_latent(
            heads, layer, spread=spread, out=out, narrowed=lambda _: chosen
        )

    def _gathered(
        self, q: Tensor, kept: Tensor, cells: Tensor, spread: Tensor, layer: int
    ) -> Tensor:
        """Return attention of few tokens: each to its own rows, brought together."""
        c, n, inputs = self._c, self._c.n_tokens, self._attention.full
        assert inputs is not None
        c.expand(q)
        c.expand(kept)
        rows = inputs.cells * c.settings.streams
        home = c.cache_home(layer)
        cache = c.held(c.settings.kv_type_k, self._rank, rows, home=home)
        c.expand(c.set_rows(cache, c.view(kept, (self._rank, n), (kept.nb[2],)), inputs.key_ids))
        c.expand(inputs.mask)
        n_chosen = self._pools.n_chosen
        k = c.get_rows(
            c.view(cache, (self._rank, rows), cache.nb[1:]), c.reshape(cells, n_chosen * n)
        )
        k = c.reshape(k, self._rank, n_chosen, 1, n)
        scores = c.mul_mat(k, c.permute(q, 0, 2, 3, 1))
        scores = c.like("SOFT_MAX", scores, self._pools.live)
        y = c.mul_mat(c.cont(c.transpose(k)), scores)
        y = c.mul_mat(spread, y)
        y = c.cont(c.permute(y, 0, 2, 1, 3))
        return c.reshape(y, y.ne[0] * y.ne[1], n)


def _build(c: GraphContext) -> None:
    rows = c.input_embedding(c.whole.need("token_embd.weight"))
    states = States(c)
    attention = Attention(c)
    assert attention.full is not None
    latent = _LatentAttention(c, attention, _Pools(c, attention.full))
    out_ids = c.input_out_ids()
    gating = GATINGS.get(int(c.metadata("expert_gating_func")), "sigmoid")
    normalised = bool(c.metadata("expert_weights_norm"))
    x = streams_of(c, rows)
    for layer in c.layers:
        part = c.layer(layer)
        start = mixed(c, x, part, "hc_attn")
        y = c.norm(start.x, part("attn_norm.weight"), layer=layer)
        c.expand(y)
        if c.spec(layer).recurrent is not None:
            y = DeltaAttention(c, states, layer).attend(y)
        else:
            y = latent.attend(y, layer)
        x = merged(c, y, start)
        start = mixed(c, x, part, "hc_ffn")
        y = c.norm(start.x, part("ffn_norm.weight"), layer=layer)
        y = feed_forward_or_mixture(c, y, part, gating=gating, normalised=normalised)
        x = merged(c, y, start)
    c.finish(mean_of(c, flattened_outputs(c, x, out_ids)))


def _chooses(model: ModelSpec, layer: int) -> bool:
    """Return whether a layer has an indexer of its own; all do where nothing says."""
    kinds = model.metadata.get(f"{model.architecture}.attention.indexer.types")
    return bool(kinds[layer]) if isinstance(kinds, (list, tuple)) else True


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"glm5-next": _build}
MARKS: Final[Mapping[str, Callable[[ModelSpec, int], Hashable]]] = {"glm5-next": _chooses}
# llama.cpp's planner then puts an indexer's operations elsewhere than the replay does
UNSURE_UNFUSED: Final = frozenset({"glm5-next"})
