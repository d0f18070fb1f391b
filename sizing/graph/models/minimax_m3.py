"""MiniMax M3: an indexer chooses blocks of the past for each group of heads.

Only with fused attention and a stream a sequence; otherwise attention is dense.
Source: llama.cpp src/models/minimax-m3.cpp, src/llama-kv-cache-msa.cpp (get_n_pos: nothing is in
the cache when memory is planned, so that its positions are those of one padding).
"""

from __future__ import annotations

from functools import cached_property

from whatfits.sizing.graph.stack import Step, build_stack, feed_as_said, output_of, rotated
from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Final

    from whatfits.sizing.graph.attention import CacheInputs, Heads
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS", "UNSURE_UNFUSED"]

_POSITIONS: Final = 256


class _BlockInputs:
    """Inputs that all sparse layers share: positions, blocks and cells, and what may be seen."""

    def __init__(self, c: GraphContext, cache: CacheInputs) -> None:
        """Make them; `cache` are the inputs of the keys' and values' own cache."""
        self.streams = c.settings.streams
        self.per_stream = c.n_tokens // self.streams
        block = int(c.metadata("attention.indexer.block_size"))
        self.block = block
        self.positions = pad(_POSITIONS, block)
        self.blocks = self.positions // block
        self.key_ids = c.input("I64", c.n_tokens, name="k_idxs_idx")
        self.bias = c.input("F32", self.blocks, c.n_tokens, name="block_bias")
        self.seen = c.input("F32", self.positions, c.n_tokens, name="pos_mask")
        self.cell_of = c.input("I32", self.positions, self.streams, name="pos_slot_i")
        self.block_of = c.input("I32", cache.cells, self.streams, name="cell_blk")
        self.mask = c.cast(cache.mask, "F32")


class _Chooser:
    """Attention of a model's layers: sparse ones choose blocks before they attend."""

    def __init__(self, c: GraphContext) -> None:
        """Read the indexer's widths."""
        self._c = c
        self._head = int(c.metadata("attention.indexer.key_length"))
        self._n_head = int(c.metadata("attention.indexer.head_count"))
        self._top = int(c.metadata("attention.indexer.top_k"))
        settings = c.settings
        alone = settings.sequences in (1, settings.streams)
        self._is_sparse = settings.flash_attention and alone
        self._cache: CacheInputs | None = None

    @cached_property
    def _inputs(self) -> _BlockInputs:
        assert self._cache is not None
        return _BlockInputs(self._c, self._cache)

    def attend(self, step: Step, x: Tensor) -> Tensor:
        """Return a layer's attention."""
        heads = step.attention.project(x, step.part, step.layer)
        heads = rotated(step, heads, norms="before")
        if not self._is_sparse or _is_dense(self._c.model, step.layer):
            return output_of(step, heads)
        self._cache = step.attention.full
        assert self._cache is not None
        queries, keys = self._indexed(step, x)
        heads, k, v = step.attention.stored(heads, step.layer)
        fused = self._c.unlisted[step.layer] = []
        one_each = [
            self._stream(heads, queries, keys, k, v, fused=fused)
            for _ in range(self._inputs.streams)
        ]
        y = one_each[0]
        for other in one_each[1:]:
            y = self._c.concat(y, other, 1)
        if self._cache.rotate_v is not None:
            y = self._c.rotate(y, self._cache.rotate_v)
        return self._c.linear(
            step.part.need("attn_output.weight"), y, step.part("attn_output.scale")
        )

    def _indexed(self, step: Step, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indexer's queries, and all keys of its cache once these are stored."""
        c, part, n = self._c, step.part, self._c.n_tokens
        made = []
        for letter, n_head in (("q", self._n_head), ("k", 1)):
            y = c.mul_mat(part.need(f"indexer.{letter}_proj.weight"), x)
            y = step.norm(c.reshape(y, self._head, n_head, n), f"indexer.{letter}_norm")
            made.append(c.like("ROPE", y, step.positions))
        queries, keys = made
        inputs, cells = self._inputs, self._inputs.block_of.ne[0]
        home = c.cache_home(step.layer)
        kind, streams = c.settings.kv_type_k, inputs.streams
        cache = c.held(kind, self._head, cells, streams, home=home)
        rows = c.view(keys, (self._head, n), (keys.nb[2],))
        flat = c.reshape(cache, self._head, cells * streams) if streams > 1 else cache
        c.expand(c.set_rows(flat, rows, inputs.key_ids))
        row = cache.nb[1]
        return queries, c.view(cache, (self._head, 1, cells, streams), (row, row, cache.nb[2]))

    def _stream(
        self,
        heads: Heads,
        queries: Tensor,
        keys: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        fused: list[Tensor],
    ) -> Tensor:
        """Return attention of the tokens of one stream, groups of heads side by side.

        What attends is added to `fused`.
        """
        c, q, per = self._c, heads.q, self._inputs.per_stream
        mine = c.view(q, (*q.ne[:2], per), q.nb[1:])
        k_mine, v_mine = (c.view(t, t.ne[:3], t.nb[1:]) for t in (k, v))
        mask = self._mask(queries, keys)
        groups = k.ne[1]
        length, n_head, _, _ = q.ne
        mine = c.reshape(mine, length, n_head // groups, groups, per)
        y = c.flash_attention(
            c.permute(mine, 0, 2, 3, 1),
            c.permute(k_mine, 0, 3, 1, 2),
            c.permute(v_mine, 0, 3, 1, 2),
            mask,
            None,
        )
        fused.append(y)
        y = c.contiguous(c.permute(y, 0, 1, 3, 2))
        return c.reshape(y, length * n_head, per)

    def _mask(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return a mask a group of heads, that leaves the chosen blocks."""
        c, inputs, n_head = self._c, self._inputs, self._n_head
        per, cells = inputs.per_stream, keys.ne[2]
        row = inputs.bias.nb[1]
        bias = c.view(inputs.bias, (inputs.blocks, 1, per), (row, row))
        chosen = self._chosen(queries, keys, bias)
        n_chosen = chosen.ne[0]
        hidden = c.cast(c.like("SCALE", bias), "F16")
        hidden = c.repeat(hidden, inputs.blocks, n_head, per)
        zero = c.like("SCALE", c.cast(chosen, "F32"))
        shown = c.set_rows(
            c.reshape(hidden, 1, inputs.blocks, n_head * per),
            c.reshape(zero, 1, n_chosen, n_head * per),
            c.reshape(chosen, n_chosen, n_head * per),
        )
        shown = c.reshape(shown, inputs.blocks, n_head, per)
        shown = c.cont(c.permute(shown, 0, 2, 1, 3))
        shown = c.cont(c.transpose(c.reshape(shown, inputs.blocks, per * n_head)))
        by_cell = c.get_rows(shown, c.view(inputs.block_of, (cells,)))
        by_cell = c.reshape(c.cont(c.transpose(by_cell)), cells, per, n_head)
        mask = c.view(inputs.mask, (cells, per, 1), (inputs.mask.nb[1], inputs.mask.nb[3]))
        both = c.inplace("ADD", by_cell, mask)
        return c.cast(c.reshape(both, cells, per, 1, n_head), "F16")

    def _chosen(self, queries: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
        """Return the blocks that each group of heads and token attends to."""
        c, inputs, n_head = self._c, self._inputs, self._n_head
        per, cells = inputs.per_stream, keys.ne[2]
        mine = c.view(queries, (self._head, n_head, per), queries.nb[1:])
        cached = c.view(keys, (self._head, cells), keys.nb[2:])
        ordered = c.get_rows(cached, c.view(inputs.cell_of, (inputs.positions,)))
        scores = c.mul_mat(ordered, c.reshape(mine, self._head, n_head * per))
        scores = c.reshape(scores, inputs.positions, n_head, per)
        row = inputs.seen.nb[1]
        seen = c.view(inputs.seen, (inputs.positions, 1, per), (row, row))
        scores = c.inplace("ADD", scores, seen)
        best = Tensor("POOL_2D", "F32", (inputs.blocks, n_head, per, 1), srcs=(scores,))
        best = c.like("ADD", best, bias)
        n_chosen = min(self._top, inputs.blocks)
        return Tensor("TOP_K", "I32", (n_chosen, n_head, per, 1), srcs=(best,))


def _build(c: GraphContext) -> None:
    build_stack(c, attention_part=_Chooser(c).attend, feed_part=_feed)


def _feed(step: Step, x: Tensor) -> Tensor:
    return feed_as_said(step, x, default="sigmoid")


def _is_dense(model: ModelSpec, layer: int) -> bool:
    """Return whether a layer attends to all that it may see."""
    n_dense = model.metadata.get(f"{model.architecture}.leading_dense_block_count", 0)
    return isinstance(n_dense, int) and layer < n_dense


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {"minimax-m3": _build}
MARKS: Final[Mapping[str, Callable[[ModelSpec, int], Hashable]]] = {"minimax-m3": _is_dense}
# llama.cpp's planner then puts an indexer's operations elsewhere than the replay does
UNSURE_UNFUSED: Final = frozenset({"minimax-m3"})
