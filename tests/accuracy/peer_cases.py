"""The cases that other estimators are asked about, and the names their own lists have for them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple

from whatfits.bench.run_settings import RunSettings

__all__ = ["CASES", "FIELD", "LOADS", "Case", "Model", "load_case", "plain"]


class Model(NamedTuple):
    """A catalog model, its file type and its name on the Hugging Face Hub."""

    name: str
    file_type: str
    hub: str


@dataclass(frozen=True)
class Case:
    """A model under settings, beside so many pretend GPUs."""

    model: Model
    settings: RunSettings
    gpus: int = 0

    @property
    def needs(self) -> frozenset[str]:
        """What an estimator has to have an option for, beside the context: fields of settings."""
        usual = asdict(plain(self.settings.context_tokens))
        changed = {key for key, value in asdict(self.settings).items() if value != usual[key]}
        changed -= {"outputs_max", "kv_type_v", "gpu_layers"}  # told by their fellows
        return frozenset(changed | ({"gpus"} if self.gpus else set()))

    @property
    def label(self) -> str:
        """What is unusual about it, in words; empty when nothing is."""
        settings = self.settings
        said = {
            "parallel": f"{settings.parallel} sequences",
            "kv_type_k": f"{settings.kv_type_k} cache",
            "micro_batch": f"micro-batch {settings.micro_batch}",
            "flash_attention": "no flash attention",
            "swa_full": "window cache full",
            "repack": "repacked",
            "gpus": f"{settings.gpu_layers if settings.gpu_layers >= 0 else 'all'} layers on a GPU",
        }
        return ", ".join(text for field, text in said.items() if field in self.needs)

    @property
    def key(self) -> str:
        """What a recording calls it."""
        model = f"{self.model.name} {self.model.file_type} {self.settings.context_tokens}"
        return f"{model} {self.label}".strip()


def plain(context_tokens: int) -> RunSettings:
    """Return the usual settings: a server's, one sequence, F16 cache, nothing repacked."""
    return RunSettings(context_tokens, outputs_max=1, swa_full=False, repack=False)


_FIVE: Final = (
    Model("llama-3.1-8b", "Q4_K_M", "meta-llama/Llama-3.1-8B-Instruct"),
    Model("qwen3-30b-a3b", "Q4_K_M", "Qwen/Qwen3-30B-A3B"),
    Model("gpt-oss-20b", "MXFP4_MOE", "openai/gpt-oss-20b"),
    Model("gemma-3-27b", "Q4_K_M", "google/gemma-3-27b-it"),
    Model("deepseek-v3", "Q4_K_M", "deepseek-ai/DeepSeek-V3"),
)
_HYBRID: Final = Model("qwen3-next-80b-a3b", "Q4_K_M", "Qwen/Qwen3-Next-80B-A3B-Instruct")
_OTHERS: Final = (
    Model("qwen2.5-7b", "Q4_K_M", "Qwen/Qwen2.5-7B-Instruct"),
    Model("qwen3-32b", "Q8_0", "Qwen/Qwen3-32B"),
    Model("gemma-2-9b", "Q4_K_M", "google/gemma-2-9b-it"),
    Model("gemma-3-4b", "Q8_0", "google/gemma-3-4b-it"),
    Model("phi-4", "Q4_K_M", "microsoft/phi-4"),
    Model("llama-3.3-70b", "Q4_K_M", "meta-llama/Llama-3.3-70B-Instruct"),
    Model("mixtral-8x7b", "Q4_K_M", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    Model("deepseek-coder-v2-lite", "Q4_K_M", "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct"),
    _HYBRID,
    Model("falcon-mamba-7b", "Q4_K_M", "tiiuae/falcon-mamba-7b-instruct"),
    Model("granite-4.0-h-tiny", "Q4_K_M", "ibm-granite/granite-4.0-h-tiny"),
    Model("command-r7b", "Q4_K_M", "CohereLabs/c4ai-command-r7b-12-2024"),
    Model("glm-4.5-air", "Q4_K_M", "zai-org/GLM-4.5-Air"),
    Model("llama-4-scout", "Q4_K_M", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    Model("nemotron-h-8b", "Q8_0", "nvidia/Nemotron-H-8B-Base-8K"),
    Model("olmo-3-7b", "Q4_K_M", "allenai/Olmo-3-7B-Instruct"),
)
_CONTEXTS: Final = (
    *(Case(model, plain(context)) for model in _FIVE for context in (8_192, 32_768, 131_072)),
    *(Case(model, plain(context)) for model in _OTHERS for context in (8_192, 32_768)),
)
_SHAPES: Final = (*_FIVE, _HYBRID)  # dense, experts, sinks, windows, latent cache, hybrid


def _changed(
    model: Model,
    context_tokens: int,
    *,
    gpus: int = 0,
    **changes: Any,  # noqa: ANN401 - fields of settings
) -> Case:
    return Case(model, replace(plain(context_tokens), **changes), gpus)


_SETTINGS: Final = (
    *(_changed(model, 32_768, kv_type_k="q8_0", kv_type_v="q8_0") for model in _SHAPES),
    *(_changed(model, 131_072, kv_type_k="q4_0", kv_type_v="q4_0") for model in _FIVE[:2]),
    *(_changed(model, 32_768, parallel=4, outputs_max=4) for model in _SHAPES),
    *(_changed(model, 65_536, parallel=16, outputs_max=16) for model in _FIVE[:2]),
    *(_changed(model, 8_192, micro_batch=2_048) for model in _SHAPES),
    *(_changed(model, 8_192, flash_attention="off") for model in _SHAPES),
    *(_changed(model, 32_768, swa_full=True) for model in (_FIVE[2], _FIVE[3])),
)
_PLACED: Final = (
    *(_changed(model, 8_192, gpus=1) for model in _SHAPES),
    *(
        _changed(model, 8_192, gpus=1, gpu_layers=half)
        for model, half in zip(_SHAPES, (16, 24, 12, 31, 30, 24), strict=True)
    ),
)
CASES: Final = (*_CONTEXTS, *_SETTINGS, *_PLACED)

LOAD_CONTEXT_TOKENS: Final = 4_096
LOADS: Final = (
    Model("smollm2-135m", "F16", "HuggingFaceTB/SmolLM2-135M-Instruct"),
    Model("qwen2.5-0.5b", "Q4_0", "Qwen/Qwen2.5-0.5B-Instruct"),
    Model("qwen3-embedding-0.6b", "Q8_0", "Qwen/Qwen3-Embedding-0.6B"),
    Model("qwen3-1.7b", "Q4_K_M", "Qwen/Qwen3-1.7B"),
    Model("llama-3.2-1b", "Q4_K_M", "meta-llama/Llama-3.2-1B-Instruct"),
    Model("gemma-3-1b", "Q4_0", "google/gemma-3-1b-it"),
    Model("gemma-2-2b", "Q4_K_M", "google/gemma-2-2b-it"),
    Model("ernie-4.5-0.3b", "Q8_0", "baidu/ERNIE-4.5-0.3B-PT"),
    Model("lfm2-350m", "Q8_0", "LiquidAI/LFM2-350M"),
    Model("granite-4.0-h-350m", "Q8_0", "ibm-granite/granite-4.0-h-350m"),
    Model("granite-3.0-1b-a400m", "Q4_K_M", "ibm-granite/granite-3.0-1b-a400m-instruct"),
    Model("falcon-h1-0.5b", "Q6_K", "tiiuae/Falcon-H1-0.5B-Instruct"),
    Model("rwkv7-0.4b", "Q8_0", "fla-hub/rwkv7-0.4B-world"),
    Model("stablelm-2-1.6b", "Q4_0", "stabilityai/stablelm-2-1_6b-chat"),
    Model("smollm3-3b", "IQ4_NL", "HuggingFaceTB/SmolLM3-3B"),
)


def load_case(model: Model, *, repack: bool = False) -> Case:
    """Return a model as it is loaded for real."""
    return Case(model, replace(plain(LOAD_CONTEXT_TOKENS), repack=repack))


_LLAMA_3: Final = Model("llama-3-8b", "Q4_K_M", "meta-llama/Meta-Llama-3-8B-Instruct")


def _logged(model: Model, context_tokens: int, **changes: Any) -> Case:  # noqa: ANN401 - any field
    """Return what a log of an older llama.cpp tells: it reserved logits for a whole micro-batch."""
    return _changed(model, context_tokens, outputs_max=0, repack=True, **changes)


FIELD: Final = (
    _logged(_LLAMA_3, 512, flash_attention="off"),
    _logged(_LLAMA_3, 8_192, flash_attention="off"),
    _logged(
        Model("qwen3.5-27b", "Q8_0", "Qwen/Qwen3.5-27B"),
        2_048,
        parallel=4,
        kv_type_k="q4_0",
        kv_type_v="q4_0",
    ),
    _logged(
        Model("qwen3.5-35b-a3b", "Q8_0", "Qwen/Qwen3.5-35B-A3B"),
        2_048,
        parallel=4,
        kv_type_k="q8_0",
        kv_type_v="q8_0",
    ),
)
