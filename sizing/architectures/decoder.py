"""The decoder most families share, with a switch for each way in which they differ."""

from __future__ import annotations

from functools import partial

from whatfits.sizing.architectures import blocks
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

    Part = Callable[["Blueprint", str, int], Iterator[TensorShape]]

__all__ = ["Style", "decoder", "decoder_tensors", "dense_part", "mixture_part"]


@dataclass(frozen=True, slots=True)
class Style:
    """How a family builds its layers.

    Attributes:
        tied: the output shares the embedding: as the configuration says, always or never.
        tied_default: what a configuration that does not say means.
        norm_bias: norms are layer norms, with a shift.
        fused_qkv: queries, keys and values are one matrix.
        qkv_bias: they have a bias.
        output_bias: the attention's output has one.
        qk_norm: norms on queries and keys: one vector a head shared by all (`head`), one over the
            whole width (`width`), one a head (`each_head`).
        attention_norm: a norm before attention.
        post_attention_norm: a norm after attention.
        ffn_norm: a norm before the feed-forward part.
        post_ffn_norm: a norm after it.
        gated: the feed-forward part has a gate.
        fused_gate: gate and up projection are one matrix.
        ffn_bias: the feed-forward part has biases.
        head_bias: the output matrix has a bias.
        attention_gate: a matrix that gates attention's output, one value a head or an element.
        rope_factors: rotary factors stored with the model.
    """

    tied: Literal["config", "always", "never"] = "config"
    tied_default: bool = False
    norm_bias: bool = False
    fused_qkv: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: Literal["head", "width", "each_head"] | None = None
    attention_norm: bool = True
    post_attention_norm: bool = False
    ffn_norm: bool = True
    post_ffn_norm: bool = False
    gated: bool = True
    fused_gate: bool = False
    ffn_bias: bool = False
    head_bias: bool = False
    attention_gate: Literal["head", "element"] | None = None
    rope_factors: tuple[tuple[str, int], ...] = ()


def decoder_tensors(
    blueprint: Blueprint, style: Style, feed_forward: Part | None = None
) -> Iterator[TensorShape]:
    """Yield the tensors of a decoder; `feed_forward` replaces the dense feed-forward part."""
    n_embd = blueprint.n_embd
    tied = style.tied == "always"
    if style.tied == "config":
        tied = blueprint.config.tied(default=style.tied_default)
    yield blocks.embedding(n_embd, blueprint.n_vocab)
    yield from blocks.output(
        n_embd, blueprint.n_vocab, tied=tied, norm_bias=style.norm_bias, bias=style.head_bias
    )
    for name, count in style.rope_factors:
        yield blocks.f32(name, count)
    part = feed_forward or partial(dense_part, style=style)
    norm = partial(blocks.norm, bias=style.norm_bias)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        if style.attention_norm:
            yield from norm(f"{prefix}attn_norm", n_embd)
        yield from _attention(blueprint, style, prefix, layer)
        if style.post_attention_norm:
            yield from norm(f"{prefix}post_attention_norm", n_embd)
        if style.ffn_norm:
            yield from norm(f"{prefix}ffn_norm", n_embd)
        yield from part(blueprint, prefix, layer)
        if style.post_ffn_norm:
            yield from norm(f"{prefix}post_ffw_norm", n_embd)
        if blueprint.predicts(layer):
            yield from blocks.predictor(prefix, n_embd=n_embd)


def decoder(style: Style) -> Callable[[Blueprint], Iterator[TensorShape]]:
    """Return the tensor function of a family whose layers are all dense and of one style."""

    def tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
        return decoder_tensors(blueprint, style)

    return tensors


def dense_part(
    blueprint: Blueprint, prefix: str, layer: int, *, style: Style
) -> Iterator[TensorShape]:
    """Yield the dense feed-forward part of a layer."""
    return blocks.dense(
        prefix,
        n_embd=blueprint.n_embd,
        n_ff=blueprint.n_ff(layer),
        gated=style.gated,
        fused=style.fused_gate,
        bias=style.ffn_bias,
    )


def mixture_part(
    blueprint: Blueprint, prefix: str, layer: int, *, selection_bias: bool, shared: int = 0
) -> Iterator[TensorShape]:
    """Yield a dense part in the leading layers, then routed experts beside `shared` ones."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    if layer < (metadata.optional("leading_dense_block_count") or 0):
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        return
    n_ff = metadata.optional("expert_feed_forward_length") or blueprint.n_ff(layer)
    yield from blocks.experts(
        prefix,
        n_embd=n_embd,
        n_ff=n_ff,
        n_expert=blueprint.n_expert,
        selection_bias=selection_bias,
    )
    if shared:
        yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=shared)


def _attention(
    blueprint: Blueprint, style: Style, prefix: str, layer: int
) -> Iterator[TensorShape]:
    widths = blueprint.widths(layer)
    yield from blocks.attention(
        prefix,
        widths,
        fused=style.fused_qkv,
        bias=style.qkv_bias,
        output_bias=style.output_bias,
    )
    geometry = blueprint.geometry
    if style.attention_gate is not None:
        per_head = style.attention_gate == "head"
        width = geometry.heads[layer] if per_head else widths.query
        yield blocks.matrix(f"{prefix}attn_gate", widths.n_embd, width)
    length = geometry.key_lengths[layer]
    query: tuple[int, ...]
    key: tuple[int, ...]
    match style.qk_norm:
        case None:
            return
        case "head":
            query = key = (length,)
        case "width":
            query, key = (widths.query,), (widths.key,)
        case "each_head":
            query = (length, geometry.heads[layer])
            key = (length, geometry.heads_kv[layer])
    yield blocks.f32(f"{prefix}attn_q_norm", *query)
    yield blocks.f32(f"{prefix}attn_k_norm", *key)
