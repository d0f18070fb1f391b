"""Settings of llama.cpp's C API become a request and come back the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.bench.requests import placement_request, run_settings, workload
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import settings_grid
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.workload import Workload

BASE = RunSettings(4096, outputs_max=1)
OTHERS = (
    replace(BASE, kv_type_k="q8_0", kv_type_v="q4_0"),
    replace(BASE, swa_full=False, repack=False),
    replace(BASE, parallel=3, outputs_max=3, kv_unified=True),
    replace(BASE, batch=128, micro_batch=32),
    replace(BASE, host_overrides=("ffn_.*",), kv_offload=False, op_offload=False),
)


@pytest.mark.parametrize("settings", [*settings_grid(), *OTHERS])
def test_settings_come_back_as_they_went(settings: RunSettings) -> None:
    spec, machine = load_model("smollm2-135m"), load_machine("64gb")
    wanted = workload(settings)
    resolved = resolve_settings(spec, wanted)
    placement = resolve_placement(spec, placement_request(settings), machine)
    back = run_settings(wanted, resolved, placement, mmap=False)
    # resolved: at most a context of tokens a batch, and that many rows of logits
    batch = min(settings.batch, settings.context_tokens)
    micro = min(settings.micro_batch, batch)
    assert back == replace(
        settings,
        batch=batch,
        micro_batch=micro,
        outputs_max=min(settings.outputs_max or batch, micro),
        gpu_layers=0,
    )


def test_a_server_and_the_library_differ_where_llama_cpp_does() -> None:
    spec, machine = load_model("smollm2-135m"), load_machine("64gb")
    placement = resolve_placement(spec, placement_request(BASE), machine)
    server, api = (
        run_settings(wanted, resolve_settings(spec, wanted), placement, mmap=True)
        for wanted in (Workload(), Workload(program="api"))
    )
    assert (server.outputs_max, server.swa_full) == (1, False)
    assert (api.outputs_max, api.swa_full) == (512, True)
    assert server.mmap
