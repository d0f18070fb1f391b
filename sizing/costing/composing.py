"""Puts the answer to `cost` together from a plan, prices and what was asked."""

from __future__ import annotations

from whatfits.sizing.costing.answer import (
    COST_RULE,
    NOT_COVERED,
    CanDoIt,
    ComparedOffer,
    CostAnswer,
    LocalCost,
    offer_row,
)
from whatfits.sizing.costing.assumptions import assumptions_of
from whatfits.sizing.costing.local import Pace, local_day
from whatfits.sizing.costing.moving import PaceRange
from whatfits.sizing.costing.offers import price_warnings
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import MAY_RUN
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Sequence
    from typing import Final

    from whatfits.sizing.catalog.routing_results import RoutingResult
    from whatfits.sizing.costing.facts import Fact
    from whatfits.sizing.costing.moving import Spreads
    from whatfits.sizing.costing.offers import Chosen
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.costing.usage import Usage
    from whatfits.sizing.estimate import Plan, RateRange, Speed

__all__ = ["Asked", "composed", "pace_range"]

_UNKNOWN_PACE: Final = Pace(None, None)
# what is looked up and may be unread, as a person would say it
_NAMES: Final = {
    "ownership.purchase_usd": "price of the machine",
    "ownership.usd_per_kwh": "price of a kWh",
}


class Asked(NamedTuple):
    """What was asked: the usage, the owner's costs with what was looked up, spreads, the day.

    `given` names the fields that were asked for, as `usage.hours_on_per_day`.
    """

    usage: Usage
    ownership: Ownership
    spreads: Spreads
    today: dt.date
    given: Collection[str] = ()


def composed(
    plan: Plan,
    asked: Asked,
    chosen: Sequence[Chosen],
    *,
    rented: Sequence[RentedDay],
    results: tuple[RoutingResult, ...],
    facts: dict[str, Fact],
    router: str | None,
) -> CostAnswer:
    """Return the answer; the cloud's prices are told whether or not the model runs here."""
    runs = plan.verdict in MAY_RUN
    paces = pace_range(plan.speed if runs else None)
    local = local_cost(asked.usage, asked.ownership, paces) if runs else None
    offers = [
        offer_row(
            row,
            asked.usage,
            local,
            paces,
            asked.spreads,
            today=asked.today,
            prompt_tokens=plan.workload.prompt_tokens,
        )
        for row in chosen
    ]
    return CostAnswer(
        schema_version=SCHEMA_VERSION,
        model=plan.model,
        machine=plan.machine,
        workload=plan.workload,
        runtime=plan.runtime,
        verdict=plan.verdict,
        verdict_reason=plan.verdict_reason,
        speed=plan.speed if runs else None,
        today=asked.today.isoformat(),
        usage=asked.usage,
        local=local,
        offers=tuple(sorted(offers, key=_cheapest)),
        rented=tuple(
            sorted(
                rented, key=lambda row: (row.can_write_it is False, row.usd_per_day, row.machine)
            )
        ),
        routing_results=results,
        assumptions=assumptions_of(
            asked.usage, asked.ownership, asked.spreads, read=facts, given=asked.given
        ),
        not_covered=NOT_COVERED,
        rule=COST_RULE,
        warnings=(*price_warnings([row.age_days for row in offers]), *_unread(facts)),
        router=router,
    )


def _cheapest(row: ComparedOffer) -> tuple[float, str, str]:
    return row.cloud.usd_per_day, row.provider, row.model


def _unread(facts: dict[str, Fact]) -> list[str]:
    return [
        f"The {_NAMES[key]} was not read at a source: {fact.source}."
        for key, fact in facts.items()
        if fact.is_unverified
    ]


def pace_range(speed: Speed | None) -> PaceRange:
    """Return both speeds at the ends and the middle of their intervals.

    Several sequences at once write with their throughput.
    """
    if speed is None:
        return PaceRange(_UNKNOWN_PACE, _UNKNOWN_PACE, _UNKNOWN_PACE)
    prefill, decode = speed.prefill_tokens_per_s, speed.decode_tokens_per_s
    decode = speed.throughput_tokens_per_s or decode

    def at(end: str) -> Pace:
        return Pace(_end(prefill, end), _end(decode, end))

    return PaceRange(at("low"), at("mid"), at("high"))


def _end(rate: RateRange | None, end: str) -> float | None:
    if rate is None:
        return None
    value: float = getattr(rate, end)
    return value


def local_cost(usage: Usage, ownership: Ownership, paces: PaceRange) -> LocalCost:
    """Return what the machine costs at the ends and the middle of its speed."""
    slow, middle, fast = (
        local_day(usage, ownership, pace) for pace in (paces.low, paces.mid, paces.high)
    )
    can: CanDoIt | None = None
    most = None
    if slow.utilisation is not None and fast.utilisation is not None:
        can = "yes" if slow.utilisation <= 1 else "no" if fast.utilisation > 1 else "perhaps"
    if middle.utilisation:
        most = usage.tokens_per_day / middle.utilisation
    return LocalCost(ownership, slow, middle, fast, can_do_it=can, most_tokens_per_day=most)
