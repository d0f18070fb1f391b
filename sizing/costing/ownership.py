"""What owning a machine takes: its price, its life, what is left of it, and its electricity."""

from __future__ import annotations

from whatfits.sizing.costing.bounds import as_floats, check_bounds
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import ClassVar, Final

__all__ = ["DAYS_PER_MONTH", "DAYS_PER_YEAR", "Ownership", "checked_ownership"]

DAYS_PER_YEAR: Final = 365.25
DAYS_PER_MONTH: Final = DAYS_PER_YEAR / 12
_MOST_YEARS: Final = 30
_MOST_USD: Final = 10**9
_MOST_WATTS: Final = 10**6
_MOST_USD_PER_KWH: Final = 100


@dataclass(frozen=True, slots=True)
class Ownership:
    """A machine as its owner pays for it. Defaults are the user's to set; None is unknown.

    Attributes:
        purchase_usd: price of what is bought for this; 0 for a machine that is there anyway.
        life_years: years after which it is replaced.
        resale_share: part of the price that a sale then brings.
        usd_per_kwh: price of electricity.
        idle_watts: what the whole machine draws while it is on and does nothing.
        load_watts: what it draws on top of that while it reads or writes tokens.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    purchase_usd: float | None = None
    life_years: float = 4.0
    resale_share: float = 0.0
    usd_per_kwh: float | None = None
    idle_watts: float = 50.0
    load_watts: float | None = None

    @property
    def life_days(self) -> int:
        """Whole days of its life."""
        return int(self.life_years * DAYS_PER_YEAR)

    @property
    def resale_usd(self) -> float | None:
        """What a sale brings at the end of its life; None where the price is unknown."""
        return None if self.purchase_usd is None else self.purchase_usd * self.resale_share


def checked_ownership(ownership: Ownership) -> Ownership:
    """Return `ownership`, every number a float.

    Raises:
        InvalidRequestError: a price, a power or a life that no machine has.
    """
    bounds = {
        "purchase_usd": _MOST_USD,
        "life_years": _MOST_YEARS,
        "resale_share": 1,
        "usd_per_kwh": _MOST_USD_PER_KWH,
        "idle_watts": _MOST_WATTS,
        "load_watts": _MOST_WATTS,
    }
    check_bounds(ownership, bounds, what="ownership")
    if ownership.life_days < 1:
        raise InvalidRequestError(
            what="ownership.life_years", got=ownership.life_years, allowed="a day or more"
        )
    return as_floats(ownership)
