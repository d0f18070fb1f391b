"""HF configuration → GGUF metadata, as llama.cpp's converter writes it for most models.

Source: llama.cpp (0c1e57098) conversion/base.py, TextModel.set_gguf_parameters. Families add what
their own converter adds.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.architectures.config import Config

__all__ = ["NEUTRAL_EPSILON", "NEUTRAL_SCALE", "base_metadata", "rope_factor_count", "window_flags"]

# llama.cpp refuses a file without these; no byte depends on them. Configurations of the catalog
# leave them out, so a neutral value stands in.
NEUTRAL_EPSILON: Final = 1e-5
NEUTRAL_SCALE: Final = 1.0

_NAMES: Final = (
    ("context_length", ("max_position_embeddings", "n_ctx", "n_positions", "model_max_length")),
    ("embedding_length", ("hidden_size", "n_embd", "dim")),
    ("feed_forward_length", ("intermediate_size", "n_inner", "hidden_dim")),
    ("attention.head_count", ("num_attention_heads", "n_head", "n_heads")),
    ("attention.head_count_kv", ("num_key_value_heads", "n_kv_heads")),
    ("expert_count", ("num_local_experts", "num_experts", "n_routed_experts")),
    (
        "expert_used_count",
        ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "experts_per_token"),
    ),
    ("expert_group_count", ("n_group",)),
    ("expert_group_used_count", ("topk_group",)),
)
_GATING: Final = {"softmax": 1, "sigmoid": 2, "sqrtsoftplus": 4}
_LONG_ROPE: Final = ("su", "longrope")


def base_metadata(config: Config) -> dict[str, object]:
    """Return the metadata that every converter writes, keys without the architecture's prefix.

    Raises:
        MalformedFileError: a value is of the wrong kind.
    """
    metadata: dict[str, object] = {"block_count": config.n_layers}
    for key, names in _NAMES:
        value = config.optional(*names)
        if value is not None:
            metadata[key] = value
    head = config.optional("head_dim")
    if head is not None:
        metadata["attention.key_length"] = metadata["attention.value_length"] = head
    metadata |= _rope(config)
    epsilon = config.number("rms_norm_eps", "norm_eps")
    metadata["attention.layer_norm_rms_epsilon"] = NEUTRAL_EPSILON if epsilon is None else epsilon
    gating = _GATING.get(config.text("scoring_func") or config.text("score_function") or "")
    if gating is not None:
        metadata["expert_gating_func"] = gating
    return metadata


def _rope(config: Config) -> dict[str, object]:
    rope, kind = config.rope, config.rope_kind
    metadata: dict[str, object] = {}
    theta = rope.get("rope_theta", config.number("rope_theta"))
    if isinstance(theta, (int, float)):
        metadata["rope.freq_base"] = float(theta)
    factor = rope.get("factor")
    if kind in ("linear", "yarn") and isinstance(factor, (int, float)):
        metadata["rope.scaling.type"] = kind
        metadata["rope.scaling.factor"] = float(factor)
        original = rope.get("original_max_position_embeddings")
        if kind == "yarn" and isinstance(original, int):
            metadata["rope.scaling.original_context_length"] = original
    elif kind in _LONG_ROPE:
        metadata["rope.scaling.type"] = "longrope"
    return metadata


def window_flags(config: Config, *, period: int | None = None) -> tuple[bool, ...] | None:
    """Return one flag a layer, true for a sliding window; None when nothing says which.

    From `layer_types`, else every `period`-th layer is full.
    """
    kinds = config.layer_kinds(config.n_layers)
    if kinds is not None:
        return tuple(kind == "sliding_attention" for kind in kinds)
    if period is None:
        return None
    return tuple((layer + 1) % period != 0 for layer in range(config.n_layers))


def rope_factor_count(config: Config) -> int:
    """Return how many rotary factors Llama 3 scaling stores; 0 with any other scaling."""
    return config.head_length // 2 if config.rope_kind == "llama3" else 0
