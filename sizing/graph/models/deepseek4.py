"""DeepSeek V4: a window of rows beside a compressed past, of which an indexer chooses.

Source: llama.cpp src/models/deepseek4.cpp, src/llama-graph.cpp (build_inp_dsv4),
src/llama-kv-cache-dsv4.cpp.
"""

from __future__ import annotations

from functools import cached_property

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.compressor import Compressor, Past, rotation_of
from whatfits.sizing.graph.hyper_connections import (
    flattened_outputs,
    head_of,
    merged,
    mixed,
    streams_of,
)
from whatfits.sizing.graph.mixture import GATINGS
from whatfits.sizing.graph.tensor import NONE, Tensor
from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part

__all__ = ["GRAPHS"]

_SPARSE: Final = 4
_HEAVY: Final = 128
_SHARED: Final = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")


class _Attention:
    """Attention of a model's layers: window, heavily compressed past, or chosen past."""

    def __init__(self, c: GraphContext, positions: Tensor) -> None:
        """Make the inputs of the window; those of the compressed past when a layer asks."""
        self._c = c
        self._positions = positions
        self._mha = Attention(c)
        self._length = int(c.metadata("attention.key_length"))
        cache = c.spec(0).attention
        assert cache is not None
        settings = c.settings
        self._streams = settings.sequences
        self._cells = cache_cells(cache, settings, shared=False)
        self._per = c.n_tokens // self._streams
        self._kind = "F16" if settings.flash_attention else "F32"
        self._ids = c.input("I64", c.n_tokens, name="k_idxs")
        self._mask = c.input(self._kind, self._cells, self._per, 1, self._streams, name="kq_mask")
        self._rotation = rotation_of(c, self._length)
        c.expand(self._mask)

    @cached_property
    def _heavy(self) -> Compressor:
        past = Past(_HEAVY, self._length, overlaps=False)
        return Compressor(self._c, past, mask_kind=self._kind)

    @cached_property
    def _sparse(self) -> Compressor:
        past = Past(_SPARSE, self._length, overlaps=True)
        return Compressor(self._c, past, mask_kind=self._kind)

    @cached_property
    def _index(self) -> Compressor:
        length = int(self._c.metadata("attention.indexer.key_length"))
        past = Past(_SPARSE, length, overlaps=True)
        return Compressor(self._c, past, mask_kind="F16", always_rotated=True)

    def attend(self, x: Tensor, layer: int) -> Tensor:
        """Return a layer's attention, through its output matrices."""
        c, part, spec = self._c, self._c.layer(layer), self._c.spec(layer)
        low = c.mul_mat(part.need("attn_q_a.weight"), x)
        low = c.norm(low, part("attn_q_a_norm.weight"), layer=layer)
        q = c.mul_mat(part.need("attn_q_b.weight"), low)
        q = c.like("RMS_NORM", c.reshape(q, self._length, spec.n_head, c.n_tokens))
        q = c.like("ROPE", q, self._positions)
        k = c.mul_mat(part.need("attn_kv.weight"), x)
        k = c.norm(k, part("attn_kv_a_norm.weight"), layer=layer)
        k = c.like("ROPE", c.reshape(k, self._length, 1, c.n_tokens), self._positions)
        ratio = spec.compressed[0].ratio if spec.compressed else 0
        past: Compressor | None = None
        mask: Tensor | None = None
        if ratio == _SPARSE:
            past = self._sparse
            past.renew(x, part, "attn_compressor", layer)
            self._index.renew(x, part, "indexer_compressor", layer)
            mask = self._narrowed(past.mask, self._chosen(x, low, layer))
        elif ratio:
            past = self._heavy
            past.renew(x, part, "attn_compressor", layer)
            mask = past.mask
        keys = self._stored(q, k, layer)
        if past is None or mask is None:
            y = self._within(*keys, self._mask, part)
        else:
            q, k = keys
            both = c.concat(k, past.keys(layer), 2)
            y = self._within(q, both, c.concat(self._mask, mask, 0), part)
        return self._out(y, part, layer)

    def _stored(self, q: Tensor, k: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store keys in the window; return queries as they meet them, and the whole window."""
        c = self._c
        if self._rotation is not None:
            q, k = c.rotate(q, self._rotation), c.rotate(k, self._rotation)
        c.expand(q)
        c.expand(k)
        shape = (self._length, self._cells, self._streams)
        cache = c.held(c.settings.kv_type_k, *shape, home=c.cache_home(layer))
        rows = c.view(k, (self._length, c.n_tokens), (k.nb[2],))
        flat = (
            c.reshape(cache, self._length, self._cells * self._streams)
            if self._streams > 1
            else cache
        )
        c.expand(c.set_rows(flat, rows, self._ids))
        row = cache.nb[1]
        window = c.view(
            cache, (self._length, 1, self._cells, self._streams), (row, row, cache.nb[2])
        )
        return q, window

    def _within(self, q: Tensor, k: Tensor, mask: Tensor, part: Part) -> Tensor:
        y = self._mha.attend_to(Heads(q, k, k), mask, sinks=part("attn_sinks.weight"))
        return y if self._rotation is None else self._c.rotate(y, self._rotation)

    def _chosen(self, x: Tensor, low: Tensor, layer: int) -> Tensor:
        """Return the compressed rows each token attends to."""
        c, part, index, n = self._c, self._c.layer(layer), self._index, self._c.n_tokens
        n_head = int(c.metadata("attention.indexer.head_count"))
        q = c.mul_mat(part.need("indexer.attn_q_b.weight"), low)
        q = c.like("ROPE", c.reshape(q, q.ne[0] // n_head, n_head, n), self._positions)
        assert index.rotation is not None
        q = c.rotate(q, index.rotation)
        weights = c.like("SCALE", c.mul_mat(part.need("indexer.proj.weight"), x))
        streams, per = self._streams, self._per
        q = c.view(q, (*q.ne[:2], per, streams), (*q.nb[1:3], q.nb[3] // streams))
        row, every = weights.nb[1], weights.nb[2] // streams
        weights = c.view(weights, (n_head, per, 1, streams), (row, every, every))
        score = Tensor(
            "LIGHTNING_INDEXER",
            "F32",
            (index.cells, per, 1, streams),
            srcs=(q, index.keys(layer), weights, index.mask),
        )
        n_chosen = min(int(c.metadata("attention.indexer.top_k")), index.cells)
        return c.cont(Tensor("TOP_K", "I32", (n_chosen, per, 1, streams), srcs=(score,)))

    def _narrowed(self, mask: Tensor, chosen: Tensor) -> Tensor:
        """Return the mask with all but the chosen rows masked out."""
        c = self._c
        every = c.like("FILL", mask)
        cells, per, _, streams = mask.ne
        every = c.view(every, (1, cells, per, streams), every.nb)
        n_chosen = chosen.ne[0]
        ids = c.view(chosen, (n_chosen, per, streams), (*chosen.nb[1:3], streams * chosen.nb[3]))
        zeros = c.like("FILL", c.plain(self._kind, 1, n_chosen, per, streams))
        some = c.set_rows(every, zeros, ids)
        some = c.view(some, mask.ne, (some.nb[2], some.nb[3], some.nb[3]))
        return c.like("ADD", some, mask)

    def _out(self, y: Tensor, part: Part, layer: int) -> Tensor:
        """Return attention through a matrix a group of heads, then one of all."""
        c, n = self._c, self._c.n_tokens
        groups = int(c.metadata("attention.output_group_count"))
        rank = int(c.metadata("attention.output_lora_rank"))
        n_head = c.spec(layer).n_head
        y = Tensor(
            "ROPE_BACK",
            "F32",
            (self._length, n_head, n, 1),
            srcs=(c.reshape(y, self._length, n_head, n), self._positions),
        )
        y = c.reshape(y, n_head * self._length // groups, groups, n)
        flat = part.need("attn_output_a.weight")
        # llama.cpp loads it as a matrix a group
        first = Tensor(
            NONE,
            flat.type,
            (flat.ne[0], rank, groups, 1),
            home=flat.home,
            is_weight=True,
            layer=flat.layer,
            name=flat.name,
        )
        y = c.permute(c.mul_mat(first, c.permute(y, 0, 2, 1, 3)), 0, 2, 1, 3)
        return c.mul_mat(part.need("attn_output_b.weight"), c.cont(y, rank * groups, n))


def _feed(c: GraphContext, x: Tensor, part: Part, tokens: Tensor) -> Tensor:
    """Return routed and shared experts; the first layers choose by the token itself."""
    table = part("ffn_gate_tid2eid.weight")
    routed = c.experts(
        x,
        part,
        n_used=c.model.hparams.n_expert_used,
        gating=GATINGS[int(c.metadata("expert_gating_func"))],
        normalised=bool(c.metadata("expert_weights_norm")),
        scale=c.metadata("expert_weights_scale"),
        chosen=None if table is None else c.get_rows(table, tokens),
    )
    return c.like("ADD", routed, c.feed_forward(x, part, names=_SHARED))


def _build(c: GraphContext) -> None:
    rows = c.input_embedding(c.whole.need("token_embd.weight"))
    tokens = rows.srcs[1]
    positions = c.input_positions()
    out_ids = c.input_out_ids()
    attention = _Attention(c, positions)
    x = streams_of(c, rows)
    for layer in c.layers:
        part = c.layer(layer)
        start = mixed(c, x, part, "hc_attn")
        y = c.norm(start.x, part("attn_norm.weight"), layer=layer)
        x = merged(c, attention.attend(y, layer), start)
        start = mixed(c, x, part, "hc_ffn")
        for kept in (start.streams, start.post, start.comb):
            c.expand(kept)
        y = c.norm(start.x, part("ffn_norm.weight"), layer=layer)
        x = merged(c, _feed(c, y, part, tokens), start)
        c.pin(x, layer)  # its last step is named so that it stays
    c.finish(head_of(c, flattened_outputs(c, x, out_ids)))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"deepseek4": _build}
