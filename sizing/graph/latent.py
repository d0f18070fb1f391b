"""Latent attention (MLA): one compressed row a token, decompressed inside the attention.

Files of today hold the decompression in two matrices, absorbed into queries and results; old ones
hold it in one and keep full keys and values. Source: llama.cpp src/models/deepseek2.cpp,
kimi-linear.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Heads
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.attention import Attention
    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = [
    "Compressed",
    "LatentWidths",
    "absorbed_heads",
    "compressed_rows",
    "latent_attention",
    "low_rank_queries",
    "queries",
]

_F32: Final = 4


@dataclass(slots=True)
class Compressed:
    """What is kept of each token: its compressed row and the part of it that is rotated."""

    rows: Tensor
    rotated: Tensor


@dataclass(frozen=True, slots=True)
class LatentWidths:
    """Widths of a latent attention.

    Attributes:
        head: elements of a query head before absorption.
        value: elements of a value head after decompression.
        rotary: elements of them that are rotated.
        rank: elements of a compressed row without its rotated part.
        n_head: query heads.
    """

    head: int
    value: int
    rotary: int
    rank: int
    n_head: int

    @classmethod
    def of(cls, c: GraphContext, layer: int) -> LatentWidths:
        """Return the widths of a layer."""
        spec = c.spec(layer)
        return cls(
            head=int(c.metadata("attention.key_length_mla", spec.key_length)),
            value=int(c.metadata("attention.value_length_mla", spec.value_length)),
            rotary=int(c.metadata("rope.dimension_count")),
            rank=c.model.hparams.kv_lora_rank,
            n_head=spec.n_head,
        )

    @property
    def plain(self) -> int:
        """Elements of a query head that are not rotated."""
        return self.head - self.rotary


def queries(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    """Return the queries, through a low-rank pair of matrices where the layer has one."""
    whole = part("attn_q.weight")
    if whole is not None:
        return c.mul_mat(whole, x)
    return c.mul_mat(part.need("attn_q_b.weight"), low_rank_queries(c, x, part, layer))


def low_rank_queries(c: GraphContext, x: Tensor, part: Part, layer: int) -> Tensor:
    """Return the queries as they are between their two matrices."""
    low = c.mul_mat(part.need("attn_q_a.weight"), x)
    return c.norm(low, part("attn_q_a_norm.weight"), layer=layer)


def compressed_rows(
    c: GraphContext, x: Tensor, part: Part, layer: int, *, positions: Tensor | None
) -> Compressed:
    """Return the compressed rows of a layer; no positions, no rotation."""
    widths = LatentWidths.of(c, layer)
    n = x.ne[1]
    both = c.mul_mat(part.need("attn_kv_a_mqa.weight"), x)
    row = both.nb[1]
    rows = c.view(both, (widths.rank, n), (row,))
    rotated = c.view(both, (widths.rotary, 1, n), (row, row))
    if positions is not None:
        rotated = c.like("ROPE", rotated, positions)
    return Compressed(c.norm(rows, part("attn_kv_a_norm.weight"), layer=layer), rotated)


def latent_attention(
    c: GraphContext,
    attention: Attention,
    x: Tensor,
    layer: int,
    *,
    positions: Tensor | None,
    temperature: Tensor | None = None,
    in_heads: bool = False,
    gated: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return a layer's latent attention, absorbed or decompressed as its matrices say.

    `in_heads`: queries are seen as heads before they are cut; `gated` is what the heads go through
    before the output matrix.
    """
    part = c.layer(layer)
    q = queries(c, x, part, layer)
    is_absorbed = part("attn_k_b.weight") is not None
    if in_heads or not is_absorbed:
        widths = LatentWidths.of(c, layer)
        q = c.reshape(q, widths.head, widths.n_head, c.n_tokens)
    kept = compressed_rows(c, x, part, layer, positions=positions)
    if is_absorbed:
        heads = absorbed_heads(c, q, kept, layer, positions=positions)
    else:
        heads = _decompressed_heads(c, q, kept, layer, positions=positions)
    if temperature is not None:
        heads.q = c.like("MUL", heads.q, temperature)
    out, scale = part("attn_output.weight"), part("attn_output.scale")
    first = out if gated is None else None
    spread = part("attn_v_b.weight")
    if spread is None:
        y = attention.attend(heads, layer, out=first, out_scale=scale)
    else:
        y = attention.attend_latent(heads, layer, spread=spread, out=first, out_scale=scale)
    return y if gated is None else c.mul_mat(part.need("attn_output.weight"), gated(y))


def absorbed_heads(
    c: GraphContext, q: Tensor, kept: Compressed, layer: int, *, positions: Tensor | None
) -> Heads:
    """Return heads in latent space: one shared key a token, whose first part is the value."""
    part, widths, n = c.layer(layer), LatentWidths.of(c, layer), c.n_tokens
    strides = (_F32 * widths.head, _F32 * widths.head * widths.n_head)
    plain = c.view(q, (widths.plain, widths.n_head, n), strides)
    turned = c.view(q, (widths.rotary, widths.n_head, n), strides)
    if positions is not None:
        turned = c.like("ROPE", turned, positions)
    absorbed = c.mul_mat(part.need("attn_k_b.weight"), c.permute(plain, 0, 2, 1, 3))
    made = c.concat(c.permute(absorbed, 0, 2, 1, 3), turned, 0)
    value = c.reshape(kept.rows, widths.rank, 1, n)
    return Heads(made, c.concat(value, kept.rotated, 0), value)


def _decompressed_heads(
    c: GraphContext, q: Tensor, kept: Compressed, layer: int, *, positions: Tensor | None
) -> Heads:
    """Return ordinary heads, keys and values decompressed before they are stored."""
    part, widths, n = c.layer(layer), LatentWidths.of(c, layer), c.n_tokens
    n_head = widths.n_head
    both = c.mul_mat(part.need("attn_kv_b.weight"), kept.rows)
    head_stride = both.nb[1] // n_head
    strides = (head_stride, both.nb[1])
    plain = c.view(both, (widths.plain, n_head, n), strides)
    value = c.cont(c.view(both, (widths.value, n_head, n), strides))
    spread = c.repeat(kept.rotated, widths.rotary, n_head, n)
    if positions is None:
        return Heads(q, c.concat(spread, plain, 0), value)
    return Heads(c.like("ROPE", q, positions), c.concat(plain, spread, 0), value)
