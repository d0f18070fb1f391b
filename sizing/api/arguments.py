"""Arguments that would be taken for something else, or left unsaid, are refused by their name."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["check_day", "check_file_type", "check_list", "check_speed"]


def check_list(given: object, *, what: str, of: str) -> None:
    """Refuse a text where a list of texts is meant: its letters would be the items.

    Raises:
        InvalidRequestError: it is one.
    """
    if isinstance(given, (str, bytes)):
        raise InvalidRequestError(what=what, got=given, allowed=f"a list of {of}, even of one")


def check_day(today: object) -> None:
    """Refuse what is no day, a moment of one among it.

    Raises:
        InvalidRequestError: it is none.
    """
    from datetime import date, datetime

    if today is not None and (not isinstance(today, date) or isinstance(today, datetime)):
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
