"""The batch at which a step's arithmetic takes as long as what it reads.

Below it another sequence is nearly free: the weights are read anyway. Above it each one makes the
step longer by its own arithmetic.
"""

from __future__ import annotations

from whatfits.sizing.search.closing_in import last_that_holds
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.serving.batching import BatchModel

__all__ = ["balanced_batch"]


def balanced_batch(model: BatchModel, *, depth_tokens: int, most: int) -> int | None:
    """Return the fewest sequences whose arithmetic outlasts their reading; None: none up to `most`.

    Caches are read for each sequence, so that at some depths it never does.
    """
    if not _is_beyond(model, most, depth_tokens):
        return None
    return 1 + last_that_holds(0, most, lambda n: n < 1 or not _is_beyond(model, n, depth_tokens))


def _is_beyond(model: BatchModel, sequences: int, depth_tokens: int) -> bool:
    reading_s, arithmetic_s = model.bandwidth_and_arithmetic_s(sequences, depth_tokens)
    return arithmetic_s >= reading_s
