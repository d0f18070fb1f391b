"""`whatfits cost` in words: the machine, APIs, the break-even day, rents, and what all rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.document import Document, Facts, Lines, Table
from whatfits.sizing.speed import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whatfits.sizing.catalog.routing_results import Claim, RoutingResult
    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer, LocalCost
    from whatfits.sizing.costing.assumptions import Assumption
    from whatfits.sizing.costing.break_even import BreakEven
    from whatfits.sizing.costing.hybrid import Hybrid
    from whatfits.sizing.costing.local import LocalDay
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.document import Block, Tone

__all__ = ["cost_document"]

_OFFERS_SHOWN: Final = 12
_RENTS_SHOWN: Final = 5
_GIVEN_BY: Final = {
    "ownership.purchase_usd": "what it costs to buy: --buy-price, 0 when it is there anyway",
    "ownership.usd_per_kwh": "the price of a kWh: --kwh-price, or --region for a published one",
    "ownership.load_watts": "what it draws at work: --load-watts",
}
_TONES: Final[dict[str, Tone]] = {"local": "good", "cloud": "bad"}


def cost_document(answer: CostAnswer) -> Document:
    """Return the answer in words."""
    usage = answer.usage
    cached = f", {usage.cached_share:.0%} of the input cached" if usage.cached_share else ""
    asked = (
        f"{answer.model.name} {answer.model.file_type or ''} on {answer.machine.name}: "
        f"{usage.input_tokens_per_day:,.0f} tokens in and {usage.output_tokens_per_day:,.0f} out "
        f"on {usage.days_per_week:g} days a week{cached}. Prices of {answer.today}."
    )
    blocks: list[Block] = [Lines((asked,))]
    if answer.local is None:
        can = (
            "It cannot be told whether it runs"
            if answer.verdict == "unknown"
            else "It does not run"
        )
        reason = f"{can} on this machine: {answer.verdict_reason}."
        blocks.append(Lines((reason, "The cloud's prices all the same:"), tone="bad"))
    else:
        blocks.append(_local(answer.local, answer))
        blocks += _to_give(answer)
    blocks += _offers(answer.offers)
    if answer.rented:
        blocks.append(_rents(answer.rented))
    blocks.append(_results(answer.routing_results))
    blocks.append(_assumptions(answer.assumptions))
    uncovered = tuple(f"- {text}" for text in answer.not_covered)
    blocks.append(Lines(uncovered, title="What money does not cover"))
    blocks.append(Lines((answer.rule,), tone="dim"))
    if answer.warnings:
        blocks.append(Lines(answer.warnings, tone="warn"))
    return Document(tuple(blocks))


def _local(local: LocalCost, answer: CostAnswer) -> Facts:
    days = (local.fast, local.middle, local.slow)
    can = {
        "yes": "yes",
        "no": "no, not even at the upper end of its speed",
        "perhaps": "perhaps: the interval of its speed has both",
        None: "unknown: how fast it reads or writes is not known",
    }[local.can_do_it]
    most = local.most_tokens_per_day
    if most is not None:
        can += f"; at most {rounded(most):,.0f} tokens a day in and out, at the middle"
    rows = [
        ("can it do that", can),
        ("at work", _ends(days, lambda day: day.busy_hours, "{:,.1f}", "hours a day")),
        ("used", _ends(days, lambda day: day.utilisation, "{:.0%}", "of the time it is on")),
        ("energy", _ends(days, lambda day: day.energy_kwh_per_day, "{:,.2f}", "kWh a day")),
        ("electricity", _ends(days, lambda day: day.running_usd_per_day, "${:,.2f}", "a day")),
        ("with its price", _ends(days, lambda day: day.usd_per_day, "${:,.2f}", "a day")),
        ("that is", _ends(days, lambda day: day.usd_per_mtok, "${:,.2f}", "a million tokens")),
    ]
    return Facts(tuple(rows), title=f"On {answer.machine.name}")


def _to_give(answer: CostAnswer) -> list[Block]:
    """Return what is missing for costs here, and how to give it; nothing where all is known."""
    unknown = {row.key for row in answer.assumptions if row.value is None}
    said = [f"- {what}" for key, what in _GIVEN_BY.items() if key in unknown]
    if answer.local is not None and answer.local.can_do_it is None:
        why = answer.speed and answer.speed.reason
        said.append(f"- its speed{f' ({why})' if why else ''}: 'whatfits bench' measures it")
    return [Lines(tuple(said), title="To know what it costs here", tone="warn")] if said else []


def _ends(
    days: Sequence[LocalDay], value_of: Callable[[LocalDay], float | None], form: str, of: str
) -> str:
    """Return the least and the most of a value, as one where they look the same."""
    values = [value_of(day) for day in days]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "unknown"
    low, high = form.format(min(known)), form.format(max(known))
    return f"{low} {of}" if low == high else f"{low} to {high} {of}"


def _offers(offers: Sequence[ComparedOffer]) -> list[Block]:
    if not offers:
        said = "No API's price of this model is in the list: name a model with --against."
        return [Lines((said,), tone="warn")]
    columns = ("api", "is", "in", "out", "a day", "1M tokens", "even on day")
    rows = tuple(_offer(row) for row in offers[:_OFFERS_SHOWN])
    more = len(offers) - _OFFERS_SHOWN
    title = f"APIs ({more} more with --json)" if more > 0 else "APIs"
    blocks: list[Block] = [Table(columns, rows, title=title, right=columns[2:])]
    # what was asked for by name is the comparison; else the cheapest offer of the same model
    told = [row for row in offers if row.relation == "named"] or list(offers[:1])
    for row in told:
        blocks += _comparison(row)
    return blocks


def _offer(row: ComparedOffer) -> tuple[str, ...]:
    price = row.usd_per_mtok
    even = row.comparison.break_even
    return (
        f"{row.provider} {row.model}",
        row.relation,
        f"${price.input:g}",
        f"${price.output:g}",
        f"${row.cloud.usd_per_day:,.2f}",
        f"${row.cloud.usd_per_mtok:,.2f}",
        "unknown" if even is None else _days(even),
    )


def _days(even: BreakEven) -> str:
    """Return the day with both ends, as one where they are the same."""
    early, late = _day(even.early_day), _day(even.late_day)
    return _day(even.day) if early == late else f"{_day(even.day)} ({early} to {late})"


def _day(day: int | None) -> str:
    return "never" if day is None else f"{day:,}"


def _comparison(row: ComparedOffer) -> list[Block]:
    found = row.comparison
    name = f"{row.provider} {row.model}"
    said = (f"Against {name}: {found.reason}.", *(f"{note}." for note in row.cloud.notes))
    blocks: list[Block] = [Lines(said, tone=_TONES.get(found.cheaper, "warn"))]
    reached = {moved.day_in_favour for moved in found.sensitivity}
    if reached - {None}:
        columns = ("moved alone", "in favour", "against")
        rows = tuple(
            (moved.moved, _day(moved.day_in_favour), _day(moved.day_against))
            for moved in found.sensitivity
        )
        blocks.append(Table(columns, rows, title="Break-even day, moved", right=columns[1:]))
    if row.hybrid is not None:
        blocks.append(_hybrid(row.hybrid, name))
    return blocks


def _hybrid(hybrid: Hybrid, name: str) -> Table:
    share = hybrid.break_even_share
    cheaper = "the cloud alone is always cheaper"
    if share is not None:
        cheaper = f"cheaper than the cloud alone below {share:.0%} sent to it"
    columns = ("to the cloud", "of its cost", "a day", "can the machine do the rest")
    rows = tuple(
        (
            f"{row.cloud_share:.0%}",
            f"{row.cost_ratio:.0%}",
            f"${row.usd_per_day:,.2f}",
            "yes" if row.machine_can else "no",
        )
        for row in hybrid.rows
    )
    return Table(columns, rows, title=f"Shared with {name}: {cheaper}", right=columns[:3])


def _rents(rented: Sequence[RentedDay]) -> Table:
    columns = ("--machine", "an hour", "a day", "1M tokens", "writing", "on", "from", "terms")
    rows = tuple(
        (
            row.machine,
            f"${row.usd_per_hour:,.2f}",
            f"${row.usd_per_day:,.2f}",
            f"${row.usd_per_mtok:,.2f}",
            "unknown" if row.writing_hours is None else f"{row.writing_hours:,.1f} h",
            row.as_of,
            row.provider,
            row.terms,
        )
        for row in rented[:_RENTS_SHOWN]
    )
    more = len(rented) - _RENTS_SHOWN
    title = "Rented by the hour" + (f" ({more} more with --json)" if more > 0 else "")
    return Table(columns, rows, title=title, right=columns[1:6])


def _results(results: Sequence[RoutingResult]) -> Table:
    """Return what routing gave others, with the setting it was had in."""
    columns = ("routing", "year", "published", "in what setting")
    rows = tuple(
        (f"{row.title} ({row.ref})", str(row.year), "; ".join(map(_claim, row.claims)), row.setting)
        for row in results
    )
    return Table(columns, rows, title="What routing gave others, at its best", right=("year",))


def _claim(claim: Claim) -> str:
    figure = f"{claim.value:g} %" if claim.unit == "%" else f"{claim.value:g} times"
    qualifier = "" if claim.qualifier is None else f" ({claim.qualifier})"
    unsure = ", unverified" if claim.unverified else ""
    return f"{claim.what}: {figure}{qualifier}{unsure}"


def _assumptions(rows: Sequence[Assumption]) -> Table:
    columns = ("resting on", "value", "from", "as of")
    cells = tuple(
        (
            row.key,
            "unknown" if row.value is None else f"{row.value:,.12g}",
            row.source,
            row.as_of or "",
        )
        for row in rows
    )
    return Table(columns, cells, title="What this rests on", right=("value",))
