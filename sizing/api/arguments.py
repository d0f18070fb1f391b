"""Arguments that would be taken for something else, or left unsaid, are refused by their name."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = [
    "check_count",
    "check_day",
    "check_file_type",
    "check_list",
    "check_speed",
    "check_text",
]


def check_text(given: object, *, what: str, allowed: str) -> None:
    """Refuse what is no text.

    Raises:
        InvalidRequestError: it is none.
    """
    if not isinstance(given, str):
        raise InvalidRequestError(what=what, got=type(given).__name__, allowed=allowed)


def check_count(given: object, *, what: str, allowed: str = "a whole number") -> None:
    """Refuse what is no whole number; how large it may be is the question's own affair.

    Raises:
        InvalidRequestError: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidRequestError(what=what, got=given, allowed=allowed)


def check_list(given: object, *, what: str, of: str) -> None:
    """Refuse a text where a list of texts is meant, whose letters would be the items, or no list.

    Raises:
        InvalidRequestError: it is one.
    """
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        got = given if isinstance(given, (str, bytes)) else type(given).__name__
        raise InvalidRequestError(what=what, got=got, allowed=f"a list of {of}, even of one")


def check_day(today: object, *, needed: bool = False) -> None:
    """Refuse what is no day, a moment of one among it; None where one is not `needed`.

    Raises:
        InvalidRequestError: it is none.
    """
    from datetime import date, datetime

    if today is None and not needed:
        return
    if not isinstance(today, date) or isinstance(today, datetime):
        raise InvalidRequestError(what="today", got=today, allowed="a datetime.date")


def check_speed(least_tokens_per_s: object) -> None:
    """Refuse a least speed that nothing or everything keeps.

    Raises:
        InvalidRequestError: no number above 0.
    """
    given = least_tokens_per_s
    if given is None:
        return
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not is_number or not 0 < given < float("inf"):  # type: ignore[operator]
        raise InvalidRequestError(
            what="least_tokens_per_s", got=given, allowed="tokens a second, above 0"
        )


def check_file_type(model: ModelSpec, file_type: str | None) -> None:
    """Refuse another file type beside a model that has been loaded under one.

    Raises:
        InvalidRequestError: it is another.
    """
    if file_type is None or _plain(file_type) == _plain(model.file_type or ""):
        return
    raise InvalidRequestError(
        what="file type beside a model that is loaded",
        got=file_type,
        allowed=f"its own, {model.file_type}" if model.file_type else "none",
        next_step="load it under the other one: load_model(name, file_type=…)",
    )


def _plain(name: object) -> str:
    return str(name).casefold().replace("-", "_")
