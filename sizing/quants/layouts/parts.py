"""Stored tensors of one matrix, and the arithmetic every layout shares."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["F32", "HALF", "INT32", "Parts", "ceil_div", "groups_of", "packed_words"]

Parts = dict[str, int]
"""Name of a stored tensor (its suffix in the checkpoint) → bytes."""

HALF: Final = 2
F32: Final = 4
INT32: Final = 4
_WORD_BITS: Final = 32


def ceil_div(value: int, divisor: int) -> int:
    """Return `value / divisor`, rounded up."""
    return -(-value // divisor)


def groups_of(columns: int, group: int) -> int:
    """Return the groups along a row; -1 makes the whole row one group.

    Raises:
        InvalidRequestError: the row is not a whole number of groups.
    """
    if group == -1:
        return 1
    if group <= 0 or columns % group:
        raise InvalidRequestError(
            what="group size", got=group, allowed=f"-1 or a divisor of the row length {columns}"
        )
    return columns // group


def packed_words(count: int, bits: int) -> int:
    """Return the 32-bit words that hold `count` numbers of `bits` bits without a gap.

    Raises:
        InvalidRequestError: they do not fill whole words.
    """
    words, rest = divmod(count * bits, _WORD_BITS)
    if rest:
        raise InvalidRequestError(
            what=f"numbers of {bits} bits packed in 32-bit words",
            got=count,
            allowed="a count that fills whole words",
        )
    return words
