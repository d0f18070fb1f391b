"""`whatfits check --exact`: compute buffers from llama.cpp's own plan, or a note why not."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.bench.exact import _differences, _exact_row, exact_trial
from whatfits.bench.reservation import Buffers
from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.sizing import check
from whatfits.sizing.api import answer, load_machine, load_model
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.cli.check_exact import ExactPlan
from whatfits.sizing.estimate import DeviceMemory, Memory
from whatfits.sizing.machine import Pool
from whatfits.sizing.overhead import Overhead, process_overhead
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.verdict import judge
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.search.trial import Trial

reference = pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None or sys.platform != "linux",
    reason="needs llama-cpp-python on Linux",
)
BOX = "64gb"
ROW = DeviceMemory(
    device="cuda0",
    pool="vram0",
    weights_bytes=1000,
    kv_cache_bytes=200,
    compute_bytes=100,
    output_bytes=0,
    overhead_bytes=50,
    low_bytes=1000 + 200 + 90 + 20,
    high_bytes=1000 + 200 + 130 + 80,
)
OVERHEAD = Overhead(20, 50, 80, "")


@reference
@pytest.mark.oracle
@pytest.mark.parametrize("model", ["smollm2-135m", "lfm2-350m", "granite-3.0-1b-a400m"])
def test_the_compute_buffer_is_llama_cpps_and_only_the_program_stays_uncertain(
    say: Callable[..., Any], is_valid: Callable[..., None], model: str
) -> None:
    said = say("check", model, "--exact", "--machine", BOX, "--json")
    assert said.code == 0
    is_valid("check", said.json)
    memory = said.json["memory"]
    predicted = check(model, machine=BOX).memory
    assert memory["compute_bytes"] == predicted.compute_bytes
    process = process_overhead(is_server=True)
    assert memory["high_bytes"] - memory["low_bytes"] == process.high_bytes - process.low_bytes
    basis = {row["key"]: row for row in said.json["basis"]}["memory.compute_bytes"]
    assert "dry run" in basis["formula"]
    assert "llama-cpp-python" in basis["source"]
    assert "llama-cpp-python" not in str(check(model, machine=BOX).basis)


def _vague(trial: Trial, machine: Machine) -> Trial:
    """Return the trial as if its compute buffer were only known to within half and four times."""
    rows = []
    for row in trial.memory.devices:
        compute = row.compute_bytes
        rows.append(
            replace(
                row,
                compute_bytes=2 * compute,
                low_bytes=row.low_bytes - compute // 2,
                high_bytes=row.high_bytes + 3 * compute,
            )
        )
    memory = Memory.of(rows, mapped_bytes=0, growth_limit_bytes=0)
    return replace(trial, memory=memory, judgement=judge(memory, trial.placement, machine))


@reference
@pytest.mark.oracle
def test_a_vague_prediction_closes_on_the_plan_and_the_verdict_follows(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    spec = write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
    workload, machine = Workload(), load_machine(BOX)
    known = Trials(spec, machine, workload, PlacementRequest()).best()
    just = replace(machine, pools=(Pool("ram", "ram", known.memory.high_bytes),))
    vague = _vague(known, just)
    assert vague.judgement.verdict != "fits"
    exact = exact_trial(spec, path, vague, workload=workload, machine=just, accelerators={})
    assert exact.differences == ()
    assert exact.trial.memory.devices[0].high_bytes == known.memory.high_bytes
    assert exact.trial.memory.compute_bytes == known.memory.compute_bytes
    assert exact.trial.judgement.verdict == "fits"


@reference
@pytest.mark.oracle
def test_a_file_is_planned_with_what_was_asked(say: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
    options = ("-c", "2048", "-ub", "64", "--kv-type", "q8_0", "--device", "none", "--json")
    exact = say("check", str(path), "--exact", *options).json
    assert exact["notes"] == say("check", str(path), *options).json["notes"]
    assert "dry run" in str([b for b in exact["basis"] if b["key"] == "memory.compute_bytes"])


@reference
@pytest.mark.oracle
def test_what_llama_cpp_refuses_stays_a_prediction_with_a_note(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "lacking.gguf"
    spec = write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
    tensors = [t for t in spec.tensors if t.name != "blk.3.ffn_norm.weight"]
    metadata = {**spec.metadata, "tokenizer.ggml.model": "none"}
    write_synthetic_gguf(path, metadata=metadata, tensors=tensors)
    said = say("check", str(path), "--exact", "--machine", BOX, "--json")
    assert said.code == 0
    assert "blk.3.ffn_norm.weight" in said.json["notes"][-1]
    assert "predicted" in said.json["notes"][-1]
    assert said.json["memory"] == say("check", str(path), "--machine", BOX, "--json").json["memory"]


@reference
@pytest.mark.oracle
def test_the_accelerators_of_another_machine_are_not_asked(say: Callable[..., Any]) -> None:
    said = say("check", "smollm2-135m", "--exact", "--machine", "rtx-4090 + 64gb", "--json")
    assert said.code == 0
    assert "another machine" in said.json["notes"][-1]
    plain = say("check", "smollm2-135m", "--machine", "rtx-4090 + 64gb", "--json")
    assert said.json["memory"] == plain.json["memory"]
    assert said.json["basis"] == plain.json["basis"]


@reference
@pytest.mark.oracle
def test_a_build_without_the_back_end_is_said() -> None:
    from whatfits.bench.devices import seen_devices

    if seen_devices():
        pytest.skip("this build of llama.cpp has back ends of its own")
    spec, machine = load_model("smollm2-135m"), load_machine("rtx-4090 + 64gb")
    exact = ExactPlan(spec, machine, Workload(), is_here=True)
    plan = answer(
        spec,
        machine=machine,
        workload=Workload(),
        request=PlacementRequest(),
        refined=exact.refined,
    )
    note = exact.explained(plan).notes[-1]
    assert "built without a back end for" in note


def test_a_row_takes_the_plan_as_its_low_middle_and_high() -> None:
    row = _exact_row(ROW, 170, OVERHEAD, keeps_width=False)
    assert row.compute_bytes == 170
    assert (row.low_bytes, row.high_bytes) == (1370 + 20, 1370 + 80)
    assert row.total_bytes == 1370 + 50


def test_where_a_real_load_may_do_otherwise_the_width_moves_with_the_plan() -> None:
    row = _exact_row(ROW, 170, OVERHEAD, keeps_width=True)
    assert (row.low_bytes, row.high_bytes) == (1360 + 20, 1400 + 80)
    assert _exact_row(ROW, ROW.compute_bytes, OVERHEAD, keeps_width=True) == ROW


def test_a_difference_in_weights_or_cache_is_named() -> None:
    assert _differences(ROW, Buffers(1000, 200, 999)) == []
    weights, cache = _differences(ROW, Buffers(1001, 0, 100))
    assert "1,001 bytes of weights where 1,000 are predicted" in weights
    assert "cuda0" in weights
    assert "0 bytes of cache where 200" in cache


def test_a_model_without_a_tensor_table_is_said(say: Callable[..., Any]) -> None:
    bare = [e.id for e in model_entries() if not load_model(e.id).tensors]
    if not bare or importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("every catalog model has a tensor table, or there is no llama.cpp")
    said = say("check", bare[0], "--exact", "--machine", "4096gb", "--json")
    assert "no tensor table" in said.json["notes"][-1]
    assert said.json["memory"]["total_bytes"] < 4096 * GIB
