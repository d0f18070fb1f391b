"""Some dry runs of every model and box, predicted anew: as equal to llama.cpp's as is written.

docs/accuracy.json says of each recorded plan whether weights, cache and compute buffers are equal
to the byte; nearly all are (tests/accuracy). Here a part of the plans of every group is predicted
again, the first and last among them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from cases import RECORDS, load, measured
from comparison import Box, Column, outcome
from recorded_plans import read

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from cases import CaseGroup
    from recorded_plans import Plan, PlanGroup

_PLANS_EACH: Final = 4
_PAIRS: Final = [
    (plans, written)
    for kind, record in RECORDS.items()
    for plans, written in zip(read(record), load()[kind], strict=True)
]


@pytest.mark.parametrize(
    ("plans", "written"),
    _PAIRS,
    ids=[f"{group.shape.model}-{group.box.gpus} GPUs-{n}" for n, (group, _) in enumerate(_PAIRS)],
)
def test_a_plan_is_as_near_to_llama_cpps_as_is_written(
    plans: PlanGroup, written: CaseGroup
) -> None:
    last = len(plans.plans) - 1
    chosen = sorted({last * part // (_PLANS_EACH - 1) for part in range(_PLANS_EACH)})
    again = measured(replace(plans, plans=tuple(plans.plans[at] for at in chosen)))
    assert again.cases == tuple(written.cases[at] for at in chosen)


@pytest.mark.parametrize("architecture", ["llama", "gemma4", "phi3", "minimax-m3"])
def test_models_whose_every_tensor_is_placed_by_name_are_planned_as_llama_cpp_plans_them(
    architecture: str,
) -> None:
    # factors of rotations go where they are named to, although layers share them; MiniMax M3's
    # own attention is not looked for before fused attention is decided on
    groups = [one for one in read(RECORDS["offload"]) if one.shape.architecture == architecture]
    named = [replace(one, plans=tuple(filter(_all_by_name, one.plans))) for one in groups]
    compared = [case for one in named if one.plans for case in measured(one).compared]
    assert compared
    assert all(case.weights and case.cache and case.compute for case in compared)


def _all_by_name(plan: Plan) -> bool:
    return plan.settings.host_overrides == (r"\.weight",)


@pytest.mark.parametrize(
    ("changes", "compute"),
    [
        ({}, [341_856_256, 16_789_920]),
        ({"kv_type_k": "q5_0", "kv_type_v": "q5_0"}, [331_206_656, 16_822_688]),
        ({"flash_attention": "off"}, [578_095_232, 27_271_584]),
        ({"outputs_max": 1}, [79_759_488, 16_789_536]),
    ],
    ids=["fused", "quantised cache", "not fused", "one row"],
)
def test_factors_of_rotations_lie_where_a_name_puts_them(
    changes: dict[str, Any], compute: list[int]
) -> None:
    # dry runs of llama.cpp 0c1e57098 beside one pretend GPU: Llama 3.2 1B, all of it on the host
    spec = load_catalog_model("llama-3.2-1b", file_type="Q8_0")
    settings = replace(
        RunSettings(8192, flash_attention="on", outputs_max=100, host_overrides=(r"\.weight",)),
        **changes,
    )
    found = outcome(spec, Bill(spec), Box(1, asynchronous=False), settings, (Column(0, 0, 0),) * 2)
    assert [column.compute for column in found.predicted] == compute


@pytest.mark.parametrize(
    ("gpus", "changes", "compute"),
    [
        (0, {}, [5_042_400]),
        (0, {"kv_type_k": "q4_0"}, [5_075_168]),
        (0, {"batch": 8}, [3_594_272]),
        (1, {}, [5_611_264, 225_504]),
        (1, {"kv_type_k": "f32", "kv_type_v": "bf16"}, [18_095_872, 225_504]),
        (1, {"gpu_layers": 20}, [4_993_664, 5_009_632]),
    ],
)
def test_one_token_a_sequence_gathers_what_it_attends_to(
    gpus: int, changes: dict[str, Any], compute: list[int]
) -> None:
    # dry runs of llama.cpp 0c1e57098: MiniMax M3, four sequences
    spec = load_catalog_model("minimax-m3", file_type="Q8_0")
    settings = replace(
        RunSettings(8192, parallel=4, batch=4, flash_attention="on", outputs_max=4, gpu_layers=99),
        **changes,
    )
    truth = (Column(0, 0, 0),) * (gpus + 1)
    found = outcome(spec, Bill(spec), Box(gpus), settings, truth)
    assert [column.compute for column in found.predicted] == compute
