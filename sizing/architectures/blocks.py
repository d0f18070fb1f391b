"""Building blocks of tensor tables: what a layer of most models is made of.

Shapes are in GGUF order, row length first. Biases and norms are always stored in 32 bit.
Source: llama.cpp (0c1e57098) src/llama-model.cpp create_tensor_qkv, src/models/*.cpp
load_arch_tensors; conversion/base.py prepare_tensors for what stays in 32 bit.
"""

from __future__ import annotations

from whatfits.sizing.model import TensorShape
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

__all__ = [
    "Widths",
    "attention",
    "bare",
    "dense",
    "embedding",
    "ends",
    "experts",
    "f32",
    "matrix",
    "norm",
    "output",
    "predictor",
    "shared_experts",
    "vector",
]

_F32: Final = "F32"


class Widths(NamedTuple):
    """Widths of one attention block.

    Attributes:
        n_embd: width of the residual stream.
        query: query heads × head length.
        key: key/value heads × key length.
        value: key/value heads × value length.
        context: query heads × value length: what the output matrix reads.
    """

    n_embd: int
    query: int
    key: int
    value: int
    context: int

    @classmethod
    def of(cls, *, n_embd: int, heads: int, heads_kv: int, head_length: int) -> Widths:
        """Return the widths when keys and values are of one length."""
        query, shared = heads * head_length, heads_kv * head_length
        return cls(n_embd, query, shared, shared, query)


def matrix(name: str, *shape: int) -> TensorShape:
    """Return a weight whose type the file type chooses."""
    return TensorShape(f"{name}.weight", shape)


def f32(name: str, *shape: int) -> TensorShape:
    """Return a weight that no file type changes."""
    return TensorShape(f"{name}.weight", shape, _F32)


def vector(name: str, *shape: int) -> TensorShape:
    """Return a bias."""
    return TensorShape(f"{name}.bias", shape, _F32)


def bare(name: str, *shape: int) -> TensorShape:
    """Return a parameter whose name has no ending."""
    return TensorShape(name, shape, _F32)


def norm(name: str, *shape: int, bias: bool = False) -> Iterator[TensorShape]:
    """Yield a normalisation: its scale and, for layer norms, its shift."""
    yield f32(name, *shape)
    if bias:
        yield vector(name, *shape)


def embedding(n_embd: int, n_vocab: int) -> TensorShape:
    """Return the token embedding."""
    return matrix("token_embd", n_embd, n_vocab)


def output(
    n_embd: int, n_vocab: int, *, tied: bool, norm_bias: bool = False, bias: bool = False
) -> Iterator[TensorShape]:
    """Yield the final norm and, unless it shares the embedding, the output matrix."""
    yield from norm("output_norm", n_embd, bias=norm_bias)
    if not tied:
        yield matrix("output", n_embd, n_vocab)
    if bias:
        yield vector("output", n_vocab)


def ends(n_embd: int, n_vocab: int, *, tied: bool) -> Iterator[TensorShape]:
    """Yield embedding, final norm and output of a plain model."""
    yield embedding(n_embd, n_vocab)
    yield from output(n_embd, n_vocab, tied=tied)


def attention(
    prefix: str,
    widths: Widths,
    *,
    fused: bool = False,
    bias: bool = False,
    output_bias: bool = False,
) -> Iterator[TensorShape]:
    """Yield the projections of one attention block.

    Args:
        prefix: `blk.N.`.
        widths: widths of the block.
        fused: queries, keys and values are one matrix.
        bias: queries, keys and values have a bias.
        output_bias: the output projection has one.
    """
    n_embd = widths.n_embd
    parts: tuple[tuple[str, int], ...]
    if fused:
        parts = ((f"{prefix}attn_qkv", widths.query + widths.key + widths.value),)
    else:
        parts = (
            (f"{prefix}attn_q", widths.query),
            (f"{prefix}attn_k", widths.key),
            (f"{prefix}attn_v", widths.value),
        )
    for name, width in parts:
        yield matrix(name, n_embd, width)
        if bias:
            yield vector(name, width)
    yield matrix(f"{prefix}attn_output", widths.context, n_embd)
    if output_bias:
        yield vector(f"{prefix}attn_output", n_embd)


def dense(
    prefix: str,
    *,
    n_embd: int,
    n_ff: int,
    gated: bool = True,
    fused: bool = False,
    bias: bool = False,
) -> Iterator[TensorShape]:
    """Yield a dense feed-forward block; `fused` puts the gate into a double-width `ffn_up`."""
    if gated and not fused:
        yield matrix(f"{prefix}ffn_gate", n_embd, n_ff)
        if bias:
            yield vector(f"{prefix}ffn_gate", n_ff)
    up = 2 * n_ff if fused else n_ff
    yield matrix(f"{prefix}ffn_up", n_embd, up)
    yield matrix(f"{prefix}ffn_down", n_ff, n_embd)
    if bias:
        yield vector(f"{prefix}ffn_up", up)
        yield vector(f"{prefix}ffn_down", n_embd)


def experts(
    prefix: str,
    *,
    n_embd: int,
    n_ff: int,
    n_expert: int,
    bias: bool = False,
    selection_bias: bool = False,
    fused: bool = False,
) -> Iterator[TensorShape]:
    """Yield router and expert stacks.

    `selection_bias` only steers which experts are picked; `fused` keeps gate and up projection in
    one stack, as some checkpoints have them.
    """
    yield f32(f"{prefix}ffn_gate_inp", n_embd, n_expert)
    if selection_bias:
        yield vector(f"{prefix}exp_probs_b", n_expert)
    if fused:
        yield matrix(f"{prefix}ffn_gate_up_exps", n_embd, 2 * n_ff, n_expert)
    else:
        yield matrix(f"{prefix}ffn_gate_exps", n_embd, n_ff, n_expert)
        yield matrix(f"{prefix}ffn_up_exps", n_embd, n_ff, n_expert)
    yield matrix(f"{prefix}ffn_down_exps", n_ff, n_embd, n_expert)
    if bias:
        yield vector(f"{prefix}ffn_gate_inp", n_expert)
        yield vector(f"{prefix}ffn_gate_exps", n_ff, n_expert)
        yield vector(f"{prefix}ffn_up_exps", n_ff, n_expert)
        yield vector(f"{prefix}ffn_down_exps", n_embd, n_expert)


def shared_experts(
    prefix: str, *, n_embd: int, n_ff: int, gate: bool = False
) -> Iterator[TensorShape]:
    """Yield the experts every token goes through; `gate` adds their own router row."""
    if gate:
        yield f32(f"{prefix}ffn_gate_inp_shexp", n_embd)
    yield matrix(f"{prefix}ffn_gate_shexp", n_embd, n_ff)
    yield matrix(f"{prefix}ffn_up_shexp", n_embd, n_ff)
    yield matrix(f"{prefix}ffn_down_shexp", n_ff, n_embd)


def predictor(
    prefix: str, *, n_embd: int, own_vocabulary: int | None = None
) -> Iterator[TensorShape]:
    """Yield what a block that predicts a further token has beside its layer.

    `own_vocabulary` gives it an embedding and an output matrix of its own with that many rows.
    """
    if own_vocabulary is not None:
        yield matrix(f"{prefix}nextn.embed_tokens", n_embd, own_vocabulary)
        yield matrix(f"{prefix}nextn.shared_head_head", n_embd, own_vocabulary)
    yield matrix(f"{prefix}nextn.eh_proj", 2 * n_embd, n_embd)
    yield f32(f"{prefix}nextn.enorm", n_embd)
    yield f32(f"{prefix}nextn.hnorm", n_embd)
    yield f32(f"{prefix}nextn.shared_head_norm", n_embd)
