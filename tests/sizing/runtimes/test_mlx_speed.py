"""What a prompt goes through under mlx-lm: the layers that fill a cache."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import check, load_model
from whatfits.sizing.runtimes.mlx_speed import as_mlx_reads


@pytest.mark.parametrize(
    ("name", "layers", "read"),
    [
        # `num_kv_shared_layers` in the published config.json: 20 of 35, 18 of 42, 15 of 35
        ("gemma-4-e2b", 35, 15),
        ("gemma-4-e4b", 42, 24),
        ("gemma-3n-e4b", 35, 20),
        ("llama-3.1-8b", 32, 32),
        ("qwen3.6-27b", 64, 64),
    ],
)
def test_layers_that_reuse_a_cache_wait_for_the_last_token(
    name: str, layers: int, read: int
) -> None:
    model = load_model(name, file_type="BF16")
    part = as_mlx_reads(model)
    assert (model.n_layers, part.n_layers) == (layers, read)
    assert (part is model) == (layers == read)
    assert not [t for t in part.tensors if t.role == "layer" and (t.layer or 0) >= read]
    kept = [t for t in model.tensors if t.role != "layer"]
    assert [t for t in part.tensors if t.role != "layer"] == kept


@pytest.mark.parametrize(
    ("name", "tokens", "measured"),
    [
        # M3 Max with 40 cores, mlx-lm 0.31.2, 4 bits; github.com/AlexHiesch/apple-silicon-llm-bench
        ("gemma-4-e2b", 31_834, 4419),
        ("gemma-4-e4b", 31_834, 1593),
    ],
)
def test_small_gemmas_read_prompts_as_fast_as_was_measured(
    name: str, tokens: int, measured: float
) -> None:
    answer = check(
        name,
        runtime="mlx",
        file_type="mlx-4bit",
        machine="mac-m3-max-64gb",
        workload={"context_tokens": 65_536, "prompt_tokens": tokens},
    )
    assert answer.speed is not None
    prefill = answer.speed.prefill_tokens_per_s
    assert prefill is not None
    assert prefill.low < measured < prefill.high
    assert prefill.mid == pytest.approx(measured, rel=0.25)
    reason = next(b for b in answer.basis if b.key == "speed.prefill_tokens_per_s")
    assert "as the rest fill no cache" in reason.formula
