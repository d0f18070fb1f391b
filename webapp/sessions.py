"""How many strangers a public page serves at once."""

from __future__ import annotations

from threading import Lock
from typing import Final
from weakref import WeakSet

__all__ = ["MOST_SESSIONS", "Place", "take_place"]

MOST_SESSIONS: Final = 100


class Place:
    """One visitor's place; free again when the session that holds it is gone."""


_PLACES: WeakSet[Place] = WeakSet()
_LOCK: Final = Lock()


def take_place(most: int = MOST_SESSIONS) -> Place | None:
    """Return a place to be held as long as the session lasts; None when all are taken."""
    with _LOCK:
        if len(_PLACES) >= most:
            return None
        place = Place()
        _PLACES.add(place)
        return place
