"""Cache of DeepSeek-V4: a window of plain rows, a compressed past, and the compressor's state.

Every sequence has its own, even in a unified cache. Error: none against dry runs.
Source: llama.cpp (0c1e57098) src/llama-kv-cache-dsv4.cpp.
"""

from __future__ import annotations

from whatfits.sizing.model import CompressedRows, RecurrentState, SlidingWindow
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.architectures.geometry import Geometry
    from whatfits.sizing.architectures.metadata import Metadata

__all__ = ["COMPRESSED", "CompressedLayer", "compressed_layers"]

COMPRESSED: Final = frozenset({"deepseek4"})
_SPARSE_RATIO: Final = 4
_HEAVY_RATIO: Final = 128
_KEYS_AND_SCORES: Final = 2


class CompressedLayer(NamedTuple):
    """What one layer keeps.

    Attributes:
        window: plain rows of the last tokens.
        rows: rows of the compressed past.
        state: the compressor's state; None in a layer without one.
    """

    window: SlidingWindow
    rows: tuple[CompressedRows, ...]
    state: RecurrentState | None


def compressed_layers(metadata: Metadata, geometry: Geometry) -> tuple[CompressedLayer, ...]:
    """Return what each loaded layer of DeepSeek-V4 keeps.

    At ratio 4 a layer keeps an indexer's row beside each compressed one, and the compressor looks
    at two blocks at once: its state is twice as long and twice as wide.

    Raises:
        MalformedFileError: a value is missing, of the wrong kind or out of range.
    """
    key = "attention.compress_ratios"
    ratios = metadata.integers(key, low=0, high=_HEAVY_RATIO) or ()
    if len(ratios) < geometry.n_layers_all:
        allowed = f"at least {geometry.n_layers_all:,} values"
        raise metadata.error(key, f"a list of {len(ratios):,}", allowed=allowed)
    index = metadata.integer("attention.indexer.key_length")
    tokens = metadata.integer("attention.sliding_window")
    layers: list[CompressedLayer] = []
    for layer in range(geometry.n_layers):
        ratio, length = ratios[layer], geometry.key_lengths[layer]
        width = geometry.heads_kv[layer] * length
        window = SlidingWindow(width, 0, tokens)
        rows: tuple[CompressedRows, ...]
        if ratio == _SPARSE_RATIO:
            rows = (CompressedRows(width, ratio), CompressedRows(index, ratio))
            elements = _KEYS_AND_SCORES * 2 * ratio * 2 * (length + index)
            layers.append(CompressedLayer(window, rows, RecurrentState(0, elements)))
        elif ratio == _HEAVY_RATIO:
            elements = _KEYS_AND_SCORES * ratio * length
            rows = (CompressedRows(width, ratio),)
            layers.append(CompressedLayer(window, rows, RecurrentState(0, elements)))
        elif ratio == 0:
            layers.append(CompressedLayer(window, (), None))
        else:
            raise metadata.error(key, f"got {ratio} in the list", allowed="0, 4 or 128")
    return tuple(layers)
