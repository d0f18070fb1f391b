"""The answer to `cost` in words, part by part, for command line and page alike."""

from __future__ import annotations

from whatfits.sizing.document import Facts, Lines, Table
from whatfits.sizing.speed import rounded
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.catalog.routing_results import Claim, RoutingResult
    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer, LocalCost
    from whatfits.sizing.costing.assumptions import Assumption
    from whatfits.sizing.costing.break_even import BreakEven
    from whatfits.sizing.costing.hybrid import Hybrid
    from whatfits.sizing.costing.local import LocalDay
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.document import Tone

__all__ = [
    "assumptions_table",
    "comparison_lines",
    "dates_sentence",
    "hybrid_table",
    "local_facts",
    "offer_name",
    "offers_table",
    "question_sentence",
    "reason_sentence",
    "rents_table",
    "results_table",
    "sensitivity_table",
]

_TONES: Final[dict[str, Tone]] = {"local": "good", "cloud": "bad"}


def question_sentence(answer: CostAnswer) -> str:
    """Return what was asked: the model, the machine, the tokens, and the day of asking."""
    usage = answer.usage
    cached = f", {usage.cached_share:.0%} of the input cached" if usage.cached_share else ""
    return (
        f"{answer.model.name} {answer.model.file_type or ''} on {answer.machine.name}: "
        f"{usage.input_tokens_per_day:,.0f} tokens in and {usage.output_tokens_per_day:,.0f} out "
        f"on {usage.days_per_week:g} days a week{cached}. Asked on {answer.today}."
    )


def reason_sentence(answer: CostAnswer) -> str:
    """Return why there is no cost of this machine."""
    can = "It cannot be told whether it runs" if answer.verdict == "unknown" else "It does not run"
    return f"{can} on this machine: {answer.verdict_reason}."


def local_facts(local: LocalCost, *, machine: str) -> Facts:
    """Return what the machine can do a day, and what that costs."""
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
    rows = [("can it do that", can)]
    if local.can_do_it == "no":  # hours that a day has not got cost nothing that could be paid
        hours = _ends(days, lambda day: day.busy_hours, "{:,.1f}", "hours for a day's tokens")
        return Facts((*rows, ("it would need", hours)), title=f"On {machine}")
    rows += [
        ("at work", _ends(days, lambda day: day.busy_hours, "{:,.1f}", "hours a day")),
        ("used", _ends(days, lambda day: day.utilisation, "{:.0%}", "of the time it is on")),
        ("energy", _ends(days, lambda day: day.energy_kwh_per_day, "{:,.2f}", "kWh a day")),
        ("electricity", _ends(days, lambda day: day.running_usd_per_day, "${:,.2f}", "a day")),
        ("with its price", _ends(days, lambda day: day.usd_per_day, "${:,.2f}", "a day")),
        ("that is", _ends(days, lambda day: day.usd_per_mtok, "${:,.2f}", "a million tokens")),
    ]
    return Facts(tuple(rows), title=f"On {machine}")


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


def offers_table(offers: Sequence[ComparedOffer], *, title: str) -> Table:
    """Return what APIs ask, and from which day the machine is cheaper than each."""
    columns = ("api", "is", "in", "out", "a day", "1M tokens", "even on day")
    return Table(columns, tuple(map(_offer, offers)), title=title, right=columns[2:])


def offer_name(row: ComparedOffer) -> str:
    """Return who sells which model."""
    return f"{row.provider} {row.model}"


def _offer(row: ComparedOffer) -> tuple[str, ...]:
    price = row.usd_per_mtok
    even = row.comparison.break_even
    return (
        offer_name(row),
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


def comparison_lines(row: ComparedOffer) -> Lines:
    """Return which is cheaper, the machine or this API."""
    said = (
        f"Against {offer_name(row)}: {row.comparison.reason}.",
        *(f"{note}." for note in row.cloud.notes),
    )
    return Lines(said, tone=_TONES.get(row.comparison.cheaper, "warn"))


def sensitivity_table(row: ComparedOffer) -> Table | None:
    """Return the break-even day with one part moved; None where it is never reached."""
    sensitivity = row.comparison.sensitivity
    if all(moved.day_in_favour is None for moved in sensitivity):
        return None
    columns = ("moved alone", "in favour", "against")
    rows = tuple(
        (moved.moved, _day(moved.day_in_favour), _day(moved.day_against)) for moved in sensitivity
    )
    return Table(columns, rows, title="Break-even day, moved", right=columns[1:])


def hybrid_table(hybrid: Hybrid, name: str) -> Table:
    """Return the cost against the share that is sent to the API of that name."""
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


def rents_table(rented: Sequence[RentedDay], *, title: str, machine: str = "machine") -> Table:
    """Return what rented GPUs cost; `machine` heads the column of their expressions."""
    columns = (machine, "an hour", "a day", "1M tokens", "writing", "on", "from", "terms")
    rows = tuple(
        (
            row.machine,
            f"${row.usd_per_hour:,.2f}",
            f"${row.usd_per_day:,.2f}",
            "-" if row.can_write_it is False else f"${row.usd_per_mtok:,.2f}",
            _writing_text(row),
            row.as_of,
            row.provider,
            row.terms,
        )
        for row in rented
    )
    return Table(columns, rows, title=title, right=columns[1:6])


def _writing_text(row: RentedDay) -> str:
    if row.writing_hours is None:
        return "unknown"
    too_long = ", too slow" if row.can_write_it is False else ""
    return f"{row.writing_hours:,.1f} h{too_long}"


def results_table(results: Sequence[RoutingResult]) -> Table:
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


def assumptions_table(rows: Sequence[Assumption]) -> Table:
    """Return every value that the answer rests on, with where it comes from."""
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


def dates_sentence(offers: Sequence[ComparedOffer]) -> str:
    """Return when the prices of tokens were read, and how many days ago the oldest was."""
    days = sorted({row.as_of for row in offers})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    oldest = max(row.age_days for row in offers)
    return f"Prices of tokens are of {when}, the oldest {oldest:,} days old."
