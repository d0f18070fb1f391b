"""Refuses amounts that nothing has, by the name of their field."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_bounds"]


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
