"""What torch's allocator counts as a tensor's beyond its bytes.

A tensor of 10 MiB or more has a stretch of its own, a whole number of 2 MiB. What is left behind
it is a block for others where it is more than 1 MiB, and else counts as the tensor's.
Source: pytorch/pytorch c10/cuda/CUDACachingAllocator.cpp (get_allocation_size, should_split), as
it is without expandable segments; vllm-project/vllm 0.33.0 vllm/model_executor/layers/linear.py
and fused_moe/layer.py for the matrices that are one tensor there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB, pad

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = ["beyond_tensors_bytes"]

_OWN_BYTES: Final = 10 * MIB
_STEP_BYTES: Final = 2 * MIB
_LEAST_BLOCK_BYTES: Final = MIB
_TOGETHER: Final = (
    re.compile(r"(blk\.\d+\.)attn_(?:q|k|v|qkv|gate)(\.weight)"),
    re.compile(r"(blk\.\d+\.)ffn_(?:gate|up|gate_up)((?:_exps|_shexp)?\.weight)"),
)


def beyond_tensors_bytes(parts: Iterable[tuple[str, int]]) -> int:
    """Return what blocks of these tensors of a device have beyond them, by name and bytes."""
    tensors: dict[str, int] = defaultdict(int)
    for name, n_bytes in parts:
        tensors[_loaded_as(name)] += n_bytes
    return sum(_beyond_bytes(n_bytes) for n_bytes in tensors.values())


@lru_cache(maxsize=8192)  # every machine and every cut asks for the same names
def _loaded_as(name: str) -> str:
    """Return the tensor that vLLM loads a matrix into, which may be that of several."""
    for place, pattern in enumerate(_TOGETHER):
        if found := pattern.fullmatch(name):
            return f"{found[1]}{place}{found[2]}"
    return name


def _beyond_bytes(n_bytes: int) -> int:
    if n_bytes < _OWN_BYTES:
        return 0
    rest = pad(n_bytes, _STEP_BYTES) - n_bytes
    return rest if rest <= _LEAST_BLOCK_BYTES else 0
