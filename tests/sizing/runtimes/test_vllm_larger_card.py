"""Under vLLM a card that is too small has a larger one named, on which the same request fits."""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.sizing import check


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("olmo-2-13b", {"machine": "rtx 3060 12gb + 16gb", "file_type": "awq"}),
        ("qwen3-8b", {"machine": "rx 7600 xt + 32gb", "workload": {"context_tokens": 32_768}}),
        ("mistral-nemo-minitron-8b", {"machine": "8gb"}),
    ],
)
def test_the_card_that_is_named_holds_what_was_asked_for(model: str, asked: dict[str, Any]) -> None:
    plan = check(model, runtime="vllm", **asked)
    assert plan.verdict == "no"
    (remedy,) = [remedy for remedy in plan.remedies if remedy.key == "machine"]
    there = check(model, runtime="vllm", **(asked | remedy.change))
    assert (there.verdict, there.memory.total_bytes) == ("fits", remedy.needs_bytes)


def test_no_card_is_named_where_none_can_be_put_in_or_none_is_large_enough() -> None:
    for model, machine in (("qwen3.5-9b", "jetson orin nano 8gb"), ("kimi-k2", "rtx 4090 + 64gb")):
        remedies = check(model, machine=machine, runtime="vllm").remedies
        assert not any(remedy.key == "machine" for remedy in remedies)
