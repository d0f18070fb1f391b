"""What vLLM took of one to four H100, run by run, against the terms of its bill here.

`tests/recorded/vllm/h100.json` says where its rows come from. The middles of copies, graphs and
libraries were set from the rows of Llama 3.1 8B and are judged by the other rows. The ends of
intervals were chosen with all rows in view: that they hold here is no proof for another log.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.runtimes.vllm_bill import bill_of
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.model import ByteRange
    from whatfits.sizing.runtimes.vllm_bill import DeviceBill

PATH: Final = Path(__file__).parents[1] / "recorded" / "vllm" / "h100.json"
ROWS: Final[list[dict[str, Any]]] = json.loads(PATH.read_text(encoding="utf-8"))["rows"]
HALF_A_DIGIT_BYTES: Final = GIB // 200
# What sees is loaded there and left out here (--language-model-only).
SEEING: Final = ("gemma-3-", "mistral-small-3.1", "llama-4")
LATENT: Final = ("deepseek-v2-lite",)
WINDOWS: Final = ("gemma-2", "gemma-3", "gpt-oss", "llama-4")


def name_of(row: dict[str, Any]) -> str:
    parts = (row["model"], row["file_type"], f"{row['ranks']}x{row['stages']}")
    return "-".join((*parts, str(row["max_model_len"]), row["kv_cache_dtype"]))


def is_of(row: dict[str, Any], names: tuple[str, ...]) -> bool:
    return str(row["model"]).startswith(names)


@pytest.fixture(scope="module", autouse=True)
def blocks_of_that_version() -> Iterator[None]:
    """Split stretches of any size: vLLM forbade it while it loads in a later version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whatfits.sizing.runtimes.vllm_blocks._UNSPLIT_BYTES", 1 << 60)
        yield
    bills.cache_clear()


@cache
def bills(log: str) -> tuple[DeviceBill, ...]:
    """Return what is told of the run of this log, with its settings."""
    (row,) = (row for row in ROWS if row["log"] == log)
    model = load_published(row["model"], file_type=row["file_type"])
    count = row["ranks"] * row["stages"]
    where = load_machine("h100 sxm5 80 gb" if count == 1 else f"{count}x h100 sxm5 80 gb")
    kind = None if row["kv_cache_dtype"] == "auto" else row["kv_cache_dtype"]
    wanted = Workload(
        context_tokens=row["max_model_len"], kv_type_k=kind, kv_type_v=kind, batch=8192
    )
    placed = PlacementRequest(split_mode="layer" if row["stages"] > 1 else None)
    settings = resolve_vllm(model, where, wanted, placed)
    assert settings.sequences == 1024
    assert (settings.cut.ranks, settings.cut.stages) == (row["ranks"], row["stages"])
    return bill_of(model, where, settings, permille=950).devices


def printed(part: ByteRange, gib: float) -> bool:
    """Return whether an interval holds what was printed with two decimals."""
    low, high = part.low_bytes - HALF_A_DIGIT_BYTES, part.high_bytes + HALF_A_DIGIT_BYTES
    return low <= gib * GIB <= high


def tower_bytes(row: dict[str, Any]) -> int:
    """Return the bytes of the part that sees, on one rank."""
    if not is_of(row, SEEING):
        return 0
    return 2 * (find_model(row["model"]).params_vision_audio or 0) // int(row["ranks"])


def test_the_runs_are_of_many_models_and_layouts() -> None:
    assert len(ROWS) == 50
    assert len({row["model"] for row in ROWS}) == 23
    assert {row["file_type"] for row in ROWS} == {"bf16", "fp8", "w8a8", "w4a16", "mxfp4"}
    layouts = {(row["ranks"], row["stages"]) for row in ROWS}
    assert layouts == {(1, 1), (2, 1), (4, 1), (1, 2), (1, 4)}


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_the_weights_are_those_that_were_loaded(row: dict[str, Any]) -> None:
    weights = bills(row["log"])[0].weights
    loaded = row["weights_gib"] * GIB - tower_bytes(row)
    if row["file_type"] != "mxfp4":  # whose padding is the kernel's choice
        assert weights.mid_bytes == pytest.approx(loaded, rel=0.0065)
    if row["file_type"] in ("bf16", "fp8", "w8a8") and not is_of(row, (*SEEING, *LATENT)):
        near = HALF_A_DIGIT_BYTES + 0.001 * loaded
        assert weights.mid_bytes == pytest.approx(loaded, abs=near)
    if not is_of(row, SEEING):
        assert printed(weights, row["weights_gib"])


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_the_peak_of_a_batch_and_its_sampling_is_near_what_was_profiled(
    row: dict[str, Any],
) -> None:
    activation = bills(row["log"])[0].activation
    assert printed(activation, row["peak_activation_gib"])
    if row["stages"] == 1:  # the first stage samples nothing, and is told as the last one
        expected = pytest.approx(row["peak_activation_gib"] * GIB, rel=0.12)
        assert activation.mid_bytes == expected


def test_the_peak_is_within_a_twentieth_for_most_models() -> None:
    misses = []
    for model in {row["model"] for row in ROWS}:
        row = next(row for row in ROWS if row["model"] == model)
        mid = bills(row["log"])[0].activation.mid_bytes
        misses.append(abs(mid / (row["peak_activation_gib"] * GIB) - 1))
    assert sorted(misses)[int(0.8 * len(misses))] <= 0.05


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_libraries_and_graphs_took_what_their_intervals_say(row: dict[str, Any]) -> None:
    (first, *_) = bills(row["log"])
    assert printed(first.rest, row["non_torch_gib"])
    assert printed(first.graphs, row["graphs_gib"])
    assert printed(first.graphs, row["graphs_estimated_gib"])


@pytest.mark.parametrize("row", [row for row in ROWS if row["stages"] == 1], ids=name_of)
def test_the_cache_holds_what_was_printed_of_it(row: dict[str, Any]) -> None:
    plan = bills(row["log"])[0].cache
    longest = row["max_model_len"]
    least, most = (
        plan.n_blocks(round(row["kv_gib"] * GIB) + slack)
        for slack in (-HALF_A_DIGIT_BYTES, HALF_A_DIGIT_BYTES)
    )
    assert least <= row["blocks"] <= most
    low, high = (plan.concurrency(n, request_tokens=longest) for n in (least, most))
    assert low - 0.005 <= row["max_concurrency"] <= high + 0.005
    if not is_of(row, WINDOWS):  # which that version counted in another way
        low, high = (plan.cache_tokens(n, request_tokens=longest) for n in (least, most))
        assert low <= row["kv_tokens"] <= high
