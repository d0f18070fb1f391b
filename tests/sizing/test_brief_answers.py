"""A brief answer is the whole one without what takes long to find, whichever runtime gives it."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.api.answering import answer
from whatfits.sizing.runtimes import RUNTIMES
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest, Workload

MACHINES = {"mlx": ("m4 max 64gb",), "vllm": ("rtx-4090 + 64gb", "rtx 3060 12gb + 32gb")}
ANY = ("rtx-4090 + 64gb", "rtx 3060 12gb + 8gb", "64gb")


@pytest.mark.parametrize(
    ("runtime", "machine"),
    [(entry.id, name) for entry in RUNTIMES for name in MACHINES.get(entry.id, ANY)],
)
def test_a_brief_answer_lacks_only_what_takes_long_to_find(runtime: str, machine: str) -> None:
    spec = load_model("llama-3.1-8b", runtime=runtime)
    whole, brief = (
        answer(
            spec,
            machine=load_machine(machine),
            workload=Workload(),
            request=PlacementRequest(),
            runtime=runtime,
            brief=is_brief,
        )
        for is_brief in (False, True)
    )
    assert whole.basis
    left = {"largest_context_tokens": brief.largest_context_tokens, "speed": None}
    assert brief == replace(whole, basis=(), remedies=(), **left)
    assert brief.largest_context_tokens in (None, whole.largest_context_tokens)
