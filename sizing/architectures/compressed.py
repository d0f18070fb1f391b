"""Cache of DeepSeek-V4: a window of plain rows and a compressed past.

Inferred from the source, not measured. Source: llama.cpp (0c1e57098)
src/llama-kv-cache-dsv4.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.model import LatentAttention, RecurrentState, SlidingWindow
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from whatfits.sizing.architectures.geometry import Geometry
    from whatfits.sizing.architectures.metadata import Metadata
    from whatfits.sizing.model import AttentionCache

__all__ = ["COMPRESSED", "COMPRESSED_INTERVAL", "COMPRESSED_NOTE", "compressed_caches"]

COMPRESSED: Final = frozenset({"deepseek4"})
COMPRESSED_INTERVAL: Final = 0.1
COMPRESSED_NOTE: Final = (
    "Cache inferred from llama.cpp's source: the window is counted as llama-server keeps it "
    "(16 bit, micro-batch 512); with a full window cache it is several times larger."
)
_CSA_RATIO: Final = 4
_HCA_RATIO: Final = 128
_SERVER_MICRO_BATCH: Final = 512
_CELL_PADDING: Final = 256
_F16_OF_F32: Final = 2  # two 16-bit elements in one 32-bit element


def compressed_caches(
    metadata: Metadata, geometry: Geometry
) -> tuple[tuple[AttentionCache, RecurrentState | None], ...]:
    """Return (cache, state) of each layer of DeepSeek-V4.

    A layer keeps a window of plain rows and, compressed 4 or 128 times, a row for all the past
    (with an indexer row at 4 times), and the state of the compressor in 32 bit. Beside a
    compressed cache the window is counted with the state, as llama-server keeps it: 16 bit, one
    micro-batch of 512. Inferred, not measured.

    Raises:
        MalformedFileError: a value is missing, of the wrong kind or out of range.
    """
    ratios = metadata.integers("attention.compress_ratios", low=0, high=2**16) or ()
    if len(ratios) < geometry.n_layers_all:
        reason = f"a list of {len(ratios):,}"
        allowed = f"at least {geometry.n_layers_all:,} values"
        raise metadata.error("attention.compress_ratios", reason, allowed=allowed)
    index_key = metadata.integer("attention.indexer.key_length")
    window = geometry.windows.tokens or metadata.integer("attention.sliding_window")
    # Compressed rows are padded to the next 256 as well: half of that on average.
    rows = pad(window + _SERVER_MICRO_BATCH, _CELL_PADDING) + _CELL_PADDING // 2
    layers: list[tuple[AttentionCache, RecurrentState | None]] = []
    for layer in range(geometry.n_layers):
        key = geometry.heads_kv[layer] * geometry.key_lengths[layer]
        recent = rows * key // _F16_OF_F32
        if ratios[layer] == _CSA_RATIO:
            state = 2 * (2 * _CSA_RATIO) * 2 * (geometry.key_lengths[layer] + index_key)
            width = -(-(key + index_key) // _CSA_RATIO)
            layers.append((LatentAttention(width), RecurrentState(recent, state)))
        elif ratios[layer] == _HCA_RATIO:
            state = 2 * _HCA_RATIO * geometry.key_lengths[layer]
            width = -(-key // _HCA_RATIO)
            layers.append((LatentAttention(width), RecurrentState(recent, state)))
        else:
            layers.append((SlidingWindow(key, 0, window), None))
    return tuple(layers)
