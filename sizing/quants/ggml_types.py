"""Storage types of ggml: block length and bytes a block.

Source: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01), ggml/src/ggml.c type traits and
ggml/src/ggml-common.h block structures. The sums are written out so that they can be checked.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "GGML_TYPES",
    "GGML_TYPES_BY_ID",
    "RETIRED_TYPE_IDS",
    "GgmlType",
    "row_bytes",
    "tensor_bytes",
]

_K = 256  # elements in a super-block of the K and I types


class GgmlType(NamedTuple):
    """A storage type: `block_elements` consecutive elements of a row take `block_bytes`."""

    name: str
    id: int
    block_elements: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Average bits an element takes."""
        return 8 * self.block_bytes / self.block_elements


_TYPES: Final = (
    GgmlType("F32", 0, 1, 4),
    GgmlType("F16", 1, 1, 2),
    GgmlType("Q4_0", 2, 32, 2 + 16),
    GgmlType("Q4_1", 3, 32, 2 + 2 + 16),
    GgmlType("Q5_0", 6, 32, 2 + 4 + 16),
    GgmlType("Q5_1", 7, 32, 2 + 2 + 4 + 16),
    GgmlType("Q8_0", 8, 32, 2 + 32),
    GgmlType("Q8_1", 9, 32, 2 + 2 + 32),
    GgmlType("Q2_K", 10, _K, 2 + 2 + _K // 16 + _K // 4),
    GgmlType("Q3_K", 11, _K, 2 + _K // 4 + _K // 8 + 12),
    GgmlType("Q4_K", 12, _K, 2 + 2 + 12 + _K // 2),
    GgmlType("Q5_K", 13, _K, 2 + 2 + 12 + _K // 8 + _K // 2),
    GgmlType("Q6_K", 14, _K, 2 + _K // 2 + _K // 4 + _K // 16),
    GgmlType("Q8_K", 15, _K, 4 + _K + 2 * (_K // 16)),
    GgmlType("IQ2_XXS", 16, _K, 2 + _K // 4),
    GgmlType("IQ2_XS", 17, _K, 2 + _K // 4 + _K // 32),
    GgmlType("IQ3_XXS", 18, _K, 2 + _K // 4 + _K // 8),
    GgmlType("IQ1_S", 19, _K, 2 + _K // 8 + _K // 16),
    GgmlType("IQ4_NL", 20, 32, 2 + 16),
    GgmlType("IQ3_S", 21, _K, 2 + _K // 4 + _K // 8 + _K // 32 + 4),
    GgmlType("IQ2_S", 22, _K, 2 + _K // 4 + _K // 16),
    GgmlType("IQ4_XS", 23, _K, 2 + 2 + _K // 2 + _K // 64),
    GgmlType("I8", 24, 1, 1),
    GgmlType("I16", 25, 1, 2),
    GgmlType("I32", 26, 1, 4),
    GgmlType("I64", 27, 1, 8),
    GgmlType("F64", 28, 1, 8),
    GgmlType("IQ1_M", 29, _K, _K // 8 + _K // 16 + _K // 32),
    GgmlType("BF16", 30, 1, 2),
    GgmlType("TQ1_0", 34, _K, 2 + 4 * 13),
    GgmlType("TQ2_0", 35, _K, 2 + _K // 4),
    GgmlType("MXFP4", 39, 32, 1 + 16),
    GgmlType("NVFP4", 40, 64, 4 + 32),
    GgmlType("Q1_0", 41, 128, 2 + 16),
    GgmlType("Q2_0", 42, 64, 2 + 16),
)

GGML_TYPES: Final = {kind.name: kind for kind in _TYPES}
GGML_TYPES_BY_ID: Final = {kind.id: kind for kind in _TYPES}
RETIRED_TYPE_IDS: Final = frozenset({4, 5, 31, 32, 33, 36, 37, 38})


def row_bytes(type_name: str, n_elements: int) -> int:
    """Return the bytes of one row of `n_elements`.

    Raises:
        InvalidRequestError: the row is not a whole number of blocks.
    """
    kind = GGML_TYPES[type_name]
    blocks, rest = divmod(n_elements, kind.block_elements)
    if rest:
        raise InvalidRequestError(
            what=f"row length for {type_name}",
            got=n_elements,
            allowed=f"a multiple of {kind.block_elements}",
        )
    return blocks * kind.block_bytes


def tensor_bytes(type_name: str, shape: tuple[int, ...]) -> int:
    """Return the exact bytes of a tensor: whole blocks along the row, times the rows.

    Raises:
        InvalidRequestError: a row is not a whole number of blocks.
    """
    size = row_bytes(type_name, shape[0])
    for dimension in shape[1:]:
        size *= dimension
    return size
