"""What torch's allocator counts as a tensor's beyond its bytes."""

from __future__ import annotations

import pytest

from whatfits.sizing.runtimes.vllm_blocks import beyond_tensors_bytes
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import MIB


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
    ],
)
def test_what_is_left_behind_a_large_tensor_counts_up_to_one_mib(
    n_bytes: int, beyond_bytes: int
) -> None:
    assert beyond_tensors_bytes([("output.weight", n_bytes)]) == beyond_bytes


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
    together = beyond_tensors_bytes(zip(names, sizes, strict=True))
    assert together == MIB
    apart = [name.replace("blk.0.", f"blk.{at}.") for at, name in enumerate(names)]
    assert beyond_tensors_bytes(zip(apart, sizes, strict=True)) == 0


def test_the_layers_of_qwen2_5_7b_have_two_mib_each_beyond_their_tensors() -> None:
    # 0.5 behind the queries, keys and values, 1.0 behind gate and up, 0.5 behind down
    model = load_published("qwen2.5-7b")
    beyond = beyond_tensors_bytes((tensor.name, tensor.n_bytes) for tensor in model.tensors)
    assert beyond == 28 * 2 * MIB + 2 * MIB // 2
