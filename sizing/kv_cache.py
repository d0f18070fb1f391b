"""Cache of keys and values, latent rows and recurrent state, layer by layer.

Source: llama.cpp (0c1e57098) src/llama-kv-cache.cpp (plain cache), src/llama-kv-cache-iswa.cpp
(window layers), src/llama-memory-recurrent.cpp (states). Error: none on the settings that were
measured (dry runs and real loads, CPU and pretend GPUs).
"""

from __future__ import annotations

from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import row_bytes
from whatfits.sizing.typed import TYPE_CHECKING, assert_never
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final, TypeGuard

    from whatfits.sizing.model import AttentionCache, LayerSpec, ModelSpec
    from whatfits.sizing.settings import Settings

__all__ = ["CacheTensor", "cache_cells", "cache_tensors", "least_cache_bytes"]

_CELL_PADDING: Final = 256
_STATE_TYPE: Final = "F32"


class CacheTensor(NamedTuple):
    """One tensor of the cache: `rows` rows of `row_elements` elements of a ggml type."""

    type: str
    row_elements: int
    rows: int

    @property
    def n_bytes(self) -> int:
        """Bytes without the buffer's padding."""
        return row_bytes(self.type, self.row_elements) * self.rows


def cache_cells(cache: AttentionCache, settings: Settings, *, shared: bool = True) -> int:
    """Return the cells (tokens) that one stream of a layer's cache holds.

    `shared` is false for layers that give each sequence its own stream whatever the settings.
    Full: the sequence's context. Window: min(context, window x sequences sharing the cache +
    micro-batch), padded to 256, unless the window cache is kept full.
    """
    match cache:
        case FullAttention() | LatentAttention():
            return settings.sequence_tokens
        case SlidingWindow(window_tokens=window):
            if settings.swa_full:
                return settings.sequence_tokens
            sharing = settings.sequences if shared and settings.streams == 1 else 1
            wanted = window * sharing + settings.micro_batch_tokens
            return pad(min(settings.sequence_tokens, wanted), _CELL_PADDING)
        case _:
            assert_never(cache)


def cache_tensors(
    layer: LayerSpec, settings: Settings, *, widest_value: int
) -> tuple[CacheTensor, ...]:
    """Return the tensors a layer keeps between tokens.

    `widest_value` is the widest value row of the model: without flash attention values are stored
    transposed and every layer is padded to it.
    """
    tensors: list[CacheTensor] = []
    streams = settings.sequences if layer.own_streams else settings.streams
    cache = layer.attention
    if cache is not None:
        rows = cache_cells(cache, settings, shared=not layer.own_streams) * streams
        index_width = cache.index_width if isinstance(cache, LatentAttention) else 0
        tensors.append(CacheTensor(settings.kv_type_k, cache.key_width - index_width, rows))
        if index_width:
            tensors.append(CacheTensor(settings.kv_type_k, index_width, rows))
        if _has_values(cache):
            width = cache.value_width  # wider than any other where an indexer keeps values too
            if settings.transposed_values:
                width = max(width, widest_value)
            tensors.append(CacheTensor(settings.kv_type_v, width, rows))
    for past in layer.compressed:
        cells = pad(-(-settings.sequence_tokens // past.ratio), _CELL_PADDING)
        tensors.append(CacheTensor(settings.kv_type_k, past.key_width, cells * streams))
    if layer.recurrent is not None:
        tensors.extend(
            CacheTensor(_STATE_TYPE, elements, settings.sequences * (1 + settings.state_snapshots))
            for elements in (layer.recurrent.shift_elements, layer.recurrent.state_elements)
            if elements
        )
    return tuple(tensors)


def least_cache_bytes(model: ModelSpec, settings: Settings) -> int:
    """Return what no placement and no batch makes less: back ends may pad it, windows grow."""
    smallest = replace(settings, micro_batch_tokens=0)
    return sum(
        tensor.n_bytes
        for layer in model.layers
        for tensor in cache_tensors(layer, smallest, widest_value=0)
    )


def _has_values(cache: AttentionCache) -> TypeGuard[FullAttention | SlidingWindow]:
    """Return whether values are kept apart: a latent row, in a window too, holds both.

    A layer without key/value heads among others that have some still gets the padding.
    """
    if isinstance(cache, SlidingWindow):
        return cache.value_width > 0
    return isinstance(cache, FullAttention)


def widest_value_row(model: ModelSpec) -> int:
    """Return the widest value row over the layers; 0 without plain attention."""
    return max((layer.n_head_kv * layer.value_length for layer in model.layers), default=0)
