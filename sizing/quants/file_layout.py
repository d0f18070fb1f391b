"""The file that llama-quantize writes: where each tensor lies in it, and what comes before them.

Source: llama.cpp (0c1e57098) src/llama-model-loader.h:weight_name_comparer (first the tensors of
no layer, then layer by layer, by name within each), src/llama-quant.cpp (written in that order).
"""

from __future__ import annotations

import re

from whatfits.sizing.model import ByteRange
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from whatfits.sizing.model import TensorSpec

__all__ = ["data_offsets", "header_range"]

_ALIGNMENT: Final = 32
# Bytes of tokenizer and metadata for each token of the vocabulary: text, type, and score or merges.
# 22.4 to 65.0, half of the repositories above 35.0, in the files of 35 repositories; a quarter less
# and an eighth more allowed for. tests/sizing/quants/test_published_sizes.py measures it anew, and
# holds it against as many files that were not looked at.
_LOW, _MID, _HIGH = 16.8, 35.0, 73.1
_FIELD_BYTES: Final = 8  # a length, a dimension, an offset
_TYPE_BYTES: Final = 4
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


def header_range(tensors: Iterable[TensorSpec], *, n_vocab: int) -> ByteRange:
    """Return the bytes of a GGUF before its data, when nobody has made the file yet.

    The list of tensors is exact: name, dimensions, type and offset of each. The tokenizer is no
    part of a configuration; its vocabulary is.
    """
    listed = sum(
        _FIELD_BYTES
        + len(tensor.name)
        + _TYPE_BYTES  # name; number of dimensions
        + _FIELD_BYTES * len(tensor.shape)
        + _TYPE_BYTES
        + _FIELD_BYTES
        for tensor in tensors
    )
    return ByteRange(
        low_bytes=listed + round(_LOW * n_vocab),
        mid_bytes=listed + round(_MID * n_vocab),
        high_bytes=listed + round(_HIGH * n_vocab),
        reason=f"the tokenizer is not known, only its {n_vocab:,} tokens: {_LOW} to {_HIGH} bytes "
        "each, from the files of 35 repositories",
    )
