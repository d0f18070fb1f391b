"""What would help under `--runtime mlx`: each remedy does what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlx_requests import mac, planned

from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan


def remedies(plan: Plan) -> dict[str, str]:
    return {remedy.key: remedy.text for remedy in plan.remedies}


def test_a_raised_limit_is_offered_with_the_command() -> None:
    found = remedies(planned(machine=mac(6, total_gib=16)))
    assert "sudo sysctl iogpu.wired_limit_mb=12288" in found["raise_limit"]


def test_closing_what_others_hold_is_offered() -> None:
    assert "9.0 GiB" in remedies(planned(machine=mac(14, used_gib=9)))["close"]


def test_a_shorter_context_a_smaller_step_and_a_smaller_type_are_offered() -> None:
    small = planned("gemma-2-9b", workload={"micro_batch": 512}).memory.high_bytes / GIB + 0.1
    found = remedies(planned("gemma-2-9b", machine=mac(small, total_gib=small)))
    assert "--prefill-step-size 512" in found["prefill_step"]
    assert "context" in found
    larger = planned(machine=mac(11, total_gib=11), file_type="8bit")
    found = remedies(larger)
    assert found["file_type"].startswith("use 6bit: ")


def test_a_smaller_model_is_offered_when_nothing_else_helps() -> None:
    plan = planned("llama-3.1-405b")
    (remedy,) = (one for one in plan.remedies if one.key == "model")
    changed = planned(remedy.change["model"], file_type=remedy.change["file_type"])
    assert changed.verdict == remedy.verdict == "fits"
    assert changed.memory.total_bytes == remedy.needs_bytes


def test_each_remedy_does_what_it_promises() -> None:
    machine = mac(8, total_gib=8)
    plan = planned(machine=machine, file_type="8bit")
    changes = [one for one in plan.remedies if one.change and one.key != "model"]
    assert changes
    for remedy in changes:
        request = {"file_type": "8bit", **remedy.change}
        again = planned(machine=machine, **request)
        assert again.verdict == remedy.verdict
        assert again.memory.total_bytes == remedy.needs_bytes
