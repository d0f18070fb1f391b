"""What is asked of `cost`, from JSON objects or as values; checked either way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from whatfits.sizing.costing.moving import Spreads, checked_spreads
from whatfits.sizing.costing.ownership import Ownership, checked_ownership
from whatfits.sizing.costing.usage import Usage, checked_usage
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CostRequest", "cost_request", "load_ownership", "load_spreads", "load_usage"]

_T = TypeVar("_T", Usage, Ownership, Spreads)


@dataclass(frozen=True, slots=True)
class CostRequest:
    """What a line of `whatfits batch` says under `cost`: keyword arguments of the library's."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    usage: Usage | None = None
    ownership: Ownership | None = None
    spreads: Spreads | None = None
    region: str | None = None
    against: tuple[str, ...] = ()
    router: str | None = None


def cost_request(value: Mapping[str, Any]) -> CostRequest:
    """Return what is asked under `cost`.

    Raises:
        InvalidRequestError: a field is unknown or of the wrong kind.
    """
    from whatfits.sizing.requests import validated  # noqa: PLC0415 - pydantic on use only

    return validated(CostRequest, value, what="cost")


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
    if given is None or isinstance(given, kind):
        return given or kind()
    from whatfits.sizing.requests import validated  # noqa: PLC0415 - pydantic on use only

    return validated(kind, given, what=what)
