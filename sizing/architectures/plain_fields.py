"""How many parameters a plain transformer of a configuration has, with an interval.

For kinds without a tensor table: embeddings, grouped-query attention with its output matrix, a
gated feed-forward part or experts, and the output matrix. The interval is what the same rule
misses by over the plain models of the catalog, where the counts are known. A configuration that
names anything else (state spaces, embeddings a layer, experts in some layers) gets no figure.
"""

from __future__ import annotations

import re

from whatfits.sizing.approximate import ParameterRange
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["LEAST_PART", "MOST_PART", "fields_read", "plain_parameters"]

# Counted over rule: 0.725 (no gate) to 1.06 over the 190 plain models of the catalog, and some
# room. tests/sizing/architectures/test_plain_fields.py measures it anew.
LEAST_PART: Final = 0.65
MOST_PART: Final = 1.15
_GATED_MATRICES: Final = 3
_NAMES: Final = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "width": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_kv_heads"),
    "head": ("head_dim",),
    "inner": ("intermediate_size", "n_inner", "ffn_dim", "hidden_dim"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    "shared": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "expert_inner": ("moe_intermediate_size", "expert_ffn_hidden_size"),
}
# Parts of names of fields that speak of another shape.
_OTHER_SHAPES: Final = re.compile(
    r"mamba|ssm|rwkv|conv|linear_(?:num|key|attn)|time_step|hybrid|per_layer_input|block_configs"
    r"|layers_block_type|_layer_period|interleave_moe|lightning|laurel|routed_expert_hidden"
)


def plain_parameters(config: Mapping[str, object]) -> ParameterRange | None:
    """Return the parameters a plain transformer would have.

    None when a width is missing, or the configuration is not that of a plain transformer.
    """
    if any(value and _OTHER_SHAPES.search(name) for name, value in config.items()):
        return None
    layers, width = _whole(config, "layers"), _whole(config, "width")
    vocabulary, heads = _whole(config, "vocabulary"), _whole(config, "heads")
    inner = _whole(config, "inner") or _whole(config, "expert_inner")
    if not layers or not width or not vocabulary or not heads or not inner:
        return None
    head = _whole(config, "head") or width // heads
    kv_heads = _whole(config, "kv_heads") or heads
    attention = width * head * (2 * heads + 2 * kv_heads)
    experts = _whole(config, "experts") or 0
    if experts:
        one = _whole(config, "expert_inner") or inner
        count = experts + (_whole(config, "shared") or 0)
        feed_forward = count * one * width * _GATED_MATRICES + experts * width
    else:
        feed_forward = inner * width * _GATED_MATRICES
    ends = vocabulary * width * (1 if config.get("tie_word_embeddings") is True else 2)
    total = ends + layers * (attention + feed_forward)
    return ParameterRange(round(total * LEAST_PART), total, round(total * MOST_PART))


def fields_read(config: Mapping[str, object]) -> str:
    """Return the fields that the rule reads of a configuration, with their values, for people."""
    found = (_field(config, what) for what in _NAMES)
    return ", ".join(f"{name} {value:,}" for name, value in found if value is not None)


def _whole(config: Mapping[str, object], what: str) -> int | None:
    return _field(config, what)[1]


def _field(config: Mapping[str, object], what: str) -> tuple[str, int | None]:
    """Return the name under which a configuration gives a count, and the count."""
    names = _NAMES[what]
    for name in names:
        value = config.get(name)
        if type(value) is int and 0 < value < 2**31:
            return name, value
    return names[0], None
