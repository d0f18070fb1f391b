"""Tensors that lie together: what is streamed of them, and what of the file they cover."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whatfits.sizing.model import FullAttention, SlidingWindow, TensorSpec
from whatfits.sizing.weight_groups import groups_of, sharing_layers, union_bytes

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec


def tensor(name: str, *shape: int, role: str = "layer", layer: int | None = 0) -> TensorSpec:
    size = 4
    for dimension in shape:
        size *= dimension
    return TensorSpec(name, shape, "F32", size, role, layer)


def streamed(model: ModelSpec, *tensors: TensorSpec) -> list[int]:
    groups = groups_of(replace(model, tensors=tensors), singly=False)
    return [group.streamed_bytes for group in groups]


def test_one_matrix_is_streamed_or_the_stacks_of_a_layers_experts(plain_model: ModelSpec) -> None:
    norm = tensor("blk.0.attn_norm.weight", 9000)
    small, large = tensor("blk.0.attn_k.weight", 64, 8), tensor("blk.0.attn_q.weight", 64, 32)
    assert streamed(plain_model, norm) == [0]
    assert streamed(plain_model, norm, small, large) == [4 * 64 * 32]
    stacks = [tensor(f"blk.0.ffn_{part}_exps.weight", 8, 4, 2) for part in ("up", "down")]
    assert streamed(plain_model, *stacks, large) == [2 * 4 * 64, 4 * 64 * 32]
    assert streamed(plain_model, tensor("token_embd.weight", 64, 99, role="input", layer=None)) == [
        0
    ]


def test_tensors_of_one_role_and_layer_are_a_group_and_experts_their_own(
    plain_model: ModelSpec,
) -> None:
    tensors = (
        tensor("blk.0.attn_q.weight", 4, 4),
        tensor("blk.0.attn_norm.weight", 4),
        tensor("blk.0.ffn_up_exps.weight", 4, 4, 2),
        tensor("blk.0.ffn_up_exps.bias", 4, 2),
        tensor("blk.1.attn_q.weight", 4, 4, layer=1),
        tensor("output.weight", 4, 4, role="output", layer=None),
    )
    model = replace(plain_model, tensors=tensors)
    groups = groups_of(model, singly=False)
    assert [(group.role, group.layer, len(group.tensors), group.n_bytes) for group in groups] == [
        ("layer", 0, 2, 80),
        ("layer", 0, 1, 128),
        ("layer", 0, 1, 32),
        ("layer", 1, 1, 64),
        ("output", None, 1, 64),
    ]
    assert [group.tensors for group in groups_of(model, singly=True)] == [(one,) for one in tensors]


def test_bytes_that_two_buffers_map_count_once() -> None:
    assert union_bytes({}) == 0
    assert union_bytes({("CPU", 0): (0, 10), ("metal", 0): (5, 20)}) == 20
    assert union_bytes({("CPU", 0): (0, 30), ("metal", 0): (5, 20)}) == 30
    assert union_bytes({("CPU", 0): (0, 10), ("metal", 0): (15, 20)}) == 15
    assert union_bytes({("CPU", 0): (0, 10), ("metal", 0): (10, 20)}) == 20
    # at the same place of another file
    assert union_bytes({("CPU", 0): (0, 10), ("metal", 1): (5, 20)}) == 25
    nested = {("a", 0): (0, 30), ("b", 0): (1, 5), ("c", 0): (20, 40)}
    assert union_bytes(nested) == 40


def test_a_layer_shares_what_the_layer_whose_cache_it_reads_does(plain_model: ModelSpec) -> None:
    full, window = FullAttention(64, 64), SlidingWindow(64, 64, 256)
    (layer, *_) = plain_model.layers
    layers = (
        replace(layer, attention=window),
        replace(layer, attention=full),
        replace(layer, attention=None, cache_layer=0),
        replace(layer, attention=None, cache_layer=1),
    )
    assert sharing_layers(replace(plain_model, layers=layers)) is None
    gemma = replace(plain_model, layers=layers, architecture="gemma4")
    assert sharing_layers(gemma) == (1, 3)
