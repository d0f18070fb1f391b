"""What a day costs on a machine of one's own: hours at work, energy, and its share of the price.

hours at work = (fresh input / prompt speed + output / writing speed) / 3600
kWh = (idle watts x hours on + load watts x hours at work) / 1000
USD a day = kWh x price + (purchase - resale) / days of life
Tokens from a cache are not read again: the machine keeps them while they fit.
"""

from __future__ import annotations

from whatfits.sizing.costing.usage import SECONDS_PER_HOUR, TOKENS_PER_MTOK
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.usage import Usage

__all__ = ["LocalDay", "Pace", "busy_hours", "local_day"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a machine works, in tokens a second; None where that is unknown."""

    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class LocalDay:
    """What an average day costs here, and how much of the machine the work takes.

    Attributes:
        busy_hours: hours at work on a day of use; None where a speed is unknown.
        utilisation: those over the hours on; above 1 the machine cannot do it.
        energy_kwh_per_day: on an average day; None where the power at work is unknown.
        fixed_usd_per_day: electricity at idle and the machine's own price, used or not.
        work_usd_per_day: electricity of the work alone.
        running_usd_per_day: all electricity.
        usd_per_day: everything together.
        usd_per_mtok: the same over all tokens in and out.
    """

    busy_hours: float | None
    utilisation: float | None
    energy_kwh_per_day: float | None
    fixed_usd_per_day: float | None
    work_usd_per_day: float | None
    running_usd_per_day: float | None
    usd_per_day: float | None
    usd_per_mtok: float | None


def busy_hours(usage: Usage, pace: Pace) -> float | None:
    """Return hours at work on a day of use; None where a speed that is needed is unknown."""
    seconds = 0.0
    for tokens, rate in (
        (usage.fresh_tokens_per_day, pace.prefill_tokens_per_s),
        (usage.output_tokens_per_day, pace.decode_tokens_per_s),
    ):
        if tokens and not rate:
            return None
        seconds += tokens / rate if rate else 0.0
    return seconds / SECONDS_PER_HOUR


def local_day(usage: Usage, ownership: Ownership, pace: Pace) -> LocalDay:
    """Return what an average day costs; what rests on something unknown is None."""
    busy = busy_hours(usage, pace)
    price, watts = ownership.usd_per_kwh, ownership.load_watts
    share = usage.days_share
    idle_kwh = ownership.idle_watts * usage.hours_on_per_day / 1000 * share
    work_kwh = None if busy is None or watts is None else watts * busy / 1000 * share
    idle_usd = None if price is None else idle_kwh * price
    work_usd = None if price is None or work_kwh is None else work_kwh * price
    owned_usd = None
    if ownership.purchase_usd is not None:
        left = ownership.purchase_usd - (ownership.resale_usd or 0.0)
        owned_usd = left / ownership.life_days
    fixed = _sum(idle_usd, owned_usd)
    usd = _sum(fixed, work_usd)
    mtok = usage.tokens_per_day * share / TOKENS_PER_MTOK
    return LocalDay(
        busy_hours=busy,
        utilisation=None if busy is None else busy / usage.hours_on_per_day,
        energy_kwh_per_day=_sum(idle_kwh, work_kwh),
        fixed_usd_per_day=fixed,
        work_usd_per_day=work_usd,
        running_usd_per_day=_sum(idle_usd, work_usd),
        usd_per_day=usd,
        usd_per_mtok=None if usd is None else usd / mtok,
    )


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second
