"""Sound files with a bit turned, or scrambled: what a reader makes of all of them."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any, Protocol

from whatfits.sizing.errors import MalformedFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Answer", "assert_both_answers_occur", "assert_fuzzing_meets_many_walls"]


class Answer(Protocol):
    """Returns a header that holds, or the refusal."""

    def __call__(self, data: bytes, *, allow_missing_data: bool = ...) -> object: ...


def _with_a_bit_turned(data: bytes) -> Iterator[bytes]:
    """Yield the file with each of its bits turned, one at a time."""
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            yield bytes(flipped)


def assert_both_answers_occur(answer: Answer, data: bytes) -> None:
    """Turn every bit: the reader neither fails nor always says the same."""
    refused = [
        isinstance(answer(changed), MalformedFileError) for changed in _with_a_bit_turned(data)
    ]
    assert len(refused) == 8 * len(data)
    assert 0.1 < sum(refused) / len(refused) < 0.9  # else this would not mean much


def assert_fuzzing_meets_many_walls(
    answer: Answer, scrambled: Callable[[random.Random], bytes], *, seed: int, inputs: int
) -> None:
    """Read scrambled files: a fuzzer that always hits the same wall proves nothing."""
    rng = random.Random(seed)  # noqa: S311 - a fixed series of test inputs
    refused = 0
    reasons: set[str] = set()
    for turn in range(inputs):
        got: Any = answer(scrambled(rng), allow_missing_data=bool(turn % 2))
        if isinstance(got, MalformedFileError):
            refused += 1
            reasons.add(re.sub(r"[\d,]+|'.*?'", "", f"{got.field}: {got.reason}"))
    assert 0.15 < refused / inputs < 0.85
    assert len(reasons) > 25
