"""Gemma 1, 2 and 3. The output always shares the embedding.

Gemma 3's embedding may have more rows than its tokenizer has tokens (262,208 against 262,144); the
converter cuts it to the tokenizer's length when the configuration says so, and the published files
exist both ways. Here rows and tokens are both `vocab_size`; `n_vocab_override` sets them.
Source: llama.cpp (0c1e57098) src/models/{gemma,gemma2,gemma3}.cpp; conversion/gemma.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata, window_flags
from whatfits.sizing.architectures.decoder import Style, decoder
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.architectures.config import Config

__all__ = ["ARCHITECTURES"]

_GEMMA2_WINDOW: Final = 4096
_GEMMA3_HEAD: Final = 256
_GEMMA3_PERIOD: Final = 6
_EMBEDDING_WINDOW: Final = 512
_GEMMA2: Final = Style(tied="always", post_attention_norm=True, post_ffn_norm=True)
_GEMMA3: Final = Style(tied="always", qk_norm="head", post_attention_norm=True, post_ffn_norm=True)


def _gemma_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    metadata.setdefault("attention.head_count_kv", config.positive("num_attention_heads"))
    return metadata


def _gemma2_metadata(config: Config) -> dict[str, object]:
    window = config.optional("sliding_window")
    return {
        **_gemma_metadata(config),
        "attn_logit_softcapping": config.number("attn_logit_softcapping") or 50.0,
        "final_logit_softcapping": config.number("final_logit_softcapping") or 30.0,
        "attention.sliding_window": _GEMMA2_WINDOW if window is None else window,
    }


def _gemma3_metadata(config: Config) -> dict[str, object]:
    head = config.optional("head_dim") or _GEMMA3_HEAD
    metadata = {
        **_gemma_metadata(config),
        "attention.key_length": head,
        "attention.value_length": head,
    }
    softcap = config.number("final_logit_softcapping")
    if softcap:
        metadata["final_logit_softcapping"] = softcap
    period = config.optional("sliding_window_pattern")
    window = config.optional("sliding_window")
    if period != 1 and window is not None:
        metadata["attention.sliding_window"] = window
        flags = window_flags(config, period=period or _GEMMA3_PERIOD)
        assert flags is not None
        if flags != _by_period(config.n_layers, _GEMMA3_PERIOD):
            metadata["attention.sliding_window_pattern"] = flags
    return metadata


def _embedding_metadata(config: Config) -> dict[str, object]:
    """Return EmbeddingGemma's metadata: its windows look both ways and it keeps no cache."""
    head = config.optional("head_dim") or _GEMMA3_HEAD
    window = config.optional("sliding_window")
    return {
        **_gemma_metadata(config),
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.causal": False,
        "attention.sliding_window": _EMBEDDING_WINDOW if window is None else window,
    }


def _by_period(n_layers: int, period: int) -> tuple[bool, ...]:
    return tuple((layer + 1) % period != 0 for layer in range(n_layers))


ARCHITECTURES: Final = (
    Architecture("gemma", _gemma_metadata, decoder(Style(tied="always"))),
    Architecture("gemma2", _gemma2_metadata, decoder(_GEMMA2)),
    Architecture("gemma3", _gemma3_metadata, decoder(_GEMMA3)),
    Architecture("gemma-embedding", _embedding_metadata, decoder(_GEMMA3)),
)
