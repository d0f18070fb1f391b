"""Which is cheaper and how surely: ranges, sensitivity, and what the machine cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.costing.comparing import Comparison, compared
from whatfits.sizing.costing.local import Pace, local_day
from whatfits.sizing.costing.moving import Case, PaceRange, Spreads, checked_spreads
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.costing.usage import Usage
from whatfits.sizing.errors import InvalidRequestError

# 3,600,000 tokens written at 100 a second are 10 hours; 300 W for those and 50 W for 24 are
# 3.0 + 1.2 = 4.2 kWh, at $0.25 $1.05 a day.
USAGE = Usage(input_tokens_per_day=0, output_tokens_per_day=3_600_000)
OWNERSHIP = Ownership(purchase_usd=2000, usd_per_kwh=0.25, load_watts=300)
PACES = PaceRange(Pace(800, 80), Pace(1000, 100), Pace(1250, 125))


def case(usd_per_mtok: float, **changes: object) -> Case:
    """Return the case with an API that charges so much for what is written."""
    made = Case(
        USAGE,
        OWNERSHIP,
        PACES,
        Spreads(),
        lambda usage: usage.output_tokens_per_day * usd_per_mtok / 1e6,
    )
    return replace(made, **changes)


def verdict(asked: Case) -> Comparison:
    return compared(asked, local_day(asked.usage, asked.ownership, asked.paces.mid))


def test_the_middle_and_both_ends_are_worked_out() -> None:
    # Middle: $1 a million is $3.60; less $1.05 it saves $2.55 a day: 2,000 / 2.55 = 784.3.
    # In favour: 125 tokens/s write 1.5 times as much in 12 h; 300 W x 12 h + 1.2 = 4.8 kWh at
    # $0.20 = $0.96; the API $5.40 x 1.2 = $6.48; saves $5.52: 362.3.
    # Against: 80 tokens/s, half as much, 6.25 h: 1.875 + 1.2 = 3.075 kWh at $0.30 = $0.9225; the
    # API $1.80 x 0.8 = $1.44; saves $0.5175: 3,864.7 days, past the 1,461 of its life.
    found = verdict(case(1.0))
    assert found.break_even is not None
    assert found.break_even.early_day == 363
    assert found.break_even.day == 785
    assert found.break_even.late_day is None
    assert found.cheaper == "depends"


def test_each_part_moved_alone_is_worked_out() -> None:
    rows = {row.key: row for row in verdict(case(1.0)).sensitivity}
    assert set(rows) == {"api_price", "kwh_price", "use", "speed"}
    # API: 3.60 x 1.2 - 1.05 = 3.27 -> 611.6; 3.60 x 0.8 - 1.05 = 1.83 -> 1,092.9.
    assert (rows["api_price"].day_in_favour, rows["api_price"].day_against) == (612, 1093)
    # kWh: 3.60 - 0.84 = 2.76 -> 724.6; 3.60 - 1.26 = 2.34 -> 854.7.
    assert (rows["kwh_price"].day_in_favour, rows["kwh_price"].day_against) == (725, 855)
    # Use: 5.40 - (4.5 + 1.2) x 0.25 = 3.975 -> 503.1; 1.80 - (1.5 + 1.2) x 0.25 -> 1,777.8.
    assert (rows["use"].day_in_favour, rows["use"].day_against) == (504, None)
    # Speed: 8 h: 3.60 - (2.4 + 1.2) x 0.25 = 2.70 -> 740.7; 12.5 h: 3.60 - 1.2375 -> 846.6.
    assert (rows["speed"].day_in_favour, rows["speed"].day_against) == (741, 847)


def test_a_dear_api_loses_however_things_turn_out() -> None:
    found = verdict(case(15.0))
    assert found.cheaper == "local"
    assert found.break_even is not None
    early, day, late = (
        found.break_even.early_day,
        found.break_even.day,
        found.break_even.late_day,
    )
    assert early is not None
    assert day is not None
    assert late is not None
    assert early < day < late


def test_a_machine_that_is_there_anyway_has_nothing_to_earn_back() -> None:
    found = verdict(case(15.0, ownership=replace(OWNERSHIP, purchase_usd=0)))
    assert found.cheaper == "local"
    assert found.break_even is not None
    assert (found.break_even.early_day, found.break_even.late_day) == (0, 0)
    assert "from the first day" in found.reason


@pytest.mark.parametrize(
    ("usd_per_mtok", "said"),
    [
        # Against: the API $0.72, electricity $0.9225 as above; at the middle $1.80 and $1.05.
        (0.5, "costs less to run than the API, but not with price, use and speed all against it"),
        # At the middle: the API $0.72 and $1.05; in favour $1.296 and $0.96.
        (0.2, "costs less to run only with price, use and speed in its favour"),
    ],
)
def test_a_machine_that_is_there_anyway_has_no_day_to_break_even_on(
    usd_per_mtok: float, said: str
) -> None:
    found = verdict(case(usd_per_mtok, ownership=replace(OWNERSHIP, purchase_usd=0)))
    assert found.cheaper == "depends"
    assert said in found.reason
    assert "nothing to earn back" in found.reason
    assert "day 0" not in found.reason


def test_a_cheap_api_stays_cheaper_and_it_is_said_plainly() -> None:
    found = verdict(case(0.1))
    assert found.cheaper == "cloud"
    assert found.reason.startswith("the cloud stays cheaper")
    assert "never breaks even" in found.reason
    assert {row.day_in_favour for row in found.sensitivity} == {None}


def test_only_in_favour_is_said_to_be_only_that() -> None:
    found = verdict(case(0.5))
    assert found.cheaper == "depends"
    assert found.break_even is not None
    assert found.break_even.day is None
    assert "only with price, use and speed in its favour" in found.reason


def test_a_machine_that_cannot_write_so_much_does_not_stand_in_for_the_api() -> None:
    found = verdict(case(15.0, usage=USAGE.times(3)))  # 30 hours of 24
    assert found.cheaper == "unknown"
    assert found.break_even is None
    assert "30.0 hours a day" in found.reason


def test_more_use_is_at_most_what_the_machine_can_do() -> None:
    # 20 of 24 hours at the middle: half as much again would be 30.
    busy = case(15.0, usage=USAGE.times(2))
    whole_day = case(15.0, usage=USAGE.times(2.4 * (1 - 1e-9)))
    assert busy.day(use=1) == whole_day.day()


@pytest.mark.parametrize(
    ("ownership", "said"),
    [
        (replace(OWNERSHIP, purchase_usd=None), "price of the machine"),
        (replace(OWNERSHIP, usd_per_kwh=None), "price of electricity"),
        (replace(OWNERSHIP, load_watts=None), "draws at work"),
    ],
)
def test_what_is_unknown_is_named_and_nothing_is_put_in_its_place(
    ownership: Ownership, said: str
) -> None:
    found = verdict(case(15.0, ownership=ownership))
    assert found.cheaper == "unknown"
    assert found.break_even is None
    assert said in found.reason


@given(
    api=st.floats(0.01, 50),
    kwh=st.floats(0, 2),
    more=st.floats(0, 1),
    purchase=st.floats(0, 10_000),
)
def test_dearer_electricity_or_machines_never_help_and_dearer_apis_never_hurt(
    api: float, kwh: float, more: float, purchase: float
) -> None:
    never = 10**9

    def day(usd_per_mtok: float, price: float, bought: float) -> int:
        owned = replace(OWNERSHIP, usd_per_kwh=price, purchase_usd=bought)
        found = case(usd_per_mtok, ownership=owned).day()
        return never if found is None else found

    base = day(api, kwh, purchase)
    assert day(api, kwh + more, purchase) >= base
    assert day(api, kwh, purchase + more) >= base
    assert day(api + more, kwh, purchase) <= base


@given(api=st.floats(0.01, 50), kwh=st.floats(0.01, 2), purchase=st.floats(1, 10_000))
def test_the_range_holds_the_middle_and_every_part_moved_alone(
    api: float, kwh: float, purchase: float
) -> None:
    never = 10**9
    owned = replace(OWNERSHIP, usd_per_kwh=kwh, purchase_usd=purchase)
    found = verdict(case(api, ownership=owned))
    assert found.break_even is not None
    early = found.break_even.early_day
    late = found.break_even.late_day
    days = [found.break_even.day]
    days += [row.day_in_favour for row in found.sensitivity]
    days += [row.day_against for row in found.sensitivity]
    for moved in days:
        assert (never if early is None else early) <= (never if moved is None else moved)
        assert (never if late is None else late) >= (never if moved is None else moved)


@pytest.mark.parametrize("spreads", [Spreads(price=1), Spreads(use=-0.1), Spreads(use=2)])
def test_a_spread_that_leaves_nothing_is_refused(spreads: Spreads) -> None:
    with pytest.raises(InvalidRequestError, match="spreads"):
        checked_spreads(spreads)
