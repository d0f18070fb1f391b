"""Attention to blocks of the past that an indexer chooses for each group of heads (MiniMax M3).

Of several tokens a stream what was not chosen is masked, one stream after the other; of one token
a stream the chosen cells are gathered, all streams at once.
Source: llama.cpp src/models/minimax-m3.cpp (build_attn_msa_fa and the branches of msa_decode),
src/llama-kv-cache-msa.cpp (get_n_pos: nothing is in the cache when memory is planned, so that its
positions are those of one padding). Error: none where the plan is equal to the byte.
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.attention import CacheInputs
    from whatfits.sizing.graph.context import GraphContext

__all__ = ["Asked", "ChosenBlocks"]

_POSITIONS: Final = 256
_F16: Final = "F16"
_F32: Final = "F32"


class Asked(NamedTuple):
    """What a layer attends with.

    Attributes:
        q: queries of all heads.
        queries: those of the indexer, one a group of heads.
        keys: the indexer's keys, as its cache holds them.
        k: keys in their cache.
        v: values in theirs.
    """

    q: Tensor
    queries: Tensor
    keys: Tensor
    k: Tensor
    v: Tensor


class ChosenBlocks:
    """Attention over inputs that all layers share: positions, blocks and cells, what may be seen.

    Attributes:
        head: length of one of the indexer's heads.
        groups: groups of heads, one of the indexer's heads each.
        streams: caches that do not share cells.
        cells: cells of each.
        key_ids: where the indexer's keys are stored.
    """

    def __init__(self, c: GraphContext, cache: CacheInputs) -> None:
        """Make the inputs; `cache` are those of the keys' and values' own cache."""
        self._c = c
        self.head = int(c.metadata("attention.indexer.key_length"))
        self.groups = int(c.metadata("attention.indexer.head_count"))
        self._block = block = int(c.metadata("attention.indexer.block_size"))
        self._positions = pad(_POSITIONS, block)
        self._blocks = self._positions // block
        self._top = min(int(c.metadata("attention.indexer.top_k")), self._blocks)
        self.streams, self.cells = c.settings.streams, cache.cells
        self._per_stream = c.n_tokens // self.streams
        self.key_ids = c.input("I64", c.n_tokens, name="k_idxs_idx")
        self._bias = c.input(_F32, self._blocks, c.n_tokens, name="block_bias")
        self._seen = c.input(_F32, self._positions, c.n_tokens, name="pos_mask")
        self._cell_of = c.input("I32", self._positions, self.streams, name="pos_slot_i")
        if self._per_stream == 1:
            self._slot_of = c.input(_F32, self._positions, self.streams, name="pos_slot_f")
        else:
            self._block_of = c.input("I32", self.cells, self.streams, name="cell_blk")
            self._mask = c.cast(cache.mask, _F32)

    def attend(self, asked: Asked, fused: list[Tensor]) -> Tensor:
        """Return attention of all streams; the steps that attend are added to `fused`."""
        if self._per_stream == 1:
            return self._gathered(asked, fused)
        one_each = [self._masked(asked, fused) for _ in range(self.streams)]
        y = one_each[0]
        for other in one_each[1:]:
            y = self._c.concat(y, other, 1)
        return y

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, fused: list[Tensor]) -> Tensor:
        """Return fused attention, groups of heads side by side."""
        c, (length, n_head, n_tokens, _), channels = self._c, q.ne, k.ne[3]
        a_group = n_head // self.groups
        rows = n_head * n_tokens // (a_group * channels)
        q = c.permute(c.reshape(q, length, a_group, channels, rows), 0, 2, 3, 1)
        y = c.flash_attention(q, k, v, mask, None)
        fused.append(y)
        y = c.contiguous(c.permute(y, 0, 1, 3, 2))
        return c.reshape(y, length * n_head, n_tokens)

    # several tokens a stream

    def _masked(self, asked: Asked, fused: list[Tensor]) -> Tensor:
        """Return attention of the tokens of one stream."""
        c, q = self._c, asked.q
        mine = c.view(q, (*q.ne[:2], self._per_stream), q.nb[1:])
        k, v = (
            c.permute(c.view(cache, cache.ne[:3], cache.nb[1:]), 0, 3, 1, 2)
            for cache in (asked.k, asked.v)
        )
        return self._fused(mine, k, v, self._mask_of(asked), fused)

    def _mask_of(self, asked: Asked) -> Tensor:
        """Return a mask a group of heads, that leaves the chosen blocks."""
        c, groups, blocks = self._c, self.groups, self._blocks
        per, cells = self._per_stream, self.cells
        row = self._bias.nb[1]
        bias = c.view(self._bias, (blocks, 1, per), (row, row))
        chosen = self._chosen(asked, bias)
        hidden = c.cast(c.like("SCALE", bias), _F16)
        hidden = c.repeat(hidden, blocks, groups, per)
        zero = c.like("SCALE", c.cast(chosen, _F32))
        shown = c.set_rows(
            c.reshape(hidden, 1, blocks, groups * per),
            c.reshape(zero, 1, self._top, groups * per),
            c.reshape(chosen, self._top, groups * per),
        )
        shown = c.reshape(shown, blocks, groups, per)
        shown = c.cont(c.permute(shown, 0, 2, 1, 3))
        shown = c.cont(c.transpose(c.reshape(shown, blocks, per * groups)))
        by_cell = c.get_rows(shown, c.view(self._block_of, (cells,)))
        by_cell = c.reshape(c.cont(c.transpose(by_cell)), cells, per, groups)
        mask = c.view(self._mask, (cells, per, 1), (self._mask.nb[1], self._mask.nb[3]))
        both = c.inplace("ADD", by_cell, mask)
        return c.cast(c.reshape(both, cells, per, 1, groups), _F16)

    def _chosen(self, asked: Asked, bias: Tensor) -> Tensor:
        """Return the blocks that each group of heads and token attends to."""
        c, groups, per, positions = self._c, self.groups, self._per_stream, self._positions
        mine = c.view(asked.queries, (self.head, groups, per), asked.queries.nb[1:])
        cached = c.view(asked.keys, (self.head, self.cells), asked.keys.nb[2:])
        ordered = c.get_rows(cached, c.view(self._cell_of, (positions,)))
        scores = c.mul_mat(ordered, c.reshape(mine, self.head, groups * per))
        scores = c.reshape(scores, positions, groups, per)
        row = self._seen.nb[1]
        scores = c.inplace("ADD", scores, c.view(self._seen, (positions, 1, per), (row, row)))
        best = Tensor("POOL_2D", _F32, (self._blocks, groups, per, 1), srcs=(scores,))
        best = c.like("ADD", best, bias)
        return Tensor("TOP_K", "I32", (self._top, groups, per, 1), srcs=(best,))

    # one token a stream

    def _gathered(self, asked: Asked, fused: list[Tensor]) -> Tensor:
        """Return attention to the cells of the chosen blocks, of all streams."""
        c, groups, streams = self._c, self.groups, self.streams
        shape = (self._block, self._top, groups, streams)
        n_cells = self._block * self._top * groups
        chosen = c.cast(self._chosen_of_each(asked), _F32)
        first = c.reshape(c.like("SCALE", chosen), 1, *shape[1:])
        within = c.reshape(Tensor("ARANGE", _F32, (self._block, 1, 1, 1)), self._block)
        places = c.like("ADD", c.repeat(first, *shape), within)
        at_places = c.cast(c.reshape(places, n_cells, streams), "I32")
        slots = c.get_rows(c.reshape(self._slot_of, 1, self._positions, streams), at_places)
        group = c.reshape(Tensor("ARANGE", _F32, (groups, 1, 1, 1)), 1, 1, groups)
        rows = c.like("ADD", c.like("SCALE", c.reshape(slots, *shape)), group)
        at_rows = c.cast(c.reshape(rows, n_cells, streams), "I32")
        k, v = (self._rows_of(cache, at_rows) for cache in (asked.k, asked.v))
        seen = c.get_rows(c.reshape(self._seen, 1, self._positions, streams), at_places)
        mask = c.reshape(seen, self._block * self._top, 1, 1, groups * streams)
        return self._fused(asked.q, k, v, c.cast(mask, _F16), fused)

    def _rows_of(self, cache: Tensor, at_rows: Tensor) -> Tensor:
        """Return rows of a cache, as fused attention reads them."""
        c, width = self._c, cache.ne[0]
        rows = c.view(cache, (width, self.groups * self.cells, self.streams), cache.nb[1::2])
        read = c.get_rows(rows, at_rows)
        made = c.reshape(read, width, self._block * self._top, 1, self.groups * self.streams)
        kind = _F16 if GGML_TYPES[cache.type].block_elements > 1 else cache.type
        return made if kind == _F32 else c.cast(made, kind)

    def _chosen_of_each(self, asked: Asked) -> Tensor:
        """Return the blocks that each group of heads of each stream's one token attends to."""
        c, groups, positions, streams = self._c, self.groups, self._positions, self.streams
        cached = c.view(asked.keys, (self.head, self.cells, streams), asked.keys.nb[2:])
        ordered = c.reshape(c.get_rows(cached, self._cell_of), self.head, positions, 1, streams)
        scores = c.mul_mat(ordered, c.reshape(asked.queries, self.head, groups, 1, streams))
        scores = c.inplace("ADD", scores, c.reshape(self._seen, positions, 1, 1, streams))
        best = Tensor("POOL_2D", _F32, (self._blocks, groups, 1, streams), srcs=(scores,))
        best = c.like("ADD", best, c.reshape(self._bias, self._blocks, 1, 1, streams))
        return Tensor("TOP_K", "I32", (self._top, groups, 1, streams), srcs=(best,))
