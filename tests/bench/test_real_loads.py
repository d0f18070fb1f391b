"""Real loads in a child under limits: the buffers as predicted and planned, the memory as held."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import psutil
import pytest
from llama_cpp_here import needs_llama_cpp

from whatfits.bench.child import memory_now
from whatfits.bench.load_records import records_of
from whatfits.bench.loads import LoadLimits, LoadOutcome, load_for_real
from whatfits.bench.plans import plan
from whatfits.bench.prepared import Prepared, prepare
from whatfits.bench.requests import run_settings
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.synthetic import write_catalog_model
from whatfits.bench.verify import verify
from whatfits.sizing.api import load_machine
from whatfits.sizing.overhead import process_overhead
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

pytestmark = needs_llama_cpp

# a dense model, one whose weights are rearranged, a mixture, a hybrid, an encoder
MODELS = {
    "smollm2-135m": "Q4_K_M",
    "lfm2-350m": "Q4_0",
    "granite-3.0-1b-a400m": "Q4_0",
    "granite-4.0-h-350m": "Q8_0",
    "all-minilm-l6-v2": "F16",
}
SHARE = 0.03
FIXED_BYTES = process_overhead(is_server=True).mid_bytes
WORKLOAD = Workload(program="api", context_tokens=1024)


@cache
def here() -> Machine:
    return load_machine(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def _written(folder: Path, model: str, file_type: str) -> tuple[ModelSpec, Path]:
    path = folder / f"{model}-{file_type}.gguf"
    return write_catalog_model(path, model, file_type=file_type), path


def _loaded(
    spec: ModelSpec, path: Path, *, mmap: bool
) -> tuple[Prepared, RunSettings, LoadOutcome]:
    request = PlacementRequest(devices=(), mmap=mmap)
    prepared = prepare(spec, here(), WORKLOAD, request)
    settings = run_settings(WORKLOAD, prepared.settings, prepared.placement, mmap=mmap)
    return prepared, settings, load_for_real(path, settings, limits=LoadLimits(seconds=300))


@pytest.mark.parametrize("model", MODELS)
def test_a_load_holds_what_was_predicted_and_planned(folder: Path, model: str) -> None:
    spec, path = _written(folder, model, MODELS[model])
    prepared, settings, outcome = _loaded(spec, path, mmap=False)
    assert outcome.kind == "measured", outcome.reason
    planned = plan(path, settings)
    for name, row in planned.buffers.items():
        assert outcome.buffers[name] == {
            "model": row.model,
            "context": row.context,
            "compute": row.compute,
        }
    assert set(outcome.buffers) == set(planned.buffers)
    memory = prepared.memory
    assert planned.model == memory.weights_bytes
    assert planned.context == memory.kv_cache_bytes
    assert planned.compute == memory.compute_bytes
    assert outcome.n_ctx == planned.n_ctx == prepared.settings.context_tokens
    held = memory.weights_bytes + memory.kv_cache_bytes + memory.output_bytes
    grown = outcome.loaded["resident_bytes"]
    assert held * (1 - SHARE) <= grown <= held * (1 + SHARE) + FIXED_BYTES
    # the graph's buffer is there, but only what a short decode touches of it is resident
    assert grown <= outcome.decoded["resident_bytes"] <= grown + memory.compute_bytes + FIXED_BYTES


@pytest.mark.parametrize("model", ["lfm2-350m", "smollm2-135m"])
def test_a_mapped_load_names_pages_of_the_file_and_memory_proper(folder: Path, model: str) -> None:
    spec, path = _written(folder, model, "Q4_0")
    prepared, _, outcome = _loaded(spec, path, mmap=True)
    assert outcome.kind == "measured", outcome.reason
    buffers = outcome.buffers
    rearranged = buffers["CPU_REPACK"]["model"]
    assert rearranged > 0
    mapped = prepared.memory.mapped_bytes
    assert mapped == buffers["CPU_Mapped"]["model"]
    assert (
        mapped * (1 - SHARE) <= outcome.loaded["file_bytes"] <= mapped * (1 + SHARE) + FIXED_BYTES
    )
    proper = rearranged + prepared.memory.kv_cache_bytes + prepared.memory.output_bytes
    grown = outcome.loaded["anonymous_bytes"]
    assert proper * (1 - SHARE) <= grown <= proper * (1 + SHARE) + FIXED_BYTES
    assert outcome.loaded["resident_bytes"] == grown + outcome.loaded["file_bytes"]


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
def test_the_whole_check_holds_and_only_an_unmapped_load_is_kept(folder: Path, mmap: bool) -> None:
    spec, path = _written(folder, "lfm2-350m", "Q4_0")
    request = PlacementRequest(devices=(), mmap=mmap)
    prepared = prepare(spec, here(), WORKLOAD, request)
    stages: list[str] = []
    answer = verify(
        spec,
        path,
        prepared,
        workload=WORKLOAD,
        request=request,
        accelerators={},
        real=True,
        progress=stages.append,
    )
    assert answer.verdict == "equal"
    assert stages == ["loading", "loaded", "decoded"]
    assert {term.term for term in answer.terms} >= {"weights", "cache", "compute", "resident"}
    load = answer.load
    assert load is not None
    assert load.file_bytes is not None
    assert load.anonymous_bytes is not None
    records = records_of(answer, prepared, {}, machine="m")
    if mmap:
        assert records == ()
    else:
        assert [(r.device, r.measured_bytes) for r in records] == [("cpu", load.resident_bytes)]
        assert 0 <= records[0].overhead_bytes <= FIXED_BYTES + SHARE * records[0].predicted_bytes


def test_a_load_killed_at_any_point_is_told_as_killed(folder: Path) -> None:
    _, path = _written(folder, "all-minilm-l6-v2", "F16")
    settings = RunSettings(512, embeddings=True)
    whole = load_for_real(path, settings)
    assert whole.kind == "measured", whole.reason
    chance = random.Random(4711)  # noqa: S311 - points in time, nothing secret
    kinds = []
    for _ in range(20):
        number = chance.choice((signal.SIGKILL, signal.SIGTERM))
        killer = threading.Thread(target=_kill, args=(number, chance.uniform(0, whole.seconds)))
        killer.start()
        outcome = load_for_real(path, settings, limits=LoadLimits(seconds=60))
        killer.join()
        kinds.append(outcome.kind)
        if outcome.kind == "killed":
            assert f"signal {int(number)}" in outcome.reason
    assert set(kinds) <= {"killed", "measured"}, kinds
    assert kinds.count("killed") >= 10
    assert not psutil.Process().children()


def _kill(number: int, after_s: float) -> None:
    """Send a signal to the child of this process, so long after it has begun."""
    ends_s = time.monotonic() + 10
    while time.monotonic() < ends_s:
        for child in psutil.Process().children():
            time.sleep(after_s)
            with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it may just have ended
                child.send_signal(number)
            return
        time.sleep(0.001)


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
def test_too_little_memory_is_told_as_that(folder: Path, mmap: bool) -> None:
    _, path = _written(folder, "olmoe-1b-7b-0924", "Q8_0")
    assert path.stat().st_size > 6 * GIB
    outcome = load_for_real(
        path, RunSettings(512, mmap=mmap), limits=LoadLimits(memory_bytes=256 * MIB)
    )
    assert outcome.kind == "out_of_memory", outcome


def test_a_file_llama_cpp_refuses_is_told_as_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(16))
    outcome = load_for_real(path, RunSettings(512))
    assert outcome.kind == "refused"
    assert "refused the model" in outcome.reason


LIMITED = """
import json, pathlib, resource, sys
from whatfits.bench.child import LoadRequest, limit_process
limit_process(LoadRequest(path="x", memory_limit_bytes=5 << 30, cpu_limit_s=7))
try:
    wrote = pathlib.Path(sys.argv[1]).write_text("x" * 10)
except OSError:
    wrote = 0
kinds = [resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE]
print(json.dumps([wrote, *map(resource.getrlimit, kinds)]))
"""


def test_a_child_is_limited_in_memory_time_and_what_it_writes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "file")], capture_output=True, check=True
    )
    wrote, memory, processor, core, size = json.loads(done.stdout)
    assert wrote == 0
    assert memory == [5 * GIB, 5 * GIB]
    assert processor[0] == 7
    assert processor[1] > 7  # at the hard limit the kernel would kill without a reason
    assert core == size == [0, 0]


def test_the_parts_of_resident_memory_add_up() -> None:
    now = memory_now()
    assert now["anonymous_bytes"] + now["file_bytes"] <= now["resident_bytes"]
    assert now["resident_bytes"] > 0
