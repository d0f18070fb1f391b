"""Where llama-quantize puts each tensor in the file it writes.

Source: llama.cpp (0c1e57098) src/llama-model-loader.h:weight_name_comparer (first the tensors of
no layer, then layer by layer, by name within each), src/llama-quant.cpp (written in that order).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["data_offsets"]

_ALIGNMENT: Final = 32
_LAYER: Final = re.compile(r"blk\.(\d+)\.")


def data_offsets(names: Sequence[str], sizes: Sequence[int]) -> tuple[int, ...]:
    """Return where each tensor's data starts in the data section, in bytes."""
    offsets = [0] * len(names)
    position = 0
    for index in sorted(range(len(names)), key=lambda i: _key(names[i])):
        offsets[index] = position
        position += pad(sizes[index], _ALIGNMENT)
    return tuple(offsets)


def _key(name: str) -> tuple[int, str]:
    layer = _LAYER.match(name)
    return (int(layer[1]) if layer else -1, name)
