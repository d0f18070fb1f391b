"""DeciLM and the Nemotron models pruned layer by layer (Super 49B, Ultra 253B).

A layer may have attention, nothing in its place, or one matrix; its feed-forward part has its own
width or is missing.
Source: llama.cpp (0c1e57098) src/models/deci.cpp; conversion/deci.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata, rope_factor_count
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]


def _metadata(config: Config) -> dict[str, object]:
    shared, widths = _per_layer(config)
    heads = config.positive("num_attention_heads")
    plain = base_metadata(config.without("num_key_value_heads", "intermediate_size"))
    return {
        **plain,
        "vocab_size": config.n_vocab,
        "attention.head_count": tuple(heads if count else 0 for count in shared),
        "attention.head_count_kv": shared,
        "feed_forward_length": widths,
        "attention.key_length": config.head_length,
        "attention.value_length": config.head_length,
        "rope.dimension_count": config.head_length,
    }


def _per_layer(config: Config) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return key/value heads and feed-forward widths, one each a layer.

    Raises:
        MalformedFileError: the configuration does not list them.
    """
    lists: list[tuple[int, ...]] = []
    for name in ("per_layer_num_key_value_heads", "per_layer_intermediate_size"):
        given = config.items(name)
        whole = tuple(item for item in given or () if type(item) is int and item >= 0)
        if len(whole) != config.n_layers:
            reason = "missing" if given is None else f"a list of {len(given):,}"
            raise config.error(name, reason, allowed=f"{config.n_layers:,} whole numbers")
        lists.append(whole)
    return lists[0], lists[1]


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, config, geometry = blueprint.n_embd, blueprint.config, blueprint.geometry
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=config.tied())
    factors = rope_factor_count(config)
    if factors:
        yield blocks.f32("rope_freqs", factors)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        if geometry.heads_kv[layer]:
            yield blocks.f32(f"{prefix}attn_norm", n_embd)
            yield from blocks.attention(prefix, blueprint.widths(layer))
        if geometry.feed_forward[layer]:
            yield blocks.f32(f"{prefix}ffn_norm", n_embd)
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))


ARCHITECTURES: Final = (Architecture("deci", _metadata, _tensors),)
