"""What vLLM printed of further starts on other people's cards, against its bill here.

`tests/recorded/vllm/elsewhere.json` says where its rows come from, and which of them led to a
rule; no number was set from them, and what lies outside of its interval is named in its row.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.model import ByteRange
from whatfits.sizing.runtimes.vllm_bill import bill_of
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.runtimes.vllm_bill import Bill, DeviceBill

PATH: Final = Path(__file__).parents[1] / "recorded" / "vllm" / "elsewhere.json"
ROWS: Final[list[dict[str, Any]]] = json.loads(PATH.read_text(encoding="utf-8"))["rows"]
HALF_A_DIGIT_BYTES: Final = GIB // 200
PARTS: Final = (
    "weights_gib",
    "non_torch_gib",
    "consumed_gib",
    "peak_activation_gib",
    "graphs_gib",
    "graphs_estimated_gib",
)


@cache
def bill_by_name(name: str) -> Bill:
    """Return what is told of the start of this name, with its settings."""
    (row,) = (row for row in ROWS if row["name"] == name)
    model = load_published(row["model"], file_type=row["file_type"])
    where, kind = load_machine(row["machine"]), row.get("kv_cache_dtype")
    wanted = Workload(
        context_tokens=row["max_model_len"],
        parallel=row["sequences"],
        batch=row["batch"],
        kv_type_k=kind,
        kv_type_v=kind,
        spec_type="draft-mtp" if "drafted_tokens" in row else None,
        spec_draft_n_max=row.get("drafted_tokens"),
    )
    settings = resolve_vllm(model, where, wanted, PlacementRequest())
    permille = round(1000 * row.get("gpu_memory_utilization", 0.9))
    return bill_of(model, where, settings, permille=permille)


def first_card(name: str) -> DeviceBill:
    """Return what is told of the first card of that start."""
    return bill_by_name(name).devices[0]


def interval(bill: DeviceBill, part: str) -> ByteRange:
    """Return the interval of a part of the bill, by its name in the rows."""
    match part:
        case "weights_gib":
            return bill.weights
        case "non_torch_gib":
            return bill.rest
        case "consumed_gib":
            return ByteRange(
                bill.weights.low_bytes + bill.rest.low_bytes,
                bill.weights.mid_bytes + bill.rest.mid_bytes,
                bill.weights.high_bytes + bill.rest.high_bytes,
                "weights and libraries",
            )
        case "peak_activation_gib":
            return bill.activation
        case _:
            return bill.graphs


def requests_at_once(row: dict[str, Any], slack_bytes: int) -> float:
    """Return the longest requests that the printed cache holds, a little more or less of it."""
    plan = first_card(row["name"]).cache
    blocks = plan.n_blocks(round(row["kv_gib"] * GIB) + slack_bytes)
    more_states = sum(group.spec.kind == "state" for group in plan.groups)
    a_request = sum(plan.group_blocks(row["max_model_len"]))
    return blocks / (a_request + (more_states if row.get("prefix_caching") else 0))


TOLD: Final = [(row, part) for row in ROWS for part in PARTS if part in row]


@pytest.mark.parametrize(("row", "part"), TOLD, ids=[f"{r['name']}-{p}" for r, p in TOLD])
def test_a_part_is_in_its_interval_unless_its_row_says_why_not(
    row: dict[str, Any], part: str
) -> None:
    expected = interval(first_card(row["name"]), part)
    low, high = expected.low_bytes - HALF_A_DIGIT_BYTES, expected.high_bytes + HALF_A_DIGIT_BYTES
    assert (low <= row[part] * GIB <= high) is (part not in row.get("beyond", {}))


LOADED: Final = [
    row for row in ROWS if "weights_gib" in row and "weights_gib" not in row.get("beyond", {})
]


@pytest.mark.parametrize("row", LOADED, ids=[row["name"] for row in LOADED])
def test_the_weights_are_those_that_were_loaded(row: dict[str, Any]) -> None:
    # Machete's rearranged matrices leave some blocks more behind.
    error = 0.004 if row["file_type"] == "awq" else 0.001
    loaded = row["weights_gib"] * GIB
    near = HALF_A_DIGIT_BYTES + error * loaded
    assert first_card(row["name"]).weights.mid_bytes == pytest.approx(loaded, abs=near)


CACHED: Final = [row for row in ROWS if "kv_gib" in row]


@pytest.mark.parametrize("row", CACHED, ids=[row["name"] for row in CACHED])
def test_the_requests_and_tokens_of_a_cache_are_those_that_were_printed(
    row: dict[str, Any],
) -> None:
    low, high = (
        requests_at_once(row, slack) for slack in (-HALF_A_DIGIT_BYTES, HALF_A_DIGIT_BYTES)
    )
    if "max_concurrency" in row:
        assert low - 0.005 <= row["max_concurrency"] <= high + 0.005
    if "kv_tokens" in row:
        longest = row["max_model_len"]
        assert int(low * longest) <= row["kv_tokens"] <= int(high * longest)


ALONE: Final = [row for row in ROWS if "gpu_memory_utilization" in row]


@pytest.mark.parametrize("row", ALONE, ids=[row["name"] for row in ALONE])
def test_the_cache_beside_all_else_is_the_one_that_was_printed(row: dict[str, Any]) -> None:
    bill = bill_by_name(row["name"])
    (group,) = bill.devices[0].cache.groups
    told = row["kv_tokens"] // group.spec.block_tokens
    low, mid, high = bill.n_blocks
    assert low <= told <= high
    assert mid == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize("row", [row for row in ROWS if "block_tokens" in row])
def test_a_block_has_the_tokens_that_were_printed(row: dict[str, Any]) -> None:
    groups = first_card(row["name"]).cache.groups
    assert {group.spec.block_tokens for group in groups} == {row["block_tokens"]}


def test_the_rows_are_of_many_kinds() -> None:
    kinds = {g.spec.kind for row in ROWS for g in first_card(row["name"]).cache.groups}
    assert {"full", "window", "state"} <= kinds
    assert len({row["model"] for row in ROWS}) >= 12
    assert len({row["machine"] for row in ROWS}) >= 11
    assert sum(len(row.get("beyond", {})) for row in ROWS) * 6 <= len(TOLD)
