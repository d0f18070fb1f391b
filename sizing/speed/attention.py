"""What attention reads and multiplies at a depth: it grows with the tokens that came before."""

from __future__ import annotations

from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.model import LatentAttention, SlidingWindow
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import row_bytes
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["Attended", "attended", "prompt_attention_flops"]

_STATE_BYTES: Final = 4
_STATE_PASSES: Final = 2  # a state is read and written once a token
# A query meets a key, and its weight a value: a multiplication and an addition for each element.
_FLOPS_PER_ELEMENT: Final = 2


class Attended(NamedTuple):
    """Bytes of cache and of state one token goes through on each device, the host last."""

    cache_bytes: tuple[float, ...]
    state_bytes: tuple[int, ...]


def attended(model: ModelSpec, settings: Settings, placement: Placement, depth: int) -> Attended:
    """Return what one token reads at a depth in tokens, by device.

    A layer that attends to the cache of another reads it all the same.
    """
    count = len(placement.accelerators)
    cache, state = [0.0] * (count + 1), [0] * (count + 1)
    for layer, target in zip(model.layers, placement.layer_device, strict=False):
        at = count if target is None or not placement.kv_offload else target
        owner = layer if layer.cache_layer is None else model.layers[layer.cache_layer]
        cache[at] += _cache_read(owner, settings, depth)
        if layer.recurrent is not None:
            elements = layer.recurrent.shift_elements + layer.recurrent.state_elements
            state[at] += _STATE_PASSES * _STATE_BYTES * elements
    return Attended(tuple(cache), tuple(state))


def _cache_read(layer: LayerSpec, settings: Settings, depth: int) -> float:
    cache = layer.attention
    total = 0.0
    if cache is not None:
        tokens = _visible(layer, settings, depth)
        row = row_bytes(settings.kv_type_k, cache.key_width)
        if not isinstance(cache, LatentAttention) and cache.value_width:
            row += row_bytes(settings.kv_type_v, cache.value_width)
        total += tokens * row
    for past in layer.compressed:
        total += depth / past.ratio * row_bytes(settings.kv_type_k, past.key_width)
    return total


def _visible(layer: LayerSpec, settings: Settings, depth: int) -> int:
    """Return the tokens a token at that depth attends to in a layer."""
    cache = layer.attention
    if cache is None:
        return 0
    tokens = min(depth, cache_cells(cache, settings))
    if isinstance(cache, SlidingWindow):
        tokens = min(tokens, cache.window_tokens)
    return tokens


def prompt_attention_flops(
    model: ModelSpec, placement: Placement, *, tokens: int, depth: int
) -> tuple[float, ...]:
    """Return the operations of attention over a prompt of `tokens` at a depth, by device.

    Each token attends to all before it, in a window layer to at most a window of them.
    """
    found = [0.0] * (len(placement.accelerators) + 1)
    for layer, target in zip(model.layers, placement.layer_device, strict=False):
        owner = layer if layer.cache_layer is None else model.layers[layer.cache_layer]
        cache = owner.attention
        if cache is None or not layer.n_head:
            continue
        pairs = _pairs(tokens, depth)
        if isinstance(cache, SlidingWindow):
            pairs = _windowed(tokens, depth, cache.window_tokens)
        width = layer.n_head * (layer.key_length + layer.value_length)
        if isinstance(cache, LatentAttention):
            width = layer.n_head * 2 * (cache.key_width - cache.index_width)
        # attention runs where the cache lies
        at = -1 if target is None or not placement.kv_offload else target
        found[at] += _FLOPS_PER_ELEMENT * width * pairs
    return tuple(found)


def _pairs(tokens: int, depth: int) -> float:
    return tokens * depth + tokens * (tokens + 1) / 2


def _windowed(tokens: int, depth: int, window: int) -> float:
    """Return pairs of queries and keys where a query sees at most `window` keys."""
    growing = max(0, min(tokens, window - depth))
    return _pairs(growing, depth) + (tokens - growing) * window
