"""What a driver and a back end hold, beside the memory tables of public logs.

The intervals were set from these very rows: that they hold them shows that nothing was lost on
the way, not that another machine's row would lie inside.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.overhead import Overhead, device_overhead, unfused_bytes
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import PlacementRequest, Workload

RECORDED = Path(__file__).parents[2] / "recorded" / "field_memory" / "breakdowns.json"
ROWS = json.loads(RECORDED.read_text())["rows"]
ALONE = [row for row in ROWS if not row["others_on_the_card"]]


@pytest.mark.parametrize("row", ALONE, ids=lambda row: row["device"])
def test_an_interval_holds_the_rows_it_was_set_from(row: dict[str, object]) -> None:
    overhead = device_overhead(str(row["device_kind"]))
    assert overhead.low_bytes <= int(str(row["unaccounted_mib"])) * MIB <= overhead.high_bytes


def test_every_table_adds_up() -> None:
    for row in ROWS:
        parts = row["free_mib"] + row["self_mib"] + row["unaccounted_mib"]
        # llama.cpp cuts each figure to whole MiB: three parts lose up to two more than their sum
        assert 0 <= row["total_mib"] - parts <= 2, row["device"]


@pytest.mark.parametrize("kind", ["cuda", "rocm", "vulkan", "metal", "sycl"])
def test_every_back_end_states_an_interval_and_its_source(kind: str) -> None:
    overhead = device_overhead(kind)
    assert overhead.low_bytes <= overhead.mid_bytes <= overhead.high_bytes
    assert overhead.source


def test_a_hopper_card_has_the_interval_of_its_own_loads() -> None:
    hopper = device_overhead("cuda", ("pci:0000:00:06.0", "cc9.0"))
    assert hopper != device_overhead("cuda", ("cc8.9",)) == device_overhead("cuda")
    assert device_overhead("vulkan", ("cc9.0",)) == device_overhead("vulkan")


def test_what_comes_as_a_context_fills_is_not_there_from_the_start() -> None:
    assert Overhead(1, 2, 3, "so").and_up_to(10) == Overhead(1, 12, 13, "so")


@pytest.mark.parametrize(
    ("machine", "fuses", "asked", "taken"),
    [
        # heads, cells of a sequence, tokens of a micro-batch, two bytes each
        ("rtx 4090 + 64gb", "off", {}, 2 * 32 * 8192 * 512),
        ("rx 7900 xtx + 64gb", "off", {}, 2 * 32 * 8192 * 512),
        ("rtx 4090 + 64gb", "off", {"micro_batch": 128}, 2 * 32 * 8192 * 128),
        ("rtx 4090 + 64gb", "off", {"parallel": 4}, 2 * 32 * 2048 * 512),
        ("rtx 4090 + 64gb", "off", {"parallel": 4, "kv_unified": True}, 2 * 32 * 8192 * 512),
        ("rtx 4090 + 64gb", "auto", {}, 0),
        ("m4 max 64gb", "off", {}, 0),
    ],
)
def test_unfused_scores_take_a_pool_on_cuda(
    machine: str, fuses: str, asked: dict[str, int], taken: int
) -> None:
    model = load_catalog_model("llama-3.1-8b", file_type="Q4_K_M")
    workload = Workload(context_tokens=8192, flash_attention=fuses, **asked)  # type: ignore[arg-type]
    settings = resolve_settings(model, workload)
    box = machine_expression(machine)
    placement = resolve_placement(model, PlacementRequest(), box)
    assert unfused_bytes(model, settings, placement, at=0) == taken
    none = resolve_placement(model, PlacementRequest(gpu_layers=0), box)
    assert unfused_bytes(model, settings, none, at=0) == 0
