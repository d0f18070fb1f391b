"""The public library as its users write it. Never run: mypy and pyright check the types."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from whatfits.probes import detect
from whatfits.probes.report import ProbeReport
from whatfits.sizing import (
    BadInputError,
    Machine,
    ModelSpec,
    PlacementRequest,
    Plan,
    WhatfitsError,
    Workload,
    check,
    cost,
    hardware,
    load_machine,
    load_model,
    plan,
)
from whatfits.sizing.costing.answer import CostAnswer, LocalCost
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.estimate import Memory, RuntimeAnswer
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from datetime import date


def by_name() -> Plan:
    return check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})


def by_values(machine: Machine, model: ModelSpec) -> Plan:
    return check(
        model,
        machine=machine,
        workload=Workload(context_tokens=32768, parallel=2, kv_type_k="q8_0"),
        placement=PlacementRequest(gpu_layers=20),
        force=True,
    )


def what_a_plan_holds(plan: Plan) -> str:
    assert_type(plan.memory, Memory)
    assert_type(plan.memory.total_bytes, int)
    assert_type(plan.largest_context_tokens, int | None)
    assert_type(plan.machine, Machine)
    assert_type(plan.commands["llama.cpp"], tuple[str, ...])
    return f"{plan.verdict}: {plan.memory.high_bytes / GIB:.1f} GiB"


def the_best_way() -> tuple[str, ...]:
    best = plan("llama-3.1-8b", machine="64gb", least_tokens_per_s=5.0, longest=True)
    assert_type(best.memory.high_bytes, int)
    assert_type(best.runtimes, tuple[RuntimeAnswer, ...])
    return tuple(option.file_type for option in best.file_types)


def what_it_costs(today: date) -> float:
    found = cost(
        "llama-3.1-8b",
        today=today,
        usage={"output_tokens_per_day": 500_000},
        ownership=Ownership(usd_per_kwh=0.3),
        against=("claude-haiku-4-5",),
    )
    assert_type(found, CostAnswer)
    assert_type(found.local, LocalCost | None)
    return sum(row.cloud.usd_per_day for row in found.offers)


def what_is_loaded() -> tuple[Machine, ModelSpec]:
    assert_type(hardware(), ProbeReport)
    assert_type(detect().machine, Machine)
    assert_type(load_machine(None).pools[0].free_bytes, int | None)
    assert_type(load_model("llama-3.1-8b", file_type="Q8_0").tensor_bytes, int)
    return load_machine("m4-max-64gb"), load_model("llama-3.1-8b")


def what_goes_wrong() -> int:
    try:
        by_name()
    except BadInputError as error:
        assert_type(error.what, str)
        assert_type(error.to_dict(), dict[str, object])
    except WhatfitsError as error:
        return error.exit_code
    return 0
