"""vLLM's own planner and start-up logs, against the cache planner here.

`tests/recorded/vllm` says where the rows come from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.runtimes.vllm_kv_plan import CachePlan, plan_cache, plan_stages
from whatfits.sizing.runtimes.vllm_layers import CacheRules, cache_layers
from whatfits.sizing.runtimes.vllm_overheads import activation_range, rest_range
from whatfits.sizing.runtimes.vllm_parallel import Cut, stage_layers
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_weights import stage_weights
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

FOLDER: Final = Path(__file__).parents[1] / "recorded" / "vllm"
RUNS: Final = json.loads((FOLDER / "planner.json").read_text(encoding="utf-8"))["rows"]
STARTUPS: Final = json.loads((FOLDER / "startups.json").read_text(encoding="utf-8"))["rows"]
KINDS: Final = {
    "FullAttentionSpec": "full",
    "SlidingWindowSpec": "window",
    "MambaSpec": "state",
}
STAGES: Final = json.loads((FOLDER / "stages.json").read_text(encoding="utf-8"))["rows"]
HALF_A_DIGIT_BYTES: Final = GIB // 200


def planned(name: str, rules: CacheRules, *, in_flight_tokens: int) -> CachePlan:
    model = load_catalog_model(name, file_type="BF16")
    return plan_cache(cache_layers(model, model.layers, rules), in_flight_tokens=in_flight_tokens)


def logged(model: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is untyped
    """Return the one start-up of a model that has these fields."""
    (row,) = (
        row
        for row in STARTUPS
        if row["model"] == model and all(row.get(key) == value for key, value in fields.items())
    )
    found: dict[str, Any] = row
    return found


@pytest.mark.parametrize("row", RUNS, ids=lambda row: row["case"])
def test_the_plan_is_vllms_own(row: dict[str, Any]) -> None:
    in_flight = row["batches_in_flight"] * row["max_num_batched_tokens"]
    plan = planned(row["model"], CacheRules(row["ranks"], 2), in_flight_tokens=in_flight)
    longest = row["max_model_len"]
    assert [
        {
            "layers": len(group.layers),
            "spec": group.spec.kind,
            "block_tokens": group.spec.block_tokens,
            "page_bytes": group.spec.page_bytes,
        }
        for group in plan.groups
    ] == [{**group, "spec": KINDS[group["spec"]]} for group in row["groups"]]
    assert plan.block_bytes == row["bytes_per_block"]
    assert plan.n_blocks(row["kv_bytes"]) == row["num_blocks"]
    assert list(plan.group_blocks(longest)) == row["blocks_per_request"]
    n_blocks = row["num_blocks"]
    assert plan.cache_tokens(n_blocks, request_tokens=longest) == row["kv_cache_size_tokens"]
    assert plan.concurrency(n_blocks, request_tokens=longest) == row["max_concurrency"]


@pytest.mark.parametrize("row", STAGES, ids=lambda row: f"{row['model']}-{row['stage_layers']}")
def test_the_groups_over_stages_are_vllms_own(row: dict[str, Any]) -> None:
    model = load_catalog_model(row["model"], file_type="BF16")
    cut = stage_layers(model.n_layers, len(row["stage_layers"]))
    assert [len(layers) for layers in cut] == row["stage_layers"]
    pages = [
        cache_layers(model, [model.layers[index] for index in layers], CacheRules(1, 2))
        for layers in cut
    ]
    in_flight = row["in_flight_batches"] * row["max_num_batched_tokens"]
    plans = plan_stages(pages, in_flight_tokens=in_flight)
    assert [[len(group.layers) for group in plan.groups] for plan in plans] == row["groups"]
    blocks = [plan.n_blocks(n) for plan, n in zip(plans, row["kv_bytes"], strict=True)]
    assert min(blocks) == row["num_blocks"]
    for plan in plans:
        found = plan.concurrency(min(blocks), request_tokens=row["max_model_len"])
        assert found == pytest.approx(row["concurrency"], abs=1e-6)


def test_there_are_runs_of_every_kind_of_model() -> None:
    kinds = {group["spec"] for row in RUNS for group in row["groups"]}
    assert kinds == set(KINDS)


@pytest.mark.parametrize(
    ("name", "row", "states_in_f32"),
    [
        ("qwen3.6-35b-a3b", logged("Qwen/Qwen3.6-35B-A3B"), True),
        ("gemma-4-26b-a4b", logged("google/gemma-4-26B-A4B-it-qat-q4_0-unquantized"), False),
        ("llama-3.1-8b", logged("Llama-3.1-8B class DPO finetune"), False),
        (
            "llama-3.1-8b",
            logged("meta-llama/Llama-3.1-8B-Instruct", max_model_len=20000),
            False,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_concurrency_of_a_log_follows_from_its_cache(
    name: str,
    row: dict[str, Any],
    states_in_f32: bool,
) -> None:
    in_flight = int(row.get("max_num_batched_tokens", 2048))  # one batch on the way, then
    rules = CacheRules(1, 2, states_in_f32=states_in_f32)
    plan = planned(name, rules, in_flight_tokens=in_flight)
    longest, printed = row["max_model_len"], round(row["kv_gib"] * GIB)
    low, high = (
        plan.concurrency(plan.n_blocks(n_bytes), request_tokens=longest)
        for n_bytes in (printed - HALF_A_DIGIT_BYTES, printed + HALF_A_DIGIT_BYTES)
    )
    assert low - 0.005 <= row["max_concurrency"] <= high + 0.005


def test_the_cache_tokens_of_a_hybrid_are_those_of_a_log() -> None:
    row = logged("Qwen 9B")
    plan = planned("qwen3.5-9b", CacheRules(1, 2, states_in_f32=True), in_flight_tokens=2 * 2048)
    n_blocks = plan.n_blocks(round(row["kv_gib"] * GIB))
    tokens = plan.cache_tokens(n_blocks, request_tokens=row["max_model_len"])
    assert tokens == row["kv_tokens"]


@pytest.mark.parametrize(
    ("name", "ranks", "kv_gib", "longest", "tokens"),
    [
        # noonghunna/club-3090 issues 612 and 652: NVFP4, FP8 cache, vLLM 0.24.0, an RTX 5090
        ("qwen3.6-35b-a3b", 1, 5.98, 131_072, 567_978),
        ("qwen3.6-35b-a3b", 1, 6.01, 131_072, 569_878),
        # mitchross/talos-argocd-proxmox pull 1995: FP8 weights and cache, two RTX 3090
        ("qwen3.8-27b", 2, 4.99, 131_072, 302_921),
    ],
)
def test_prefix_caching_costs_a_hybrid_a_second_state_a_request(
    name: str, ranks: int, kv_gib: float, longest: int, tokens: int
) -> None:
    # These servers cached prefixes; the command that is printed here does not.
    rules = CacheRules(ranks, 1, states_in_f32=True)
    plan = planned(name, rules, in_flight_tokens=2 * 8192)
    n_blocks = plan.n_blocks(round(kv_gib * GIB))
    states = sum(group.spec.kind == "state" for group in plan.groups)
    a_request = sum(plan.group_blocks(longest)) + states
    assert int(n_blocks / a_request * longest) == tokens


@pytest.mark.parametrize(
    ("name", "in_flight_tokens", "kv_gib", "longest", "tokens"),
    [
        # vllm-project/vllm pull 57047, a 48 GB card, AWQ, September 2026
        ("qwen3-4b", 2 * 2048, 36.88, 2048, 268_560),
        # LMCache/LMCache issue 3430, a 24 GB card, May 2026
        ("qwen3-8b", 2048, 6.37, 16_384, 46_368),
        # start-up logs in public GitHub files of unknown repositories: a DGX Spark, 0.27.1;
        # an MI300X of 192 GB in 2026; a 24 GB card, 0.22.1, which had one batch on the way
        ("qwen3-0.6b", 2 * 2048, 69.4, 40_960, 649_728),
        ("gemma-4-e2b", 2 * 16_384, 155.04, 32_768, 9_026_017),
        ("gemma-4-e4b", 2048, 4.1, 32_768, 224_353),
    ],
)
def test_the_cache_tokens_of_further_logs_follow_from_their_cache(
    name: str, in_flight_tokens: int, kv_gib: float, longest: int, tokens: int
) -> None:
    plan = planned(name, CacheRules(1, 2), in_flight_tokens=in_flight_tokens)
    low, high = (
        plan.cache_tokens(plan.n_blocks(round(kv_gib * GIB) + slack), request_tokens=longest)
        for slack in (-HALF_A_DIGIT_BYTES, HALF_A_DIGIT_BYTES)
    )
    assert low <= tokens <= high


def test_the_least_cache_is_what_vllm_asks_for() -> None:
    # eugr/spark-vllm-docker issue 396: MiniMax M2.7 over two DGX Spark, 0.29.1rc1
    plan = planned("minimax-m2.7", CacheRules(2, 2), in_flight_tokens=2 * 2048)
    needed = plan.request_bytes(196_608)
    assert needed == pytest.approx(23.25 * GIB, abs=HALF_A_DIGIT_BYTES)
    low, high = (
        plan.longest_request(plan.n_blocks(round(22.5 * GIB) + slack), most_tokens=196_608)
        for slack in (-HALF_A_DIGIT_BYTES, HALF_A_DIGIT_BYTES)
    )
    assert low is not None
    assert high is not None
    assert low <= 190_272 <= high


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("llama-3.1-8b", logged("Llama-3.1-8B-class", device="A100-SXM4-40GB")),
        ("kimi-k2", logged("Kimi-K2-Thinking", dcp=1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_cache_tokens_of_a_plain_model_are_those_of_a_log(
    name: str, row: dict[str, Any]
) -> None:
    plan = planned(name, CacheRules(row["tp"], 2), in_flight_tokens=2048)
    printed = round(row["kv_gib"] * GIB)
    low, high = (
        plan.cache_tokens(plan.n_blocks(n_bytes), request_tokens=32768)
        for n_bytes in (printed - HALF_A_DIGIT_BYTES, printed + HALF_A_DIGIT_BYTES)
    )
    assert low <= row["kv_tokens"] <= high


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("llama-3.1-8b", logged("meta-llama/Llama-3.1-8B-Instruct", max_model_len=20000)),
        ("llama-3.1-8b", logged("Llama-3.1-8B class DPO finetune")),
        ("llama-3-8b", logged("Meta-Llama-3-8B", tp=1)),
        ("llama-3-8b", logged("Meta-Llama-3-8B", tp=2)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_weights_are_those_of_a_log(name: str, row: dict[str, Any]) -> None:
    (weights,) = stage_weights(load_published(name), Cut(row["tp"], 1))
    assert weights.mid_bytes == pytest.approx(row["weights_gib"] * GIB, abs=HALF_A_DIGIT_BYTES)


@pytest.mark.parametrize(
    ("machine", "row", "batch"),
    [
        ("a100 sxm4 80 gb", logged("Meta-Llama-3-8B", tp=1), 8192),
        ("2x a100 sxm4 80 gb", logged("Meta-Llama-3-8B", tp=2), 8192),
        (
            "rtx-3090",
            logged("meta-llama/Llama-3.1-8B-Instruct", max_model_len=20000),
            20000,
        ),
        (
            "rtx-3090",
            logged("meta-llama/Llama-3.1-8B-Instruct", max_model_len=29000),
            29000,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_intervals_hold_the_logs_they_were_set_from(
    machine: str, row: dict[str, Any], batch: int
) -> None:
    # one batch was as long as the longest request in those versions
    model, where = load_published("llama-3-8b"), load_machine(machine)
    settings = resolve_vllm(model, where, Workload(batch=batch), PlacementRequest())
    device = settings.devices[0]
    rest = rest_range(
        device,
        total_bytes=where.pool(device.pool).total_bytes or 0,
        several=len(settings.devices) > 1,
    )
    peak = row.get("peak_activation_gib")
    if peak is None:
        peak = row["peak_torch_gib"] - row["weights_gib"]
    activation = activation_range(model, settings)
    assert activation.low_bytes <= peak * GIB <= activation.high_bytes
    assert rest.low_bytes <= row["non_torch_gib"] * GIB <= rest.high_bytes
