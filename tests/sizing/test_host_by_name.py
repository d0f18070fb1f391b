"""Slow is what truly lies in RAM: a flag that moves nothing is none."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import check

PC = "rtx-4090 + 64gb"


def _checked(model: str, **placement: object) -> tuple[str, str]:
    plan = check(model, machine=PC, placement=placement)
    return plan.verdict, plan.verdict_reason


@pytest.mark.parametrize(
    ("model", "placement"),
    [
        ("llama-3.1-8b", {"cpu_moe_layers": 5}),  # dense: no experts
        ("llama-3.1-8b", {"overrides": [["zzz", "CPU"]]}),
        ("llama-3.1-8b", {"overrides": [["token_embd", "CPU"]]}),  # lies there anyway
        ("llama-3.1-8b", {"overrides": [["ffn_up", "cuda0"], ["ffn", "cuda0"]]}),
        ("deepseek-v2-lite", {"cpu_moe_layers": 1}),  # the first layer is dense
        ("nomic-embed-text-v1.5", {"kv_offload": False}),  # keeps no cache
    ],
)
def test_what_moves_nothing_to_ram_is_not_slow(model: str, placement: dict[str, object]) -> None:
    verdict, reason = _checked(model, **placement)
    assert (verdict, reason.partition(":")[0]) == ("fits", "vram0")


@pytest.mark.parametrize(
    ("model", "placement", "said"),
    [
        ("deepseek-v2-lite", {"cpu_moe_layers": 2}, "the experts of 1 layer are in ram"),
        ("deepseek-v2-lite", {"cpu_moe_layers": 99}, "the experts of 26 layers are in ram"),
        ("qwen3-30b-a3b", {"overrides": [["ffn_up_exps", "CPU"]]}, "experts of 48 layers"),
        (
            "qwen3-30b-a3b",
            {"gpu_layers": 48, "cpu_moe_layers": 3},
            "1 of 49 layers are in ram",
        ),
        ("llama-3.1-8b", {"overrides": [["blk.3.ffn_up", "CPU"]]}, "tensors placed by name"),
        # its embedding is the output matrix too
        ("llama-3.2-1b", {"overrides": [["token_embd", "CPU"]]}, "tensors placed by name"),
        ("llama-3.1-8b", {"kv_offload": False}, "the cache is in ram"),
    ],
)
def test_what_lies_in_ram_is_slow_and_counted(
    model: str, placement: dict[str, object], said: str
) -> None:
    verdict, reason = _checked(model, **placement)
    assert verdict == "slow"
    assert said in reason


def test_experts_of_a_model_without_a_table_are_counted_by_its_layers() -> None:
    plan = check("kolibri-1", machine="h100-sxm + 1tb", placement={"cpu_moe_layers": 4})
    assert plan.verdict == "slow"
    assert "the experts of 4 layers are in ram" in plan.verdict_reason
