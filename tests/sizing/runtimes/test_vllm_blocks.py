"""What torch's allocator counts as a tensor's beyond its bytes."""

from __future__ import annotations

import pytest

from whatfits.sizing.model import ModelSpec, TensorSpec
from whatfits.sizing.runtimes.vllm_blocks import beyond_tensors_bytes, zero_points_bytes
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import MIB


def matrix(name: str, n_bytes: int) -> TensorSpec:
    return TensorSpec(name, (n_bytes,), "I8", n_bytes, role="layer", layer=0)


def beyond_of(*sizes: int) -> int:
    tensors = [matrix(f"blk.{at}.other.weight", size) for at, size in enumerate(sizes)]
    return beyond_tensors_bytes((tensor, tensor.n_bytes) for tensor in tensors)


def beyond_model(model: ModelSpec) -> int:
    return beyond_tensors_bytes((tensor, tensor.n_bytes) for tensor in model.tensors)


@pytest.mark.parametrize(
    ("n_bytes", "beyond_bytes"),
    [
        (10 * MIB - 1, 0),  # it shares a stretch with others
        (10 * MIB, 0),
        (10 * MIB + 1, 0),  # nearly 2 MiB are left, a block for others
        (11 * MIB - 1, 0),
        (11 * MIB, MIB),
        (12 * MIB - 1, 1),
        (12 * MIB, 0),
        (20 * MIB - 1, 1),
        (20 * MIB, 0),
        (20 * MIB + 1, 2 * MIB - 1),  # never split
        (51 * MIB, MIB),
    ],
)
def test_what_is_left_behind_an_array_counts_up_to_one_mib_or_if_it_is_large(
    n_bytes: int, beyond_bytes: int
) -> None:
    assert beyond_of(n_bytes) == beyond_bytes


def test_arrays_share_a_stretch_of_20_mib_and_take_the_smallest_block_left() -> None:
    # 20 = 9 + 9 + 2, and what is left of the third's stretch, 11, is too large for the last
    assert beyond_of(9 * MIB, 9 * MIB, 9 * MIB, 2 * MIB - MIB // 2) == MIB // 2
    # 20 = 12 + 7.5 + 0.5
    assert beyond_of(6 * MIB, 6 * MIB, 15 * MIB // 2) == MIB // 2


@pytest.mark.parametrize(
    "names",
    [
        ("blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"),
        ("blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"),
        ("blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight"),
    ],
)
def test_matrices_that_are_loaded_as_one_have_one_block(names: tuple[str, ...]) -> None:
    sizes = [4 * MIB] * (len(names) - 1) + [9 * MIB]
    tensors = [matrix(name, size) for name, size in zip(names, sizes, strict=True)]
    assert beyond_tensors_bytes((each, each.n_bytes) for each in tensors) == MIB
    apart = [
        matrix(name.replace("blk.0.", f"blk.{at}."), size)
        for at, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]
    assert beyond_tensors_bytes((each, each.n_bytes) for each in apart) == 0


def test_the_layers_of_qwen2_5_7b_have_three_and_a_half_mib_each_beyond_their_tensors() -> None:
    # 0.5 behind the queries, keys and values, 1.5 behind the output of attention, 1.0 behind gate
    # and up, 0.5 behind down
    assert beyond_model(load_published("qwen2.5-7b")) == 28 * 7 * MIB // 2 + 2 * MIB // 2


def test_codes_scales_and_zero_points_are_arrays_apart() -> None:
    # Layers of 4-bit codes: gate and up 64.75 MiB, down 32.375, in stretches of 66 and 34; the
    # others and the scales share stretches, and little is left of these.
    model = load_published("qwen2.5-7b", file_type="awq")
    large = 28 * (66 - 64.75 + 34 - 32.375) * MIB + 2 * MIB // 2
    assert large <= beyond_model(model) <= large + 28 * MIB


def test_zero_points_of_awq_have_a_fifth_of_what_codes_leave() -> None:
    tensor = next(
        each
        for each in load_published("qwen2.5-7b", file_type="awq").tensors
        if each.name == "blk.0.ffn_down.weight"
    )
    groups = 18_944 // 128 * 3584
    assert zero_points_bytes(tensor, tensor.n_bytes) == groups // 2
    assert zero_points_bytes(tensor, tensor.n_bytes // 2) == groups // 4
    assert zero_points_bytes(matrix("blk.0.other.weight", MIB), MIB) == 0
