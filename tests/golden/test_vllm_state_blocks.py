"""Requests in progress keep their states in a block of vLLM's cache each: it wants all there.

The rows of `tests/recorded/vllm/state_blocks.json` are starts that vLLM refused with its own
default of sequences; nothing was fitted to them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.runtimes.vllm_bill import Bill, bill_of
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_verdict import judged
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

PATH: Final = Path(__file__).parents[1] / "recorded" / "vllm" / "state_blocks.json"
ROWS: Final[list[dict[str, Any]]] = json.loads(PATH.read_text(encoding="utf-8"))["rows"]
H100, L40S = "h100 sxm5 80 gb + 256gb", "nvidia l40s + 256gb"


@cache
def loaded(name: str, file_type: str, machine: str) -> tuple[ModelSpec, Machine]:
    return load_published(name, file_type=file_type), load_machine(machine)


def started(
    name: str,
    file_type: str,
    machine: str,
    **asked: Any,  # noqa: ANN401 - the fields of a workload
) -> tuple[ModelSpec, Machine, VllmSettings]:
    spec, where = loaded(name, file_type, machine)
    return spec, where, resolve_vllm(spec, where, Workload(**asked), PlacementRequest())


def bill_in(row: dict[str, Any]) -> Bill:
    kind = None if row["kv_cache_dtype"] == "auto" else row["kv_cache_dtype"]
    asked = {"context_tokens": row["max_model_len"], "kv_type_k": kind, "kv_type_v": kind}
    spec, where, settings = started(row["model"], row["file_type"], row["machine"], **asked)
    assert settings.sequences == row["refused"]  # vLLM's default there, and ours
    permille = round(1000 * row["gpu_memory_utilization"])
    return bill_of(spec, where, settings, permille=permille)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['file_type']}")
def test_the_blocks_of_a_refused_start_lie_in_the_interval(row: dict[str, Any]) -> None:
    low, _, high = bill_in(row).n_blocks
    assert row["source"]
    assert low <= row["blocks"] <= high
    assert row["blocks"] < row["refused"]


@pytest.mark.parametrize("row", [row for row in ROWS if "kv_tokens" in row])
def test_so_many_blocks_are_the_tokens_and_the_concurrency_that_were_printed(
    row: dict[str, Any],
) -> None:
    plan = bill_in(row).devices[0].cache
    longest = row["max_model_len"]
    assert plan.cache_tokens(row["blocks"], request_tokens=longest) == row["kv_tokens"]
    shown = plan.concurrency(row["blocks"], request_tokens=longest)
    assert round(shown, 2) == row["max_concurrency"]


@pytest.mark.parametrize(
    ("name", "file_type", "machine"),
    [
        ("qwen3.6-27b", "fp8", H100),
        ("qwen3.6-35b-a3b", "fp8", L40S),
        ("nemotron-nano-9b-v2", "bf16", L40S),
        ("granite-4.0-h-tiny", "bf16", L40S),
    ],
)
def test_as_many_sequences_as_there_are_blocks_are_started_where_none_were_asked_for(
    name: str, file_type: str, machine: str
) -> None:
    spec, where, usual = started(name, file_type, machine)
    found = judged(spec, where, usual)
    assert found.verdict == "fits"
    assert 0 < found.settings.sequences <= usual.sequences
    assert found.settings.sequences <= found.bill.n_blocks[0]


def test_more_sequences_than_blocks_do_not_start_when_they_are_asked_for() -> None:
    most = judged(*started("qwen3.6-27b", "fp8", H100)).settings.sequences
    assert most < 1024
    exactly = judged(*started("qwen3.6-27b", "fp8", H100, parallel=most))
    assert exactly.verdict == "fits"
    more = judged(*started("qwen3.6-27b", "fp8", H100, parallel=1024))
    assert more.verdict == "no"
    assert "the states of 1,024 at once" in more.reason
    assert more.largest_context_tokens is None


def test_a_model_without_states_keeps_its_sequences() -> None:
    spec, where, usual = started("qwen3-32b", "fp8", L40S)
    found = judged(spec, where, usual)
    assert found.bill.n_blocks[1] > usual.sequences
    assert found.settings is usual
    asked = started("qwen3-32b", "fp8", L40S, parallel=2048, batch=4096)[2]
    assert asked.state_slots == 0


def test_nothing_is_captured_on_a_processor() -> None:
    spec, where = loaded("qwen3.5-4b", "bf16", "64gb")
    settings = resolve_vllm(spec, where, Workload(parallel=16), PlacementRequest())
    assert settings.has_states
    assert settings.state_slots == 0
