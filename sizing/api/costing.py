"""What running a model here costs, beside APIs and rented GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.sizing.api.answering import answer
from whatfits.sizing.api.loading import (
    load_machine,
    load_placement,
    load_spec,
    load_value,
    load_workload,
)
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from whatfits.sizing.catalog.token_prices import PriceList
    from whatfits.sizing.costing.answer import CostAnswer
    from whatfits.sizing.costing.facts import Fact, Known
    from whatfits.sizing.costing.moving import Spreads
    from whatfits.sizing.costing.offers import Chosen
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.costing.usage import Usage
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["cost"]


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

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    from whatfits.sizing.catalog.lookup import packaged_prices, routing_results
    from whatfits.sizing.costing.composing import Asked, composed
    from whatfits.sizing.costing.facts import find_region
    from whatfits.sizing.costing.moving import Spreads, checked_spreads
    from whatfits.sizing.costing.offers import chosen_offers
    from whatfits.sizing.costing.ownership import Ownership, checked_ownership
    from whatfits.sizing.costing.usage import Usage, checked_usage

    used = checked_usage(load_value(Usage, usage, what="usage"))
    owned = checked_ownership(load_value(Ownership, ownership, what="ownership"))
    spread = checked_spreads(load_value(Spreads, spreads, what="spreads"))
    listed = packaged_prices()
    if prices is not None:
        listed = listed.with_own(_own_prices(prices))
    kwh = None if region is None else find_region(listed.electricity, region)
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
    known = _known(owned, plan, kwh)
    return composed(
        plan,
        Asked(used, known.ownership, spread, today),
        chosen,
        rented=_rented_days(spec, asked, runtime, used, today),
        results=routing_results(),
        facts=known.facts,
        router=None if router is None else _router(router, spec.name, runtime, chosen),
    )


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
    if not isinstance(prices, str):
        return prices
    from whatfits.sizing.sources.price_file import read_price_file

    return read_price_file(prices)


def _rented_days(
    spec: ModelSpec, workload: Workload, runtime: str, usage: Usage, today: date
) -> tuple[RentedDay, ...]:
    """Return the cheapest offer of each device that runs it; none where no device does."""
    from whatfits.sizing.catalog.lookup import device_entries, rental_offers
    from whatfits.sizing.costing.rental import rented_day
    from whatfits.sizing.need_search import NeedSearch
    from whatfits.sizing.needing import for_users, trials_under
    from whatfits.sizing.renting import cheapest_of_each

    entry = find_runtime(runtime)
    asked = for_users(workload, spec, None, is_own=not entry.starts_llama_cpp)
    search = NeedSearch(spec, asked, trials_under(entry, spec, asked), machine_of=load_machine)
    rows = search.rented(device_entries(), rental_offers(), today=today)
    return tuple(rented_day(row, usage) for row in cheapest_of_each(rows))


def _router(name: str, local_model: str, runtime: str, chosen: Sequence[Chosen]) -> str:
    from whatfits.sizing.costing.litellm_config import litellm_config, routed_offer
    from whatfits.sizing.errors import InvalidRequestError
    from whatfits.sizing.programs import find_program

    if name != "litellm":
        raise InvalidRequestError(what="router", got=name, allowed="litellm")
    offer = routed_offer(row.offer for row in chosen)
    base_url = find_program(runtime).base_url
    return litellm_config(local_model=local_model, base_url=base_url, offer=offer)
