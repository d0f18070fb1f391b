"""What a configuration leaves out because its class has it anyway.

transformers writes of a language model inside another one only what differs from its class, and
llama.cpp's converter reads configurations through transformers, so that a missing field is the
class's. Widths are taken so from inner parts alone: an outer one that lacks them is no model's.
Source: huggingface/transformers 5.24.0 src/transformers/models/*/configuration_*.py;
llama.cpp (0c1e57098) conversion/base.py, ModelBase.load_hparams. Error: none.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["class_defaults"]

_HEADS: Final = ("num_key_value_heads", "head_dim")
# Classes with fewer keys than queries, or with heads of a length of their own; 0 is no default.
_OF_HEADS: Final[Mapping[str, tuple[int, int]]] = {
    "bitnet": (5, 0),
    "ernie4_5": (2, 128),
    "exaone": (8, 0),
    "falcon_h1": (8, 0),
    "gemma": (0, 256),
    "gemma2": (4, 256),
    "gemma3_text": (4, 256),
    "gemma3n_text": (2, 256),
    "glm": (2, 128),
    "glm4": (2, 128),
    "glm4_moe": (8, 0),
    "gpt_oss": (8, 64),
    "internlm3": (2, 128),
    "jamba": (8, 0),
    "lfm2": (8, 0),
    "lfm2_moe": (8, 0),
    "llama4_text": (8, 128),
    "minimax_m2": (8, 128),
    "ministral3": (8, 128),
    "mistral": (8, 0),
    "mixtral": (8, 0),
    "phimoe": (8, 0),
    "qwen3": (0, 128),
    "qwen3_moe": (4, 0),
    "qwen3_next": (2, 256),
    "seed_oss": (8, 128),
    "smollm3": (4, 0),
    "starcoder2": (2, 0),
}
_WIDTHS: Final = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "max_position_embeddings"),
)
# The language models that vision models hold; as many keys as queries where the class says so.
_OF_WIDTHS: Final[Mapping[str, tuple[int, ...]]] = {
    "cohere": (256_000, 8192, 22_528, 40, 64, 0, 8192),
    "cohere2": (256_000, 8192, 22_528, 40, 64, 0, 8192),
    "gemma": (256_000, 3072, 24_576, 28, 16, 16, 8192),
    "gemma2": (256_000, 2304, 9216, 26, 8, 4, 8192),
    "gemma3_text": (262_208, 2304, 9216, 26, 8, 4, 131_072),
    "gemma3n_text": (262_400, 2048, 16_384, 35, 8, 2, 32_768),
    "llama": (32_000, 4096, 11_008, 32, 32, 0, 2048),
    "mistral": (32_000, 4096, 14_336, 32, 32, 8, 131_072),
    "mixtral": (32_000, 4096, 14_336, 32, 32, 8, 131_072),
    "phi": (51_200, 2048, 8192, 24, 32, 0, 2048),
    "phi3": (32_064, 3072, 8192, 32, 32, 0, 4096),
    "qwen2": (151_936, 4096, 22_016, 32, 32, 32, 32_768),
    "qwen3": (151_936, 4096, 22_016, 32, 32, 32, 32_768),
}
_OF_WINDOWS: Final = {"cohere2": 4096, "gemma2": 4096, "gemma3_text": 4096, "gemma3n_text": 512}


def class_defaults(kind: object, *, is_inner: bool) -> dict[str, int]:
    """Return the fields that a class of configurations has of itself, by its `model_type`.

    `is_inner` says that the configuration is that of a language model inside another one.
    """
    if not isinstance(kind, str):
        return {}
    found: dict[str, int] = dict(zip(_HEADS, _OF_HEADS.get(kind, ()), strict=False))
    if is_inner:
        found |= dict(zip(_WIDTHS, _OF_WIDTHS.get(kind, ()), strict=False))
        found["sliding_window"] = _OF_WINDOWS.get(kind, 0)
    return {name: value for name, value in found.items() if value}
