"""Bytes of the weights on one device, as vLLM loads a checkpoint cut over ranks and stages.

Source: vllm-project/vllm 0.33.0 vllm/model_executor/layers (linear.py, vocab_parallel_embedding.py,
fused_moe/oracle/mxfp4.py, rotary_embedding), kernels/linear/mixed_precision/machete.py,
vllm/distributed/utils.py. Error against the `Model
loading took` of public logs (tests/golden/test_vllm_on_h100.py): at most 0.65 %, and 0.1 % in 16 or
8 bits without latent attention.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod

from whatfits.sizing.model import ByteRange, LatentAttention, SlidingWindow
from whatfits.sizing.quants.layouts.parts import HALF, ceil_div
from whatfits.sizing.runtimes.vllm_blocks import beyond_tensors_bytes, zero_points_bytes
from whatfits.sizing.runtimes.vllm_file_types import SIXTEEN_BITS
from whatfits.sizing.runtimes.vllm_layers import kv_heads_on_rank, lone_group_rows
from whatfits.sizing.runtimes.vllm_parallel import VOCABULARY_STEP
from whatfits.sizing.speculation import prediction_layer
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final, Literal

    from whatfits.sizing.model import LayerSpec, ModelSpec, TensorSpec
    from whatfits.sizing.runtimes.vllm_parallel import Cut

__all__ = ["stage_weights"]

_EMBEDDING: Final = "token_embd.weight"
_OUTPUT: Final = "output.weight"
_BY_VOCABULARY: Final = frozenset(
    {_EMBEDDING, _OUTPUT, "output.bias", "per_layer_token_embd.weight"}
)
# Texts, which `re` compiles when they are first used: a model on one device needs none of them.
_KV: Final = r"blk\.\d+\.attn_[kv]\.(?:weight|bias)"
_FUSED: Final = r"blk\.\d+\.attn_qkv\.(?:weight|bias)"
# Matrices that are cut, by rows or by columns; what is not named is on every rank.
_CUT: Final = (
    r"blk\.\d+\.(?:attn_(?:q|q_b|k_b|v_b|gate)\.(?:weight|bias)|attn_output(?:_[ab])?\.weight"
    r"|attn_sinks\.weight|ffn_(?:gate|up|gate_up)(?:_exps|_shexp)?\.(?:weight|bias)"
    r"|ffn_down(?:_exps|_shexp)?\.weight"
    r"|nextn\.eh_proj\.weight"
    r"|ssm_(?:in|out|x|dt|alpha|beta|ba|g|f_b|g_b|conv1d(?:_[qkv])?)\.(?:weight|bias)|ssm_[ad]"
    r"|shortconv\.(?:conv|in_proj|out_proj)\.weight)"
)
_SIXTEEN: Final = frozenset({"BF16", "F16"})
_ROUTERS_IN_F32: Final = frozenset({"afmoe", "ernie4_5-moe", "glm4moe", "hy_v3"})
_ROUTER, _IN_F32 = ".ffn_gate_inp.weight", (".ssm_a", ".exp_probs_b", ".exp_probs_b.bias")
_STATE_NORM, _HEAD_NORMS = ".ssm_norm.weight", (".attn_q_norm.weight", ".attn_k_norm.weight")
_INTO_STATES: Final = r"blk\.\d+\.ssm_(?:in|conv1d)\.(?:weight|bias)"
_EXPERTS: Final = r"blk\.\d+\.ffn_(gate|up|gate_up|down)_exps\.weight"
_LATENT: Final = re.compile(r"blk\.\d+\.attn_[kv]_b\.weight")
# Padding of MXFP4 experts in (hidden, intermediate): DeepGEMM and CUTLASS; Marlin and TRT-LLM;
# Triton, which gpt-oss has on Hopper.
_LEAST_PADDING, _USUAL_PADDING, _TRITON_PADDING = (128, 128), (256, 128), (1, 64)
_BY_TRITON: Final = "gpt-oss"
_MXFP4: Final = "MXFP4"
_MXFP4_BITS: Final = 4.25
_AWQ: Final = "AWQ"
_HOPPER: Final = 9.0  # capability of what Machete and Triton's MXFP4 run on
_ROUNDING: Final = 0.005  # small blocks, scales and buffers that no table lists
_FULL_UNTURNED: Final = frozenset({"llama4", "cohere2", "exaone4"})  # only windows are turned
# Nothing is: states, learned positions or slopes tell the order.
_UNTURNED: Final = frozenset(
    (
        *("bloom", "gpt2", "granitehybrid", "jamba", "kimi-linear", "mpt"),
        *("nemotron_h", "nemotron_h_moe", "starcoder"),
    )
)
_SAME: Final = 0.02  # a table this near to the headers describes the same tensors


def stage_weights(
    model: ModelSpec, cut: Cut, *, drafting: bool = False, capability: float | None = None
) -> tuple[ByteRange, ...]:
    """Return the weights on one device of each stage; with ranks, all of a stage have the same.

    The first stage has the embedding, the last the output matrix, or its own copy of an embedding
    that serves as one; `drafting`: and the prediction layers, which share both. `capability` of the
    devices decides what kernels make of zero-points.
    """
    stages = cut.layers(model.n_layers)
    tied = not any(tensor.name == _OUTPUT for tensor in model.tensors)
    parts = (
        _held(model, layers, is_first=index == 0, is_last=index == cut.stages - 1, tied=tied)
        for index, layers in enumerate(stages)
    )
    on_hopper = capability == _HOPPER
    *before, last = (_stage(model, held, cut, on_hopper=on_hopper) for held in parts)
    return (*before, _with_prediction(last, model, cut.ranks) if drafting else last)


def _with_prediction(stage: ByteRange, model: ModelSpec, ranks: int) -> ByteRange:
    """Return a stage with the prediction layers as well.

    Whoever quantised a checkpoint may have left them in 16 bits, or made them as small as the rest.
    """
    stored = plain = 0
    for tensor in model.prediction_tensors:
        in_16_bits = replace(tensor, n_bytes=prod(tensor.shape) * HALF)
        stored += _on_rank(model, tensor, ranks, _USUAL_PADDING)
        plain += _on_rank(model, in_16_bits, ranks, _USUAL_PADDING)
    least = stored if model.file_type == SIXTEEN_BITS else min(stored, plain // 4)
    return ByteRange(
        stage.low_bytes + least,
        stage.mid_bytes + stored,
        stage.high_bytes + plain,
        f"{stage.reason}; how prediction layers are stored",
    )


def _held(
    model: ModelSpec, layers: range, *, is_first: bool, is_last: bool, tied: bool
) -> list[TensorSpec]:
    return [
        tensor
        for tensor in model.tensors
        if (
            tensor.layer in layers if tensor.role == "layer" and tensor.layer is not None else False
        )
        or (is_first and _is_first(tensor))
        or (is_last and (_is_last(tensor) or (tied and tensor.name == _EMBEDDING)))
    ]


def _stage(model: ModelSpec, held: list[TensorSpec], cut: Cut, *, on_hopper: bool) -> ByteRange:
    by_triton = on_hopper and model.architecture == _BY_TRITON
    padding, other = _USUAL_PADDING, _LEAST_PADDING
    if by_triton:
        padding, other = _TRITON_PADDING, _USUAL_PADDING
    parts = [(tensor, _on_rank(model, tensor, cut.ranks, padding)) for tensor in held]
    mid = sum(n_bytes for _, n_bytes in parts)
    otherwise = sum(_on_rank(model, tensor, cut.ranks, other) for tensor in held)
    low, most = min(mid, otherwise), max(mid, otherwise)
    factor, why = _against_headers(model)
    copies = _latent_copies(held, cut.ranks)
    copied = copies if model.checkpoint is not None and model.checkpoint.label else 0
    rotary = _rotary_bytes(model)
    # other kernels take stacks of MXFP4 apart and put them together
    beyond = beyond_tensors_bytes((t, size) for t, size in parts if by_triton or t.type != _MXFP4)
    if on_hopper:
        beyond += sum(_unpacked_bytes(tensor, size) for tensor, size in parts)
    return ByteRange(
        low_bytes=round(low * min(factor, 1.0)),
        mid_bytes=round(mid * factor) + beyond + rotary + copied,
        high_bytes=round(most * max(factor, 1.0) * (1 + _ROUNDING)) + beyond + 2 * rotary + copies,
        reason=why,
    )


def _unpacked_bytes(tensor: TensorSpec, n_bytes: int) -> int:
    """Return what zero-points take more in 16 bits, as Machete wants them; experts have Marlin."""
    if tensor.type != _AWQ or re.fullmatch(_EXPERTS, tensor.name):
        return 0
    bits = 8 * tensor.n_bytes // prod(tensor.shape)
    return zero_points_bytes(tensor, n_bytes) * (16 - bits) // bits


def _is_first(tensor: TensorSpec) -> bool:
    return tensor.role == "input" or (tensor.role == "layer" and tensor.layer is None)


def _is_last(tensor: TensorSpec) -> bool:
    return tensor.role == "output"


def _against_headers(model: ModelSpec) -> tuple[float, str]:
    """Return what the table has to be scaled by to be what the headers of a checkpoint say."""
    exact = "tables of rotary factors, and blocks of the allocator"
    stored = None if model.checkpoint is None else model.checkpoint.stored_bytes
    if stored is None or not model.tensor_bytes:
        return 1.0, exact
    factor = stored / model.tensor_bytes
    if abs(factor - 1) <= _SAME:
        return factor, exact
    return factor, f"{exact}; the headers say {factor:.2f} times what the shape does"


def _on_rank(model: ModelSpec, tensor: TensorSpec, ranks: int, padding: tuple[int, int]) -> int:
    """Return the bytes of a tensor on one rank."""
    name = tensor.name
    n_bytes = tensor.n_bytes * (2 if _is_widened(model, tensor) else 1)
    if name in _BY_VOCABULARY:
        rows = tensor.shape[-1]
        return ceil_div(n_bytes * pad(rows, VOCABULARY_STEP), rows * ranks)
    if tensor.type == _MXFP4 and (experts := re.fullmatch(_EXPERTS, name)):
        return _padded_experts(tensor, ranks, padding, is_down=experts[1] == "down")
    if ranks == 1:
        return n_bytes
    part = _part_of(name)
    if part == "heads":
        return _attention_part(model, tensor, ranks)
    if (copied := lone_group_rows(model)) and re.fullmatch(_INTO_STATES, name):
        rows = tensor.shape[-1]
        return ceil_div(n_bytes * (rows + (ranks - 1) * copied), rows * ranks)
    is_cut = part == "cut" or _is_norm_of_heads(model, tensor)
    return ceil_div(n_bytes, ranks) if is_cut else n_bytes


def _is_widened(model: ModelSpec, tensor: TensorSpec) -> bool:
    """Return whether vLLM keeps a tensor of 16 bits in 32: decays of states, parts of routers."""
    if tensor.type not in _SIXTEEN:
        return False
    in_f32 = model.architecture in _ROUTERS_IN_F32 and tensor.name.endswith(_ROUTER)
    return in_f32 or tensor.name.endswith(_IN_F32)


def _is_norm_of_heads(model: ModelSpec, tensor: TensorSpec) -> bool:
    """Return whether a norm has factors for each head, or each column of a state: ranks cut it."""
    if tensor.name.endswith(_HEAD_NORMS):
        return len(tensor.shape) > 1 and tensor.shape[-1] > 1
    inner = model.metadata.get(f"{model.architecture}.ssm.inner_size")
    return tensor.name.endswith(_STATE_NORM) and prod(tensor.shape) == inner


@lru_cache(maxsize=8192)  # every machine and every cut asks for the same names
def _part_of(name: str) -> Literal["heads", "cut", "whole"]:
    """Return what a rank has of a tensor, by its name."""
    if re.fullmatch(_KV, name) or re.fullmatch(_FUSED, name):
        return "heads"
    return "cut" if re.fullmatch(_CUT, name) else "whole"


def _attention_part(model: ModelSpec, tensor: TensorSpec, ranks: int) -> int:
    """Return the bytes of keys and values, with or without the queries, on one rank.

    With more ranks than key/value heads each has a copy of one.
    """
    assert tensor.layer is not None
    is_prediction = tensor.layer >= model.n_layers
    layer = prediction_layer(model) if is_prediction else model.layers[tensor.layer]
    if not layer.n_head:
        return ceil_div(tensor.n_bytes, ranks)  # the fused projection of linear attention
    heads = max(1, layer.n_head_kv)
    kept = kv_heads_on_rank(heads, ranks=ranks)
    if re.fullmatch(_KV, tensor.name):
        return ceil_div(tensor.n_bytes * kept, heads)
    both = layer.key_length + layer.value_length
    queries, shared = layer.n_head * layer.key_length, heads * both
    on_rank = queries // ranks + kept * both
    return ceil_div(tensor.n_bytes * on_rank, queries + shared)


def _padded_experts(
    tensor: TensorSpec, ranks: int, padding: tuple[int, int], *, is_down: bool
) -> int:
    """Return the bytes of a stack of MXFP4 experts as the kernels want it padded."""
    columns, rows, *stack = tensor.shape
    hidden, inner = (rows, columns) if is_down else (columns, rows)
    step_hidden, step_inner = padding
    elements = pad(hidden, step_hidden) * pad(ceil_div(inner, ranks), step_inner)
    return int(prod(stack) * elements * _MXFP4_BITS / 8)


def _latent_copies(tensors: Iterable[TensorSpec], ranks: int) -> int:
    """Return the 16-bit copies of latent attention's up-projections, absorbed for decoding.

    Of a quantised checkpoint they are made; of a 16-bit one they may be views.
    """
    elements = sum(prod(t.shape) for t in tensors if _LATENT.fullmatch(t.name))
    return ceil_div(elements * HALF, ranks)


def _rotary_bytes(model: ModelSpec) -> int:
    """Return the table of rotary factors: a row of 16-bit cosines and sines for every position.

    Layers share it; where windows and full layers turn by different bases there are two. Scaled
    linearly, that of the full layers is longer by the factor: what was trained for is taken for
    the length before scaling.
    """
    name = model.architecture
    if name in _UNTURNED:
        return 0
    given = model.metadata.get(f"{name}.rope.dimension_count")
    width = given if isinstance(given, int) else _widest_key(model.layers)
    trained = model.hparams.context_train_tokens or 0
    rows = trained
    factor = model.metadata.get(f"{name}.rope.scaling.factor")
    kind = model.metadata.get(f"{name}.rope.scaling.type")
    if kind == "linear" and isinstance(factor, (int, float)):
        rows = round(trained * factor)
    attending = [layer.attention for layer in model.layers if layer.attention is not None]
    windows = sum(isinstance(attention, SlidingWindow) for attention in attending)
    if 0 < windows < len(attending) and name not in _FULL_UNTURNED:
        rows += trained
    return rows * width * HALF


def _widest_key(layers: Sequence[LayerSpec]) -> int:
    return max(
        (
            layer.key_length
            for layer in layers
            if layer.attention is not None and not isinstance(layer.attention, LatentAttention)
        ),
        default=0,
    )
