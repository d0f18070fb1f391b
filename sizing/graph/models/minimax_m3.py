"""MiniMax M3: an indexer chooses blocks of the past for each group of heads.

Only with fused attention and a stream a sequence; otherwise attention is dense.
Source: llama.cpp src/models/minimax-m3.cpp.
"""

from __future__ import annotations

from functools import cached_property

from whatfits.sizing.graph.chosen_blocks import Asked, ChosenBlocks
from whatfits.sizing.graph.stack import Step, build_stack, feed_as_said, output_of, rotated
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Final

    from whatfits.sizing.graph.attention import CacheInputs
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS", "UNSURE_UNFUSED"]


class _Chooser:
    """Attention of a model's layers: sparse ones choose blocks before they attend."""

    def __init__(self, c: GraphContext) -> None:
        """Look whether the settings let layers choose."""
        self._c = c
        settings = c.settings
        alone = settings.sequences in (1, settings.streams)
        self._is_sparse = settings.flash_attention and alone
        self._cache: CacheInputs | None = None

    @cached_property
    def _blocks(self) -> ChosenBlocks:
        assert self._cache is not None
        return ChosenBlocks(self._c, self._cache)

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
        y = self._blocks.attend(Asked(heads.q, queries, keys, k, v), fused)
        if self._cache.rotate_v is not None:
            y = self._c.rotate(y, self._cache.rotate_v)
        return self._c.linear(
            step.part.need("attn_output.weight"), y, step.part("attn_output.scale")
        )

    def _indexed(self, step: Step, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indexer's queries, and all keys of its cache once these are stored."""
        c, part, n, blocks = self._c, step.part, self._c.n_tokens, self._blocks
        made = []
        for letter, n_head in (("q", blocks.groups), ("k", 1)):
            y = c.mul_mat(part.need(f"indexer.{letter}_proj.weight"), x)
            y = step.norm(c.reshape(y, blocks.head, n_head, n), f"indexer.{letter}_norm")
            made.append(c.like("ROPE", y, step.positions))
        queries, keys = made
        cells, streams = blocks.cells, blocks.streams
        home = c.cache_home(step.layer)
        cache = c.held(c.settings.kv_type_k, blocks.head, cells, streams, home=home)
        rows = c.view(keys, (blocks.head, n), (keys.nb[2],))
        flat = c.reshape(cache, blocks.head, cells * streams) if streams > 1 else cache
        c.expand(c.set_rows(flat, rows, blocks.key_ids))
        row = cache.nb[1]
        return queries, c.view(cache, (blocks.head, 1, cells, streams), (row, row, cache.nb[2]))


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
