"""What the inputs ask of costs: the arguments of one call of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.sizing.costing.moving import Spreads
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.costing.usage import Usage
from whatfits.sizing.values import dataclass
from whatfits.webapp.cost_inputs import CHEAPEST, COST_INPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.webapp.state import Question

__all__ = ["CostQuestion", "cost_question_of"]


@dataclass(frozen=True, slots=True)
class CostQuestion:
    """What the inputs ask: the arguments of `cost`.

    Attributes:
        base: model, machine, runtime, workload.
        usage: tokens and hours.
        ownership: what the owner pays for.
        spreads: how far prices and use may lie off.
        region: whose price of a kWh is taken where none is given.
        against: the API by its name; None for the cheapest of the same model.
    """

    base: Question
    usage: Usage
    ownership: Ownership
    spreads: Spreads
    region: str
    against: str | None


def cost_question_of(base: Question, state: Mapping[str, Any]) -> CostQuestion:
    """Return what a session's values ask; those that are missing or cleared have their defaults."""
    values = {item.key: _value(state, item.key, item.default) for item in COST_INPUTS}
    return CostQuestion(
        base=base,
        usage=Usage(
            input_tokens_per_day=values["tokensin"],
            output_tokens_per_day=values["tokensout"],
            cached_share=_share(values["cached"]),
            hours_on_per_day=values["hours"],
            days_per_week=values["days"],
        ),
        ownership=Ownership(
            purchase_usd=values["buy"],
            life_years=values["life"],
            resale_share=_share(values["resale"]),
            usd_per_kwh=values["kwh"],
            idle_watts=values["idlewatts"],
            load_watts=values["loadwatts"],
        ),
        spreads=Spreads(
            price=_share(values["pricespread"]),
            use=_share(values["usespread"]),
        ),
        region=values["region"],
        against=None if values["api"] == CHEAPEST else values["api"],
    )


def _value(state: Mapping[str, Any], key: str, default: object) -> Any:  # noqa: ANN401 - as declared
    value = state.get(key)
    return default if value is None else value


def _share(percent: int) -> float:
    return percent / 100
