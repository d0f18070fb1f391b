"""A larger card as a remedy: the smallest memory of the catalog that holds all of a model."""

from __future__ import annotations

import pytest

from whatfits.sizing import check, load_machine
from whatfits.sizing.machine_changes import with_reserves
from whatfits.sizing.remedies.larger_cards import larger_cards
from whatfits.sizing.units import GIB


def test_cards_are_of_the_same_maker_and_every_size_above_the_present_one() -> None:
    machine = load_machine("rx-7900-xtx + 64gb")
    cards = list(larger_cards(machine))
    sizes = [card.memory_gib for card in cards]
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 32
    for card in cards:
        (device,) = card.machine.accelerators
        assert device.kind == "rocm"
        host = card.machine.host_pool
        assert host is not None
        assert host.total_bytes == 64 * GIB
        assert card.machine == load_machine(card.expression)


@pytest.mark.parametrize("machine", ["m4 16gb", "m2 8gb", "instinct-mi355x + 512gb"])
def test_no_card_is_named_where_none_goes_or_none_is_larger(machine: str) -> None:
    assert list(larger_cards(load_machine(machine))) == []


def test_no_card_is_named_for_a_request_about_the_devices_that_are_there() -> None:
    found = check(
        "llama-3.3-70b", machine="2x rtx-3090 + 32gb", placement={"tensor_split": (1.0, 3.0)}
    )
    assert found.remedies
    assert "machine" not in {remedy.key for remedy in found.remedies}


def test_a_machine_without_a_card_is_offered_any() -> None:
    cards = list(larger_cards(load_machine("16gb")))
    assert {4, 8, 12, 16, 24, 32, 48, 80} <= {card.memory_gib for card in cards}


def test_a_card_that_is_for_rent_is_named_before_its_kin_for_one_country() -> None:
    names = {card.memory_gib: card.name for card in larger_cards(load_machine("16gb"))}
    assert names[80] == "H100 SXM5 80 GB"  # the H800 is newer


@pytest.mark.parametrize(
    ("model", "machine", "expected_gib"),
    [
        ("qwen3-32b", "rtx-3060-12-gb + 32gb", 24),
        ("llama-3.3-70b", "rtx-3090 + 64gb", 48),
        ("gemma-3-27b", "16gb", 20),
    ],
)
def test_the_smallest_card_that_holds_all_of_it_is_the_last_remedy(
    model: str, machine: str, expected_gib: int
) -> None:
    found = check(model, machine=machine)
    remedy = found.remedies[-1]
    assert remedy.key == "machine"
    assert f"a card of {expected_gib} GiB" in remedy.text
    changed = check(model, machine=remedy.change["machine"])
    assert changed.verdict == remedy.verdict == "fits"
    assert changed.memory.total_bytes == remedy.needs_bytes
    smaller = [c for c in larger_cards(load_machine(machine)) if c.memory_gib < expected_gib]
    assert all(check(model, machine=card.expression).verdict != "fits" for card in smaller)


def test_no_card_is_named_for_what_fits_or_what_no_card_holds() -> None:
    for model, machine in (("llama-3.1-8b", "rtx-3090 + 32gb"), ("deepseek-v3", "rtx-4090 + 32gb")):
        found = check(model, machine=machine)
        assert "machine" not in {remedy.key for remedy in found.remedies}


def test_a_program_whose_context_follows_the_card_is_asked_for_the_same_one() -> None:
    asked = {"machine": "rtx 3050 laptop 4gb + 16gb", "runtime": "ollama"}
    found = check("qwen3-32b", **asked)
    remedy = next(remedy for remedy in found.remedies if remedy.key == "machine")
    changed = check("qwen3-32b", **{**asked, **remedy.change})
    assert changed.verdict == remedy.verdict == "fits"
    assert changed.memory.total_bytes == remedy.needs_bytes
    assert changed.workload.context_tokens == found.workload.context_tokens
    unsaid = check("qwen3-32b", machine=remedy.change["machine"], runtime="ollama")
    assert unsaid.workload.context_tokens != found.workload.context_tokens


@pytest.mark.parametrize(
    ("reserve", "expected_gib"), [("vram0=8GiB", 40), ("ram=60GiB", 32), ("ram=62.5GiB", 32)]
)
def test_what_is_kept_free_stays_so_beside_another_card(reserve: str, expected_gib: int) -> None:
    machine = with_reserves(load_machine("rtx-3060 12gb + 64gb"), [reserve])
    workload = {"context_tokens": 32_768}
    remedy = check("qwen3-32b", machine=machine, workload=workload).remedies[-1]
    assert f"a card of {expected_gib} GiB" in remedy.text
    expression = remedy.change["machine"]
    assert isinstance(expression, str)
    changed = with_reserves(load_machine(expression), [reserve])
    again = check("qwen3-32b", machine=changed, workload=workload)
    assert (again.verdict, again.memory.total_bytes) == (remedy.verdict, remedy.needs_bytes)


def test_no_card_helps_where_too_little_ram_is_left_for_the_program() -> None:
    machine = with_reserves(load_machine("rtx-3060 12gb + 64gb"), ["64GiB"])
    found = check("qwen3-32b", machine=machine)
    assert found.verdict == "no"
    assert "machine" not in {remedy.key for remedy in found.remedies}
