"""What torch's allocator counts as a tensor's beyond its bytes.

Arrays are taken one after the other, as vLLM makes them. One of more than 1 MiB takes the smallest
block that holds it of those left over, or a new stretch: 20 MiB below 10 MiB, else a whole number
of 2 MiB. What is left behind it is a block for others where it is more than 1 MiB, and else counts
as the array's. While vLLM loads weights, since 0.21, a stretch of 20 MiB or more is never split:
all that is left counts.
Source: pytorch/pytorch c10/cuda/CUDACachingAllocator.cpp (get_allocation_size, get_free_block,
should_split), as it is without expandable segments; vllm-project/vllm pull 41268
(max_split_size_mb:20), and 0.33.0 vllm/model_executor/layers/linear.py and fused_moe/layer.py for
the matrices that are one tensor there.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from functools import lru_cache
from math import prod

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB, pad

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.model import TensorSpec

__all__ = ["beyond_tensors_bytes", "zero_points_bytes"]

_SHARED_BYTES: Final = MIB  # up to here blocks fit to 512 bytes
_OWN_BYTES: Final = 10 * MIB
_STRETCH_BYTES: Final = 20 * MIB
_STEP_BYTES: Final = 2 * MIB
_LEAST_BLOCK_BYTES: Final = MIB
_UNSPLIT_BYTES: Final = 20 * MIB
_WITH_ZERO_POINTS: Final = frozenset({"AWQ", "GPTQ"})
_SCALE_BITS: Final = 16
_TOGETHER: Final = (
    re.compile(r"(blk\.\d+\.)attn_(?:q|k|v|qkv|gate)(\.weight)"),
    re.compile(r"(blk\.\d+\.)ffn_(?:gate|up|gate_up)((?:_exps|_shexp)?\.weight)"),
)


def beyond_tensors_bytes(parts: Iterable[tuple[TensorSpec, int]]) -> int:
    """Return what blocks of these tensors of a device have beyond them, each with its bytes there.

    The codes of a quantised matrix are one array, its zero-points and its scales two more.
    """
    arrays: dict[tuple[str, str], int] = {}
    for tensor, n_bytes in parts:
        name = _loaded_as(tensor.name)
        codes = n_bytes * _codes_bytes(tensor) // tensor.n_bytes
        zeros = zero_points_bytes(tensor, n_bytes)
        sizes = {"codes": codes, "zeros": zeros, "scales": n_bytes - codes - zeros}
        for what, size in sizes.items():
            arrays[name, what] = arrays.get((name, what), 0) + size
    blocks: list[int] = []
    return sum(_beyond_bytes(size, blocks) for size in arrays.values())


def zero_points_bytes(tensor: TensorSpec, n_bytes: int) -> int:
    """Return the bytes of a matrix's zero-points, a code beside each scale of 16 bits."""
    if tensor.type not in _WITH_ZERO_POINTS:
        return 0
    codes = _codes_bytes(tensor)
    bits = 8 * codes // prod(tensor.shape)
    zeros = (tensor.n_bytes - codes) * bits // (bits + _SCALE_BITS)
    return n_bytes * zeros // tensor.n_bytes


def _codes_bytes(tensor: TensorSpec) -> int:
    elements = prod(tensor.shape)
    return elements * (8 * tensor.n_bytes // elements) // 8


@lru_cache(maxsize=8192)  # every machine and every cut asks for the same names
def _loaded_as(name: str) -> str:
    """Return the tensor that vLLM loads a matrix into, which may be that of several."""
    for place, pattern in enumerate(_TOGETHER):
        if found := pattern.fullmatch(name):
            return f"{found[1]}{place}{found[2]}"
    return name


def _beyond_bytes(n_bytes: int, blocks: list[int]) -> int:
    """Return what an array has beyond its bytes, taking from the blocks or adding what is left."""
    if n_bytes <= _SHARED_BYTES:
        return 0
    smallest = bisect_left(blocks, n_bytes)
    if smallest < len(blocks):
        block = blocks.pop(smallest)
    else:
        block = _STRETCH_BYTES if n_bytes < _OWN_BYTES else pad(n_bytes, _STEP_BYTES)
    rest = block - n_bytes
    if rest <= _LEAST_BLOCK_BYTES or n_bytes >= _UNSPLIT_BYTES:
        return rest
    insort(blocks, rest)
    return 0
