"""The longest context of an answer on a nearly full H200: it loads and fills, more does not.

`tests/recorded/llama_cpp/cuda_limits.json` says how it was tried.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

PATH: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "cuda_limits.json"
RECORDED: Final = json.loads(PATH.read_text("utf-8"))
ROWS: Final = RECORDED["rows"]
# What the interval of the overhead may keep free of a card, and what a filled context is.
NOT_TIMID_BYTES: Final = 210 * MIB
FILLED: Final = 0.9
IDS: Final = [f"{row['model']} {row['file_type']} {row['loaded_tokens']}" for row in ROWS]


def machine(row: dict[str, Any]) -> dict[str, Any]:
    card = {key: RECORDED[key] for key in ("total_bytes", "limit_bytes")}
    return {
        "pools": [
            {"id": "vram0", "kind": "vram", "used_bytes": row["used_bytes"], **card},
            {"id": "ram", "kind": "ram", "total_bytes": 128 << 30},
        ],
        "devices": [
            {
                "id": "cuda0",
                "kind": "cuda",
                "name": "H200",
                "pool": "vram0",
                "features": ["cc9.0"],
            },
            {"id": "cpu", "kind": "cpu", "name": "cpu", "pool": "ram", "features": ["avx2"]},
        ],
    }


def answer(row: dict[str, Any], context_tokens: int | None = None) -> Plan:
    return check(
        row["model"],
        file_type=row["file_type"],
        machine=machine(row),
        workload={**row["settings"], "context_tokens": context_tokens},
        placement={"gpu_layers": -1},
    )


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_longest_context_is_one_that_was_seen_to_load(row: dict[str, Any]) -> None:
    told = answer(row).largest_context_tokens
    assert told is not None
    assert told <= row["loaded_tokens"] < row["refused_tokens"]
    seen, ours = (answer(row, tokens).memory for tokens in (row["loaded_tokens"], told))
    # told without the loads that two of them had been preceded by
    assert seen.high_bytes - ours.high_bytes <= NOT_TIMID_BYTES


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_what_was_tried_filled_the_card_but_for_little(row: dict[str, Any]) -> None:
    assert 0 < row["left_bytes"] < NOT_TIMID_BYTES
    assert row["filled_tokens"] > FILLED * row["loaded_tokens"]
