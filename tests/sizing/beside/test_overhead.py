"""What a driver and a back end hold, beside the memory tables of public logs.

The intervals were set from these very rows: that they hold them shows that nothing was lost on
the way, not that another machine's row would lie inside.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whatfits.sizing.overhead import device_overhead
from whatfits.sizing.units import MIB

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
