"""65 decisions of llama.cpp's own fitting step, compared with the model of it.

`tests/recorded/llama_cpp/fit.json` says where they come from. Context, layers, split and every
override must be the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from whatfits.sizing import load_model
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.workload import PlacementRequest, Workload

RECORDED = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "fit.json"
ROWS: list[list[Any]] = json.loads(RECORDED.read_text())["rows"]


def pretend(count: int, mib: int) -> Machine:
    """A machine with empty GPUs under the names that the recording used."""
    pools = [Pool(f"vram{index}", "vram", mib * MIB) for index in range(count)]
    devices = [
        Device(f"FAKE{index}", "cuda", "pretend GPU", pool.id) for index, pool in enumerate(pools)
    ]
    return Machine(
        name="pretend",
        os="linux",
        pools=(*pools, Pool("ram", "ram", 1024 * GIB)),
        devices=(*devices, Device("cpu", "cpu", "CPU", "ram")),
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row[:5])))
def test_the_decision_is_llama_cpps_own(row: list[Any]) -> None:
    name, count, mib, asked, sequences, context, layers, split, overrides = row
    workload = Workload(
        program="api", context_tokens=asked or None, parallel=sequences, swa_full=False
    )
    model = load_model(name, file_type="Q4_K_M")
    decided = fit_to_memory(model, pretend(count, mib), workload, PlacementRequest())
    request = decided.request
    assert decided.fitted
    assert decided.context_tokens == context
    assert (-1 if request.gpu_layers is None else request.gpu_layers) == layers
    assert list(request.tensor_split or [0] * count) == split
    assert [list(pair) for pair in request.overrides] == overrides


def test_what_it_leaves_alone_is_said() -> None:
    model, machine = load_model("llama-3.3-70b"), pretend(1, 8192)
    given = fit_to_memory(model, machine, Workload(), PlacementRequest(gpu_layers=40))
    assert not given.fitted
    assert given.request.gpu_layers == 40
    assert given.reason == "the number of layers on devices was given"
    named = PlacementRequest(overrides=(("ffn_down", "CPU"),))
    assert not fit_to_memory(model, machine, Workload(), named).fitted


def test_without_a_device_only_the_context_is_shortened() -> None:
    host = Machine(
        name="host",
        os="linux",
        pools=(Pool("ram", "ram", 16 * GIB),),
        devices=(Device("cpu", "cpu", "CPU", "ram"),),
    )
    model = load_model("llama-3.1-8b", file_type="Q4_K_M")
    open_context = fit_to_memory(model, host, Workload(), PlacementRequest())
    assert open_context.fitted
    assert 4096 < open_context.context_tokens < 131_072
    assert open_context.context_tokens % 256 == 0
    too_large = fit_to_memory(model, host, Workload(context_tokens=131_072), PlacementRequest())
    assert not too_large.fitted
    assert too_large.context_tokens == 131_072
