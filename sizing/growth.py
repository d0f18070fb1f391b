"""What a server's caches on the host may grow to while it runs.

Two things grow: the prompt cache, which keeps the states of earlier prompts up to a limit, and
the checkpoints of each slot, which models that cannot step back need (window layers, recurrent
states): what of the context cannot be rebuilt, as the server saves it, up to a number a slot.
Source: llama.cpp (0c1e57098) common/common.h (cache_ram_mib, n_ctx_checkpoints),
tools/server/server-context.cpp (create_checkpoint), src/llama-kv-cache.cpp:state_write,
src/llama-kv-cache-iswa.cpp, src/llama-memory-recurrent.cpp, src/llama-memory-hybrid.cpp.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import LatentAttention, SlidingWindow
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import GGML_TYPES, row_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.model import AttentionCache, ModelSpec
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import Workload

__all__ = [
    "DEFAULT_CACHE_RAM_MIB",
    "DEFAULT_CHECKPOINTS",
    "NO_GROWTH",
    "Growth",
    "checkpoint_bytes",
    "growth_of",
]

DEFAULT_CACHE_RAM_MIB: Final = 8192
DEFAULT_CHECKPOINTS: Final = 32
_MOST_CACHE_RAM_MIB: Final = 2**24
_MOST_CHECKPOINTS: Final = 2**16
_STATE_HEAD_BYTES: Final = 8  # magic number, sequence
_CACHE_HEAD_BYTES: Final = 4  # number of streams
_STREAM_HEAD_BYTES: Final = 4  # cells of this stream
_CELL_BYTES: Final = 12  # position, number of sequences, the sequence
_PLANE_CELL_BYTES: Final = 12  # place in an image and token, with rotary positions of several axes
_DATA_HEAD_BYTES: Final = 8  # layout, number of layers
_ROWS_HEAD_BYTES: Final = 12  # type, bytes of a row
_COLUMNS_HEAD_BYTES: Final = 12  # type, bytes of an element, number of rows
_STATE_CELL_BYTES: Final = 8  # position, number of sequences


class Growth(NamedTuple):
    """The limits of what grows.

    Attributes:
        cache_ram_bytes: limit of the prompt cache.
        checkpoint_bytes: one checkpoint of one slot, at most.
        checkpoints: checkpoints of one slot, at most.
        slots: sequences served at once.
    """

    cache_ram_bytes: int
    checkpoint_bytes: int
    checkpoints: int
    slots: int

    @property
    def limit_bytes(self) -> int:
        """Both together, at their limits."""
        return self.cache_ram_bytes + self.checkpoint_bytes * self.checkpoints * self.slots


NO_GROWTH: Final = Growth(0, 0, 0, 0)


def growth_of(
    model: ModelSpec, settings: Settings, workload: Workload, *, draft: ModelSpec | None = None
) -> Growth:
    """Return what the caches of a server may grow to.

    A library and a server of embeddings keep nothing. With a draft model a checkpoint also holds
    its state.

    Raises:
        InvalidRequestError: a limit is out of range.
    """
    cache_ram = _limit(
        "cache_ram_mib", workload.cache_ram_mib, DEFAULT_CACHE_RAM_MIB, _MOST_CACHE_RAM_MIB
    )
    most = _limit(
        "ctx_checkpoints", workload.ctx_checkpoints, DEFAULT_CHECKPOINTS, _MOST_CHECKPOINTS
    )
    if workload.program != "server" or model.embeds:
        return NO_GROWTH
    one = checkpoint_bytes(model, settings)
    if one and draft is not None:
        one += checkpoint_bytes(draft, settings) or _whole_state_bytes(draft, settings)
    return Growth(cache_ram * MIB, one, most if one else 0, settings.sequences)


def _limit(name: str, value: int | None, default: int, most: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidRequestError(
            what=name, got=value, allowed=f"a whole number from 0 to {most:,}; 0 turns it off"
        )
    return value


def checkpoint_bytes(model: ModelSpec, settings: Settings) -> int:
    """Return the bytes of one checkpoint of a slot whose context is full; 0 when none is made.

    Saved are the cells of window layers that are still seen, and the recurrent states.
    """
    windows = [
        layer.attention
        for layer in model.layers
        if isinstance(layer.attention, SlidingWindow) and not settings.swa_full
    ]
    states = [layer.recurrent for layer in model.layers if layer.recurrent is not None]
    size = 0
    if windows:
        seen = min(windows[0].window_tokens, settings.sequence_tokens)
        size += _cells_bytes(model, windows, settings, cells=seen)
    if states:
        # one cell: its head, the layout, and a row of each kind for each layer
        size += _STREAM_HEAD_BYTES + _STATE_CELL_BYTES + _DATA_HEAD_BYTES
        for state in states:
            for elements in (state.shift_elements, state.state_elements):
                size += _ROWS_HEAD_BYTES + 4 * elements if elements else 0
    return _STATE_HEAD_BYTES + size if size else 0


def _whole_state_bytes(model: ModelSpec, settings: Settings) -> int:
    """Return the state of one sequence of a model that can step back: every cell."""
    caches = [layer.attention for layer in model.layers if layer.attention is not None]
    cells = settings.sequence_tokens
    return _STATE_HEAD_BYTES + _cells_bytes(model, caches, settings, cells=cells)


def _cells_bytes(
    model: ModelSpec, caches: Sequence[AttentionCache], settings: Settings, *, cells: int
) -> int:
    """Return the bytes of one sequence's cells of a cache, as the server writes them."""
    axes = f"{model.architecture}.rope.dimension_sections" in model.metadata
    size = _CACHE_HEAD_BYTES + _STREAM_HEAD_BYTES * settings.streams + _DATA_HEAD_BYTES
    size += cells * (_CELL_BYTES + (_PLANE_CELL_BYTES if axes else 0))
    for cache in caches:
        size += _ROWS_HEAD_BYTES + cells * row_bytes(settings.kv_type_k, cache.key_width)
        if isinstance(cache, LatentAttention):
            continue
        if settings.transposed_values:
            element = GGML_TYPES[settings.kv_type_v].block_bytes
            size += _COLUMNS_HEAD_BYTES + cells * cache.value_width * element
        else:
            size += _ROWS_HEAD_BYTES + cells * row_bytes(settings.kv_type_v, cache.value_width)
    return size
