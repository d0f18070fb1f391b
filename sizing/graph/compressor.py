"""The compressed past of DeepSeek V4: a row for every few tokens, made of what its state keeps.

Source: llama.cpp src/models/deepseek4.cpp (build_hca_compressed_kv_from_state,
build_overlap_compressed_kv_from_state), src/llama-kv-cache-dsv4.cpp
(dsv4_build_reserve_comp_plan).
"""

from __future__ import annotations

from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["Compressor", "Past", "rotation_of"]

_CELL_PADDING: Final = 256
_ROTATED_HEAD: Final = 64


def rotation_of(c: GraphContext, length: int, *, always: bool = False) -> Tensor | None:
    """Return the rotation of keys of a length, which quantised caches have."""
    quantised = GGML_TYPES[c.settings.kv_type_k].block_elements > 1
    if length % _ROTATED_HEAD or not (quantised or always):
        return None
    size = _ROTATED_HEAD
    while length % (2 * size) == 0:
        size *= 2
    return c.input("F32", size, size, name="rot")


@dataclass(frozen=True, slots=True)
class Past:
    """The cache of one kind of compressed rows.

    Attributes:
        ratio: tokens a row stands for.
        length: elements of a row.
        overlaps: rows look at two blocks, each from its own half of the state.
    """

    ratio: int
    length: int
    overlaps: bool

    @property
    def looks_at(self) -> int:
        """Blocks a row is made of."""
        return 2 if self.overlaps else 1


class Compressor:
    """One kind of compressed rows: its inputs, made once, and what a layer stores of it."""

    def __init__(
        self, c: GraphContext, past: Past, *, mask_kind: str, always_rotated: bool = False
    ) -> None:
        """Make the inputs of the worst case: every sequence ends within a block."""
        self._c = c
        self._past = past
        self.streams = c.settings.sequences
        self.cells = pad(-(-c.settings.sequence_tokens // past.ratio), _CELL_PADDING)
        self._state_rows = past.looks_at * past.ratio
        self._blocks = c.n_tokens // past.ratio + c.n_seqs
        kept = min(c.n_tokens, self._state_rows * self.streams)
        read = past.looks_at * past.ratio * self._blocks
        self._positions = c.input("I32", c.n_tokens, name="state_pos")
        self._kept_from = c.input("I32", kept, name="state_persist_src")
        self._kept_to = c.input("I32", kept, name="state_persist_dst")
        self._read = c.input("I32", read, name="state_read")
        self._written = c.input("I64", self._blocks, name="state_write")
        self._written_positions = c.input("I32", self._blocks, name="state_write_pos")
        per = c.n_tokens // self.streams
        self.mask = c.input(mask_kind, self.cells, per, 1, self.streams, name="comp_mask")
        self.rotation = rotation_of(c, past.length, always=always_rotated)

    def renew(self, x: Tensor, part: Part, name: str, layer: int) -> None:
        """Store the rows that the micro-batch completes, then what later ones will need of it."""
        c, width = self._c, self._past.looks_at * self._past.length
        values = c.mul_mat(part.need(f"{name}_kv.weight"), x)
        scores = c.mul_mat(part.need(f"{name}_gate.weight"), x)
        ape = c.get_rows(part.need(f"{name}_ape.weight"), self._positions)
        scores = c.like("ADD", scores, ape)
        home = c.cache_home(layer)
        states = [c.held("F32", width, self._state_rows, self.streams, home=home) for _ in range(2)]
        sources = [
            c.concat(self._seen(self._seen(state)), new, 1)  # all that there is of all
            for state, new in zip(states, (values, scores), strict=True)
        ]
        rows = self._rows(sources[0], sources[1], part.need(f"{name}_norm.weight"), layer)
        if self.rotation is not None:
            rows = c.rotate(rows, self.rotation)
        self._store(rows, layer)
        for state, new in zip(states, (values, scores), strict=True):
            kept = c.get_rows(new, self._kept_from)
            c.expand(c.set_rows(self._seen(state), kept, self._kept_to))

    def keys(self, layer: int) -> Tensor:
        """Return all rows of a layer's cache: a view of the sequences' part, which is all of it."""
        c, cache, row = self._c, self._cache(layer), self._past.length
        shape, strides = (row, 1, self.cells, self.streams), (cache.nb[1], *cache.nb[1:])
        return c.view(c.view(cache, shape, strides), shape, strides)

    def _seen(self, state: Tensor) -> Tensor:
        return self._c.view(state, (state.ne[0], state.ne[1] * state.ne[2]), state.nb[1:])

    def _cache(self, layer: int) -> Tensor:
        c = self._c
        shape = (self._past.length, self.cells, self.streams)
        return c.held(c.settings.kv_type_k, *shape, home=c.cache_home(layer))

    def _store(self, rows: Tensor, layer: int) -> None:
        c, cache = self._c, self._cache(layer)
        flat = c.view(rows, (rows.ne[0] * rows.ne[1], rows.ne[2]), (rows.nb[2],))
        if self.streams > 1:
            cache = c.reshape(cache, cache.ne[0], cache.ne[1] * cache.ne[2])
        c.expand(c.set_rows(cache, flat, self._written))

    def _rows(self, values: Tensor, scores: Tensor, norm: Tensor, layer: int) -> Tensor:
        """Return compressed rows: each the sum of its tokens, weighted by their scores."""
        c, length = self._c, self._past.length
        if self._past.overlaps:
            values, scores = (self._two_blocks(t) for t in (values, scores))
        else:
            shape = (length, self._past.ratio, self._blocks)
            values, scores = (
                c.reshape(c.get_rows(t, self._read), *shape) for t in (values, scores)
            )
        values, scores = (c.cont(c.permute(t, 1, 0, 2, 3)) for t in (values, scores))
        total = c.sum_rows(c.like("MUL", values, c.like("SOFT_MAX", scores)))
        total = c.cont(c.permute(total, 1, 0, 2, 3))
        total = c.norm(total, norm, layer=layer)
        return c.like("ROPE", total, self._written_positions)

    def _two_blocks(self, source: Tensor) -> Tensor:
        """Return the tokens of the block before and of the block itself, side by side."""
        c, length, ratio = self._c, self._past.length, self._past.ratio
        blank = c.like("SCALE", c.view(source, source.ne[:1]))
        padded = c.concat(source, c.reshape(blank, source.ne[0], 1), 1)
        rows = c.get_rows(padded, self._read)
        halves = [
            c.reshape(
                c.cont(c.view(rows, (length, ratio * self._blocks), rows.nb[1:])),
                length,
                ratio,
                self._blocks,
            )
            for _ in range(2)
        ]
        return c.concat(halves[0], halves[1], 1)
