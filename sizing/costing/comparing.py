"""A machine of one's own beside one offer of an API: which is cheaper, from when, how surely."""

from __future__ import annotations

from whatfits.sizing.costing.break_even import BreakEven  # noqa: TC001 - read by pydantic
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.costing.local import LocalDay
    from whatfits.sizing.costing.moving import Case

__all__ = ["Cheaper", "Comparison", "Sensitivity", "compared", "not_compared"]

Cheaper = Literal["local", "cloud", "depends", "unknown"]
_MOVED: Final = {
    "api_price": "the API's prices",
    "kwh_price": "the price of electricity",
    "use": "tokens a day",
    "speed": "the machine's speed",
}


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The break-even day with one part alone moved; None: not within the machine's life.

    Attributes:
        key: `api_price`, `kwh_price`, `use` or `speed`.
        moved: the part in words, and how far it is moved.
        day_in_favour: with the part moved in the machine's favour.
        day_against: with it moved against the machine.
    """

    key: str
    moved: str
    day_in_favour: int | None
    day_against: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which is cheaper over the machine's life.

    Attributes:
        cheaper: `local` or `cloud` where that holds however price, use and speed turn out,
            `depends` where it does not, `unknown` where it cannot be told.
        reason: in a sentence.
        break_even: from which day; None where it cannot be told.
        sensitivity: what moves that day, part by part.
    """

    cheaper: Cheaper
    reason: str
    break_even: BreakEven | None
    sensitivity: tuple[Sensitivity, ...]


def not_compared(reason: str) -> Comparison:
    """Return that it cannot be told, and why."""
    return Comparison("unknown", reason, None, ())


def compared(case: Case, local: LocalDay) -> Comparison:
    """Return which is cheaper; `local` is the machine's day with everything at its middle."""
    missing = _missing(case, local)
    if missing is not None:
        return not_compared(missing)
    if (local.utilisation or 0) > 1:
        return not_compared(
            f"the machine would be at work {local.busy_hours:,.1f} hours a day and is on for "
            f"{case.usage.hours_on_per_day:g}: it cannot take the place of the API"
        )
    found = case.break_even()
    cheaper, reason = _verdict(found, case)
    return Comparison(cheaper, reason, found, _sensitivity(case))


def _missing(case: Case, local: LocalDay) -> str | None:
    owned = case.ownership
    known = (
        (owned.purchase_usd, "the price of the machine is not known: give it"),
        (owned.usd_per_kwh, "the price of electricity is not known: give it, or a region"),
        (local.busy_hours, "how fast this machine works is not known"),
        (local.usd_per_day, "what it draws at work is not known: give it in watts"),
    )
    return next((said for value, said in known if value is None), None)


def _verdict(found: BreakEven, case: Case) -> tuple[Cheaper, str]:
    life = case.ownership.life_days
    if found.early_day is None:
        return "cloud", (
            f"the cloud stays cheaper: within {life:,} days of life the machine never breaks even, "
            "not even with price, use and speed all in its favour"
        )
    if not case.ownership.purchase_usd:
        return _without_a_price(found)
    if found.day is None:
        return "depends", (
            "the cloud is cheaper at the middle of every figure; the machine breaks even on day "
            f"{found.early_day:,} only with price, use and speed in its favour"
        )
    if found.late_day is None:
        return "depends", (
            f"the machine breaks even on day {found.day:,} (day {found.early_day:,} at the "
            "earliest), but never with price, use and speed all against it"
        )
    return "local", (
        f"the machine breaks even on day {found.day:,} "
        f"(day {found.early_day:,} to {found.late_day:,}) of {life:,}"
    )


def _without_a_price(found: BreakEven) -> tuple[Cheaper, str]:
    """Return which is cheaper where the machine is there anyway: from the first day or never."""
    if found.day is None:
        return "depends", (
            "there is nothing to earn back, but the cloud is cheaper at the middle of every "
            "figure; the machine costs less to run only with price, use and speed in its favour"
        )
    costs_less = "there is nothing to earn back, and it costs less to run than the API"
    if found.late_day is None:
        return "depends", f"{costs_less}, but not with price, use and speed all against it"
    return "local", (
        f"{costs_less} from the first day, with price, use and speed all against it as well"
    )


def _sensitivity(case: Case) -> tuple[Sensitivity, ...]:
    price, use = case.spreads.price, case.spreads.use
    how_far = {
        "api_price": f"by {price:.0%} either way",
        "kwh_price": f"by {price:.0%} either way",
        "use": f"by {use:.0%} either way, at most to what the machine can do",
        "speed": "to either end of its interval",
    }
    return (
        _moved("api_price", how_far, case.day(api_price=1), case.day(api_price=-1)),
        _moved("kwh_price", how_far, case.day(kwh_price=1), case.day(kwh_price=-1)),
        _moved("use", how_far, case.day(use=1), case.day(use=-1)),
        _moved("speed", how_far, case.day(speed=1), case.day(speed=-1)),
    )


def _moved(
    key: str, how_far: dict[str, str], favour: int | None, against: int | None
) -> Sensitivity:
    return Sensitivity(key, f"{_MOVED[key]}, {how_far[key]}", favour, against)
