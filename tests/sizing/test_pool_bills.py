from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_machine
from whatfits.sizing.headline import headline, speed_sentences
from whatfits.sizing.mac_limit import mac_limit
from whatfits.sizing.pool_bills import PART_LABELS, pool_bills
from whatfits.sizing.units import GIB

CASES = [
    ("llama-3.1-8b", "rtx-4090 + 64gb", "fits"),
    ("llama-3.3-70b", "rtx-4090 + 64gb", "slow"),
    ("llama-3.3-70b", "2x rtx-3090 + 64gb", "fits"),
    ("llama-3.3-70b", "m4-max-40-core-gpu 64gb", "fits"),
    ("llama-3.1-8b", "64gb", "fits"),
    ("llama-3.3-70b", "16gb", "no"),
]
# the GPU's limit binds; the memory of all does
SHORT = [
    ("qwen3-30b-a3b", "m4-pro 24gb", "no"),
    ("gpt-oss-120b", "m4-max-40-core-gpu 64gb", "no"),
]


@pytest.mark.parametrize(("model", "machine", "verdict"), [*CASES, *SHORT])
def test_the_pools_together_are_the_bill(model: str, machine: str, verdict: str) -> None:
    plan = check(model, machine=machine)
    assert plan.verdict == verdict
    bills = pool_bills(plan)
    assert sum(bill.total_bytes for bill in bills) == plan.memory.total_bytes
    assert sum(bill.high_bytes for bill in bills) == plan.memory.high_bytes
    for bill in bills:
        assert [part for part, _ in bill.parts] == list(PART_LABELS)
        parts = dict(bill.parts)
        own = bill.bar_bytes - parts["used"] - parts["reserve"]
        assert own == bill.high_bytes
        first = bill.needs[0]
        assert parts["margin"] == first.high_bytes - first.total_bytes
        assert parts["cpu"] == bill.high_bytes - first.high_bytes


@pytest.mark.parametrize(("model", "machine", "verdict"), [*CASES, *SHORT])
def test_a_bar_reaches_its_limit_exactly_when_nothing_is_to_spare(
    model: str, machine: str, verdict: str
) -> None:
    for bill in pool_bills(check(model, machine=machine)):
        parts = dict(bill.parts)
        assert bill.limit_bytes is not None
        assert bill.spare_bytes is not None
        assert bill.overflows == (bill.spare_bytes < 0)
        if not bill.is_limited:
            assert bill.limit_bytes - bill.bar_bytes == bill.spare_bytes
            continue
        assert bill.installed_bytes is not None
        of_gpu = bill.bar_bytes - parts["cpu"] - parts["used"] - parts["reserve"]
        left = (bill.limit_bytes - of_gpu, bill.installed_bytes - bill.bar_bytes)
        assert min(left) == bill.spare_bytes
    assert verdict


def test_a_pool_is_called_by_what_computes_out_of_it() -> None:
    labels = [bill.label for bill in pool_bills(check(*CASES[2][:1], machine=CASES[2][1]))]
    assert labels == ["GeForce RTX 3090, vram0", "GeForce RTX 3090, vram1", "RAM"]


def test_a_mac_may_use_less_than_is_installed_and_a_card_all_of_it() -> None:
    (mac,) = pool_bills(check("llama-3.1-8b", machine="m4-max-40-core-gpu 64gb"))
    assert mac.is_limited
    assert (mac.limit_bytes, mac.installed_bytes) == (48 * GIB, 64 * GIB)
    assert not any(b.is_limited for b in pool_bills(check("llama-3.1-8b", machine="rtx-4090")))


@pytest.mark.parametrize(
    ("model", "machine", "begins"),
    [
        (*CASES[0][:2], "Fits, "),
        (*CASES[1][:2], "Fits, but slowly: "),
        (*CASES[5][:2], "Does not fit: "),
    ],
)
def test_the_headline_says_the_verdict_and_what_it_rests_on(
    model: str, machine: str, begins: str
) -> None:
    plan = check(model, machine=machine)
    assert headline(plan).startswith(begins), plan.verdict_reason


def test_a_doubtful_fit_is_called_tight() -> None:
    plan = check("qwen3-32b", machine="m4-pro 24gb", file_type="Q3_K_M")
    assert headline(plan) == f"Tight: {plan.verdict_reason}"


@pytest.mark.parametrize(("model", "machine", "verdict"), [c for c in CASES if c[2] != "slow"])
def test_the_headline_agrees_with_the_reason(model: str, machine: str, verdict: str) -> None:
    plan = check(model, machine=machine)
    figure = {"fits": "to spare", "no": "short"}[verdict]
    amount = headline(plan).split(", ")[-1].split(": ")[-1].split(f" {figure}")[0]
    assert f"{amount} {figure}" in plan.verdict_reason


def test_an_unknown_size_is_said_to_be_unknown() -> None:
    plan = check("llama-3.3-70b", machine="rtx-4090")
    assert headline(plan).startswith("Cannot be told: ") == (plan.verdict == "unknown")


def test_the_wait_is_for_the_prompt_that_was_asked_about() -> None:
    plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"prompt_tokens": 4096})
    said = " ".join(speed_sentences(plan))
    assert "a prompt of 4,096 tokens" in said
    assert plan.speed is not None
    assert plan.speed.provenance in said
    short = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 256})
    assert "a prompt of 256 tokens" in " ".join(speed_sentences(short))


def test_a_mac_is_told_its_limit_and_others_are_not() -> None:
    found = mac_limit(load_machine("m4-max-40-core-gpu 64gb"))
    assert found is not None
    assert "CPU and GPU share 64.0 GiB" in found.sentence
    assert found.command == "sudo sysctl iogpu.wired_limit_mb=57344"
    assert mac_limit(load_machine("rtx-4090 + 64gb")) is None
    assert mac_limit(load_machine("64gb")) is None


def test_a_mac_without_its_gpu_is_one_bar_up_to_what_is_installed() -> None:
    plan = check("qwen3-30b-a3b", machine="m4-pro 24gb", placement={"devices": ()})
    (mac,) = pool_bills(plan)
    assert not mac.is_limited
    assert mac.limit_bytes == mac.installed_bytes == 24 * GIB
    assert dict(mac.parts)["cpu"] == 0
    assert mac.spare_bytes == 24 * GIB - mac.bar_bytes > 0
