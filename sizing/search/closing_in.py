"""The largest number that still has room, where room shrinks as the number grows.

Room is close to a straight line in layers and in context, so few numbers have to be tried.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

__all__ = ["last_proven", "last_that_holds", "last_with_room"]

_STRAIGHT_GUESSES: Final = 8
_ROUGH_GUESSES: Final = 6


def last_with_room(low: int, high: int, slack: Callable[[int], int]) -> int | None:
    """Return the largest number from `low` to `high` whose slack is not negative.

    The next guess is where the line through both ends crosses zero (regula falsi with the Illinois
    rule for bent lines); what has not ended after a few guesses is halved. None when not even
    `low` has room.
    """
    room_low: float = slack(low)
    if room_low < 0:
        return None
    room_high: float = slack(high)
    if room_high >= 0:
        return high
    moved = ""  # which end the guess before moved
    guesses = 0
    while high - low > 1:
        guesses += 1
        share = room_low / (room_low - room_high) if guesses <= _STRAIGHT_GUESSES else 0.5
        guess = min(max(low + int((high - low) * share), low + 1), high - 1)
        room = slack(guess)
        if room >= 0:
            low, room_low = guess, room
            room_high /= 2 if moved == "low" else 1
            moved = "low"
        else:
            high, room_high = guess, room
            room_low /= 2 if moved == "high" else 1
            moved = "high"
    return low


def last_proven(
    low: int, high: int, *, rough: Callable[[int], int], holds: Callable[[int], bool]
) -> int | None:
    """Return the largest number from `low` to `high` that holds.

    `holds` is dear and has the last word: the answer was tried, and so was the next number. Which
    numbers are tried is for `rough` to say, which may learn from what `holds` has seen. None when
    not even `low` has room.
    """
    good, bad = low - 1, high + 1
    guesses = 0
    while bad - good > 1:
        guesses += 1
        if guesses <= _ROUGH_GUESSES:
            found = last_with_room(good + 1, bad - 1, rough)
            guess = good + 1 if found is None else found
        else:
            guess = (good + bad) // 2
        if holds(guess):
            good = guess
        else:
            bad = guess
    return good if good >= low else None


def last_that_holds(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number from `low` to `high` that holds, where those before it do too.

    `low` is taken to hold without a look.
    """
    if holds(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
