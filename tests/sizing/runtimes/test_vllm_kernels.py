"""What vLLM does not start on a card, though it would fit."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import check, load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.vllm_bill import bill_of
from whatfits.sizing.runtimes.vllm_settings import VllmSettings, resolve_vllm
from whatfits.sizing.runtimes.vllm_weights import _rotary_bytes
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.workload import PlacementRequest, Workload


def settled(
    model: str, file_type: str | None, machine: str, *, kv_type: str | None = None
) -> VllmSettings:
    asked = Workload(context_tokens=8192, kv_type_k=kv_type, kv_type_v=kv_type)
    spec = load_published(model, file_type=file_type)
    return resolve_vllm(spec, load_machine(machine), asked, PlacementRequest())


@pytest.mark.parametrize(
    ("model", "file_type", "card", "other", "said"),
    [
        ("gpt-oss-20b", "mxfp4", "quadro rtx 8000", "rtx a6000", "8.0 or more for MXFP4"),
        ("qwen3-8b", "w8a8", "rtx-5090", "rtx-4090", "take --file-type fp8"),
        ("qwen3-8b", "w8a8", "b200", "h100 sxm5 80 gb", "below 10.0 for W8A8"),
        ("gemma-3-4b", "bf16", "tesla t4", "l4", "refuses this kind of model in float16"),
        ("gemma-2-2b", "bf16", "tesla t4", "rtx-3060 12gb", "no bfloat16"),
        ("deepseek-v3.2", "awq", "8x a100 sxm4 80 gb", "8x h100 sxm5 80 gb", "sparse attention"),
        ("deepseek-v3.2", "awq", "16x l40s", "8x b200", "sparse attention"),
        ("gemma-3n-e4b", "bf16", "3x rtx-4090", "2x rtx-4090", "by ranks alone"),
    ],
)
def test_weights_and_models_without_a_kernel_are_refused(
    model: str, file_type: str, card: str, other: str, said: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        settled(model, file_type, card)
    assert said in str(caught.value)
    assert settled(model, file_type, other).devices


@pytest.mark.parametrize(
    ("model", "file_type", "card", "other"),
    [
        ("qwen3-4b", "bf16", "tesla t4", "rtx-3090"),  # FlashInfer reads it from Ampere on
        ("gpt-oss-20b", "mxfp4", "rtx-3090", "rtx-4090"),  # attention sinks
        ("deepseek-v2-lite", "bf16", "2x rtx-3090", "2x rtx-4090"),  # latent rows
        ("phi-3.5-mini", "bf16", "rtx-3090", "rtx-4090"),  # heads of 96
    ],
)
def test_a_cache_in_fp8_that_no_kernel_reads_is_refused(
    model: str, file_type: str, card: str, other: str
) -> None:
    with pytest.raises(InvalidRequestError, match="no kernel reads a cache in FP8 there"):
        settled(model, file_type, card, kv_type="fp8")
    assert settled(model, file_type, card).cache_type == "auto"
    assert settled(model, file_type, other, kv_type="fp8").cache_type == "fp8"


def test_what_is_refused_is_no_remedy() -> None:
    plan = check(
        "qwen3-4b",
        runtime="vllm",
        machine="tesla t4",
        file_type="bf16",
        workload={"context_tokens": 40960},
    )
    assert plan.verdict == "no"
    assert all(remedy.key != "kv_type" for remedy in plan.remedies)


def test_one_group_of_states_is_copied_to_every_rank() -> None:
    # vllm/model_executor/layers/mamba/mamba_mixer2.py: n_groups == 1 is extended to the ranks
    for ranks in (2, 4):
        found = settled("granite-4.0-h-small", "bf16", f"{ranks}x h100 sxm5 80 gb")
        assert found.cut.ranks == ranks


def test_states_of_nemotron_h_are_in_32_bits_unless_told() -> None:
    """vllm/model_executor/models/config.py, NemotronHForCausalLMConfig."""
    spec, where = load_published("nemotron-nano-9b-v2", file_type="bf16"), load_machine("rtx-4090")
    assert spec.checkpoint is not None
    assert spec.checkpoint.states_in_f32 is None
    settings = resolve_vllm(spec, where, Workload(context_tokens=32768), PlacementRequest())
    blocks = {g.spec.block_tokens for g in bill_of(spec, where, settings).devices[0].cache.groups}
    assert blocks == {1312}


def test_the_cache_of_glm_5_is_fp8_on_blackwell_by_default() -> None:
    """vllm/model_executor/models/config.py, GlmMoeDsaForCausalLM."""

    def pages(card: str, kv_type: str | None) -> set[int]:
        settings = settled("glm-5", "fp8", f"8x {card}", kv_type=kv_type)
        spec = load_published("glm-5", file_type="fp8")
        bill = bill_of(spec, load_machine(f"8x {card}"), settings)
        return {layer.page_bytes for g in bill.devices[0].cache.groups for layer in g.layers}

    assert pages("b200", None) == pages("b200", "fp8")
    assert pages("h200 sxm 141 gb", None) != pages("h200 sxm 141 gb", "fp8")


def test_graphs_of_gpt_oss_are_as_many_for_one_request_as_for_all() -> None:
    """vllm/model_executor/models/config.py, GptOssForCausalLMConfig: lengths up to 1,024."""
    spec, where = load_published("gpt-oss-20b", file_type="mxfp4"), load_machine("rtx-4090")

    def reason(parallel: int) -> str:
        asked = Workload(context_tokens=32768, parallel=parallel)
        settings = resolve_vllm(spec, where, asked, PlacementRequest())
        return bill_of(spec, where, settings).devices[0].graphs.reason

    assert reason(1).startswith("84 captured graphs")
    assert reason(256).startswith("118 captured graphs")


def test_what_has_no_rotary_positions_has_no_table_of_them() -> None:
    for model in ("granite-4.0-h-tiny", "nemotron-nano-9b-v2", "kimi-linear-48b-a3b"):
        assert _rotary_bytes(load_published(model, file_type="bf16")) == 0
    assert _rotary_bytes(load_published("qwen3-8b", file_type="bf16")) == 40960 * 128 * 2
