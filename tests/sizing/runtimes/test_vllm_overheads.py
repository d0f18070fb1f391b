"""What vLLM takes beside weights and cache: what each term follows.

The figures of whole runs are judged in tests/golden.
"""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.runtimes.vllm_bill import DeviceBill, bill_of
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload


def first(
    model: str,
    machine: str,
    *,
    placement: dict[str, Any] | None = None,
    parallel: int | None = None,
    context_tokens: int | None = None,
    drafts: int | None = None,
    batch: int | None = None,
) -> DeviceBill:
    spec, where = load_published(model), load_machine(machine)
    placed = PlacementRequest(**placement or {})
    wanted = Workload(
        parallel=parallel,
        context_tokens=context_tokens,
        batch=batch,
        spec_type=None if drafts is None else "draft-mtp",
        spec_draft_n_max=drafts,
    )
    settings = resolve_vllm(spec, where, wanted, placed)
    return bill_of(spec, where, settings).devices[0]


@pytest.mark.parametrize(
    ("model", "machine", "requests", "n_graphs"),
    [
        ("qwen3-8b", "rtx-4090", 256, 51 + 35),
        ("qwen3-8b", "h100 sxm5 80 gb", 1024, 51 + 51),
        # vLLM overrides the largest captured batch for this model
        ("gpt-oss-20b", "h100 sxm5 80 gb", 1024, 83 + 83),
        ("qwen3-8b", "b200", 1024, 83 + 83),
        ("qwen3-8b", "rtx-4090", 8, 5 + 4),
        ("qwen3-8b", "rtx-4090", 1, 2 + 1),
    ],
)
def test_graphs_are_captured_in_pieces_for_twice_the_requests_and_whole_for_them(
    model: str, machine: str, requests: int, n_graphs: int
) -> None:
    assert first(model, machine, parallel=requests).graphs.reason.startswith(f"{n_graphs} ")


@pytest.mark.parametrize(
    ("requests", "drafts", "n_graphs"),
    [
        # Printed when vLLM started: github.com/noonghunna/club-3090/issues/434, PIECEWISE=3, FULL=2
        (2, 3, 3 + 2),
        # and by a DeepSeek V4 Flash with as many requests and drafts: PIECEWISE=5, FULL=3
        (4, 2, 5 + 3),
    ],
)
def test_with_drafts_graphs_are_of_whole_requests(
    requests: int, drafts: int, n_graphs: int
) -> None:
    graphs = first("qwen3.6-27b", "h100 sxm5 80 gb", parallel=requests, drafts=drafts).graphs
    assert graphs.reason.startswith(f"{n_graphs} ")


def test_with_drafts_a_batch_is_kept_for_them_and_sampling_may_take_more() -> None:
    plain, drafting = (
        first("qwen3.6-27b", "h100 sxm5 80 gb", parallel=256, drafts=n).activation
        for n in (None, 1)
    )
    stream, logits = 8192 * 5120 * 2, 256 * 248_320 * 4
    assert drafting.low_bytes == plain.low_bytes
    assert drafting.mid_bytes == plain.mid_bytes + stream
    assert plain.high_bytes + stream <= drafting.high_bytes
    assert drafting.high_bytes <= plain.high_bytes + stream + 2 * logits


def test_fewer_requests_and_fewer_layers_have_smaller_graphs() -> None:
    many, few = (first("qwen3-8b", "rtx-4090", parallel=n).graphs for n in (256, 8))
    assert few.mid_bytes < many.mid_bytes / 3
    stage = first("qwen3-8b", "2x rtx-4090", placement={"split_mode": "layer"}, parallel=256)
    assert stage.graphs.mid_bytes < many.mid_bytes


def test_only_the_upper_end_of_graphs_follows_the_batch_of_a_gated_delta_net() -> None:
    small, large = (
        first("qwen3.6-27b", "h100 sxm5 80 gb", parallel=8, batch=tokens).graphs
        for tokens in (2048, 32_768)
    )
    assert (small.low_bytes, small.mid_bytes) == (large.low_bytes, large.mid_bytes)
    assert large.high_bytes - small.high_bytes == 30_720 * 128 * 1024
    plain = {
        first("qwen3-8b", "h100 sxm5 80 gb", parallel=8, batch=tokens).graphs.high_bytes
        for tokens in (2048, 32_768)
    }
    assert len(plain) == 1


def test_the_cpu_captures_nothing() -> None:
    assert first("qwen3-8b", "64gb").graphs.high_bytes == 0


def test_stages_take_what_one_card_does_for_libraries_and_ranks_more() -> None:
    alone, ranks = (first("qwen3-8b", name).rest for name in ("rtx-3090", "2x rtx-3090"))
    stages = first("qwen3-8b", "2x rtx-3090", placement={"split_mode": "layer"}).rest
    assert stages == alone
    assert ranks.mid_bytes > alone.mid_bytes


def test_sampling_of_many_requests_is_the_peak() -> None:
    # 1,024 rows of 151,936 logits in 32 bits, 3.7 times, and 8,192 rows of the stream
    peak = first("qwen3-8b", "h100 sxm5 80 gb").activation
    assert peak.mid_bytes == round(3.7 * 1024 * 151_936 * 4) + 8192 * 4096 * 2


def test_routed_experts_keep_two_stretches_of_a_row_for_each_one_used() -> None:
    dense = round(3.7 * 1024 * 151_936 * 4) + 8192 * 2048 * 2
    peak = first("qwen3-30b-a3b", "h100 sxm5 80 gb").activation
    # eight experts a token; the inner width is 768, twice that is less than the stream's 2,048
    assert peak.mid_bytes - dense == 2 * 8192 * 8 * 2048 * 2 == GIB // 2


@pytest.mark.parametrize("end", ["low_bytes", "mid_bytes", "high_bytes"])
def test_an_indexer_gathers_keys_of_forty_of_the_longest_requests(end: str) -> None:
    short, long = (
        first("deepseek-v3.2", "8x h200 sxm", context_tokens=tokens).activation
        for tokens in (8192, 163_840)
    )
    # 128 in FP8 and a scale in 32 bits
    assert getattr(long, end) - getattr(short, end) == 40 * (163_840 - 8192) * 132


def test_what_embeds_samples_nothing() -> None:
    few, many = (first("qwen3-embedding-0.6b", "rtx-4090", parallel=n).activation for n in (1, 256))
    assert few == many
