"""The commands of `--runtime mlx`: only flags that mlx-lm has."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from mlx_requests import planned

PROGRAMS: dict[str, set[str]] = {
    "mlx_lm.convert": {
        *("--hf-path", "--mlx-path", "-q", "--q-bits", "--q-group-size", "--q-mode"),
        *("--quant-predicate", "--dtype"),
    },
    "mlx_lm.generate": {
        *("--model", "--prompt", "--max-tokens", "--max-kv-size", "--kv-bits", "--kv-group-size"),
        *("--quantized-kv-start", "--prefill-step-size", "--draft-model", "--num-draft-tokens"),
        "--prompt-cache-file",
    },
    "mlx_lm.server": {
        *("--model", "--host", "--port", "--max-tokens", "--decode-concurrency"),
        *("--prompt-concurrency", "--prefill-step-size", "--prompt-cache-size"),
        *("--prompt-cache-bytes", "--kv-bits", "--kv-group-size", "--quantized-kv-start"),
        *("--draft-model", "--pipeline", "--adapter-path", "--chat-template-args"),
    },
}


@pytest.mark.parametrize("model", ["qwen3-8b", "gpt-oss-20b", "gemma-3-4b", "deepseek-v2-lite"])
@pytest.mark.parametrize("file_type", [None, "4bit", "8bit-g32", "mxfp4", "mixed_4_6", "bf16"])
@pytest.mark.parametrize(
    "workload",
    [
        {},
        {"program": "api", "output_tokens": 100},
        {"parallel": 4, "micro_batch": 512, "cache_ram_mib": 100},
    ],
    ids=str,
)
def test_only_flags_that_the_programs_have_are_written(
    model: str, file_type: str | None, workload: dict[str, Any]
) -> None:
    lines = planned(model, file_type=file_type, workload=workload, force=True).commands["mlx"]
    assert lines[-1].startswith(("mlx_lm.server ", "mlx_lm.generate "))
    for line in lines:
        program, *words = shlex.split(line)
        flags = {word for word in words if word.startswith("-") and word != "-"}
        assert flags <= PROGRAMS[program]


def test_a_model_is_converted_and_then_run_from_there() -> None:
    convert, serve = planned("llama-3.1-8b", file_type="8bit-g32").commands["mlx"]
    assert convert == (
        "mlx_lm.convert --hf-path meta-llama/Llama-3.1-8B-Instruct "
        "--mlx-path llama-3.1-8b-8bit-g32-mlx -q --q-bits 8 --q-group-size 32"
    )
    assert serve.startswith("mlx_lm.server --model llama-3.1-8b-8bit-g32-mlx ")
