"""Every kind of model in the catalog under mlx-lm: an answer that adds up, or a refusal."""

from __future__ import annotations

from functools import cache

import pytest
from mlx_requests import planned

from whatfits.sizing.api import load_model
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.errors import UnsupportedArchitectureError

BIG = "m3 ultra 512gb"
# What mlx-lm has no file for, or is not described here; encoders and what is new.
REFUSED = {
    *("arcee", "baichuan", "bailing_hybrid", "bailing_moe_v2", "bert", "bitnet", "deepseek_v4"),
    *("exaone4_5", "falcon", "glm5_next", "hy_v3", "kolibri1", "lfm3", "minimax_m1"),
    *("minimax_m3_vl", "mistral4", "mistral_large4", "mllama", "muse_glimmer", "nomic_bert"),
    *("olmo_hybrid", "phi3small", "rwkv7", "step3p7", "xlm-roberta"),
}


@cache
def one_of_each() -> dict[str, str]:
    """Return one model for each `model_type`, the last one of the catalog."""
    return {str(entry.config["model_type"]): entry.id for entry in model_entries()}


@pytest.mark.parametrize("kind", sorted(set(one_of_each()) - REFUSED))
def test_an_answer_adds_up(kind: str) -> None:
    model = one_of_each()[kind]
    if model in ("kimi-k3", "falcon-h1-34b"):  # shapes with holes, or of another kind
        with pytest.raises(UnsupportedArchitectureError):
            planned(model, machine=BIG)
        return
    plan, twice = (
        planned(model, machine=BIG, force=True, workload={"context_tokens": context})
        for context in (8192, 16_384)
    )
    memory = plan.memory
    assert memory.low_bytes <= memory.total_bytes <= memory.high_bytes
    assert memory.weights_bytes > 0
    assert memory.compute_bytes >= 0
    assert plan.commands["mlx"]
    bits = 8 * memory.weights_bytes / (plan.model.parameters or 1)
    assert plan.model.file_type == "as published" or 4.4 < bits < 4.8
    assert memory.kv_cache_bytes <= twice.memory.kv_cache_bytes <= 2 * memory.kv_cache_bytes
    assert memory.high_bytes <= twice.memory.high_bytes


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_mlx_lm_does_not_run_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedArchitectureError):
        load_model(one_of_each()[kind], runtime="mlx")
