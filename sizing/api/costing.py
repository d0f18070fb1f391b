"""What running a model here costs, beside APIs and rented GPUs."""

from __future__ import annotations

from whatfits.sizing.api.answering import answer
from whatfits.sizing.api.arguments import check_day, check_list, check_text
from whatfits.sizing.api.loading import (
    load_machine,
    load_placement,
    load_spec,
    load_value,
    load_workload,
)
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date
    from typing import Any

    from whatfits.sizing.catalog.token_prices import PriceList
    from whatfits.sizing.costing.answer import CostAnswer
    from whatfits.sizing.costing.facts import Fact, Known
    from whatfits.sizing.costing.moving import Spreads
    from whatfits.sizing.costing.offers import Chosen
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.usage import Usage
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.renting import Rented
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["Priced", "cost", "cost_of", "priced"]


def cost(
    model: str | ModelSpec,
    *,
    today: date,
    file_type: str | None = None,
    runtime: str = DEFAULT_RUNTIME,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    placement: PlacementRequest | Mapping[str, Any] | None = None,
    usage: Usage | Mapping[str, Any] | None = None,
    ownership: Ownership | Mapping[str, Any] | None = None,
    spreads: Spreads | Mapping[str, Any] | None = None,
    region: str | None = None,
    against: Sequence[str] = (),
    prices: PriceList | str | None = None,
    router: str | None = None,
    given: Collection[str] = (),
) -> CostAnswer:
    """Return what a model costs here, at APIs and on rented GPUs, and from which day which is less.

    Args:
        model: as in `check`.
        today: the day whose prices are taken, and that they are aged by.
        file_type: as in `check`.
        runtime: as in `check`.
        machine: as in `check`.
        workload: as in `check`; `prompt_tokens` also says which tier of an API's prices holds.
        placement: as in `check`.
        usage: tokens in and out on a day of use, what of them is cached, hours on.
        ownership: price of the machine, its life and resale, its power and that of a kWh. Unset:
            the accelerators' price at launch, and their power limits.
        spreads: how far prices and use may lie off.
        region: whose price of a kWh is taken where none is given.
        against: offers by provider, model or `provider/model`, beside those of the same model.
        prices: own prices in the place of the catalog's of the same name, or a file of them.
        router: `litellm` for a starting configuration, in which the local server is the runtime's
            at its usual address.
        given: fields that somebody chose though their value is the default, as
            `usage.hours_on_per_day`: the answer says of a default that it is theirs to set. Keys
            of an object are given anyway.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    used, owned, spread = _checked(usage, ownership, spreads)
    case = priced(
        model,
        today=today,
        file_type=file_type,
        runtime=runtime,
        machine=machine,
        workload=workload,
        placement=placement,
        against=against,
        prices=prices,
    )
    return cost_of(
        case,
        usage=used,
        ownership=owned,
        spreads=spread,
        region=region,
        router=router,
        given=(*given, *_keys(usage=usage, ownership=ownership, spreads=spreads)),
    )


class Priced(NamedTuple):
    """What a cost rests on before anybody says how much is used: all that takes time to find.

    Attributes:
        plan: of the model on the machine.
        model: the name that a local server answers to.
        today: the day whose prices these are.
        prices: of tokens and electricity.
        chosen: the offers of APIs that are compared.
        rented: the cheapest offer of each device that runs the model.
    """

    plan: Plan
    model: str
    today: date
    prices: PriceList
    chosen: tuple[Chosen, ...]
    rented: tuple[Rented, ...]


def priced(
    model: str | ModelSpec,
    *,
    today: date,
    file_type: str | None = None,
    runtime: str = DEFAULT_RUNTIME,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    placement: PlacementRequest | Mapping[str, Any] | None = None,
    against: Sequence[str] = (),
    prices: PriceList | str | None = None,
) -> Priced:
    """Return what `cost_of` needs for any usage; the arguments are those of `cost`.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    from whatfits.sizing.catalog.lookup import packaged_prices
    from whatfits.sizing.costing.offers import chosen_offers

    check_day(today, needed=True)
    check_list(against, what="against", of="offers")
    against = tuple(against)
    for offer in against:
        check_text(offer, what="offer of against", allowed="text, as 'provider/model'")
    listed = packaged_prices()
    if prices is not None:
        listed = listed.with_own(_own_prices(prices))
    spec = load_spec(model, file_type=file_type, runtime=runtime)
    chosen = chosen_offers(
        listed.offers,
        model_id=spec.name if spec.source == "catalog" else None,
        against=against,
    )
    asked = load_workload(workload)
    plan = answer(
        spec,
        machine=load_machine(machine),
        workload=asked,
        request=load_placement(placement),
        runtime=runtime,
    )
    return Priced(plan, spec.name, today, listed, chosen, _rented(spec, asked, runtime, today))


def cost_of(
    case: Priced,
    *,
    usage: Usage | Mapping[str, Any] | None = None,
    ownership: Ownership | Mapping[str, Any] | None = None,
    spreads: Spreads | Mapping[str, Any] | None = None,
    region: str | None = None,
    router: str | None = None,
    given: Collection[str] = (),
) -> CostAnswer:
    """Return what `cost` returns, from what was found before: another usage takes no search.

    Raises:
        InvalidRequestError: something given cannot be used; the message says what is allowed.
    """
    from whatfits.sizing.catalog.lookup import routing_results
    from whatfits.sizing.costing.composing import Asked, composed
    from whatfits.sizing.costing.facts import find_region
    from whatfits.sizing.costing.rental import rented_day

    named = _keys(usage=usage, ownership=ownership, spreads=spreads)
    used, owned, spread = _checked(usage, ownership, spreads)
    if region is not None:
        check_text(region, what="region", allowed="text, as 'germany'")
    kwh = None if region is None else find_region(case.prices.electricity, region)
    known = _known(owned, case.plan, kwh)
    return composed(
        case.plan,
        Asked(used, known.ownership, spread, case.today, {*given, *named}),
        case.chosen,
        rented=tuple(rented_day(row, used) for row in case.rented),
        results=routing_results(),
        facts=known.facts,
        router=None if router is None else _router(router, case),
    )


def _checked(
    usage: Usage | Mapping[str, Any] | None,
    ownership: Ownership | Mapping[str, Any] | None,
    spreads: Spreads | Mapping[str, Any] | None,
) -> tuple[Usage, Ownership, Spreads]:
    from whatfits.sizing.costing.moving import Spreads, checked_spreads
    from whatfits.sizing.costing.ownership import Ownership, checked_ownership
    from whatfits.sizing.costing.usage import Usage, checked_usage

    return (
        checked_usage(load_value(Usage, usage, what="usage")),
        checked_ownership(load_value(Ownership, ownership, what="ownership")),
        checked_spreads(load_value(Spreads, spreads, what="spreads")),
    )


def _keys(**groups: object) -> Iterator[str]:
    """Yield the fields that objects name; a value has all of its fields, given or not."""
    from collections.abc import Mapping

    for group, value in groups.items():
        yield from (f"{group}.{key}" for key in (value if isinstance(value, Mapping) else ()))


def _known(owned: Ownership, plan: Plan, kwh: Fact | None) -> Known:
    """Return what the owner pays for, with what is looked up for this plan."""
    from whatfits.sizing.catalog.lookup import match_driver_name
    from whatfits.sizing.costing.facts import load_watts_of, purchase_of, with_facts
    from whatfits.sizing.verdict import MAY_RUN

    return with_facts(
        owned,
        purchase_usd=purchase_of(plan.machine, match_driver_name),
        usd_per_kwh=kwh,
        load_watts=load_watts_of(plan.speed if plan.verdict in MAY_RUN else None),
    )


def _own_prices(prices: PriceList | str) -> PriceList:
    from whatfits.sizing.catalog.token_prices import PriceList

    if isinstance(prices, PriceList):
        return prices
    check_text(prices, what="prices", allowed="the path of a price file, or a PriceList")
    from whatfits.sizing.sources.price_file import read_price_file

    return read_price_file(prices)


def _rented(spec: ModelSpec, workload: Workload, runtime: str, today: date) -> tuple[Rented, ...]:
    """Return the cheapest offer of each device that runs it; none where no device does."""
    from whatfits.sizing.catalog.lookup import device_entries, rental_offers
    from whatfits.sizing.needing.question import for_users, trials_under
    from whatfits.sizing.needing.renting import cheapest_of_each
    from whatfits.sizing.needing.search import NeedSearch

    entry = find_runtime(runtime)
    asked = for_users(workload, spec, None, is_own=not entry.starts_llama_cpp)
    search = NeedSearch(spec, asked, trials_under(entry, spec, asked), machine_of=load_machine)
    return cheapest_of_each(search.rented(device_entries(), rental_offers(), today=today))


def _router(name: str, case: Priced) -> str:
    from whatfits.sizing.costing.litellm_config import litellm_config, routed_offer
    from whatfits.sizing.errors import InvalidRequestError
    from whatfits.sizing.programs import find_program

    if name != "litellm":
        raise InvalidRequestError(what="router", got=name, allowed="litellm")
    offer = routed_offer(row.offer for row in case.chosen)
    base_url = find_program(case.plan.runtime).base_url
    return litellm_config(local_model=case.model, base_url=base_url, offer=offer)
