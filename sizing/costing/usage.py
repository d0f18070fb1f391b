"""How much a model is used: tokens in and out on a day of use, and when the machine is on."""

from __future__ import annotations

from whatfits.sizing.costing.bounds import as_floats, check_bounds
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from typing import ClassVar, Final

__all__ = ["DAYS_PER_WEEK", "SECONDS_PER_HOUR", "TOKENS_PER_MTOK", "Usage", "checked_usage"]

DAYS_PER_WEEK: Final = 7
TOKENS_PER_MTOK: Final = 1e6
SECONDS_PER_HOUR: Final = 3600
_HOURS_PER_DAY: Final = 24
_MOST_TOKENS: Final = 10**15


@dataclass(frozen=True, slots=True)
class Usage:
    """A usage profile. Every default is a place to start from, and the user's to set.

    Attributes:
        input_tokens_per_day: prompt tokens on a day of use, those from a cache included.
        output_tokens_per_day: tokens written on a day of use.
        cached_share: part of the input that was read before, here or by the provider.
        cache_write_share: part of the other input that a provider stores for later reading.
        hours_on_per_day: hours for which the machine is on, or rented, on a day of use.
        days_per_week: days of use.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    input_tokens_per_day: float = 1_000_000
    output_tokens_per_day: float = 200_000
    cached_share: float = 0.0
    cache_write_share: float = 0.0
    hours_on_per_day: float = 24.0
    days_per_week: float = 7.0

    @property
    def fresh_tokens_per_day(self) -> float:
        """Input tokens on a day of use that are in no cache."""
        return self.input_tokens_per_day * (1 - self.cached_share)

    @property
    def tokens_per_day(self) -> float:
        """Tokens in and out on a day of use."""
        return self.input_tokens_per_day + self.output_tokens_per_day

    @property
    def days_share(self) -> float:
        """Days of use over days: what turns a day of use into an average day."""
        return self.days_per_week / DAYS_PER_WEEK

    def times(self, factor: float) -> Usage:
        """Return the profile with so many times the tokens."""
        return replace(
            self,
            input_tokens_per_day=self.input_tokens_per_day * factor,
            output_tokens_per_day=self.output_tokens_per_day * factor,
        )


def checked_usage(usage: Usage) -> Usage:
    """Return `usage`, every number a float.

    Raises:
        InvalidRequestError: a value that no day has.
    """
    bounds = {
        "input_tokens_per_day": _MOST_TOKENS,
        "output_tokens_per_day": _MOST_TOKENS,
        "cached_share": 1,
        "cache_write_share": 1,
        "hours_on_per_day": _HOURS_PER_DAY,
        "days_per_week": DAYS_PER_WEEK,
    }
    check_bounds(usage, bounds, what="usage")
    for name in ("hours_on_per_day", "days_per_week"):
        if not getattr(usage, name):
            raise InvalidRequestError(what=f"usage.{name}", got=0, allowed="more than 0")
    if not usage.tokens_per_day:
        raise InvalidRequestError(
            what="usage", got="no tokens", allowed="tokens in or tokens out above 0"
        )
    return as_floats(usage)
