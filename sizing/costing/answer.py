"""The answer to `cost`: its form, and how it is put together from values already at hand."""

from __future__ import annotations

from whatfits.sizing.catalog.routing_results import RoutingResult  # noqa: TC001 - read by pydantic
from whatfits.sizing.catalog.token_prices import UsdPerMtok  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.assumptions import Assumption  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.cloud import CloudDay, cloud_day
from whatfits.sizing.costing.comparing import Comparison, compared, not_compared
from whatfits.sizing.costing.hybrid import Hybrid, hybrid_of
from whatfits.sizing.costing.local import LocalDay  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.moving import Case
from whatfits.sizing.costing.offers import Relation  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.ownership import Ownership  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.rental import RentedDay  # noqa: TC001 - read by pydantic
from whatfits.sizing.costing.usage import Usage  # noqa: TC001 - read by pydantic
from whatfits.sizing.estimate import ModelSummary, Speed, Verdict  # noqa: TC001 - read by pydantic
from whatfits.sizing.machine import Machine  # noqa: TC001 - read by pydantic
from whatfits.sizing.needing.renting import age_days
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import Workload  # noqa: TC001 - read by pydantic

if TYPE_CHECKING:
    import datetime as dt
    from typing import ClassVar, Final

    from whatfits.sizing.costing.moving import PaceRange, Spreads
    from whatfits.sizing.costing.offers import Chosen

__all__ = [
    "COST_RULE",
    "NOT_COVERED",
    "NO_MACHINE",
    "CanDoIt",
    "ComparedOffer",
    "CostAnswer",
    "LocalCost",
    "offer_row",
]

CanDoIt = Literal["yes", "no", "perhaps"]
COST_RULE: Final = (
    "Costs are of an average day: tokens at the API's prices; or electricity at idle and at work, "
    "and the machine's price less its resale over the days of its life; or the hours rented. Only "
    "an offer marked 'same model' sells this model; nothing is said of how good others are."
)
NO_MACHINE: Final = "the model does not run on this machine, or it cannot be told whether it does"
NOT_COVERED: Final = (
    "privacy: what is sent to an API leaves the machine",
    "use without a network",
    "capability: a model of another name may answer better or worse; prices do not say",
    "tokens: another model counts the same text as more or fewer, and may write more of it",
    "limits of a provider: rates, retired models, changed prices",
    "latency, and how fast an API writes",
    "your time to set up and mend a machine, its room and its noise",
)


@dataclass(frozen=True, slots=True)
class LocalCost:
    """What the machine costs.

    Attributes:
        ownership: what its owner pays for, with what was looked up.
        slow: an average day at the lower end of its speed.
        middle: the same at the middle.
        fast: the same at the upper end.
        can_do_it: `yes` or `no` where that holds over the whole interval of speed, else `perhaps`;
            None where the speed is unknown.
        most_tokens_per_day: in and out, in the usage's proportion, at the middle speed.
    """

    ownership: Ownership
    slow: LocalDay
    middle: LocalDay
    fast: LocalDay
    can_do_it: CanDoIt | None
    most_tokens_per_day: float | None


@dataclass(frozen=True, slots=True)
class ComparedOffer:
    """An offer of an API beside the machine.

    Attributes:
        provider: who sells it.
        model: the provider's name of the model.
        relation: `same model`, or `named` for another one that was asked for.
        usd_per_mtok: prices of the day of asking.
        cloud: what an average day costs.
        comparison: which is cheaper, and from which day.
        hybrid: cost against the share sent to the cloud; None where something is unknown.
        as_of: day of the price, ISO 8601.
        age_days: days from then to the day of asking.
        source: where the price was read.
        unverified: fields that nobody re-read at a source.
        is_named: whether it was asked for, whichever model it is.
    """

    provider: str
    model: str
    relation: Relation
    usd_per_mtok: UsdPerMtok
    cloud: CloudDay
    comparison: Comparison
    hybrid: Hybrid | None
    as_of: str
    age_days: int
    source: str
    unverified: tuple[str, ...]
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class CostAnswer:
    """The whole answer; its fields are the JSON contract.

    Attributes:
        schema_version: of these answers.
        model: what is run.
        machine: on what.
        workload: with which context.
        runtime: by whose rules.
        verdict: whether it fits.
        verdict_reason: why.
        speed: how fast it is there; None where it does not run.
        today: the day that prices are of and aged by, ISO 8601.
        usage: tokens and hours.
        local: what the machine costs; None where the model does not run on it.
        offers: APIs, the cheapest a day first.
        rented: GPUs by the hour that run it, the cheapest a day first; last those that do not
            keep up with one request at a time.
        routing_results: what others had from sending only hard requests to a large model.
        assumptions: what all this rests on.
        not_covered: what money does not tell.
        rule: how it was reckoned.
        warnings: old prices, and prices that nobody re-read.
        router: a starting configuration; None where none was asked for.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    model: ModelSummary
    machine: Machine
    workload: Workload
    runtime: str
    verdict: Verdict
    verdict_reason: str
    speed: Speed | None
    today: str
    usage: Usage
    local: LocalCost | None
    offers: tuple[ComparedOffer, ...]
    rented: tuple[RentedDay, ...]
    routing_results: tuple[RoutingResult, ...]
    assumptions: tuple[Assumption, ...]
    not_covered: tuple[str, ...]
    rule: str
    warnings: tuple[str, ...]
    router: str | None = None


def offer_row(
    chosen: Chosen,
    usage: Usage,
    local: LocalCost | None,
    paces: PaceRange,
    spreads: Spreads,
    *,
    today: dt.date,
    prompt_tokens: int | None,
) -> ComparedOffer:
    """Return an offer beside the machine; without one, its price all the same."""
    offer = chosen.offer

    def day(asked: Usage) -> CloudDay:
        return cloud_day(offer, asked, day=today, prompt_tokens=prompt_tokens)

    if local is None:
        comparison = not_compared(NO_MACHINE)
    else:
        case = Case(usage, local.ownership, paces, spreads, lambda asked: day(asked).usd_per_day)
        comparison = compared(case, local.middle)
    return ComparedOffer(
        provider=offer.provider,
        model=offer.model,
        relation=chosen.relation,
        is_named=chosen.is_named,
        usd_per_mtok=offer.price_on(today, prompt_tokens=prompt_tokens),
        cloud=day(usage),
        comparison=comparison,
        hybrid=None if local is None else hybrid_of(local.middle, day(usage)),
        as_of=offer.as_of,
        age_days=age_days(offer.as_of, today=today),
        source=offer.source,
        unverified=offer.unverified,
    )
