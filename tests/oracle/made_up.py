"""Small made-up models of any architecture: a tensor table from a few switches, as a GGUF.

For architectures without a catalog entry; what a file of theirs holds is in llama.cpp's
src/models/*.cpp (load_arch_tensors).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comparison import write_model

from whatfits.sizing.model import Hparams, LayerSpec, ModelSpec, TensorSpec
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.gguf_model import load_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Shapes = Iterator[tuple[str, tuple[int, ...]]]

EMBD, VOCAB, CONTEXT, HEAD = 1024, 8192, 2048, 64
WINDOW = 512


@dataclass(frozen=True)
class Recipe:
    """What is special about an architecture's tensors.

    Attributes:
        norms: names of the norms of a layer.
        bias: norms and matrices have biases.
        fused: queries, keys and values are one matrix.
        qk_norm: queries and keys are normalised, head by head.
        gated: the dense feed-forward part has a gate.
        dense_layers: layers at the start without experts; None: no layer has experts.
        shared: width of the shared experts.
        shared_gate: the shared experts have a gate.
        selection_bias: experts are chosen with a bias.
        key_length: elements of a head's key, when values have another length.
        sinks: attention has sinks.
        positions: positions are embedded.
        tied: the output is the embedding.
        qkv_bias: the fused matrix of queries, keys and values has a bias.
        attention_bias: the matrices of attention have biases.
        norm_bias: norms have biases, whatever the matrices have.
        first_norm: embeddings are normalised.
        last_norm: name of the last norm; None without.
        headless: there is no output matrix.
        wide_up: up holds the gate as well.
        heads_by_layer: heads and key/value heads of each layer, where they differ: a layer without
            heads has no attention, one without key/value heads a matrix in its place.
        keys: metadata, without the architecture's prefix.
        bare_keys: metadata whose keys have no prefix.
        more: further tensors of each layer, or other shapes of those it has.
        ends: further tensors that belong to no layer.
        dropped: starts of the names of a layer's tensors that are not made.
    """

    norms: tuple[str, ...] = ("attn_norm", "ffn_norm")
    bias: bool = False
    fused: bool = False
    qk_norm: bool = False
    gated: bool = True
    dense_layers: int | None = None
    shared: int = 0
    shared_gate: bool = False
    selection_bias: bool = False
    key_length: int = HEAD
    sinks: bool = False
    positions: bool = False
    tied: bool = False
    qkv_bias: bool = False
    attention_bias: bool = False
    norm_bias: bool = False
    first_norm: bool = False
    last_norm: str | None = "output_norm"
    headless: bool = False
    wide_up: bool = False
    heads_by_layer: tuple[tuple[int, int], ...] = ()
    more: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ends: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    bare_keys: dict[str, object] = field(default_factory=dict)
    keys: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """How large a made-up model is."""

    layers: int = 7
    heads: int = 16
    heads_kv: int = 4
    ff: int = 2816
    experts: int = 8
    used: int = 2
    expert_ff: int = 512


def made_up(architecture: str, recipe: Recipe, path: Path, size: Size | None = None) -> ModelSpec:
    """Write a made-up model to a path and return what this engine reads from it."""
    size = size or Size()
    metadata = {f"{architecture}.{key}": value for key, value in _metadata(recipe, size).items()}
    shapes = [*_ends(recipe), *(t for i in range(size.layers) for t in _changed(recipe, size, i))]
    tensors = tuple(
        TensorSpec(
            name=name,
            shape=shape,
            type=(kind := "F32" if len(shape) == 1 or "gate_inp" in name else "F16"),
            n_bytes=tensor_bytes(kind, shape),
            role="layer",
        )
        for name, shape in shapes
    )
    bare = ModelSpec(
        name="made-up",
        source="made-up",
        architecture=architecture,
        file_type=None,
        file_bytes=None,
        tensors=tensors,
        layers=(LayerSpec(),) * size.layers,
        hparams=Hparams(n_embd=EMBD, n_vocab=VOCAB, context_train_tokens=CONTEXT),
        parameters=None,
        active_parameters=None,
        metadata={"general.architecture": architecture, **metadata, **recipe.bare_keys},
    )
    write_model(bare, path)
    return load_file(str(path))


def _metadata(recipe: Recipe, size: Size) -> dict[str, object]:
    keys: dict[str, object] = {
        "block_count": size.layers,
        "context_length": CONTEXT,
        "embedding_length": EMBD,
        "feed_forward_length": size.ff,
        "vocab_size": VOCAB,
        "attention.head_count": size.heads,
        "attention.head_count_kv": size.heads_kv,
        "attention.key_length": recipe.key_length,
        "attention.value_length": HEAD,
        "rope.dimension_count": recipe.key_length,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    if recipe.dense_layers is not None:
        keys |= {
            "expert_count": size.experts,
            "expert_used_count": size.used,
            "expert_feed_forward_length": size.expert_ff,
            "leading_dense_block_count": recipe.dense_layers,
        }
    return {**keys, **recipe.keys}


def _ends(recipe: Recipe) -> Shapes:
    yield "token_embd.weight", (EMBD, VOCAB)
    if recipe.positions:
        yield "position_embd.weight", (EMBD, CONTEXT)
    norm_bias = recipe.bias or recipe.norm_bias
    if recipe.first_norm:
        yield from _norm("token_embd_norm", EMBD, bias=norm_bias)
    if recipe.last_norm is not None:
        yield from _norm(recipe.last_norm, EMBD, bias=norm_bias)
    if not (recipe.tied or recipe.headless):
        yield "output.weight", (EMBD, VOCAB)
    yield from recipe.ends.items()


def _norm(name: str, width: int, *, bias: bool) -> Shapes:
    yield f"{name}.weight", (width,)
    if bias:
        yield f"{name}.bias", (width,)


def _matrix(name: str, width: int, rows: int, *, bias: bool) -> Shapes:
    yield f"{name}.weight", (width, rows)
    if bias:
        yield f"{name}.bias", (rows,)


def _changed(recipe: Recipe, size: Size, layer: int) -> Shapes:
    """Return a layer's tensors but for those dropped, then those that come on top."""
    at = f"blk.{layer}."
    more = {at + name: shape for name, shape in recipe.more.items()}
    made = {n: s for n, s in _layer(recipe, size, layer) if n not in more}
    for name, shape in made.items():
        if not name.removeprefix(at).startswith(recipe.dropped):
            yield name, shape
    yield from more.items()


def _layer(recipe: Recipe, size: Size, layer: int) -> Shapes:
    at, bias = f"blk.{layer}.", recipe.bias
    if recipe.heads_by_layer and not recipe.heads_by_layer[layer][1]:
        yield from _without_attention(recipe, size, layer)
        return
    for name in recipe.norms:
        yield from _norm(at + name, EMBD, bias=bias or recipe.norm_bias)
    q, k, v = (
        recipe.key_length * size.heads,
        recipe.key_length * size.heads_kv,
        HEAD * size.heads_kv,
    )
    if recipe.fused:
        yield from _matrix(f"{at}attn_qkv", EMBD, q + k + v, bias=bias or recipe.qkv_bias)
    else:
        for letter, rows in (("q", q), ("k", k), ("v", v)):
            has_bias = bias or recipe.attention_bias
            yield from _matrix(f"{at}attn_{letter}", EMBD, rows, bias=has_bias)
    if recipe.qk_norm:
        yield f"{at}attn_q_norm.weight", (recipe.key_length,)
        yield f"{at}attn_k_norm.weight", (recipe.key_length,)
    if recipe.sinks:
        yield f"{at}attn_sinks.weight", (size.heads,)
    has_bias = bias or recipe.attention_bias
    yield from _matrix(f"{at}attn_output", HEAD * size.heads, EMBD, bias=has_bias)
    if recipe.dense_layers is None or layer < recipe.dense_layers:
        yield from _dense(f"{at}ffn_", "", size.ff, recipe)
    else:
        yield from _experts(f"{at}ffn_", recipe, size)


def _without_attention(recipe: Recipe, size: Size, layer: int) -> Shapes:
    at = f"blk.{layer}."
    if recipe.heads_by_layer[layer][0]:
        yield f"{at}attn_norm.weight", (EMBD,)
        yield f"{at}attn_output.weight", (EMBD, EMBD)
    yield f"{at}ffn_norm.weight", (EMBD,)
    yield from _dense(f"{at}ffn_", "", size.ff, recipe)


def _dense(at: str, end: str, width: int, recipe: Recipe) -> Shapes:
    if recipe.gated:
        yield from _matrix(f"{at}gate{end}", EMBD, width, bias=recipe.bias)
    rows = 2 * width if recipe.wide_up else width
    yield from _matrix(f"{at}up{end}", EMBD, rows, bias=recipe.bias)
    yield from _matrix(f"{at}down{end}", width, EMBD, bias=recipe.bias)


def _experts(at: str, recipe: Recipe, size: Size) -> Shapes:
    yield f"{at}gate_inp.weight", (EMBD, size.experts)
    if recipe.selection_bias:
        yield at.removesuffix("ffn_") + "exp_probs_b.bias", (size.experts,)
    for name in ("gate", "up"):
        yield f"{at}{name}_exps.weight", (EMBD, size.expert_ff, size.experts)
    yield f"{at}down_exps.weight", (size.expert_ff, EMBD, size.experts)
    if recipe.shared:
        yield from _dense(at, "_shexp", recipe.shared, recipe)
    if recipe.shared_gate:
        yield f"{at}gate_inp_shexp.weight", (EMBD,)
