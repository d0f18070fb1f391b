"""How fast vLLM writes one request: the same bytes and the same memory as everywhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_machine

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange
    from whatfits.sizing.machine import Machine

ONE = "rtx-4090 + 64gb"
TWO = "2x rtx-4090 + 64gb"


def decode(model: str, machine: str | Machine = ONE, **more: object) -> RateRange:
    plan = check(model, runtime="vllm", machine=machine, force=True, **more)  # type: ignore[arg-type]
    assert plan.speed is not None
    assert plan.speed.decode_tokens_per_s is not None
    return plan.speed.decode_tokens_per_s


def test_ranks_read_at_the_same_time_and_stages_one_after_the_other() -> None:
    one = decode("qwen3-4b")
    ranks = decode("qwen3-4b", TWO, placement={"split_mode": "row"})
    stages = decode("qwen3-4b", TWO, placement={"split_mode": "layer"})
    assert stages.mid == pytest.approx(one.mid, rel=0.01)
    assert 1.2 * one.mid < ranks.mid < 2 * one.mid


def test_two_ranks_are_no_faster_than_one_card_of_twice_the_bandwidth() -> None:
    single = load_machine(ONE)
    twice = replace(
        single,
        devices=tuple(
            replace(device, bandwidth_bytes_per_s=2 * (device.bandwidth_bytes_per_s or 0))
            if device.kind == "cuda"
            else device
            for device in single.devices
        ),
    )
    ranks = decode("qwen3-4b", TWO, placement={"split_mode": "row"})
    assert decode("qwen3-4b").mid < ranks.mid < decode("qwen3-4b", twice).mid


def test_the_slowest_of_the_ranks_sets_the_pace() -> None:
    mixed = "rtx-4090 + rtx-3090 + 64gb"
    slow = decode("qwen3-4b", "2x rtx-3090 + 64gb", placement={"split_mode": "row"})
    assert decode("qwen3-4b", mixed, placement={"split_mode": "row"}).mid == slow.mid


def test_of_experts_only_those_that_are_used_are_read() -> None:
    # 3.3 of 30.5 billion weights are active
    assert (
        decode("qwen3-30b-a3b", "h100 sxm + 64gb").mid
        > 3 * decode("qwen3-32b", "h100 sxm + 64gb").mid
    )


def test_eight_bits_are_faster_than_sixteen_and_a_long_prompt_slower_than_a_short_one() -> None:
    assert decode("qwen3-4b", file_type="fp8").mid > 1.3 * decode("qwen3-4b").mid
    long = decode("qwen3-4b", workload={"context_tokens": 32768, "prompt_tokens": 32000})
    assert long.mid < decode("qwen3-4b").mid


def test_a_card_of_unknown_bandwidth_gives_a_reason_and_no_speed() -> None:
    machine = load_machine(ONE)
    devices = tuple(replace(device, bandwidth_bytes_per_s=None) for device in machine.devices)
    plan = check("qwen3-4b", runtime="vllm", machine=replace(machine, devices=devices))
    assert plan.speed is not None
    assert plan.speed.decode_tokens_per_s is None
    assert "bandwidth" in (plan.speed.reason or "")
    assert "speed.decode_tokens_per_s" not in {basis.key for basis in plan.basis}
