"""`whatfits cost` in words: the machine, APIs, the break-even day, rents, and what all rests on."""

from __future__ import annotations

from whatfits.sizing.costing.missing import unknown_speed, unknowns
from whatfits.sizing.costing.words import (
    assumptions_table,
    comparison_lines,
    hybrid_table,
    local_facts,
    offer_name,
    offers_table,
    question_sentence,
    reason_sentence,
    rents_table,
    results_table,
    sensitivity_table,
)
from whatfits.sizing.document import Document, Lines
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.document import Block, Table

__all__ = ["cost_document"]

_OFFERS_SHOWN: Final = 12
_RENTS_SHOWN: Final = 5
_OPTIONS: Final = {
    "ownership.purchase_usd": "--buy-price, 0 when it is there anyway",
    "ownership.usd_per_kwh": "--kwh-price, or --region for a published one",
    "ownership.load_watts": "--load-watts",
}


def cost_document(answer: CostAnswer) -> Document:
    """Return the answer in words."""
    blocks: list[Block] = [Lines((question_sentence(answer),))]
    if answer.local is None:
        said = (reason_sentence(answer), "The cloud's prices all the same:")
        blocks.append(Lines(said, tone="bad"))
    else:
        blocks.append(local_facts(answer.local, machine=answer.machine.name))
        blocks += _to_give(answer)
    blocks += _offers(answer.offers)
    if answer.rented:
        blocks.append(_rents(answer.rented))
    blocks.append(results_table(answer.routing_results))
    blocks.append(assumptions_table(answer.assumptions))
    uncovered = tuple(f"- {text}" for text in answer.not_covered)
    blocks.append(Lines(uncovered, title="What money does not cover"))
    blocks.append(Lines((answer.rule,), tone="dim"))
    if answer.warnings:
        blocks.append(Lines(answer.warnings, tone="warn"))
    return Document(tuple(blocks))


def _to_give(answer: CostAnswer) -> list[Block]:
    """Return what is missing for costs here, and how to give it; nothing where all is known."""
    said = [f"- {what}: {_OPTIONS[key]}" for key, what in unknowns(answer)]
    speed = unknown_speed(answer)
    if speed is not None:
        said.append(f"- {speed}")
    return [Lines(tuple(said), title="To know what it costs here", tone="warn")] if said else []


def _offers(offers: Sequence[ComparedOffer]) -> list[Block]:
    if not offers:
        said = "No API's price of this model is in the list: name a model with --against."
        return [Lines((said,), tone="warn")]
    title = _more("APIs", len(offers) - _OFFERS_SHOWN)
    blocks: list[Block] = [offers_table(offers[:_OFFERS_SHOWN], title=title)]
    # what was asked for by name is the comparison; else the cheapest offer of the same model
    told = [row for row in offers if row.is_named] or list(offers[:1])
    for row in told:
        blocks += _comparison(row)
    return blocks


def _comparison(row: ComparedOffer) -> list[Block]:
    blocks: list[Block] = [comparison_lines(row)]
    moved = sensitivity_table(row)
    if moved is not None:
        blocks.append(moved)
    if row.hybrid is not None:
        blocks.append(hybrid_table(row.hybrid, offer_name(row)))
    return blocks


def _rents(rented: Sequence[RentedDay]) -> Table:
    title = _more("Rented by the hour", len(rented) - _RENTS_SHOWN)
    return rents_table(rented[:_RENTS_SHOWN], title=title, machine="--machine")


def _more(title: str, left: int) -> str:
    return f"{title} ({left} more with --json)" if left > 0 else title
