"""The cases that other estimators are asked about, and the names their own lists have for them."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["CASES", "Case", "Model"]


class Model(NamedTuple):
    """A catalog model, its file type and its name on the Hugging Face Hub."""

    name: str
    file_type: str
    hub: str


class Case(NamedTuple):
    """A model at a context: one sequence, F16 cache, CPU."""

    model: Model
    context_tokens: int


_FIVE: Final = (
    Model("llama-3.1-8b", "Q4_K_M", "meta-llama/Llama-3.1-8B-Instruct"),
    Model("qwen3-30b-a3b", "Q4_K_M", "Qwen/Qwen3-30B-A3B"),
    Model("gpt-oss-20b", "MXFP4_MOE", "openai/gpt-oss-20b"),
    Model("gemma-3-27b", "Q4_K_M", "google/gemma-3-27b-it"),
    Model("deepseek-v3", "Q4_K_M", "deepseek-ai/DeepSeek-V3"),
)
_OTHERS: Final = (
    Model("qwen2.5-7b", "Q4_K_M", "Qwen/Qwen2.5-7B-Instruct"),
    Model("qwen3-32b", "Q8_0", "Qwen/Qwen3-32B"),
    Model("gemma-2-9b", "Q4_K_M", "google/gemma-2-9b-it"),
    Model("gemma-3-4b", "Q8_0", "google/gemma-3-4b-it"),
    Model("phi-4", "Q4_K_M", "microsoft/phi-4"),
    Model("llama-3.3-70b", "Q4_K_M", "meta-llama/Llama-3.3-70B-Instruct"),
    Model("mixtral-8x7b", "Q4_K_M", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    Model("deepseek-coder-v2-lite", "Q4_K_M", "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct"),
    Model("qwen3-next-80b-a3b", "Q4_K_M", "Qwen/Qwen3-Next-80B-A3B-Instruct"),
    Model("falcon-mamba-7b", "Q4_K_M", "tiiuae/falcon-mamba-7b-instruct"),
    Model("granite-4.0-h-tiny", "Q4_K_M", "ibm-granite/granite-4.0-h-tiny"),
    Model("command-r7b", "Q4_K_M", "CohereLabs/c4ai-command-r7b-12-2024"),
    Model("glm-4.5-air", "Q4_K_M", "zai-org/GLM-4.5-Air"),
    Model("llama-4-scout", "Q4_K_M", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    Model("nemotron-h-8b", "Q8_0", "nvidia/Nemotron-H-8B-Base-8K"),
    Model("olmo-3-7b", "Q4_K_M", "allenai/Olmo-3-7B-Instruct"),
)
CASES: Final = (
    *(Case(model, context) for model in _FIVE for context in (8_192, 32_768, 131_072)),
    *(Case(model, context) for model in _OTHERS for context in (8_192, 32_768)),
)
