"""An answer with llama.cpp's own compute buffers keeps what a driver takes beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whatfits.bench import exact
from whatfits.bench.exact import exact_trial
from whatfits.bench.reservation import Buffers, Reservation
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.overhead import device_overhead
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.search.trial import Trial

POOL_BYTES = 2 * 32 * 8192 * 512  # F16 scores of all heads, of a micro-batch with the whole context


def planned_as_predicted(trial: Trial) -> Reservation:
    card, host = trial.memory.devices
    rows = {
        name: Buffers(row.weights_bytes, row.kv_cache_bytes, row.compute_bytes)
        for name, row in (("CUDA0", card), ("CUDA_Host", host))
    }
    return Reservation(rows, n_ctx=8192, n_parameters=1, model_bytes=1, log="")


@pytest.mark.parametrize(("fuses", "pool_bytes"), [("off", POOL_BYTES), ("auto", 0)])
def test_the_pool_of_unfused_attention_stays_in_the_answer(
    fuses: str, pool_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = machine_expression("rtx 4090 + 64gb")
    model = load_catalog_model("llama-3.1-8b", file_type="Q4_K_M")
    workload = Workload(context_tokens=8192, flash_attention=fuses)  # type: ignore[arg-type]
    trial = Trials(model, machine, workload, PlacementRequest()).first()
    monkeypatch.setattr(exact, "plan", lambda *_: planned_as_predicted(trial))
    found = exact_trial(
        model,
        Path("model.gguf"),
        trial,
        workload=workload,
        machine=machine,
        accelerators={"cuda0": "CUDA0"},
    )
    assert found.differences == ()
    card, _ = found.trial.memory.devices
    overhead = device_overhead("cuda")
    known = card.weights_bytes + card.kv_cache_bytes + card.compute_bytes
    assert card.overhead_bytes == overhead.mid_bytes + pool_bytes
    assert card.high_bytes >= known + overhead.high_bytes + pool_bytes
    assert card.low_bytes <= known + overhead.low_bytes
