"""What GPUs cost by the hour: how many are rented, in which order, and how old the price is."""

from __future__ import annotations

import datetime as dt

import pytest

from whatfits.sizing.api import load_machine, load_model, need
from whatfits.sizing.catalog.lookup import device_entries
from whatfits.sizing.catalog.rentals import RentalOffer
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.needing.renting import Rented, cheapest_of_each, rent_warnings
from whatfits.sizing.needing.search import NeedSearch
from whatfits.sizing.needing.trials import LlamaMachines
from whatfits.sizing.workload import Workload

TODAY = dt.date(2026, 11, 25)


def offer(device: str, price: float, *, least: int = 1, as_of: str = "2026-11-01") -> RentalOffer:
    return RentalOffer(
        provider="Somewhere",
        device=device,
        offered_as=device,
        terms="on-demand",
        usd_per_gpu_hour=price,
        least_gpus=least,
        as_of=as_of,
        source="a price list",
        checked="2026-11-02",
    )


def found(*offers: RentalOffer, model: str = "llama-3.3-70b") -> tuple[Rented, ...]:
    spec, workload = load_model(model), Workload(context_tokens=8192)
    trials = LlamaMachines(spec, workload)
    search = NeedSearch(spec, workload, trials, machine_of=load_machine)
    devices = [entry for entry in device_entries() if entry.id in {one.device for one in offers}]
    return search.need(devices, here=load_machine("8gb"), offers=offers, today=TODAY).rented


def test_as_many_are_rented_as_hold_it_and_all_of_them_are_paid() -> None:
    # 39.6 GiB of weights and 2.5 GiB of cache: two cards of 24 GiB, one of 80 GiB.
    rows = found(offer("nvidia-geforce-rtx-4090", 0.35), offer("nvidia-h100-sxm5-80-gb", 2.6))
    assert [(row.devices, row.usd_per_hour) for row in rows] == [(2, 0.7), (1, 2.6)]
    assert rows[0].machine == "2x nvidia-geforce-rtx-4090 + 48gb"
    assert rows[0].usd_per_gpu_hour == 0.35


def test_what_is_let_by_eight_is_paid_by_eight() -> None:
    (row,) = found(offer("nvidia-h100-sxm5-80-gb", 2.0, least=8))
    assert (row.devices, row.memory_gib, row.usd_per_hour) == (8, 640, 16.0)


def test_what_eight_do_not_hold_is_left_out() -> None:
    assert found(offer("nvidia-geforce-rtx-3090", 0.2), model="kimi-k2") == ()


def test_the_cheapest_of_a_device_stands_for_it() -> None:
    rows = found(
        offer("nvidia-h100-sxm5-80-gb", 3.0),
        offer("nvidia-l40s", 1.0),
        offer("nvidia-h100-sxm5-80-gb", 2.5),
    )
    assert [row.usd_per_hour for row in rows] == [1.0, 2.5, 3.0]
    assert [row.usd_per_hour for row in cheapest_of_each(rows)] == [1.0, 2.5]


@pytest.mark.parametrize(
    ("as_of", "age_days", "is_old"),
    [("2026-08-27", 90, False), ("2026-08-26", 91, True), ("2026-11-25", 0, False)],
)
def test_a_price_is_old_after_ninety_days(as_of: str, age_days: int, is_old: bool) -> None:
    rows = found(offer("nvidia-h100-sxm5-80-gb", 3.0, as_of=as_of))
    assert rows[0].age_days == age_days
    assert bool(rent_warnings(rows)) == is_old


def test_the_warning_counts_what_is_old_and_names_the_oldest() -> None:
    rows = found(
        offer("nvidia-l40s", 1.0, as_of="2026-01-01"),
        offer("nvidia-h100-sxm5-80-gb", 3.0, as_of="2026-07-01"),
        offer("nvidia-a40-pcie", 0.4),
    )
    (warning,) = rent_warnings(rows)
    assert "2 of these 3 prices are more than 90 days old, the oldest 328" in warning
    oldest = max(rows, key=lambda row: row.age_days)
    assert rent_warnings([oldest]) == (
        "Rents move: this price is 328 days old; look it up before you rent.",
    )


def test_without_a_day_no_rents_are_told() -> None:
    asked = {"machine": "8gb", "workload": {"context_tokens": 2048}}
    assert need("qwen3-0.6b", **asked).rented == ()
    assert len(need("qwen3-0.6b", **asked, today=TODAY).rented) == 52


def test_users_below_one_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="number of users"):
        need("qwen3-0.6b", machine="8gb", users=0)


@pytest.mark.parametrize(
    ("users", "most"), [(257, "at most 256, the"), (10**6, "at most 256, the")]
)
def test_more_users_than_a_server_has_sequences_are_refused_by_that_number(
    users: int, most: str
) -> None:
    with pytest.raises(InvalidRequestError, match="number of users") as caught:
        need("qwen3-0.6b", machine="8gb", users=users)
    assert most in str(caught.value)


def test_users_whose_contexts_no_cache_counts_are_refused_by_that_number() -> None:
    asked = {"machine": "8gb", "workload": {"context_tokens": 2**25}}
    with pytest.raises(InvalidRequestError, match="at most 63 with 33,554,432 tokens each"):
        need("qwen3-0.6b", **asked, users=64)
