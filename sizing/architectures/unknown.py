"""Architectures this llama.cpp does not know: what may still be said about them.

Their weights are exact, from the tensor table. Their cache is taken as full attention in every
layer, with a wide interval, and only when nothing in the metadata speaks against it.
"""

from __future__ import annotations

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.architectures.metadata import Metadata

__all__ = ["KNOWN", "UNKNOWN_INTERVAL", "check_unknown", "unknown_note"]

UNKNOWN_INTERVAL: Final = 0.5

# Source: llama.cpp (0c1e57098) src/llama-arch.cpp, the names that have a model class.
_NAMES: Final = (
    "afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bert "
    "bitnet bloom chameleon chatglm codeshell cogvlm cohere2 cohere2moe command-r dbrx "
    "deci deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 dflash dots1 dots3note "
    "dream eagle3 ernie4_5 ernie4_5-moe eurobert exaone exaone-moe exaone4 falcon "
    "falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n gemma4 gemma4-assistant "
    "glm-dsa glm4 glm4moe glm5-next gpt-oss gpt2 gptneox granite granite_swa "
    "granitehybrid granitemoe graniteswitch grok grovemoe hrm_text hunyuan-dense "
    "hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 jamba jina-bert-v2 "
    "jina-bert-v3 kimi-k3 kimi-linear laguna lfm2 lfm2moe llada llada-moe llama "
    "llama-embed llama4 maincoder mamba mamba2 maple mellum mimo2 minicpm minicpm3 "
    "minimax-01 minimax-m2 minimax-m3 mistral3 mistral4 modern-bert mpt muse-glimmer "
    "nanbeige nemotron nemotron_h nemotron_h_moe neo-bert nomic-bert nomic-bert-moe olmo "
    "olmo2 olmoe openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 "
    "plamo3 plm pockettts qwen qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe "
    "qwen3next qwen3tts qwen3vl qwen3vlmoe qwen4exp refact rnd1 rwkv6 rwkv6qwen2 rwkv7 "
    "seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2 step35 t5 "
    "t5encoder talkie wavtokenizer-dec xverse"
)
KNOWN: Final = frozenset(_NAMES.split())
# Keys that mean another kind of memory than keys and values of every token.
_OTHER_MEMORY: Final = (
    "ssm.state_size",
    "ssm.conv_kernel",
    "ssm.inner_size",
    "wkv.head_size",
    "shortconv.l_cache",
    "kda.head_dim",
    "attention.kv_lora_rank",
    "attention.key_length_mla",
    "attention.indexer.key_length",
    "attention.compress_ratios",
    "full_attention_interval",
)
# Not language models: parts that go with one.
_PARTS: Final = {
    "clip": "a vision or audio projector (mmproj)",
    "mmproj": "a vision or audio projector",
    "imatrix": "an importance matrix",
    "adapter": "an adapter",
    "controlvector": "a control vector",
}


def check_unknown(metadata: Metadata) -> bool:
    """Return whether the architecture is unknown but may be guessed at.

    Raises:
        UnsupportedArchitectureError: nothing sound can be said about its cache.
    """
    architecture = metadata.architecture
    if architecture in KNOWN:
        return False
    part = _PARTS.get(architecture)
    if part is not None:
        raise UnsupportedArchitectureError(
            what=f"this file is {part}, not a model; architecture",
            got=architecture,
            next_step="give the language model's own file",
        )
    found = next((key for key in _OTHER_MEMORY if metadata.has(key)), None)
    if found is not None:
        raise UnsupportedArchitectureError(
            what="architecture",
            got=architecture,
            allowed="one whose cache rule is known",
            next_step=f"the rule for what {metadata.name(found)} keeps in memory is missing",
        )
    return True


def unknown_note(architecture: str) -> str:
    """Return what a reader must know about a guessed cache."""
    return (
        f"Architecture {architecture!r} is unknown here: the weights are exact, the cache is taken "
        "as full attention in every layer."
    )
