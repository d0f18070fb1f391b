"""What is asked of `cost`, from JSON objects or as values; checked either way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from whatfits.sizing.cost.moving import Spreads, checked_spreads
from whatfits.sizing.cost.ownership import Ownership, checked_ownership
from whatfits.sizing.cost.usage import Usage, checked_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["load_ownership", "load_spreads", "load_usage"]

_T = TypeVar("_T", Usage, Ownership, Spreads)


def load_usage(given: Usage | Mapping[str, Any] | None) -> Usage:
    """Return the usage of an object, or one with every default.

    Raises:
        InvalidRequestError: a field is unknown, of the wrong kind or out of range.
    """
    return checked_usage(_value(Usage, given, what="usage"))


def load_ownership(given: Ownership | Mapping[str, Any] | None) -> Ownership:
    """Return the ownership of an object, or one with every default.

    Raises:
        InvalidRequestError: a field is unknown, of the wrong kind or out of range.
    """
    return checked_ownership(_value(Ownership, given, what="ownership"))


def load_spreads(given: Spreads | Mapping[str, Any] | None) -> Spreads:
    """Return the spreads of an object, or the usual ones.

    Raises:
        InvalidRequestError: a field is unknown, of the wrong kind or out of range.
    """
    return checked_spreads(_value(Spreads, given, what="spreads"))


def _value(kind: type[_T], given: _T | Mapping[str, Any] | None, *, what: str) -> _T:
    if given is None:
        return kind()
    if isinstance(given, kind):
        return given
    from whatfits.sizing.requests import validated  # noqa: PLC0415 - pydantic on use only

    return validated(kind, given, what=what)
