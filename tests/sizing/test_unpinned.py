"""A request that says what lies where is told when leaving that out does better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan, Remedy

LARGE, SMALL = "rtx 4090 + 64gb", "rtx 4060 + 64gb"


def said(plan: Plan) -> list[Remedy]:
    return [remedy for remedy in plan.remedies if remedy.key == "placement"]


@pytest.mark.parametrize(
    ("model", "machine", "placement", "flags"),
    [
        ("qwen3-8b", LARGE, {"gpu_layers": 10}, "-ngl"),
        ("qwen3-32b", SMALL, {"gpu_layers": 99}, "-ngl"),
        ("qwen3-30b-a3b", LARGE, {"cpu_moe_layers": 48}, "--n-cpu-moe"),
        ("qwen3-8b", LARGE, {"overrides": [["blk", "CPU"]], "kv_offload": False}, "-ot, --no-kv-"),
    ],
)
def test_leaving_it_out_keeps_what_it_promises(
    model: str, machine: str, placement: dict[str, Any], flags: str
) -> None:
    plan = check(model, machine=machine, placement=placement)
    (remedy,) = said(plan)
    assert remedy.text.startswith(f"leave out {flags}")
    changed = {**placement, **remedy.change["placement"]}
    found = check(model, machine=machine, placement=changed)
    assert set(remedy.change["placement"]) == set(placement)
    assert (found.verdict, found.memory.total_bytes) == (remedy.verdict, remedy.needs_bytes)
    assert found.memory == check(model, machine=machine).memory
    order = ("fits", "slow", "no")
    assert order.index(remedy.verdict) < order.index(plan.verdict)


@pytest.mark.parametrize("runtime", ["ollama", "jan", "lm-studio"])
def test_programs_that_take_a_number_of_layers_are_told_too(runtime: str) -> None:
    asked = {"machine": LARGE, "runtime": runtime}
    (remedy,) = said(check("qwen3-8b", placement={"gpu_layers": 10}, **asked))
    assert remedy.change == {"placement": {"gpu_layers": None}}
    assert check("qwen3-8b", **asked).verdict == remedy.verdict == "fits"


@pytest.mark.parametrize(
    ("model", "placement"),
    [
        ("qwen3-32b", {}),  # nothing was said
        ("qwen3-32b", {"gpu_layers": 12}),  # it spills by itself as well
        ("qwen3-32b", {"devices": []}),  # the CPU alone was asked for
    ],
)
def test_nothing_is_told_where_it_would_do_no_better(model: str, placement: dict[str, Any]) -> None:
    plan = check(model, machine=SMALL, placement=placement)
    assert plan.verdict == "slow"
    assert not said(plan)
