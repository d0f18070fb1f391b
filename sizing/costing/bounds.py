"""Amounts as a cost holds them: within their bounds, and all of them floats."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import field_names, replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from _typeshed import DataclassInstance

    _Held = TypeVar("_Held", bound=DataclassInstance)

__all__ = ["as_floats", "check_bounds"]


def check_bounds(value: object, highest: Mapping[str, float], *, what: str) -> None:
    """Refuse a field of `value` below 0 or above its highest; an unknown one (None) is let be.

    Raises:
        InvalidRequestError: naming the first that is out of range, or no number.
    """
    for name, most in highest.items():
        amount = getattr(value, name)
        if amount is not None and not 0 <= amount <= most:
            raise InvalidRequestError(
                what=f"{what}.{name}", got=amount, allowed=f"a number from 0 to {most:,}"
            )


def as_floats(value: _Held) -> _Held:
    """Return `value` with its whole numbers as floats: 24 and 24.0 are the same answer."""
    held = {name: getattr(value, name) for name in field_names(value) or ()}
    return replace(value, **{name: float(one) for name, one in held.items() if type(one) is int})
