"""Real loads on a H200: what the driver says is gone, against the interval of the whole answer.

`tests/recorded/llama_cpp/cuda_loads.json` says how it was measured. The overhead of such cards was
set from every second load, the first among them; the others judge it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.bench.prepared import Prepared, prepare
from whatfits.bench.requests import placement_request, workload
from whatfits.bench.run_settings import settings_of
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.overhead import device_overhead
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

PATH: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "cuda_loads.json"
LOADS: Final[list[dict[str, Any]]] = json.loads(PATH.read_text("utf-8"))["rows"]
IDS: Final = [f"{number} {row['model']} {row['file_type']}" for number, row in enumerate(LOADS)]
CARD: Final = "CUDA0"


@cache
def box() -> Machine:
    return machine_expression("h200 sxm + 128gb")


def predicted(row: dict[str, Any]) -> Prepared:
    settings = settings_of(row["settings"])
    spec = load_catalog_model(row["model"], file_type=row["file_type"])
    return prepare(spec, box(), workload(settings), placement_request(settings))


@pytest.mark.parametrize("row", LOADS, ids=IDS)
def test_a_real_load_reserves_what_is_predicted(row: dict[str, Any]) -> None:
    prepared = predicted(row)
    card, host = prepared.memory.devices
    weights, cache_bytes, compute = row["buffers"][CARD]
    assert (card.weights_bytes, card.kv_cache_bytes) == (weights, cache_bytes)
    overhead = prepared.overheads[0]
    low = card.low_bytes - overhead.low_bytes - weights - cache_bytes
    high = card.high_bytes - overhead.high_bytes - weights - cache_bytes
    assert low <= compute <= high
    others = [columns for name, columns in row["buffers"].items() if name != CARD]
    assert host.weights_bytes == sum(columns[0] for columns in others)
    assert host.kv_cache_bytes == sum(columns[1] for columns in others)
    assert host.compute_bytes == sum(columns[2] for columns in others)


@pytest.mark.parametrize("row", LOADS, ids=IDS)
def test_what_is_gone_from_the_card_lies_in_the_interval_of_the_answer(row: dict[str, Any]) -> None:
    card, _ = predicted(row).memory.devices
    assert card.low_bytes <= row["taken"]["filled"] <= card.high_bytes


def test_the_overhead_was_set_from_every_second_load() -> None:
    fused = [row for row in LOADS[::2] if row["settings"].get("flash_attention") != "off"]
    beside = [row["taken"]["filled"] - sum(row["buffers"][CARD]) for row in fused]
    known = device_overhead("cuda", box().devices[0].features)
    assert known.low_bytes == pytest.approx(min(beside) * 0.9, rel=0.01)
    assert known.high_bytes == pytest.approx(max(beside) * 1.1, rel=0.01)
    assert min(beside) < known.mid_bytes < max(beside)


def test_a_context_on_the_card_comes_before_any_weights() -> None:
    contexts = {row["taken"]["context"] for row in LOADS}
    assert len(contexts) == 1
    assert contexts.pop() == pytest.approx(527 * MIB, rel=0.001)


def test_attention_that_is_not_fused_takes_a_pool_that_grows_with_the_context() -> None:
    (row,) = [row for row in LOADS if row["settings"].get("flash_attention") == "off"]
    taken = row["taken"]
    cells = -(-row["filled_tokens"] // 256) * 256
    scores = 2 * 32 * cells * 512  # F16, heads, cells, tokens of a micro-batch
    at_first = 2 * 32 * 768 * 512
    grown = taken["filled"] - taken["micro_batch"]
    assert grown == pytest.approx(scores - at_first, rel=0.05)
    card, _ = predicted(row).memory.devices
    overhead = device_overhead("cuda", box().devices[0].features)
    assert card.overhead_bytes == overhead.mid_bytes + 2 * 32 * 8192 * 512
