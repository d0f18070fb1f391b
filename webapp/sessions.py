"""How many strangers a public page serves at once."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_SESSIONS", "Place", "place_for_this_session", "take_place"]

MOST_SESSIONS: Final = 100


class Place:
    """One visitor's place; free again when the visitor leaves, or the session is gone."""

    def __init__(self, session: str, is_there: Callable[[str], bool]) -> None:
        """Keep whose it is, and how to know whether that one is still there."""
        self._session = session
        self._is_there = is_there

    @property
    def is_taken(self) -> bool:
        """Whether its visitor is still connected.

        A session outlives its connection by minutes, so that a visitor may come back to it: if
        those counted, one who reloads often would take every place.
        """
        return self._is_there(self._session)


_PLACES: WeakSet[Place] = WeakSet()
_LOCK: Final = Lock()


def take_place(
    session: str, is_there: Callable[[str], bool], *, most: int = MOST_SESSIONS
) -> Place | None:
    """Return a place to be held as long as the session lasts; None when all are taken."""
    with _LOCK:
        if len([place for place in _PLACES if place.is_taken]) >= most:
            return None
        place = Place(session, is_there)
        _PLACES.add(place)
        return place


def place_for_this_session() -> Place | None:
    """Return a place for the visitor whose page is being run; None when all are taken."""
    from streamlit import runtime  # noqa: PLC0415 - an extra
    from streamlit.runtime.scriptrunner import get_script_run_ctx  # noqa: PLC0415 - same

    context = get_script_run_ctx()
    session = "" if context is None else context.session_id
    return take_place(session, runtime.get_instance().is_active_session)
